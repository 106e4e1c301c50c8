"""The certificate as a differentiable function."""

import numpy as np
import pytest
import torch
from drawing import draw_network

from lipsnn import ShallowNet, certify
from lipsnn.autograd import WarmBound, lipschitz_bound


def tensors(*shape: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    options = {"generator": generator, "dtype": torch.float64, "requires_grad": True}
    return torch.randn(*shape, **options), torch.randn(*shape[:-1], **options)


@pytest.mark.parametrize("shape", [(6, 4), (1, 3), (5, 2), (3, 9), (3, 5, 3)])
def test_gradcheck(shape):
    def bound(weights, outer):
        return lipschitz_bound(weights, outer, tol=1e-11)

    # the step is far above the last digits of a certificate of gap 1e-11
    assert torch.autograd.gradcheck(bound, tensors(*shape), eps=1e-4, atol=1e-6, rtol=1e-5)


def test_value_is_the_certificates():
    net = draw_network(0, 7, 3)
    value = lipschitz_bound(torch.tensor(net.weights), torch.tensor(net.outer))
    assert value.shape == ()
    assert float(value) == certify(net).bound


def test_batches():
    weights, outer = tensors(4, 6, 3)
    batch = lipschitz_bound(weights, outer)
    assert batch.shape == (4,)
    singly = [lipschitz_bound(w, a).item() for w, a in zip(weights, outer, strict=True)]
    assert batch.tolist() == singly


def test_dtype_and_bias():
    weights, outer = (tensor.detach().float().requires_grad_() for tensor in tensors(5, 4))
    bound = lipschitz_bound(weights, outer)
    assert bound.dtype == torch.float32
    bound.backward()
    assert weights.grad.dtype == torch.float32
    assert (weights.grad[:, -1] == 0).all()


def test_euler():
    """L is homogeneous of degree 1 in the outer weights, so they recover it from the gradient."""
    weights, outer = tensors(20, 5)
    bound = lipschitz_bound(weights, outer, tol=1e-10)
    bound.backward()
    assert (outer.grad @ outer).item() == pytest.approx(bound.item(), rel=1e-9)
    assert (weights.grad * weights).sum().item() == pytest.approx(bound.item(), rel=1e-9)


def test_gradients_at_degenerate_networks_are_finite():
    for weights, outer in ((np.zeros((3, 3)), np.ones(3)), (np.ones((3, 3)), np.zeros(3))):
        w = torch.tensor(weights, requires_grad=True)
        a = torch.tensor(outer, requires_grad=True)
        lipschitz_bound(w, a).backward()
        assert torch.isfinite(w.grad).all()
        assert torch.isfinite(a.grad).all()


def test_a_warm_start_saves_iterations():
    cold, warm = WarmBound(1e-4, warm=False), WarmBound(1e-4)
    weights, outer = tensors(60, 7)
    for k in range(10):
        near = weights.detach() * (1 + 1e-3 * k)
        assert warm(near, outer).item() == pytest.approx(cold(near, outer).item(), rel=2e-4)
    assert warm.iterations < 0.8 * cold.iterations


def test_bad_input():
    weights, outer = tensors(5, 4)
    with pytest.raises(ValueError, match="weights must be"):
        lipschitz_bound(weights, outer[:3])
    with pytest.raises(ValueError, match="weights must be"):
        lipschitz_bound(weights[0], outer[0])
    with pytest.raises(ValueError, match="must be floating"):
        lipschitz_bound(weights.long(), outer)
    with pytest.raises(ValueError, match="NaN or infinite"):
        lipschitz_bound(weights * np.nan, outer)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_the_bound_is_rounded_up_in_every_dtype(dtype):
    for seed in range(25):
        weights, outer = (t.detach().to(dtype) for t in tensors(6, 4, seed=seed))
        exact = certify(ShallowNet(weights, outer)).bound
        found = lipschitz_bound(weights, outer)
        assert found.dtype == dtype
        assert exact <= found.item() <= exact * (1 + 2 * torch.finfo(dtype).eps)
    tiny = torch.tensor([[1e-4, 0.0]], dtype=torch.float16)
    assert lipschitz_bound(tiny, tiny[:, 0]).item() > 0


def test_arrays_are_told_what_to_do():
    net = draw_network(0, 7, 3)
    with pytest.raises(ValueError, match="torch tensors"):
        lipschitz_bound(net.weights, net.outer)
