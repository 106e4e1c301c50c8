"""The attack on classifiers, against exact answers where there are some."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from torch import nn

from lipsnn import ShallowNet, pgd_attack
from lipsnn.attack import Ball, accuracy, pgd_inputs

NORMS = (2, math.inf)


class Scaled(nn.Module):
    def __init__(self, net, scale):
        super().__init__()
        self.net, self.scale = net, scale

    def forward(self, x):
        return self.scale * self.net(x)


def linear(classes, dim=3, seed=0, dtype=torch.float32):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(dim, classes)).to(dtype)


def drawn(net, size=100, seed=1, dim=3):
    """Inputs, and the classes that the network gives them."""
    X = torch.randn(size, dim, generator=torch.Generator().manual_seed(seed))
    X = X.to(next(net.parameters()).dtype)
    with torch.no_grad():
        return X, net(X).argmax(dim=1)


def distances(net, X, y, norm):
    """Exactly how far each input of a linear network is from another class."""
    weights, bias = (p.detach().double().numpy() for p in net[0].parameters())
    outputs = X.double().numpy() @ weights.T + bias
    found = np.full(len(X), np.inf)
    for k, own in enumerate(y.tolist()):
        for j in set(range(len(weights))) - {own}:
            apart = np.linalg.norm(weights[own] - weights[j], ord=2 if norm == 2 else 1)
            found[k] = min(found[k], (outputs[k, own] - outputs[k, j]) / apart)
    return found


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("classes", [2, 3, 10])
def test_finds_all_that_there_is_at_any_scale_of_the_outputs(classes, norm):
    net = linear(classes)
    X, y = drawn(net)
    distance, radius = distances(net, X, y, norm), 0.3
    held = {}
    for scale in (1e-30, 1.0, 1e4, 1e30):
        scaled = Scaled(net, scale)
        attacked = pgd_inputs(scaled, X, y, radius, norm=norm, iterations=60, restarts=classes - 1)
        held[scale] = (scaled(attacked).argmax(dim=1) == y).numpy()
        assert not held[scale][distance < 0.999 * radius].any()
        assert held[scale][distance > radius * (1 + 1e-6)].all()
    assert 0.1 < held[1.0].mean() < 0.9
    assert len({tuple(found) for found in held.values()}) == 1


@pytest.mark.parametrize("head", [nn.Softmax(dim=1), nn.LogSoftmax(dim=-1)])
def test_saturated_probabilities_hide_nothing(head):
    net = linear(4)
    X, y = drawn(net)
    steep = nn.Sequential(Scaled(net, 1e4), head)
    plain, saturated = (accuracy(each, pgd_inputs(each, X, y, 0.3), y) for each in (net, steep))
    assert saturated == pytest.approx(plain, abs=0.005)


def exact_length(x, point, norm):
    apart = [Fraction(b) - Fraction(a) for a, b in zip(x, point, strict=True)]
    return sum(d * d for d in apart) if norm == 2 else max(map(abs, apart)) ** 2


DTYPES = (torch.float64, torch.float32, torch.float16, torch.bfloat16)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_radius_is_kept_in_exact_arithmetic(dtype, norm):
    net = linear(3, dim=7, dtype=dtype)
    moved = 0.0
    for offset, radius in itertools.product((0.0, 1.0, 1000.0), (0.1, 1e-3, 3.7)):
        X, y = drawn(net, 15, dim=7)
        X = X + offset
        for restarts in (0, 2):
            attacked = pgd_inputs(net, X, y, radius, norm=norm, iterations=5, restarts=restarts)
            assert attacked.dtype == dtype
            for x, point in zip(X.double().tolist(), attacked.double().tolist(), strict=True):
                assert exact_length(x, point, norm) <= Fraction(radius) ** 2
            length = torch.linalg.vector_norm((attacked - X).double(), ord=norm, dim=1)
            moved = max(moved, float(length.max()) / radius)
    assert moved > 0.98  # and used up


@pytest.mark.parametrize("norm", NORMS)
def test_so_it_is_for_the_squared_error(norm):
    rng = np.random.default_rng(0)
    net = ShallowNet(rng.normal(size=(15, 5)), rng.normal(size=15))
    for offset, radius in itertools.product((0.0, 1e3, 1e9), (0.1, 1e-6, 0.3)):
        X = rng.normal(size=(20, 4)) + offset
        attacked = pgd_attack(net, X, net(X), radius, norm=norm, steps=10)
        for x, point in zip(X.tolist(), attacked.tolist(), strict=True):
            assert exact_length(x, point, norm) <= Fraction(radius) ** 2


@pytest.mark.parametrize("norm", NORMS)
def test_the_box_is_not_left(norm):
    net = linear(3, dim=6)
    X = torch.rand(200, 6, generator=torch.Generator().manual_seed(0)).round(decimals=1)
    y = net(X).argmax(dim=1)
    open_, boxed = (
        pgd_inputs(net, X, y, 0.4, norm=norm, clip=clip, restarts=2) for clip in (None, (0, 1))
    )
    assert ((boxed >= 0) & (boxed <= 1)).all()
    assert ((open_ < 0) | (open_ > 1)).any()
    assert torch.linalg.vector_norm(boxed - X, ord=norm, dim=1).max() <= 0.4 + 1e-6
    assert accuracy(net, open_, y) <= accuracy(net, boxed, y) < 1
    rng = np.random.default_rng(0)
    shallow = ShallowNet(rng.normal(size=(9, 7)), rng.normal(size=9))
    found = pgd_attack(shallow, X, np.zeros(200), 0.4, norm=norm, clip=(0, 1))
    assert ((found >= 0) & (found <= 1)).all()
    with pytest.raises(ValueError, match="outside of clip"):
        pgd_inputs(net, X - 0.5, y, 0.1, clip=(0, 1))


def trained(kind):
    """A classifier of two rings: smooth, with ReLU, and with sigmoids that have saturated."""
    generator = torch.Generator().manual_seed(0)
    X = 2 * torch.randn(300, 2, generator=generator)
    y = (X.norm(dim=1) > 2).long() + (X.norm(dim=1) > 3).long()
    torch.manual_seed(1)
    act = nn.ReLU if kind == "relu" else nn.Sigmoid
    net = nn.Sequential(nn.Linear(2, 24), act(), nn.Linear(24, 24), act(), nn.Linear(24, 3))
    if kind == "saturated":
        with torch.no_grad():
            net[0].weight *= 300
    steps = torch.optim.Adam(net.parameters(), lr=0.02)
    for _ in range(200):
        steps.zero_grad()
        nn.functional.cross_entropy(net(X), y).backward()
        steps.step()
    return net, X, y


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("kind", ["relu", "sigmoid", "saturated"])
def test_noise_of_the_same_size_never_does_better(kind, norm):
    net, X, y = trained(kind)
    radius = 0.3
    attacked = pgd_inputs(net, X, y, radius, norm=norm, iterations=50)
    held = net(attacked).argmax(dim=1) == y
    noisy = pgd_inputs(net, X, y, radius, norm=norm, iterations=0, restarts=10, seed=5)
    calm = net(noisy).argmax(dim=1) == y
    assert calm.double().mean() < accuracy(net, X, y)  # noise does some harm
    if kind != "saturated":  # there no gradient tells where to look, and each try is luck
        assert int((held & ~calm).sum()) == 0
    assert held.double().mean() < calm.double().mean()


class Hidden(nn.Module):
    """Outputs that have no gradient, or none that autograd can reach."""

    def __init__(self, net, how):
        super().__init__()
        self.net, self.how = net, how

    def forward(self, x):
        outputs = self.net(x)
        if self.how == "detached":
            return outputs.detach()
        if self.how == "votes":
            return nn.functional.one_hot(outputs.argmax(dim=1), outputs.shape[1]).float()
        return torch.zeros_like(outputs, requires_grad=True) + outputs.detach()


@pytest.mark.parametrize("how", ["detached", "votes", "unreachable"])
def test_without_a_gradient_it_still_tries(how):
    net, X, y = trained("relu")
    hidden = Hidden(net, how)
    assert accuracy(hidden, pgd_inputs(hidden, X, y, 0.5), y) < accuracy(net, X, y) - 0.1


@pytest.mark.parametrize("around", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_leaves_everything_as_it_was(around):
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Linear(3, 20), nn.BatchNorm1d(20), nn.ReLU(), nn.Dropout(0.5), nn.Linear(20, 3)
    )
    net.train()
    net[1].eval()  # as in fine-tuning
    net[0].weight.requires_grad_(False)
    net[4].weight.grad = torch.ones_like(net[4].weight)
    X = torch.randn(30, 3)
    y = torch.arange(30) % 3
    kept, grown = X.clone(), X.clone().requires_grad_()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    states = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    expected = pgd_inputs(net, X, y, 0.3, iterations=5)
    with around():
        attacked = pgd_inputs(net, X, y, 0.3, iterations=5)
        accuracy(net, X.clone(), y.clone())
        inside = pgd_inputs(net, X.clone(), y.clone(), 0.3, iterations=5)
        assert torch.is_grad_enabled() == (around is torch.enable_grad)
    torch.testing.assert_close(attacked, expected, rtol=0, atol=0)
    torch.testing.assert_close(inside, expected, rtol=0, atol=0)
    torch.testing.assert_close(pgd_inputs(net, grown, y, 0.3, iterations=5), expected)
    assert grown.grad is None
    assert not attacked.requires_grad
    assert [module.training for module in net] == [True, False, True, True, True]
    assert [p.requires_grad for p in net.parameters()] == [False] + [True] * 5
    assert net[0].bias.grad is None
    assert (net[4].weight.grad == 1).all()
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert torch.equal(X, kept)
    assert torch.equal(torch.get_rng_state(), states[0])
    assert (np.random.get_state()[1] == states[1]).all()  # noqa: NPY002


def test_what_is_wrong_already_is_left_and_images_keep_their_shape():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(12, 4))
    X, y = torch.rand(50, 1, 4, 4), torch.arange(50) % 4
    attacked = pgd_inputs(net, X, y, 0.2, iterations=20, batch_size=20)
    wrong = net(X).argmax(dim=1) != y
    assert attacked.shape == X.shape
    assert 0 < int(wrong.sum()) < 50
    assert torch.equal(attacked[wrong], X[wrong])
    assert not torch.equal(attacked[~wrong], X[~wrong])
    assert torch.equal(pgd_inputs(net, X, y, 0.0), X)
    assert accuracy(net, X, y, batch_size=3) == float((~wrong).double().mean())


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"radius": -1}, "radius"),
        ({"norm": 1}, "norm"),
        ({"step": 0}, "step"),
        ({"iterations": -1}, "steps"),
        ({"batch_size": 0}, "batch_size"),
        ({"X": torch.zeros(0, 3)}, "at least one sample"),
        ({"X": torch.full((4, 3), math.inf)}, "infinite"),
        ({"X": torch.zeros(4, 2)}, "does not fit the network"),
        ({"net": nn.Linear(3, 1)}, "at least two"),
        ({"net": nn.Conv2d(3, 2, 1), "X": torch.zeros(4, 3, 2, 2)}, "outputs of shape"),
    ],
)
def test_bad_arguments(change, word):
    arguments = {"net": linear(3), "X": torch.zeros(4, 3), "y": [0, 1, 2, 0], "radius": 0.1}
    with pytest.raises(ValueError, match=word):
        pgd_inputs(**{**arguments, **change})


@pytest.mark.parametrize("norm", NORMS)
def test_steps_of_extreme_gradients_have_length_one(norm):
    for size in (1e-320, 1e-200, 1e-160, 1.0, 1e160, 1e300):
        gradient = size * np.array([[3.0, -4.0], [0.0, 0.0]])
        step = Ball(1.0, norm).steepest(gradient)
        expected = [0.6, -0.8] if norm == 2 else [1.0, -1.0]
        np.testing.assert_allclose(
            step, [expected, [0.0, 0.0]], rtol=1e-3 if size < 1e-300 else 1e-12
        )
