"""The global optimum of problem (4) on tiny data, over all patterns and signs.

What Theorem 7 asks for and Remark 4 calls impractical: with the patterns of an optimum the
convex program is problem (4) itself, so the least of all restrictions is the global optimum.

They need not all be solved. Call a cell a pattern with a sign. The optimum over a set of cells is
at most that over any part of it (the other units may be zero), and two units in one cell may be
added up at no cost, so that a network of `width` units is a set of at most that many cells. Branch
and bound gives every unit a region, a set of cells; the program over all cells of the regions
bounds from below every network that has its units there. The region in which the program's own
units differ most is cut in two, by a sample on which some are active and others are not or by
their sign, and each unit of the region goes to either part. The least bound is looked into first,
until none is below the best network known.
"""

from __future__ import annotations

import heapq
import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import tqdm

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

    For n = 8 samples and 3 units a few hundred convex programs at most stand for the 4,960
    combinations that there are with d = 1 input, and for the 253,460 with d = 2.

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
    with tqdm.tqdm(desc="branch and bound", unit=" programs", leave=False, disable=hidden) as bar:
        tree = _Tree(X, y, patterns, width, strength, regularizer, backend(solver), bar)
        tree.search()
    best = tree.best
    return GlobalOptimum(
        best, objective(best, X, y, strength, regularizer), combinations, tree.solved, tree.failures
    )


# Which cells a unit may be in, as sorted indices. Regions of one network are equal or disjoint.
Region = tuple[int, ...]


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
        bar: tqdm.tqdm,
    ) -> None:
        self.X1, self.y, self.width, self.strength = with_bias(X), y, width, strength
        self.patterns = np.repeat(patterns, 2, axis=1)
        self.signs = np.tile([1.0, -1.0], patterns.shape[1])
        self.programs, self.bar = programs, bar
        self.joint = regularizer == "lipschitz"
        self.value, self.solved, self.failures = math.inf, 0, 0
        self.tried: set[Region] = set()
        self.best = ShallowNet(np.zeros((width, X.shape[1] + 1)), np.ones(width))

    def search(self) -> None:
        """Cut regions until no bound is below the best network known."""
        root: list[Region] = [tuple(range(len(self.signs)))] * self.width
        order = itertools.count()  # equal bounds in the order in which they came
        bound, sizes = self.bound(root)
        heap = [(bound, next(order), root, sizes)]
        while heap and heap[0][0] < self.value * (1.0 - _GAIN):
            bound, _, regions, sizes = heapq.heappop(heap)
            if all(len(region) == 1 for region in regions):
                continue  # solved exactly
            whole, parts = self.cut(regions, sizes)
            others = [region for region in regions if region != whole]
            copies = len(regions) - len(others)
            for first in range(copies + 1):
                child = others + [parts[0]] * first + [parts[1]] * (copies - first)
                same = 0 < first < copies  # the same cells, so the same program
                below, within = (bound, sizes) if same else self.bound(child)
                if below < self.value * (1.0 - _GAIN):
                    heapq.heappush(heap, (below, next(order), child, within))

    def bound(self, regions: list[Region]) -> tuple[float, dict[int, float]]:
        """A lower bound of all networks with units in these regions; sizes of its units by cell."""
        cells = sorted(set().union(*regions))
        bound, sizes = self.solve(cells)
        if bound < self.value * (1.0 - _GAIN) and len(cells) > self.width:
            largest = [cells[k] for k in np.argsort(-sizes)[: self.width]]
            if tuple(sorted(largest)) not in self.tried:
                self.solve(sorted(largest))
        return bound, dict(zip(cells, sizes, strict=True))

    def cut(
        self, regions: list[Region], sizes: dict[int, float]
    ) -> tuple[Region, tuple[Region, Region]]:
        """The region to cut, and its parts: the most weight on the lighter side, then cells."""
        best, chosen = (-1.0, -1), None
        for region in sorted(set(regions)):
            cells = np.array(region)
            weights = np.array([sizes[cell] for cell in region])
            weights[weights <= _ZERO * max(sizes.values())] = 0.0
            for side in (*self.patterns[:, cells], self.signs[cells] > 0):
                if side.all() or not side.any():
                    continue
                weight = min(weights[side].sum(), weights[~side].sum())
                score = float(weight), int(min(side.sum(), (~side).sum()))
                if score > best:
                    best = score
                    chosen = region, (tuple(cells[side].tolist()), tuple(cells[~side].tolist()))
        assert chosen is not None, "a region of several cells has two that differ"
        return chosen

    def solve(self, cells: list[int]) -> tuple[float, Array]:
        """The program over these cells: its lower bound and the sizes of its units."""
        active, signs = self.patterns[:, cells], self.signs[cells]
        solve = self.programs.solve_joint if self.joint else self.programs.solve_l2
        solution = solve(self.X1, self.y, active, signs, self.strength)
        self.solved += 1  # a hidden bar does not count
        self.bar.update()
        if len(cells) <= self.width:
            self.tried.add(tuple(cells))
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
