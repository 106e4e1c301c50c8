"""Other losses by the programs of the squared one: Newton's method with exact line search.

Around outputs f with derivatives g and curvatures h, a loss is ``h/2 (f' - (f - g/h))^2`` up to
third order and a constant: the squared loss with a weight and a target for each sample. The program
with that loss gives a direction within the same cells, along which the true loss plus the penalty,
which is convex, cannot rise; where the direction is nothing, the program's multipliers are those of
the true loss.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from scipy.optimize import minimize_scalar

from lipsnn._checks import Array
from lipsnn.convex.result import ProgramSolution
from lipsnn.losses import Separable
from lipsnn.status import Status

# Ends when a program lowers the objective by less than this share; after so many in any case.
_TOL, _PROGRAMS = 1e-9, 60


def solve(
    program: Callable[[Array, Array], ProgramSolution],
    outputs: Callable[[Array], Array],
    loss: Separable,
    y: Array,
    strength: float | None,
    offset: float | None,
) -> ProgramSolution:
    """The program with the squared loss replaced by another, from zero weights.

    Parameters
    ----------
    program
        Its solution for targets and weights of the samples, (n,) each.
    outputs
        What weights (m, d + 1) make of the samples (n,), without the output bias.
    strength
        Price of rho, or of the norms in (6); None under a bound.
    offset
        The output bias, or None where it is free.

    Returns
    -------
    ProgramSolution
        With weights and value of the point, all else as the last program has it.
    """
    f, weights, cost = np.full(len(y), offset or 0.0), np.zeros(1), 0.0
    best = float(loss.value(f, y).sum())
    iterations, status = 0, str(Status.ITERATION_LIMIT)
    for _ in range(_PROGRAMS):
        h = loss.damped(f, y)
        target = f - loss.gradient(f, y) / h
        found = program(target - (offset or 0.0), h)
        iterations += found.iterations or 0
        if found.weights is None or not np.isfinite(found.weights).all():
            return found
        move = outputs(found.weights)
        move += (np.average(target - move, weights=h) if offset is None else offset) - f
        norms = np.linalg.norm(found.weights, axis=1).sum()
        more = (strength or 0.0) * float(norms if found.rho is None else found.rho) - cost

        def total(step: float, f: Array = f, move: Array = move, more: float = more) -> float:
            return float(loss.value(f + step * move, y).sum()) + step * more

        inner = minimize_scalar(total, bounds=(0, 1), options={"xatol": 1e-8}).x
        step = min((1.0, float(inner), 0.0), key=total)
        weights, f = weights + step * (found.weights - weights), f + step * move
        before, best = best, total(step) + cost
        cost += step * more
        if before - best <= _TOL * before:
            status = found.status
            break
    return replace(found, weights=weights, value=best, status=status, iterations=iterations)
