"""An output bias as one more variable of the programs, and what it is for."""

import numpy as np
import pytest

from lipsnn import Network, ShallowNet, refine

RNG = np.random.default_rng(0)
X, NOISE = RNG.normal(size=(40, 2)), RNG.normal(size=40)
NET = ShallowNet(RNG.normal(size=(6, 3)), RNG.normal(size=6))


@pytest.mark.parametrize("shift", [0.0, 1e3, -1e9])
def test_targets_shifted_by_a_constant_have_the_same_refinement(shift):
    shifted = ShallowNet(NET.weights, NET.outer, shift)
    here = refine(NET, X, NOISE, 1e-2, output_bias=True)
    there = refine(shifted, X, NOISE + shift, 1e-2, output_bias=True)
    assert there.objective == pytest.approx(here.objective, rel=1e-5)
    assert there.net.offset - shift == pytest.approx(here.net.offset, abs=1e-6 * (1 + abs(shift)))


@pytest.mark.filterwarnings("ignore:the residual has mean")
@pytest.mark.parametrize(
    ("method", "solver"),
    [("joint", None), ("alternating", None), ("walk", None), ("joint", "CLARABEL")],
)
def test_a_line_far_from_zero_needs_its_slope_only(method, solver):
    y = 1000.0 + 0.34 * X[:, 0]
    # the first two units can be a line through zero; none is active everywhere
    weights = np.vstack([[[1.0, 0.0, 0.0], [-1.0, 0.0, 0.0]], NET.weights])
    net = ShallowNet(weights, [1.0, -1.0, *NET.outer], 900.0)
    result = refine(net, X, y, 1e-3, method=method, solver=solver)
    # the certificate adds up what the two could do together
    assert result.certificate.bound <= 0.6801
    fixed = refine(net, X, y, 1e-3, method=method, solver=solver, output_bias=False)
    assert fixed.net.offset == 900.0
    assert fixed.objective > result.objective
    if method == "joint":  # the walk finds a unit that is active everywhere
        assert fixed.certificate.bound > 100.0


def test_constant_targets_cost_nothing():
    result = refine(NET, X, np.full(len(X), 7.1), 1e-2, output_bias=True)
    assert result.net.offset == pytest.approx(7.1)
    assert result.objective == pytest.approx(0.0, abs=1e-20)


@pytest.mark.parametrize("regularizer", ["lipschitz", "l2"])
@pytest.mark.parametrize("output_bias", [False, True])
@pytest.mark.parametrize("scale", [1e-320, 1e-167, 1e-155])
def test_targets_whose_squares_vanish_count_as_zero(scale, output_bias, regularizer):
    """Their squares are 0, or have no digits, in float64; the answer is the constant network."""
    result = refine(NET, X, scale * NOISE, 0.1, regularizer, output_bias=output_bias)
    assert result.status == "optimal"
    assert result.objective <= 1e-300
    assert np.abs(result.net(X)).max() <= 1e-150


@pytest.mark.parametrize("scale", [1e-320, 6e-167, 1e-155])
def test_so_do_those_of_several_outputs(scale):
    outer = np.random.default_rng(1).normal(size=(2, 6))
    net = Network([NET.weights[:, :2], outer], [NET.weights[:, 2], np.zeros(2)])
    result = refine(net, X, scale * np.stack([NOISE, NOISE], axis=1), 0.1)
    assert result.objective <= 1e-200  # of some 400; rounds may run out before the rest is gone
    assert np.abs(result.net(X)).max() <= 1e-100


def test_no_warning_of_a_mean_that_the_output_bias_takes_up(recwarn):
    refine(NET, X, NOISE + 1e4, 1e-2, output_bias=True)
    assert not [w for w in recwarn if w.category is UserWarning]


@pytest.mark.filterwarnings("ignore:the residual has mean")
def test_a_torch_network_has_one():
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Linear(2, 6), torch.nn.ReLU(), torch.nn.Linear(6, 1))
    y = 1000.0 + X[:, 0]
    result, fixed = (refine(module, X, y, 1e-2, output_bias=b) for b in (None, False))
    assert result.certificate.bound < 5 < 50 < fixed.certificate.bound
    assert result.objective < 1e-3 * fixed.objective
