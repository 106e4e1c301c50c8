"""The structured solver: the reference's optimum, at the accuracy it claims, on hostile input."""

import numpy as np
import pytest
from restrictions import DATA, NETS, TOL, assert_agree, assert_solved, multipliers, restriction

import lipsnn
from lipsnn.convex import programs, structured
from lipsnn.network import with_bias


def fitted(patterns, outer, weights, X1):
    return ((X1 @ weights.T) * patterns) @ outer


@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize("kind", NETS)
class TestAgainstTheReference:
    def test_l2(self, kind, data):
        _, (X1, y, patterns, signs), strength = restriction(kind, data)
        ours = structured.solve_l2(X1, y, patterns, signs, strength)
        assert_solved(ours, y)
        assert_agree(ours, programs.solve_l2(X1, y, patterns, signs, strength, "CLARABEL"), y)
        loss = 0.5 * np.sum((fitted(patterns, signs, ours.weights, X1) - y) ** 2)
        norms = np.linalg.norm(ours.weights, axis=1).sum()
        assert loss + strength * norms == pytest.approx(ours.value, rel=1e-7)
        cones = (X1 @ ours.weights.T) * np.where(patterns, 1.0, -1.0)
        assert cones.min() >= -1e-8 * max(1.0, np.abs(cones).max())

    def test_joint(self, kind, data):
        net, (X1, y, patterns, signs), strength = restriction(kind, data)
        ours = structured.solve_joint(X1, y, patterns, signs, strength)
        assert_solved(ours, y)
        assert_agree(ours, programs.solve_joint(X1, y, patterns, signs, strength, "CLARABEL"), y)
        ones = np.ones(net.width)
        loss = 0.5 * np.sum((fitted(patterns, ones, ours.weights, X1) - y) ** 2)
        assert loss + strength * ours.rho == pytest.approx(ours.value, rel=1e-7)
        slopes = ours.weights[:, :-1]
        stacked, shares = np.vstack([slopes.sum(axis=0), slopes]), ours.shares
        shares = np.concatenate([[1 - shares.sum()], shares])
        used = np.abs(stacked).max(axis=1) > 0
        hub = (stacked[used].T / (4 * shares[used])) @ stacked[used]
        assert (shares[used] > 0).all()
        assert np.linalg.eigvalsh(hub)[-1] <= ours.rho * (1 + 1e-7) + 1e-12 * (y @ y)

    def test_lipschitz(self, kind, data):
        net, (X1, y, patterns, signs), strength = restriction(kind, data)
        arguments = (X1, y, patterns, signs, np.abs(net.outer), multipliers(net), strength)
        ours = structured.solve_lipschitz(*arguments)
        assert_solved(ours, y)
        assert_agree(ours, programs.solve_lipschitz(*arguments, solver="CLARABEL"), y)
        loss = 0.5 * np.sum((fitted(patterns, net.outer, ours.weights, X1) - y) ** 2)
        assert loss + strength * ours.rho == pytest.approx(ours.value, rel=1e-7)


@pytest.mark.parametrize("kind", NETS)
def test_output_bias(kind):
    """One more variable of the reference, eliminated here."""
    net, (X1, y, patterns, signs), strength = restriction(kind, DATA[NETS.index(kind) % len(DATA)])
    data = X1, y + 30.0, patterns, signs
    given_t = np.abs(net.outer), multipliers(net)
    for name, arguments in [
        ("solve_l2", (*data, strength)),
        ("solve_joint", (*data, strength)),
        ("solve_lipschitz", (*data, *given_t, strength)),
    ]:
        ours = getattr(structured, name)(*arguments, offset=True)
        assert_solved(ours, y)
        reference = getattr(programs, name)(*arguments, solver="CLARABEL", offset=True)
        assert_agree(ours, reference, y)
        without = getattr(structured, name)(*arguments)
        assert ours.value <= without.value * (1 + 1e-6)


@pytest.mark.parametrize("kind", NETS)
def test_never_above_the_network_that_it_contains(kind):
    """Corollary 10, with T from (2) as Algorithm 1 has it."""
    net, (X1, y, patterns, signs), strength = restriction(kind, "plain")
    loss = 0.5 * np.sum((fitted(patterns, net.outer, net.weights, X1) - y) ** 2)
    certificate = lipsnn.certify(net)
    initial = loss + strength * certificate.bound**2
    kappa = np.abs(net.outer)
    fixed = structured.solve_lipschitz(
        X1, y, patterns, signs, kappa, certificate.multipliers, strength
    )
    joint = structured.solve_joint(X1, y, patterns, signs, strength)
    assert fixed.value <= initial * (1 + 1e-6)
    assert joint.value <= fixed.value * (1 + 1e-6)
    sizes = np.linalg.norm(net.weights, axis=1) * kappa
    l2 = structured.solve_l2(X1, y, patterns, signs, strength)
    assert l2.value <= (loss + strength * sizes.sum()) * (1 + TOL)


@pytest.fixture(scope="module", params=["servo", "machine", "solar", "wine", "rastrigin"])
def real(request):
    data = lipsnn.load_dataset(request.param)
    X, y = data.X_train, data.y_train
    return lipsnn.train_sgd(X, y, 12, 0.1, epochs=1 + 4000 // len(y)), X, y


@pytest.mark.parametrize("strength", [1e-3, 0.1, 10.0])
def test_real_data_to_full_accuracy(real, strength):
    """No inaccurate endings, on repeated rows and constant columns as they are."""
    net, X, y = real
    X1, patterns, signs = with_bias(X), net.patterns(X), net.signs
    t = lipsnn.certify(net).multipliers
    for solution in (
        structured.solve_l2(X1, y, patterns, signs, strength),
        structured.solve_joint(X1, y, patterns, signs, strength),
        structured.solve_lipschitz(X1, y, patterns, signs, np.abs(net.outer), t, strength),
    ):
        assert_solved(solution, y)


def test_merged_samples_and_units_give_the_same_optimum():
    """Repeating every sample doubles the loss; repeating every unit changes nothing."""
    net, (X1, y, patterns, signs), strength = restriction("plain", "plain")
    once = structured.solve_joint(X1, y, patterns, signs, strength)
    twice = structured.solve_joint(
        np.vstack([X1, X1]), np.tile(y, 2), np.vstack([patterns] * 2), signs, 2 * strength
    )
    assert twice.value == pytest.approx(2 * once.value, rel=1e-7)
    units = structured.solve_joint(X1, y, np.hstack([patterns] * 2), np.tile(signs, 2), strength)
    assert units.value == pytest.approx(once.value, rel=1e-7)
    assert units.weights.shape == (2 * net.width, X1.shape[1])
    np.testing.assert_array_equal(units.weights[: net.width], units.weights[net.width :])


def test_contradictory_patterns_leave_only_the_boundary():
    """Equal samples on different sides: no interior, and w' x = 0 is forced."""
    rng = np.random.default_rng(3)
    X1 = with_bias(np.repeat(rng.normal(size=(10, 3)), 2, axis=0))
    patterns = X1 @ rng.normal(size=(4, 5)) >= 0
    patterns[0, :2], patterns[1, :2] = True, False
    y, signs = rng.normal(size=20), np.array([1.0, -1.0, 1.0, -1.0, 1.0])
    solution = structured.solve_joint(X1, y, patterns, signs, 0.1)
    assert_solved(solution, y)
    np.testing.assert_allclose(solution.weights[:2] @ X1[0], 0.0, atol=1e-6)
    reference = programs.solve_joint(X1, y, patterns, signs, 0.1, "CLARABEL")
    assert solution.value == pytest.approx(reference.value, rel=1e-6)


def test_cone_duals_are_those_of_the_rows():
    """Stationarity in the biases, which no regulariser of the joint program sees."""
    _, (X1, y, patterns, signs), strength = restriction("plain", "repeated rows")
    solution = structured.solve_joint(X1, y, patterns, signs, strength)
    residual = (((X1 @ solution.weights.T) * patterns).sum(axis=1) - y) @ patterns
    duals = solution.cone_duals.toarray()
    pushed = signs * np.sum(duals.T * np.where(patterns, 1.0, -1.0), axis=0)
    assert (duals >= 0).all()
    assert solution.cone_duals.shape == (len(signs), len(y))
    alive = patterns.any(axis=0)
    np.testing.assert_allclose(pushed[alive], residual[alive], atol=1e-6 * np.abs(y).sum())
    slack = duals.T * signs * np.where(patterns, 1, -1) * (X1 @ solution.weights.T)
    assert np.abs(slack).max() <= 1e-6 * (y @ y)


def test_infeasible_multipliers_are_said_to_be():
    """Lemma 6, in its sharper form."""
    net, (X1, y, patterns, signs), strength = restriction("plain", "plain")
    t = multipliers(net) / 2
    solution = structured.solve_lipschitz(X1, y, patterns, signs, np.abs(net.outer), t, strength)
    assert solution.status == "infeasible"
    assert solution.weights is None
    assert np.isnan(solution.value)


def test_units_without_outer_weight_are_left_out():
    net, (X1, y, patterns, signs), strength = restriction("plain", "plain")
    kappa, t = np.abs(net.outer), multipliers(net)
    kappa[2] = t[2] = 0.0
    solution = structured.solve_lipschitz(X1, y, patterns, signs, kappa, t, strength)
    assert (solution.weights[2] == 0).all()


def test_a_warm_start_of_a_near_program_saves_iterations():
    _, arguments, strength = restriction("plain", "plain")
    first = structured.solve_joint(*arguments, strength)
    cold = structured.solve_joint(*arguments, 1.1 * strength)
    warm = structured.solve_joint(*arguments, 1.1 * strength, start=first)
    assert warm.status == cold.status == "optimal"
    assert warm.value == pytest.approx(cold.value, rel=1e-7)
    assert warm.iterations < cold.iterations


def test_a_warm_start_of_other_cells_or_far_strengths_changes_nothing():
    _, arguments, strength = restriction("plain", "plain")
    first = structured.solve_joint(*arguments, strength)
    X1, y, patterns, signs = arguments
    for where in ((X1, y, ~patterns, signs, strength), (*arguments, 100 * strength)):
        cold, warm = structured.solve_joint(*where), structured.solve_joint(*where, start=first)
        assert warm.iterations == cold.iterations
        np.testing.assert_array_equal(warm.weights, cold.weights)


@pytest.mark.parametrize("y", [np.zeros(24), np.ones(24)])
def test_targets_that_need_no_slope(y):
    _, (X1, _, patterns, signs), strength = restriction("always active", "plain")
    solution = structured.solve_joint(X1, y, patterns, signs, strength)
    assert solution.status == "optimal"
    assert 0 <= solution.value <= 1e-5 * max(y @ y, 1.0)


def test_iteration_limit_is_said():
    _, (X1, y, patterns, signs), strength = restriction("plain", "plain")
    solution = structured.solve_joint(X1, y, patterns, signs, strength, max_iterations=3)
    assert solution.status == "iteration_limit"
    assert solution.iterations <= 3
    assert solution.gap > TOL


def test_units_that_are_active_nowhere_leave_the_constant_zero():
    X1, y = np.ones((5, 3)), np.ones(5)
    dead = np.zeros((5, 2), dtype=bool)
    for solve in (structured.solve_joint, structured.solve_l2):
        solution = solve(X1, y, dead, np.ones(2), 1.0)
        assert solution.status == "optimal"
        assert solution.value == pytest.approx(0.5 * y @ y)
        assert not solution.weights.any()


@pytest.mark.parametrize("method", ["joint", "alternating", "walk"])
@pytest.mark.parametrize("size", [1e100, 1e140, 1.3e154])
def test_a_start_far_off_is_not_taken(method, size):
    """A sample at zero and huge weights: the squares of the fit that would be a start overflow."""
    net = lipsnn.ShallowNet([[size, 0.0], [-size, 0.25]], [0.126, -0.132])
    found = lipsnn.refine(net, [[0.0]], [-0.25], 1.0, "lipschitz", method, rounds=2)
    assert found.objective < 1e-9  # by a bias alone


@pytest.mark.parametrize("faint", [1e-290, 2.7e-298, 7e-301, 5e-324])
def test_shares_far_below_the_others(faint):
    """Of alternation, where an outer weight is 1e-300 of the others."""
    for rows in ([[1.25, -0.13], [0.25, -0.54]], [[0.126, 0.126], [0.126, -0.132]]):
        net = lipsnn.ShallowNet(rows, [faint, 1.0])
        found = lipsnn.refine(net, [[0.126]], [0.126], 1.0, "lipschitz", "alternating", rounds=2)
        assert found.objective <= found.initial_objective
