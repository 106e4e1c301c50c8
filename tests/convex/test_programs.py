"""Programs (6), (12) and the joint one in CVXPY: what the paper proves of them, on instances."""

import numpy as np
import pytest
from drawing import draw_network

from lipsnn import ShallowNet, certify, objective
from lipsnn.convex import programs
from lipsnn.convex.mapping import cone_violation, from_products
from lipsnn.convex.samples import Patterns, Samples
from lipsnn.network import with_bias


@pytest.fixture(scope="module", params=[0, 1, 2])
def case(request):
    rng = np.random.default_rng(request.param)
    X = rng.normal(size=(30, 3))
    return draw_network(request.param, 6, 3), X, np.sin(X).sum(axis=1)


STRENGTH = 0.3


def test_6_contains_the_network_and_its_optimum_maps_back(case):
    """Corollary 10 for l2, and mapping (7)."""
    net, X, y = case
    X1, patterns = with_bias(X), net.patterns(X)
    solution = programs.solve_l2(X1, y, patterns, net.signs, STRENGTH, "CLARABEL")
    assert solution.status == "optimal"
    assert solution.value <= objective(net, X, y, STRENGTH, "l2")
    mapped = from_products(solution.weights, net.signs, 0.0)
    assert objective(mapped, X, y, STRENGTH, "l2") == pytest.approx(solution.value, rel=1e-6)
    assert cone_violation(mapped, Samples(X), y, Patterns.pack(patterns)) < 1e-7
    np.testing.assert_allclose(
        np.linalg.norm(mapped.weights, axis=1), np.abs(mapped.outer), rtol=1e-9
    )


def test_12_contains_the_network_and_its_optimum_maps_back(case):
    """Corollary 10 for Lipschitz, and mapping (13)."""
    net, X, y = case
    X1, patterns, certificate = with_bias(X), net.patterns(X), certify(net)
    initial = objective(net, X, y, STRENGTH, "lipschitz", certificate)
    solution = programs.solve_lipschitz(
        X1, y, patterns, net.signs, np.abs(net.outer), certificate.multipliers, STRENGTH, "CLARABEL"
    )
    assert solution.status == "optimal"
    assert solution.value <= initial * (1 + 1e-6)
    mapped = ShallowNet(solution.weights, net.outer)
    value = objective(mapped, X, y, STRENGTH, "lipschitz")
    # the mapped network's own T may be better than the fixed one
    assert value <= solution.value * (1 + 1e-6)
    assert certify(mapped).bound ** 2 <= solution.rho * (1 + 1e-5)


def test_12_restricted_to_the_network_has_its_value(case):
    """At T from (2) the LMI of (12) is exactly tight: the network's own rho, no less."""
    net, X, _ = case
    certificate = certify(net)
    fitted = net(X)  # with the network's own output as target, the loss alone is 0 at the network
    solution = programs.solve_lipschitz(
        with_bias(X), fitted, net.patterns(X), net.signs, np.abs(net.outer),
        certificate.multipliers, 1e-6, "CLARABEL",
    )  # fmt: skip
    assert solution.value <= 1e-6 * certificate.bound**2 * (1 + 1e-4)


def test_joint_is_never_above_12_and_is_the_problem_at_its_point(case):
    net, X, y = case
    X1, patterns, certificate = with_bias(X), net.patterns(X), certify(net)
    fixed = programs.solve_lipschitz(
        X1, y, patterns, net.signs, np.abs(net.outer), certificate.multipliers, STRENGTH, "CLARABEL"
    )
    joint = programs.solve_joint(X1, y, patterns, net.signs, STRENGTH, "CLARABEL")
    assert joint.status == "optimal"
    assert joint.value <= fixed.value * (1 + 1e-6)
    mapped = from_products(net.signs[:, None] * joint.weights, net.signs, 0.0)
    value = objective(mapped, X, y, STRENGTH, "lipschitz")
    assert value == pytest.approx(joint.value, rel=1e-5)
    assert (joint.shares >= -1e-9).all()
    assert joint.shares.sum() <= 1 + 1e-7


def test_12_leaves_out_units_without_outer_weight(case):
    net, X, y = case
    outer = net.outer.copy()
    outer[2] = 0.0
    net = ShallowNet(net.weights, outer)
    certificate = certify(net)
    solution = programs.solve_lipschitz(
        with_bias(X), y, net.patterns(X), net.signs, np.abs(outer), certificate.multipliers,
        STRENGTH, "CLARABEL",
    )  # fmt: skip
    assert solution.status == "optimal"
    assert (solution.weights[2] == 0).all()
    assert solution.value <= objective(net, X, y, STRENGTH, "lipschitz") * (1 + 1e-6)


def test_12_is_infeasible_once_kappa_outgrows_the_multipliers(case):
    """Lemma 6, in its sharper form: at fixed T, sum a_i^2 / t_i > 2 leaves nothing feasible."""
    net, X, y = case
    t = certify(net).multipliers
    share = np.sum(net.outer**2 / t) / 2
    kappa = np.abs(net.outer) * np.sqrt(1.2 / share)
    solution = programs.solve_lipschitz(
        with_bias(X), y, net.patterns(X), net.signs, kappa, t, STRENGTH, "CLARABEL"
    )
    assert solution.status.startswith("infeasible")
    assert solution.weights is None


def test_zero_products_stay_zero():
    net = from_products(np.array([[0.0, 0.0], [3.0, 4.0]]), np.array([-1.0, -1.0]), 0.25)
    np.testing.assert_allclose(net.outer, [0.0, -np.sqrt(5)])
    np.testing.assert_allclose(net.weights[1], np.array([3.0, 4.0]) / np.sqrt(5))
    assert net.offset == 0.25
