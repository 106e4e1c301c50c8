"""Networks that are Lipschitz by construction, and the sandwich layer that is ours."""

import sys
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from lipsnn import certify
from studies.peers import packages
from studies.peers.blocks import BUILT, Scaled, build, outputs, own_bound, read
from studies.peers.methods import PACKAGED, REACH
from studies.peers.sandwich import Last, Sandwich, cayley

OURS = [name for name in BUILT if name not in PACKAGED]


def disturbed(module: nn.Module, seed: int = 0) -> nn.Module:
    """With parameters moved far from where they were drawn."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    return module


@pytest.mark.parametrize(("n", "m"), [(3, 5), (6, 2), (1, 4)])
def test_cayleys_rows_are_orthonormal(n, m):
    A, B = cayley(*(torch.randn(k, n, dtype=torch.float64) for k in (n, m)))
    assert torch.allclose(A @ A.T + B @ B.T, torch.eye(n).double(), atol=1e-12)


def least_rho(layer: Sandwich) -> float:
    """The least rho of program (2) at the multipliers Psi^2, by the Schur complement."""
    W, V = (part.detach().numpy() for part in layer.matrices())
    T = np.diag(np.exp(2 * layer.scale.detach().numpy()))
    TW = T @ W
    # V has a kernel, and with it that block one, where no inputs are: W maps into its range
    inner = np.linalg.pinv(2 * T - V.T @ V, rcond=1e-10)
    return float(np.linalg.eigvalsh(TW.T @ inner @ TW)[-1])


@pytest.mark.parametrize("widths", [(3, 4), (6, 4, 5), (4, 4, 4, 4)])
def test_the_product_of_the_layers_certificates_is_the_bound(widths):
    bound, pairs = 7.0, list(pairwise(widths))
    layers = [Sandwich(*pair) for pair in pairs]
    net = disturbed(Scaled(bound**0.5, *layers, Last(widths[-1])).double())
    with torch.no_grad():
        net[-1].Y /= net[-1].Y.norm()  # the longest that the last layer may be
    assert float(net[-1].weight.detach().norm()) == pytest.approx(1.0, rel=1e-12)
    product = np.prod([least_rho(layer) for layer in net[:-1]]) ** 0.5 * net.root**2
    assert product == pytest.approx(bound, rel=1e-6)
    assert certify(read(net, widths[0])).bound <= bound * (1 + 1e-6)


def test_no_choice_of_parameters_breaks_the_bound():
    for seed in range(5):
        net = disturbed(build("sandwich", 3, 6, 2, 2.0, seed), seed)
        assert certify(read(net, 3)).bound <= 2.0 * (1 + 1e-6)
        assert own_bound("sandwich", net) == pytest.approx(2.0)


@pytest.mark.parametrize("name", OURS)
@pytest.mark.parametrize("depth", [1, 2])
def test_what_is_read_is_the_network(name, depth):
    net = disturbed(build(name, 5, 8, depth, 3.0, 1)).eval()
    found = read(net, 5)
    X = 10 * np.random.default_rng(1).normal(size=(200, 5))
    assert len(found.weights) == depth + 1
    assert found(X).reshape(-1) == pytest.approx(outputs(net, X), rel=1e-9, abs=1e-9)


class MaxMin(nn.Module):
    def forward(self, z):
        a, b = z.chunk(2, 1)
        return torch.cat([torch.maximum(a, b), torch.minimum(a, b)], 1)


class GroupSort2(nn.Module):
    def forward(self, z):
        return z.reshape(len(z), -1, 2).sort(dim=2).values.reshape(z.shape)


class SDPBasedLipschitzDense(nn.Module):
    def __init__(self, inputs, units):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(units, inputs))
        self.bias = nn.Parameter(torch.randn(1, units))

    def compute_t(self):
        return 1 / abs(self.weight @ self.weight.T).sum(1)

    def forward(self, x):
        hidden = torch.relu(x @ self.weight.T + self.bias)
        return x - 2 * (self.compute_t() * hidden) @ self.weight


def stacks(depth):
    for sort in (MaxMin, GroupSort2):
        sizes = [4, *[6] * depth]
        pairs = pairwise(sizes)
        yield [part for a, b in pairs for part in (nn.Linear(a, b), sort())] + [nn.Linear(6, 1)]
    yield [SDPBasedLipschitzDense(4, 5) for _ in range(depth)] + [nn.Linear(4, 1)]


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_sorting_and_residual_layers_are_relu_networks(depth):
    X = np.random.default_rng(0).normal(size=(300, 4))
    for layers in stacks(depth):
        net = Scaled(1.5, *layers).double()
        assert read(net, 4)(X).reshape(-1) == pytest.approx(outputs(net, X), rel=1e-9, abs=1e-9)
        assert len(read(net, 4).weights) == depth + 1


def test_a_linear_part_costs_the_certificate_on_the_ball_nothing():
    net = Scaled(1.0, SDPBasedLipschitzDense(4, 5), nn.Linear(4, 1)).double()
    size = float(net[-1].weight.detach().norm())
    ball = certify(read(net, 4, REACH).to_shallow(), ball=(np.zeros(4), REACH)).bound
    # a residual layer of that form is 1-Lipschitz (Araujo et al. 2023); two free units say more
    assert ball <= size * (1 + 1e-6) < certify(read(net, 4)).bound


def test_other_layers_are_refused():
    with pytest.raises(TypeError, match="cannot read a Tanh"):
        read(Scaled(1.0, nn.Linear(2, 2), nn.Tanh(), nn.Linear(2, 1)).double(), 2)


@pytest.mark.parametrize("name", PACKAGED)
@pytest.mark.parametrize("depth", [1, 2])
def test_the_packages_networks_are_read(name, depth):
    if packages.missing():
        pytest.skip(f"needs {packages.INSTALL}")
    net = disturbed(build(name, 5, 8, depth, 3.0, 1)).eval()
    X = np.random.default_rng(1).normal(size=(50, 5))
    outputs(net, X)  # the norms of changed weights take some calls to settle
    assert read(net, 5)(X).reshape(-1) == pytest.approx(outputs(net, X), rel=1e-6, abs=1e-6)
    if depth == 1:
        found = read(net, 5, REACH).to_shallow()
        assert certify(found, ball=(np.zeros(5), REACH)).bound <= 3.0 * 1.01


def test_a_missing_package_is_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "deel.torchlip", None)
    with pytest.raises(ModuleNotFoundError, match=r'pip install "lipsnn\[peers\]"') as raised:
        build("torchlip", 3, 4, 1, 1.0, 0)
    assert "\n" not in str(raised.value)
