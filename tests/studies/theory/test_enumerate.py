"""The distance to the global optimum, and that of branch and bound to solving all programs."""

import itertools

import numpy as np
import pytest

from lipsnn import objective, refine, train_sgd
from lipsnn.convex.backend import backend
from lipsnn.network import with_bias
from studies.theory.enumerate import data_patterns, global_optimum


@pytest.mark.parametrize(("n", "d"), [(5, 1), (7, 1), (5, 2), (8, 2)])
def test_patterns_are_counted_by_the_arrangement_formula(n, d):
    """2 sum_{k <= d} C(n - 1, k) cells of n hyperplanes through the origin of R^{d+1}."""
    from math import comb

    X = np.random.default_rng(n).normal(size=(n, d))
    patterns = data_patterns(X)
    assert patterns.shape == (n, 2 * sum(comb(n - 1, k) for k in range(d + 1)))
    assert len(np.unique(patterns, axis=1).T) == patterns.shape[1]


@pytest.mark.parametrize("regularizer", ["l2", "lipschitz"])
def test_nothing_is_below_the_global_optimum(regularizer):
    rng = np.random.default_rng(3)
    X = rng.normal(size=(5, 1))
    y = np.sin(3 * X[:, 0])
    best = global_optimum(X, y, 2, 0.05, regularizer, progress=False)
    assert best.failures == 0
    assert best.objective == pytest.approx(objective(best.net, X, y, 0.05, regularizer), rel=1e-12)
    for seed in range(4):
        net = train_sgd(X, y, 2, 0.01, seed=seed, epochs=300)
        method = "joint" if regularizer == "l2" else "walk"
        found = refine(net, X, y, 0.05, regularizer, method)
        assert best.objective <= found.objective * (1 + 1e-6)
        assert found.objective <= found.initial_objective


@pytest.mark.parametrize("regularizer", ["l2", "lipschitz"])
@pytest.mark.parametrize(("n", "d", "width"), [(6, 1, 2), (4, 2, 2), (4, 1, 3)])
def test_branch_and_bound_finds_what_solving_every_combination_finds(n, d, width, regularizer):
    rng = np.random.default_rng(n + d)
    X = rng.normal(size=(n, d))
    y = np.sin(3 * X).sum(axis=1)
    patterns = data_patterns(X)
    cells = list(itertools.product(patterns[:, patterns.any(axis=0)].T, (1.0, -1.0)))
    programs = backend(None)
    solve = programs.solve_l2 if regularizer == "l2" else programs.solve_joint
    values = [
        solve(
            with_bias(X), y, np.array([p for p, _ in some]).T, np.array([s for _, s in some]), 0.05
        ).value
        for some in itertools.combinations_with_replacement(cells, width)
    ]
    best = global_optimum(X, y, width, 0.05, regularizer, progress=False)
    assert best.combinations == len(values)
    assert width <= best.programs < len(values) / 4
    assert best.failures == 0
    assert best.net.width == width
    assert best.objective == pytest.approx(min(values), rel=2e-7)


def test_a_quarter_of_a_million_combinations_take_some_hundred_programs():
    """n = 8, d = 2, 3 units; no unit of the optimum has a better cell in a third of all."""
    rng = np.random.default_rng([8, 2, 0])
    X = rng.normal(size=(8, 2))
    y = np.sin(3 * X).sum(axis=1)
    strength = 0.1 * float(y @ y)
    best = global_optimum(X, y, 3, strength, progress=False)
    assert best.combinations == 253_460
    assert best.failures == 0
    assert best.programs < 500
    patterns = data_patterns(X)
    cells = list(itertools.product(patterns[:, patterns.any(axis=0)].T, (1.0, -1.0)))
    own = list(zip(best.net.patterns(X).T, best.net.signs, strict=True))
    solve = backend(None).solve_joint
    for (pattern, sign), unit in itertools.product(cells[::3], range(3)):
        other = [*own[:unit], (pattern, sign), *own[unit + 1 :]]
        active, signs = (np.array(part) for part in zip(*other, strict=True))
        value = solve(with_bias(X), y, active.T, signs, strength).value
        assert value >= best.objective * (1 - 1e-6)


def test_enumeration_refuses_what_would_never_end():
    X = np.random.default_rng(0).normal(size=(18, 2))
    with pytest.raises(ValueError, match="combinations of cells"):
        global_optimum(X, X[:, 0], 5, 0.1)
    with pytest.raises(ValueError, match="at most 20"):
        global_optimum(np.random.default_rng(0).normal(size=(25, 2)), np.ones(25), 1, 0.1)
