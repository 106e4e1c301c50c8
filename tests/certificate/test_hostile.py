"""Networks and scales that break certificates: each bound holds, is proved, or is the product."""

import itertools
from fractions import Fraction
from operator import mul

import numpy as np
import pytest
import torch

from lipsnn import Certificate, Network, ShallowNet, as_network, certify
from lipsnn.activations import Activation
from lipsnn.certificate import ProofError, certify_layers, norm_product
from lipsnn.status import Status

KINDS = (
    "plain",
    "dead units",
    "zero columns",
    "uneven scales",
    "wild entries",
    "duplicated units",
    "opposite units",
    "whole numbers",
)


def draw(rng, kind, depth, activation):
    sizes = [rng.integers(1, 5), *rng.integers(1, 7, size=depth), rng.integers(1, 4)]
    weights = [rng.normal(size=(b, a)) for a, b in itertools.pairwise(sizes)]
    for W in weights:
        if kind == "dead units":
            W[rng.random(len(W)) < 0.3] = 0.0
        elif kind == "zero columns":
            W[:, rng.random(W.shape[1]) < 0.3] = 0.0
        elif kind == "uneven scales":
            W *= 10.0 ** rng.uniform(-150, 150, size=(len(W), 1))
        elif kind == "wild entries":
            W *= 10.0 ** rng.uniform(-20, 20, size=W.shape)
        elif kind == "duplicated units":
            W[-1] = W[0]
        elif kind == "opposite units" and len(W) > 1:
            W[-1] = -W[0]
        elif kind == "whole numbers":
            W[:] = np.round(W)
    return Network(weights, activations=activation)


def steepest(net, rng):
    """The largest Jacobian at a few points, in float64 where it has one."""
    with np.errstate(all="ignore"):
        found = net.gradient(rng.normal(size=(20, net.dim)))
    found = found[np.isfinite(found).all(axis=(1, 2))]
    return max((np.linalg.norm(J, 2) for J in found), default=0.0)


@pytest.mark.parametrize("kind", KINDS)
def test_bounds_hold_and_are_proved(kind):
    rng = np.random.default_rng(KINDS.index(kind))
    for depth, activation in zip(
        (1, 2, 3, 6, 1, 2), ("relu", "tanh", "silu", "relu", "abs", "gelu"), strict=True
    ):
        net = draw(rng, kind, depth, activation)
        certificate = certify(net)
        assert certificate.lower <= certificate.bound
        assert certificate.bound <= norm_product(net) * (1 + 1e-10)
        assert steepest(net, rng) <= certificate.bound * (1 + 1e-12)
        if np.isfinite(certificate.bound):
            proved = certificate.verify()
            assert certificate.bound <= proved <= certificate.bound * (1 + 1e-9)
            again = Certificate.from_json(certificate.to_json())
            assert again.verify() == proved
            assert again.lower == certificate.lower
        if "scales" not in kind and "wild" not in kind:
            assert certificate.status == "optimal"


@pytest.mark.parametrize(
    ("w", "a"),
    [(1e-310, 1e160), (1.2e-162, 2e-162), (3e-162, 1e-161), (5e-324, 1.0), (1e200, 1e99)],
)
def test_one_unit_at_the_edge_of_float64(w, a):
    certificate = certify(ShallowNet([[w, 0.0]], [a]))
    exact = Fraction(w) * Fraction(a)
    assert Fraction(certificate.bound) >= exact
    assert certificate.bound <= max(float(exact) * (1 + 1e-9), 5e-323)
    assert certificate.verify() == certificate.bound


def test_a_bound_beyond_float64_is_infinite_and_says_so():
    certificate = certify(ShallowNet([[1e200, 0.0]], [1e200]))
    assert certificate.bound == np.inf
    assert certificate.status == Status.PRODUCT
    assert certificate.gap == 1.0
    with pytest.raises(ProofError, match="says nothing"):
        certificate.verify()


def diagonal(*scales):
    return Network([np.diag(s) for s in scales])


@pytest.mark.parametrize(
    "net",
    [
        diagonal([1e100, 1e-100], [1e-100, 3e100]),
        diagonal([1e300, 1e-300], [1e-300, 3e300]),
    ],
)
def test_units_of_opposite_scales(net):
    certificate = certify(net)
    assert certificate.bound == pytest.approx(3.0, rel=1e-7)
    assert certificate.verify() <= 3.0 * (1 + 1e-7)


@pytest.mark.parametrize("faint", [1e-140, 1e-160, 1e-200])
@pytest.mark.parametrize("row", [(1.0, 1.0), (0.0, 0.0)])
def test_a_faint_or_dead_unit_takes_no_digits(faint, row):
    """``|x_1|``, and a unit whose multiplier is far below float64's squares."""
    net = ShallowNet([[1.0, 0.0, 0.0], [-1.0, 0.0, 0.0], [*row, 0.0]], [1.0, 1.0, faint])
    found = certify(net)
    assert found.status == "optimal"
    assert found.verify() == pytest.approx(1.0, rel=1e-7)


@pytest.mark.parametrize("outer", [(1e-160, 1.5e-8, 1e-8), (2.2e-308, 1e-8, 1e-8)])
@pytest.mark.parametrize("first", [3.8, 0.0])
def test_the_product_of_norms_is_that_of_live_units(outer, first):
    """The middle unit sees no input; one that does is so faint that the product is the bound."""
    found = certify(ShallowNet([[first, 0.0], [0.0, 1.0], [-2.3, 0.0]], outer))
    assert 2.3e-8 <= found.verify() <= 2.3e-8 * (1 + 1e-7)


def test_a_product_that_underflows_is_not_zero():
    certificate = certify(Network([[[1e-150]], [[1e-150]], [[1e-150]]]))
    assert 0 < certificate.bound <= 1e-300
    assert certificate.status == Status.PRODUCT
    assert certificate.verify() == certificate.bound


@pytest.mark.parametrize("activation", ["silu", "gelu", "abs", "leaky_relu"])
def test_sectors_with_slopes_below_zero_agree_in_all_methods(activation):
    rng = np.random.default_rng(3)
    net = Network([rng.normal(size=(6, 3)), rng.normal(size=(1, 6))], activations=activation)
    small, chordal = certify(net), certify(net, method="chordal")
    reference = certify(net, solver="CLARABEL")
    assert small.bound == pytest.approx(chordal.bound, rel=2e-7)
    assert small.bound == pytest.approx(reference.bound, rel=1e-5)
    for certificate in (small, chordal, reference):
        assert certificate.verify() <= certificate.bound * (1 + 1e-9)


@pytest.mark.parametrize("scale", [1e-8, 1e-4, 1.0, 1e6])
@pytest.mark.parametrize("solver", ["CLARABEL", "SCS"])
def test_the_program_as_printed_does_not_depend_on_the_scale(scale, solver):
    rng = np.random.default_rng(0)
    net = ShallowNet(scale * rng.normal(size=(6, 4)), rng.normal(size=6))
    own, printed = certify(net), certify(net, method="lmi", solver=solver)
    assert printed.bound == pytest.approx(own.bound, rel=1e-3)
    assert (printed.status == "optimal") == (printed.gap <= printed.tol)
    assert printed.bound <= norm_product(net)
    assert printed.verify() <= printed.bound * (1 + 1e-9)


def test_a_solver_that_fails_leaves_the_product_of_norms(monkeypatch):
    from lipsnn.certificate import lmi
    from lipsnn.solvers import Solution

    nothing = Solution(np.nan, "solver_error: no digits", "CLARABEL", None, 0.0)
    monkeypatch.setattr(lmi, "solve", lambda *_: nothing)
    net = ShallowNet([[1.0, 2.0, 0.0], [0.0, 1.0, 0.0]], [1.0, -1.0])
    for given in (net, net.to_network()):
        certificate = certify_layers(given, solver="CLARABEL")
        assert certificate.status == "solver_error: no digits"
        assert 0 < certificate.bound <= norm_product(net) * (1 + 1e-9)
        assert certificate.verify() <= certificate.bound * (1 + 1e-9)


def test_gradient_of_a_deep_bound_is_that_of_differences():
    rng = np.random.default_rng(1)
    weights = [rng.normal(size=(4, 3)), rng.normal(size=(5, 4)), rng.normal(size=(2, 5))]
    gradients = certify(Network(weights, activations="silu"), tol=1e-10).gradient()
    for i, gradient in enumerate(gradients):
        change = rng.normal(size=gradient.shape)
        ends = []
        for step in (1e-4, -1e-4):
            moved = [W + step * change if j == i else W for j, W in enumerate(weights)]
            ends.append(certify(Network(moved, activations="silu"), tol=1e-10).bound)
        assert (ends[0] - ends[1]) / 2e-4 == pytest.approx(np.vdot(gradient, change), rel=1e-3)


def test_the_ladder_of_a_deep_network_is_in_order(capsys):
    rng = np.random.default_rng(2)
    weights = [rng.normal(size=(6, 3)), rng.normal(size=(6, 6)), rng.normal(size=(2, 6))]
    net = Network(weights, [rng.normal(size=len(W)) for W in weights], "relu")
    rungs = certify(net).ladder(rng.normal(size=(30, 3)))
    assert 0 < rungs.sampled <= rungs.rounded <= rungs.certificate <= rungs.product
    certify(net).summary()
    assert len(capsys.readouterr().out.splitlines()) == 5
    assert len(repr(certify(net)).splitlines()) == 3


def test_slopes_that_are_all_but_equal_lose_no_digit_of_the_bound():
    """The recursion cancels where alpha is near beta; the constant is known in rationals."""
    net = Network(
        [
            [[1.75, 0.0]],
            [[-2.0]],
            [[2.0], [-2.0]],
            [[-3.7436183798667564, -3.8752706658149505e-148]],
        ],
        [[-1.25], [1.75], [0.75, 1.5], [-1.6972210148873386]],
        Activation("leaky_relu", (1 - 2.0**-20,)),
    )
    certificate = certify(net)
    assert certificate.bound >= 26.2053286590673
    assert certificate.bound == pytest.approx(26.2053286590673, rel=1e-6)
    assert certificate.verify() >= certificate.bound


def test_layers_of_extreme_scales_are_proved_whatever_is_said_of_them():
    statuses = set()
    for seed in range(40):
        rng = np.random.default_rng(seed)
        e = rng.integers(-250, 250, size=3)
        if abs(e.sum()) > 250:
            continue
        shapes = zip(e, ((5, 3), (4, 5), (2, 4)), strict=True)
        weights = [rng.normal(size=shape) * 10.0**k for k, shape in shapes]
        biases = [rng.normal(size=5) * 10.0 ** e[0], np.zeros(4), np.zeros(2)]
        net = Network(weights, biases)
        for region in ({}, {"ball": (np.ones(3), 0.3)}):
            certificate = certify(net, **region)
            assert certificate.bound <= certificate.verify() <= certificate.bound * (1 + 1e-9)
            statuses.add(str(certificate.status)[:6])
    assert {"optima", "scaled"} <= statuses


def slope_of(net, x):
    """The slope of a network with one input between 0 and x, in rationals."""

    def value(at):
        values = [Fraction(at)]
        for k, (W, b) in enumerate(zip(net.weights, net.biases, strict=True)):
            rows = zip(W.tolist(), b.tolist(), strict=True)
            values = [sum(map(mul, map(Fraction, row), values)) + Fraction(c) for row, c in rows]
            values = [max(v, Fraction(0)) for v in values] if k < len(net.widths) else values
        return values

    rises = [a - b for a, b in zip(value(x), value(0.0), strict=True)]
    return sum(rise**2 for rise in rises) / Fraction(x) ** 2


@pytest.mark.parametrize("units", [200, 1000, 20000])
def test_terms_that_cancel_one_another_are_summed_exactly(units):
    rng = np.random.default_rng(units)
    W = rng.uniform(1, 2, units // 2)
    off = np.append(np.zeros(units // 2), np.full(units // 2, 0.003 / W.sum()))
    signs = np.repeat([1.0, -1.0], units // 2)
    net = ShallowNet(np.column_stack([np.tile(W, 2), 100 + 0 * off]), signs + off)
    found = certify(net, ball=([0.0], 1.0))
    exact = slope_of(as_network(net), 1.0)
    assert exact <= Fraction(found.bound) ** 2 <= exact * (1 + Fraction(1, 10**9))
    assert found.verify() == found.bound
    assert Fraction(found.lower) ** 2 <= exact


@pytest.mark.parametrize("power", [0, 560])
def test_room_for_multiplied_layers_at_every_scale(power):
    """Two units that all but cancel, in layers whose entries are 2^-power and 2^power."""
    scale = 2.0**-power
    for seed in range(4):
        s, a, K = np.random.default_rng(seed).uniform(1, 2, 3)
        first, second, last = (
            torch.nn.Linear(*sizes).double() for sizes in ((1, 1), (1, 2), (2, 1))
        )
        with torch.no_grad():
            first.weight[:], first.bias[:] = s, 0.0
            second.weight[:, 0] = torch.tensor([a * scale, a * scale * (1 + 1e-13)])
            second.bias[:] = 10 * scale
            last.weight[0], last.bias[:] = torch.tensor([K / scale, -K / scale]), 0.0
        module = torch.nn.Sequential(first, second, torch.nn.ReLU(), last)
        outer = [Fraction(v) for v in last.weight[0].tolist()]
        inner = [Fraction(v) for v in second.weight[:, 0].tolist()]
        exact = abs(Fraction(s) * sum(map(mul, outer, inner)))
        found = certify(module, ball=([0.0], 1.0))
        assert exact <= Fraction(found.bound)
        assert exact <= Fraction(found.verify(module))


@pytest.mark.parametrize("seed", range(6))
def test_subnormal_bounds_are_rounded_up(seed):
    r = np.random.default_rng(seed).uniform(1, 9, 3)
    for weights in (
        [[[r[0] * 1e-182]], [[r[1]]], [[r[2] * 1e-140]]],
        [[[r[0] * 1e-182]], [[r[1] * 1e-140], [0.0]]],
    ):
        net = Network(weights)
        for where in ({}, {"ball": ([2.0], 1.0)}):
            assert slope_of(net, 2.0**600) <= Fraction(certify(net, **where).bound) ** 2


def test_fixed_units_of_a_deep_network_that_cancel():
    for seed in range(10):
        rng = np.random.default_rng(seed)
        (a, K), gap = rng.uniform(1, 2, 2), 10 ** rng.uniform(-4.8, -3)
        weights = [[[a], [a * (1 + gap)]], [[K, -K]], [[1.0]]]
        net = Network(weights, [[100.0, 100.0], [50.0], [0.0]])
        found = certify(net, ball=([0.0], 1.0))
        assert slope_of(net, 1.0) <= Fraction(found.bound) ** 2
