"""The global optimum of problem (4) on tiny data, by all patterns and signs.

What Theorem 7 asks for and Remark 4 calls impractical: with the patterns of an optimum the
convex program is problem (4) itself, so the least of all restrictions is the global optimum.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from tqdm import tqdm

from lipsnn import _checks
from lipsnn._checks import Array
from lipsnn.certificate.cells import cell_patterns
from lipsnn.convex.backend import backend
from lipsnn.convex.mapping import from_products
from lipsnn.convex.objective import REGULARIZERS, objective
from lipsnn.network import ShallowNet, with_bias

MOST_PROGRAMS = 1_000_000


@dataclass(frozen=True, eq=False)
class GlobalOptimum:
    """The best network of a width on a data set.

    Attributes
    ----------
    net : ShallowNet
    objective : float
        Problem (4) at `net`, freshly evaluated.
    programs : int
        How many restrictions were solved.
    failures : int
        How many of them did not end "optimal": with none, no network of this width is better
        by more than the solver's tolerance.
    """

    net: ShallowNet
    objective: float
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
    """Solve problem (4) to global optimality by enumerating patterns and signs.

    For n = 8 samples of d = 1 input and 3 units these are some thousand convex programs; their
    number grows as n^(d width).

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
        For bad input, or more than a million programs.
    """
    X, y = _checks.data_pair(X, y)
    width = _checks.count(width, "width")
    strength = _checks.positive(strength, "strength")
    _checks.one_of(regularizer, "regularizer", REGULARIZERS)
    patterns = data_patterns(X)
    # a unit that is active nowhere adds nothing; the zero unit, in every cone, does the same
    patterns = patterns[:, patterns.any(axis=0)]
    options = [(k, sign) for k in range(patterns.shape[1]) for sign in (1.0, -1.0)]
    total = math.comb(len(options) + width - 1, width)
    if total > MOST_PROGRAMS:
        raise ValueError(
            f"{total} programs would have to be solved: take fewer samples, inputs or units"
        )
    programs, X1 = backend(solver), with_bias(X)
    best: ShallowNet | None = None
    value, failures = math.inf, 0
    choices: Iterator[Any] = itertools.combinations_with_replacement(options, width)
    hidden = None if progress is None else not progress
    for choice in tqdm(choices, total=total, desc="enumerate", leave=False, disable=hidden):
        active = patterns[:, [k for k, _ in choice]]
        signs = np.array([sign for _, sign in choice])
        if regularizer == "l2":
            solution = programs.solve_l2(X1, y, active, signs, strength)
        else:
            solution = programs.solve_joint(X1, y, active, signs, strength)
        failures += solution.status != "optimal"
        if solution.weights is not None and solution.value < value:
            products = solution.weights
            if regularizer == "lipschitz":
                products = signs[:, None] * products
            value, best = solution.value, from_products(products, signs, 0.0)
    assert best is not None
    return GlobalOptimum(best, objective(best, X, y, strength, regularizer), total, failures)
