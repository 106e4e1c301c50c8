"""Program (2) in its fast forms: values, laws, limits, bad input."""

import dataclasses

import cvxpy as cp
import numpy as np
import pytest
from degenerate import KINDS, draw
from drawing import draw_network
from hypothesis import given
from hypothesis import strategies as st

from lipsnn import ShallowNet, certify
from lipsnn.certificate import norm_product
from lipsnn.certificate.interior import interior_point
from lipsnn.certificate.lmi import lmi_matrix
from lipsnn.certificate.slopes import slopes

FAST = ("P", "q", "lowrank")
# 201 networks: mostly small, since it is the reference that takes the time
SIZES = [(1 + k % 14, 1 + k * 7 % 20) for k in range(192)]
SIZES += [(20, 20), (24, 3), (28, 12), (30, 1), (16, 16), (18, 20), (25, 5), (60, 4), (40, 20)]


def closed_form(net: ShallowNet) -> float:
    """L for d = 1: the larger of the sums of the positive and of the negative slopes."""
    return max(np.maximum(net.slopes, 0).sum(), np.maximum(-net.slopes, 0).sum())


def balance(net: ShallowNet) -> tuple[float, ShallowNet]:
    """A factor and the network that is `net` over it, with units of norm 1.

    The reference solver loses its digits on uneven scales; the laws that bring them back are
    those of `test_scaling_laws` and exact here.
    """
    norms = np.linalg.norm(net.weights[:, :-1], axis=1)
    gamma = np.divide(1.0, norms, out=np.ones_like(norms), where=norms > 0)
    slopes = np.vstack([net.slopes, net.slopes.sum(axis=0)])
    factor = float(np.linalg.norm(slopes, axis=1).max()) or 1.0
    balanced = net.rescale(gamma)
    return factor, ShallowNet(balanced.weights, balanced.outer / factor)


def reference_rho(net: ShallowNet) -> float:
    """Program (2) as printed, by Clarabel: to 1e-10, since a dead unit sends its t to infinity."""
    rho, t = cp.Variable(), cp.Variable(net.width, nonneg=True)
    lmi = lmi_matrix(rho, t, net.weights[:, :-1], net.outer)
    problem = cp.Problem(cp.Minimize(rho), [lmi << 0])
    problem.solve("CLARABEL", tol_gap_abs=1e-10, tol_gap_rel=1e-10, tol_feas=1e-10)
    return float(rho.value)


def certified_by(net: ShallowNet, t: np.ndarray) -> float:
    """The smallest rho of LMI (2b) at t, by eigenvalues of the (m + d) form, scaled by T."""
    live = t > 0
    assert (net.outer[~live] == 0).all()
    scale = np.sqrt(2 * t[live])
    a = net.outer[live] / scale
    inverse = np.linalg.inv(np.eye(live.sum()) - np.outer(a, a))
    slope = net.weights[live, :-1] * (t[live] / scale)[:, None]
    return float(np.linalg.eigvalsh(slope.T @ inverse @ slope)[-1])


@pytest.mark.filterwarnings("ignore:Solution may be inaccurate")  # short of 1e-10
@pytest.mark.parametrize("block", range(12))
def test_agrees_with_the_lmi(block):
    for index in range(block, len(SIZES), 12):
        rng = np.random.default_rng(index)
        net = draw(rng, KINDS[index % len(KINDS)], *SIZES[index])
        factor, balanced = balance(net)
        expected = factor * np.sqrt(max(reference_rho(balanced), 0.0))
        for method in FAST:
            certificate = certify(net, method)
            assert certificate.lower <= certificate.bound
            assert certificate.gap <= 1e-7
            assert certificate.status == "optimal"
            assert certificate.bound == pytest.approx(
                expected, rel=1e-6, abs=1e-4 * factor * (certificate.bound == 0)
            )
            scale = 10.0 ** rng.uniform(-8, 8)
            scaled = certify(ShallowNet(scale * net.weights, net.outer), method)
            assert scaled.bound / scale == pytest.approx(certificate.bound, rel=1e-7)


@pytest.mark.parametrize("kind", KINDS)
def test_bound_is_what_the_multipliers_certify(kind):
    rng = np.random.default_rng(5)
    for _ in range(20):
        net = draw(rng, kind, rng.integers(1, 25), rng.integers(1, 10))
        certificate = certify(net)
        t = certificate.multipliers
        assert t.shape == (net.width,)
        assert np.isfinite(t).all()
        assert (t >= 0).all()
        rho = certified_by(net, t)
        # a share of 1e-12 leaves the inverse in `certified_by` four digits
        assert rho == pytest.approx(certificate.bound**2, rel=1e-3, abs=1e-300)
        matrix = lmi_matrix(certificate.bound**2 * (1 + 1e-9), t, net.weights[:, :-1], net.outer)
        # the congruence by 1/sqrt(t) keeps the sign, and the largest entry near 1
        root = np.concatenate([np.full(net.dim, certificate.bound), np.sqrt(2 * t), [1.0]])
        root[root == 0] = 1.0
        scaled = matrix.value / np.outer(root, root)
        assert np.linalg.eigvalsh(scaled)[-1] <= 1e-12


@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.sampled_from(KINDS))
def test_closed_form_in_one_dimension(seed, width, kind):
    net = draw(np.random.default_rng(seed), kind, width, 1)
    certificate = certify(net)
    assert certificate.bound == pytest.approx(closed_form(net), rel=1e-10)
    assert certificate.lower == pytest.approx(closed_form(net), rel=1e-10)


@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 30),
    st.integers(1, 12),
    st.sampled_from(KINDS),
    st.floats(-8, 8),
)
def test_scaling_laws(seed, width, dim, kind, exponent):
    rng = np.random.default_rng(seed)
    net = draw(rng, kind, width, dim)
    certificate = certify(net)
    c = -(10.0**exponent)
    scaled = certify(ShallowNet(net.weights, c * net.outer))
    assert scaled.bound == pytest.approx(abs(c) * certificate.bound, rel=2e-7)
    rescaled = certify(net.rescale(10.0 ** rng.uniform(-4, 4, size=width)))
    assert rescaled.bound == pytest.approx(certificate.bound, rel=2e-7)
    rotation = np.linalg.qr(rng.normal(size=(dim, dim)))[0]
    turned = np.column_stack([net.weights[:, :-1] @ rotation, net.weights[:, -1]])
    assert certify(ShallowNet(turned, net.outer)).bound == pytest.approx(
        certificate.bound, rel=2e-7
    )


@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 6))
def test_is_a_norm_of_the_slopes(seed, width, dim):
    rng = np.random.default_rng(seed)
    first, second = rng.normal(size=(2, width, dim + 1))
    ones = np.ones(width)

    def norm(Z):
        return certify(ShallowNet(Z, ones)).bound

    assert norm(first + second) <= (norm(first) + norm(second)) * (1 + 1e-12)


def test_forms_agree_where_all_are_at_home():
    net = draw_network(3, 50, 30)
    bounds = [certify(net, method, tol=1e-9).bound for method in FAST]
    assert bounds == pytest.approx([bounds[0]] * 3, rel=2e-9)


def test_auto_takes_the_cheapest():
    assert certify(draw_network(0, 200, 4)).method == "P"
    assert certify(draw_network(0, 10, 30)).method == "q"
    assert certify(draw_network(0, 500, 300), tol=1e-4).method == "lowrank"


def test_few_iterations_whatever_the_network():
    worst = 0
    rng = np.random.default_rng(0)
    for index in range(300):
        net = draw(rng, KINDS[index % len(KINDS)], rng.integers(1, 61), rng.integers(1, 21))
        worst = max(worst, certify(net, ("P", "q")[index % 2]).iterations)
    assert worst <= 20


def test_a_large_network_both_ways():
    net = draw_network(1, 20_000, 6)
    certificate = certify(net)
    assert certificate.gap <= 1e-7
    assert certificate.iterations <= 12
    wide = certify(draw_network(1, 400, 300), tol=1e-6)
    assert wide.gap <= 1e-6


def test_lmi_method_is_two_sided_too():
    net = draw_network(2, 8, 3)
    reference, fast = certify(net, "lmi"), certify(net)
    assert reference.solver in ("CLARABEL", "MOSEK")
    assert reference.bound == pytest.approx(fast.bound, rel=1e-6)
    assert reference.lower <= reference.bound
    assert reference.gap <= 1e-5


def test_a_start_saves_iterations():
    net = draw_network(0, 80, 8)
    cold = certify(net)
    near = ShallowNet(net.weights * 1.001, net.outer)
    warm = certify(near, start=cold.factor)
    assert warm.bound == pytest.approx(certify(near).bound, rel=2e-7)
    assert warm.iterations < certify(near).iterations


def test_constant_networks_have_bound_zero():
    for weights, outer in (
        (np.zeros((3, 3)), np.ones(3)),
        (np.ones((3, 3)), np.zeros(3)),
        (np.array([[1.0, 2.0, 0.0], [0.0, 0.0, 1.0]]), np.array([0.0, 2.0])),
    ):
        certificate = certify(ShallowNet(weights, outer))
        assert certificate.bound == certificate.lower == certificate.gap == 0.0
        assert np.isfinite(certificate.multipliers).all()
        assert certificate.verify() == 0.0


@pytest.mark.parametrize("scale", [1e-100, 1e100])
def test_scales_that_float64_can_certify(scale):
    net = draw_network(4, 12, 3)
    expected = certify(net).bound
    both = certify(ShallowNet(net.weights * scale, net.outer / scale))
    assert both.status == "optimal"
    assert both.bound == pytest.approx(expected, rel=2e-7)


@pytest.mark.parametrize(("first", "second"), [(1e-170, 1.0), (1e170, 1.0), (1e-160, 1e160)])
def test_scales_that_float64_cannot_certify(first, second):
    net = draw_network(4, 12, 3)
    beyond = ShallowNet(net.weights * first, net.outer * second)
    certificate = certify(beyond)
    assert "beyond float64" in certificate.status
    assert "product of norms" in certificate.status
    assert certificate.bound == norm_product(beyond)
    assert certificate.bound >= certify(net).bound * first * second


def test_a_slope_that_underflows_is_not_taken_for_zero():
    net = ShallowNet([[1e-200, 0.0], [0.0, 1.0]], [1e-200, 1.0])
    certificate = certify(net)
    assert certificate.bound > 0
    assert "product of norms" in certificate.status


def test_stops_honestly_when_digits_run_out():
    certificate = certify(draw_network(0, 20, 4), tol=1e-14)
    assert certificate.status == "inaccurate"
    assert certificate.lower <= certificate.bound
    assert certificate.gap <= 1e-10


def test_iteration_result_reports_its_gap():
    problem = slopes(draw_network(0, 20, 4))
    c, u = problem.norms, problem.units
    P, q, _ = interior_point(c, u, 1e-3, "P")
    lower = 0.5 * c @ np.sqrt(np.einsum("ij,jk,ik->i", u, P, u))
    upper = 0.5 * np.sqrt(np.linalg.eigvalsh((u.T * (c**2 / q)) @ u)[-1])
    assert (1 - 1e-3) * upper <= lower <= upper
    assert q.sum() == pytest.approx(1.0)
    assert np.trace(P) == pytest.approx(1.0)


@pytest.mark.parametrize("form", ["P", "q"])
def test_programs_beside_one_another_are_as_alone(form):
    rng = np.random.default_rng(3)
    u = rng.normal(size=(6, 20, 4))
    u /= np.linalg.norm(u, axis=2, keepdims=True)
    c = rng.uniform(size=(6, 20))
    c[0, 5:] = 0.0  # terms that are not there
    c /= c.sum(axis=1, keepdims=True)
    P, q, count = interior_point(c, u, 1e-9, form)
    for k in range(6):
        own, shares, steps = interior_point(c[k], u[k], 1e-9, form)
        values = [c[k] @ np.sqrt(np.einsum("ij,jk,ik->i", u[k], X, u[k])) for X in (P[k], own)]
        assert values[0] == pytest.approx(values[1], rel=1e-9)
        np.testing.assert_allclose(q[k], shares, atol=1e-4)
        assert abs(count[k] - steps) <= 1


def test_bad_input():
    net = draw_network(0, 3, 2)
    with pytest.raises(ValueError, match="method must be one of"):
        certify(net, "fast")
    with pytest.raises(ValueError, match="tol must be positive"):
        certify(net, tol=0.0)
    with pytest.raises(ValueError, match="leave out method"):
        certify(net, "P", solver="SCS")
    with pytest.raises(ValueError, match="cannot solve semidefinite programs"):
        certify(net, solver="HIGHS")
    with pytest.raises(ValueError, match="not be zero"):
        certify(net, "lowrank", start=np.zeros((2, 1)))
    with pytest.raises(ValueError, match="start must have 2 rows"):
        certify(net, start=np.eye(3))
    for weights, outer, message in (
        ([[np.nan, 1.0]], [1.0], "NaN or infinite"),
        ([[np.inf, 1.0]], [1.0], "NaN or infinite"),
        (np.empty((0, 3)), [], "no hidden units"),
        ([[1.0]], [1.0], "d >= 1"),
        ([[1.0, 2.0]], [1.0, 2.0], "rows"),
    ):
        with pytest.raises(ValueError, match=message):
            certify(ShallowNet(weights, outer))


def test_certificates_are_immutable():
    certificate = certify(draw_network(0, 3, 2))
    with pytest.raises(dataclasses.FrozenInstanceError):
        certificate.bound = 0.0
