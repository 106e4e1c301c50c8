"""The Lipschitz step (10b) at fixed T against CVXPY on the LMI as printed."""

import numpy as np
import pytest

from lipsnn import ShallowNet, certify
from lipsnn.train.admm import FixedStep
from studies.pauli.reference import solve_step

PENALTY = 1.7


def drawn(sizes, seed=0):
    """Weights to start from and multipliers, at random."""
    rng = np.random.default_rng(seed)
    shapes = zip(sizes[1:], sizes[:-1], strict=True)
    target = [rng.normal(size=shape) / np.sqrt(shape[1]) for shape in shapes]
    return target, [rng.uniform(0.2, 2.0, size=n) for n in sizes[1:-1]]


def holds(weights, multipliers, rho, slopes, tol=1e-10):
    """Whether the LMI holds, scaled so that its diagonal is one."""
    sizes = [weights[0].shape[1]] + [W.shape[0] for W in weights]
    diagonal = np.concatenate(
        [np.full(sizes[0], rho), *(2 * t for t in multipliers), np.ones(sizes[-1])]
    )
    at = np.cumsum([0, *sizes])
    F = np.zeros((at[-1], at[-1]))
    for layer, W in enumerate(weights):
        link = W
        if layer < len(multipliers):
            link = slopes[layer] * multipliers[layer][:, None] * W
        F[at[layer + 1] : at[layer + 2], at[layer] : at[layer + 1]] = link
    F += F.T
    dead = diagonal == 0
    assert not F[dead].any()  # a zero on the diagonal allows nothing beside it
    root = np.sqrt(diagonal[~dead])
    return np.linalg.eigvalsh(F[~dead][:, ~dead] / np.outer(root, root))[-1] <= 1 + tol


@pytest.mark.parametrize("fixed", [False, True])
@pytest.mark.parametrize(
    "sizes",
    [[3, 6, 1], [6, 4, 1], [3, 6, 2], [5, 4, 3], [2, 5, 4, 3], [3, 4, 5, 4, 2], [7, 3, 2, 3, 1]],
    ids=str,
)
def test_equals_the_lmi_as_printed(sizes, fixed):
    target, multipliers = drawn(sizes)
    slopes = [0.25] + [1.0] * (len(sizes) - 3)
    mu, rho = (None, 0.02) if fixed else (0.3, 1.0)
    step = FixedStep(multipliers, rho, mu=mu, penalty=PENALTY, slopes=slopes)
    found = step.solve(target)
    weights, level, solution = solve_step(
        target, multipliers, mu=mu, penalty=PENALTY, rho=rho, slopes=slopes
    )
    assert solution.status == "optimal"
    assert found.value == pytest.approx(solution.value, abs=1e-6)
    # strong convexity: 1e-6 in the value is 1e-3 in the weights at worst
    for mine, theirs in zip(found.weights, weights, strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-4)
    assert found.rho == pytest.approx(level, abs=1e-4)
    assert holds(found.weights, multipliers, found.rho, slopes)


@pytest.mark.parametrize("mu", [1e-4, 1e-2, 1.0, 100.0, None])
@pytest.mark.parametrize(("m", "d"), [(100, 11), (20, 1), (8, 30)])
def test_the_gap_is_certified_at_any_strength(m, d, mu):
    target, multipliers = drawn([d, m, 1], seed=1)
    scale = 0.5 * PENALTY * sum(np.sum(V**2) for V in target)
    found = FixedStep(multipliers, 0.5, mu=mu, penalty=PENALTY).solve(target)
    assert -1e-13 * scale <= found.value - found.lower <= 1e-10 * scale
    assert holds(found.weights, multipliers, found.rho, [1.0])


@pytest.mark.parametrize("seed", range(10))
def test_multipliers_of_any_size(seed):
    """T over up to twelve decades, as certificates of trained networks have it."""
    sizes = [[3, 5, 4, 2], [6, 20, 1], [2, 10, 1], [8, 6, 5], [4, 6, 5, 6, 3]][seed % 5]
    target, multipliers = drawn(sizes, seed)
    rng = np.random.default_rng(seed)
    multipliers = [t * 10 ** rng.uniform(-6, 6, size=len(t)) for t in multipliers]
    scale = 0.5 * PENALTY * sum(np.sum(V**2) for V in target)
    for mu in (1e-3, 0.3, 30.0, None):
        found = FixedStep(multipliers, 1.0, mu=mu, penalty=PENALTY).solve(target)
        assert found.value - found.lower <= 1e-9 * scale
        assert holds(found.weights, multipliers, found.rho, [1.0] * len(multipliers), 1e-8)


def test_starts_from_the_last_step():
    target, multipliers = drawn([11, 100, 1])
    step = FixedStep(multipliers, 1.0, mu=0.1, penalty=PENALTY)
    cold = step.solve(target).iterations
    moved = [V + 1e-3 for V in target]
    warm = step.solve(moved)
    fresh = FixedStep(multipliers, 1.0, mu=0.1, penalty=PENALTY).solve(moved)
    assert warm.iterations < cold
    assert warm.value == pytest.approx(fresh.value, rel=1e-8)


def test_a_feasible_network_stays_where_it_is():
    """With the bound fixed: Wbar = V when V satisfies the LMI."""
    rng = np.random.default_rng(2)
    net = ShallowNet(rng.normal(size=(7, 4)), rng.normal(size=7))
    certificate = certify(net)
    target = [net.weights[:, :-1], net.outer[None]]
    rho = (1.01 * certificate.bound) ** 2
    found = FixedStep([certificate.multipliers], rho, mu=None, penalty=1.0).solve(target)
    for mine, wanted in zip(found.weights, target, strict=True):
        np.testing.assert_allclose(mine, wanted, atol=2e-5 * np.linalg.norm(net.weights))


def test_multipliers_of_zero():
    """A unit with t = 0: its outer weight is stopped, its hidden weights are free."""
    target, multipliers = drawn([3, 6, 4, 2])
    multipliers[0][2] = multipliers[1][1] = multipliers[1][3] = 0.0
    found = FixedStep(multipliers, 1.0, mu=0.3, penalty=PENALTY).solve(target)
    _, _, solution = solve_step(target, multipliers, mu=0.3, penalty=PENALTY)
    # the LMI has no interior here, so the solver keeps it only to its own accuracy
    assert found.value == pytest.approx(solution.value, rel=1e-4)
    np.testing.assert_array_equal(found.weights[0][2], target[0][2])
    np.testing.assert_array_equal(found.weights[1][[1, 3]], target[1][[1, 3]])
    assert not found.weights[1][[0, 2]][:, 2].any()
    assert not found.weights[2][:, [1, 3]].any()
    assert holds(found.weights, multipliers, found.rho, [1.0, 1.0])


@pytest.mark.parametrize("layer", [0, 1])
def test_infinite_multipliers(layer):
    """A unit with t = inf sees nothing, and what leaves it is free; in the limit of large t."""
    target, multipliers = drawn([3, 5, 4, 2])
    multipliers[layer][1] = np.inf
    found = FixedStep(multipliers, 1.0, mu=0.3, penalty=PENALTY).solve(target)
    assert not found.weights[layer][1].any()
    np.testing.assert_array_equal(found.weights[layer + 1][:, 1], target[layer + 1][:, 1])
    multipliers[layer][1] = 1e9
    nearly = FixedStep(multipliers, 1.0, mu=0.3, penalty=PENALTY).solve(target)
    assert found.value == pytest.approx(nearly.value, rel=1e-4)


def test_all_multipliers_zero():
    target, _ = drawn([3, 4, 1])
    found = FixedStep([np.zeros(4)], 1.0, mu=0.3, penalty=2.0).solve(target)
    assert found.rho == 0.0
    assert not found.weights[1].any()
    np.testing.assert_array_equal(found.weights[0], target[0])
    assert found.value == pytest.approx(np.sum(target[1] ** 2))


def test_a_network_of_zeros():
    found = FixedStep([np.ones(4)], 1.0, mu=0.3, penalty=2.0).solve(
        [np.zeros((4, 3)), np.zeros((1, 4))]
    )
    assert found.rho <= 1e-6
    assert not found.weights[0].any()


@pytest.mark.parametrize(
    ("multipliers", "change", "word"),
    [
        ([np.full(4, -1.0)], {}, "hidden layer 1 must be a number per unit, none negative"),
        ([np.full(4, np.nan)], {}, "none negative"),
        ([np.ones((4, 1))], {}, "a number per unit"),
        ([np.ones(5)], {}, r"hidden layers of \[4\] units"),
        ([np.ones(4), np.ones(4)], {}, r"the multipliers are for \[4, 4\]"),
        ([np.ones(4)], {"penalty": 0.0}, "penalty must be positive"),
        ([np.ones(4)], {"rho": 0.0}, "rho must be positive"),
        ([np.ones(4)], {"mu": -1.0}, "mu must be positive"),
        ([np.ones(4)], {"tol": 0.0}, "tol must be positive"),
    ],
)
def test_bad_input(multipliers, change, word):
    target = [np.ones((4, 3)), np.ones((1, 4))]
    settings = {"rho": 1.0, "mu": 0.1, "penalty": 1.0, **change}
    with pytest.raises(ValueError, match=word):
        FixedStep(multipliers, settings.pop("rho"), **settings).solve(target)


def test_layers_that_do_not_chain():
    with pytest.raises(ValueError, match="do not chain"):
        FixedStep([np.ones(4)], 1.0, mu=0.1, penalty=1.0).solve([np.ones((4, 3)), np.ones((1, 5))])
