import numpy as np
import pytest
import torch
from drawing import draw_network
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from lipsnn import ShallowNet, certify
from lipsnn.convert import as_network


def test_is_equation_1():
    net = ShallowNet([[1.0, 2.0, -1.0], [-1.0, 0.5, 0.25]], [2.0, -3.0], offset=0.5)
    x = np.array([[1.0, 1.0]])
    assert net(x) == pytest.approx(2 * max(1 + 2 - 1, 0) - 3 * max(-1 + 0.5 + 0.25, 0) + 0.5)
    assert (net.width, net.dim) == (2, 2)


@given(seed=st.integers(0, 10**6), width=st.integers(1, 8), dim=st.integers(1, 5))
def test_rescaling_leaves_output_and_bound(seed, width, dim):
    net = draw_network(seed, width, dim)
    rng = np.random.default_rng(seed + 1)
    other = net.rescale(10.0 ** rng.uniform(-2, 2, size=width))
    X = rng.normal(size=(20, dim))
    np.testing.assert_allclose(other(X), net(X), rtol=1e-10, atol=1e-10)
    assert certify(other).bound == pytest.approx(certify(net).bound, rel=1e-6)


def test_patterns_include_the_boundary():
    net = ShallowNet([[1.0, 0.0], [-1.0, 0.0]], [1.0, 1.0])
    patterns = net.patterns(np.array([[0.0], [2.0], [-2.0]]))
    assert patterns.tolist() == [[True, True], [True, False], [False, True]]


def test_signs_count_zero_as_positive():
    assert ShallowNet(np.ones((3, 2)), [0.0, -0.0, -1.0]).signs.tolist() == [1.0, 1.0, -1.0]


def test_gradient_is_the_slope():
    net = draw_network(3, 7, 4)
    X = np.random.default_rng(0).normal(size=(6, 4))
    step = 1e-6
    slopes = [(net(X + step * e) - net(X - step * e)) / (2 * step) for e in np.eye(4)]
    np.testing.assert_allclose(net.gradient(X), np.column_stack(slopes), atol=1e-7)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("bias", [True, False])
def test_torch_round_trip(dtype, bias):
    module = nn.Sequential(nn.Linear(3, 5, bias=bias), nn.ReLU(), nn.Linear(5, 1, bias=bias)).to(
        dtype
    )
    X = torch.randn(11, 3, dtype=dtype, generator=torch.Generator().manual_seed(0))
    net = ShallowNet.from_torch(module)
    tolerance = 1e-6 if dtype == torch.float32 else 1e-13
    np.testing.assert_allclose(net(X), module(X)[:, 0].detach().numpy(), atol=tolerance)
    back = ShallowNet.from_torch(net.to_torch())
    np.testing.assert_array_equal(back.weights, net.weights)
    np.testing.assert_array_equal(back.outer, net.outer)
    assert back.offset == net.offset
    assert net.to_torch(dtype)[0].weight.dtype == dtype


@pytest.mark.parametrize(
    ("weights", "outer", "word"),
    [
        ([[1.0, np.nan]], [1.0], "NaN"),
        ([[1.0, 1.0]], [np.inf], "infinite"),
        (np.zeros((0, 3)), [], "no hidden units"),
        ([[1.0], [2.0]], [1.0, 1.0], "bias in the last column"),
        ([[1.0, 2.0]], [1.0, 1.0], "1 rows"),
        ([1.0, 2.0], [1.0], "2 dimensions"),
        ([["a", "b"]], [1.0], "numeric"),
    ],
)
def test_bad_networks(weights, outer, word):
    with pytest.raises(ValueError, match=word):
        ShallowNet(weights, outer)


def test_bad_inputs_and_factors():
    net = draw_network(0, 3, 2)
    with pytest.raises(ValueError, match="bias feature"):
        net(np.ones((4, 3)))
    with pytest.raises(ValueError, match="2 columns"):
        net(np.ones((4, 1)))
    with pytest.raises(ValueError, match="positive"):
        net.rescale(-1.0)
    with pytest.raises(TypeError, match="list"):
        as_network([1, 2])


def test_is_immutable():
    net = draw_network(0, 3, 2)
    with pytest.raises(ValueError, match="read-only"):
        net.weights[0, 0] = 1.0
