"""The global optimum of problem (4) on tiny data, over all patterns and signs.

What Theorem 7 asks for and Remark 4 calls impractical: with the patterns of an optimum the
convex program is problem (4) itself, so the least of all restrictions is the global optimum.

They need not all be solved. Call a cell a pattern with a sign. The optimum over a set of cells is
at most that over any part of it (the other units may be zero), and two units in one cell may be
added up at no cost, so that a network of `width` units is a set of at most that many cells: a
program over many cells bounds from below all networks within them. Branch and bound takes the
cell with the largest unit of such a program either in or out, until what is left is no better
than the best network known.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from tqdm import tqdm

from lipsnn import _checks
from lipsnn._checks import Array
from lipsnn.certificate.cells import cell_patterns
from lipsnn.convex.backend import Backend, backend
from lipsnn.convex.mapping import from_products
from lipsnn.convex.objective import REGULARIZERS, objective
from lipsnn.network import ShallowNet, with_bias

MOST_NETWORKS = 1_000_000
# Cells are left out if they promise less than this, relative to the best network known.
_GAIN = 1e-7
# A unit this small, relative to the largest, is the solver's zero.
_ZERO = 1e-6


@dataclass(frozen=True, eq=False)
class GlobalOptimum:
    """The best network of a width on a data set.

    Attributes
    ----------
    net : ShallowNet
    objective : float
        Problem (4) at `net`, freshly evaluated.
    combinations : int
        Choices of a pattern and a sign for each unit, up to their order.
    programs : int
        How many programs were solved to exclude all the others.
    failures : int
        How many of them did not end "optimal": with none, no network of this width is better
        by more than the tolerance, 1e-7 of the objective.
    """

    net: ShallowNet
    objective: float
    combinations: int
    programs: int
    failures: int


def data_patterns(X: Any) -> Array:
    """All activation patterns of a unit on X (n, d), a boolean (n, cells), d <= 2, n <= 20.

    The cells of full dimension of the arrangement ``x_k' w = 0`` in the space of hidden
    weights; their closures, the cones (5), cover it.
    """
    X1 = with_bias(_checks.inputs(X))
    arrangement = ShallowNet(np.hstack([X1, np.zeros((len(X1), 1))]), np.ones(len(X1)))
    return cell_patterns(arrangement).T


def global_optimum(
    X: Any,
    y: Any,
    width: int,
    strength: float,
    regularizer: str = "lipschitz",
    solver: str | None = None,
    *,
    progress: bool | None = None,
) -> GlobalOptimum:
    """Solve problem (4) to global optimality by branch and bound over patterns and signs.

    For n = 8 samples of d = 1 input and 3 units a hundred convex programs or two stand for 4,960
    combinations; for d = 2 some hundred larger ones for 253,460.

    Parameters
    ----------
    X : array_like, (n, d)
        At most 20 samples of at most 2 inputs.
    y : array_like, (n,)
    width : int
    strength, regularizer, solver, progress
        As for `refine`.

    Raises
    ------
    ValueError
        For bad input, or more than a million combinations.
    """
    X, y = _checks.data_pair(X, y)
    width = _checks.count(width, "width")
    strength = _checks.positive(strength, "strength")
    _checks.one_of(regularizer, "regularizer", REGULARIZERS)
    patterns = data_patterns(X)
    # a unit that is active nowhere adds nothing; the zero unit, in every cone, does the same
    patterns = patterns[:, patterns.any(axis=0)]
    cells = 2 * patterns.shape[1]
    combinations = math.comb(cells + width - 1, width)
    if combinations > MOST_NETWORKS:
        raise ValueError(
            f"there are {combinations} combinations of cells: take fewer samples, inputs or units"
        )
    hidden = None if progress is None else not progress
    with tqdm(desc="branch and bound", unit=" programs", leave=False, disable=hidden) as bar:
        tree = _Tree(X, y, patterns, width, strength, regularizer, backend(solver), bar)
        tree.branch([], list(range(cells)))
    best = tree.best
    return GlobalOptimum(
        best, objective(best, X, y, strength, regularizer), combinations, tree.solved, tree.failures
    )


class _Tree:
    """The search: the best network known, and the programs that bound what is left."""

    def __init__(
        self,
        X: Array,
        y: Array,
        patterns: Array,
        width: int,
        strength: float,
        regularizer: str,
        programs: Backend,
        bar: tqdm,
    ) -> None:
        self.X1, self.y, self.width, self.strength = with_bias(X), y, width, strength
        self.patterns = np.repeat(patterns, 2, axis=1)
        self.signs = np.tile([1.0, -1.0], patterns.shape[1])
        self.programs, self.bar = programs, bar
        self.joint = regularizer == "lipschitz"
        self.value, self.solved, self.failures = math.inf, 0, 0
        self.best = ShallowNet(np.zeros((width, X.shape[1] + 1)), np.ones(width))

    def branch(
        self, chosen: list[int], free: list[int], known: tuple[float, Array] | None = None
    ) -> None:
        """Networks with a unit in each of the chosen cells and the others in free ones."""
        while free and len(chosen) < self.width:
            bound, sizes = known or self.solve(chosen + free)
            known = None
            if bound >= self.value * (1.0 - _GAIN):
                return
            if (sizes > _ZERO * sizes.max()).sum() <= self.width:  # as good as the bound itself
                cells = chosen + free
                self.solve([cells[k] for k in np.argsort(-sizes)[: self.width]])
                if bound >= self.value * (1.0 - _GAIN):
                    return
            k = int(np.argmax(sizes[len(chosen) :]))
            rest = free[:k] + free[k + 1 :]
            order = [*range(len(chosen)), len(chosen) + k]
            order += [i for i in range(len(sizes)) if i not in order]
            self.branch([*chosen, free[k]], rest, (bound, sizes[order]))
            free = rest
        self.solve(chosen)

    def solve(self, cells: list[int]) -> tuple[float, Array]:
        """The program over these cells: its lower bound and the sizes of its units."""
        if not cells:
            return 0.5 * float(self.y @ self.y), np.zeros(0)
        active, signs = self.patterns[:, cells], self.signs[cells]
        solve = self.programs.solve_joint if self.joint else self.programs.solve_l2
        solution = solve(self.X1, self.y, active, signs, self.strength)
        self.solved += 1  # a hidden bar does not count
        self.bar.update()
        if solution.weights is None or not np.isfinite(solution.weights).all():
            self.failures += 1
            return -math.inf, np.ones(len(cells))
        if len(cells) <= self.width and solution.value < self.value:
            products = solution.weights
            if self.joint:
                products = signs[:, None] * products
            idle = self.width - len(cells)
            self.value = solution.value
            products = np.pad(products, ((0, idle), (0, 0)))
            self.best = from_products(products, np.pad(signs, (0, idle)), 0.0)
        sizes = np.linalg.norm(solution.weights, axis=1)
        if solution.status != "optimal":  # no bound then
            self.failures += 1
            return -math.inf, sizes
        return solution.value, sizes
