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
import scipy.optimize

from lipsnn._checks import Array
from lipsnn.convex.solution import ProgramSolution
from lipsnn.status import Status

# No sample's target is further from its output, in the units of the outputs, and no weight less.
_REACH, _LEAST = 20.0, 1e-6
# Ends when a program lowers the objective by less than this share; after so many in any case.
_TOL, _PROGRAMS = 1e-9, 60


def solve(
    program: Callable[[Array, Array], ProgramSolution],
    outputs: Callable[[Array], Array],
    penalty: Callable[[ProgramSolution], float],
    terms: Callable[[Array], tuple[Array, Array, Array]],
    start: tuple[Array, Array, float],
    offset: float | None,
) -> ProgramSolution:
    """The program with the squared loss replaced by another.

    Parameters
    ----------
    program
        Its solution for targets and weights of the samples, (n,) each.
    outputs
        What weights (m, d + 1) make of the samples (n,), without the output bias.
    penalty
        What a solution pays beside the loss; convex.
    terms
        Value, derivative and curvature of the loss at outputs (n,), of each sample.
    start
        Feasible weights, their outputs with the bias, and their penalty.
    offset
        The output bias, or None where it is free.

    Returns
    -------
    ProgramSolution
        With weights and value of the point, all else as the last program has it.
    """
    weights, f, cost = start
    value, slope, curve = terms(f)
    best = float(value.sum()) + cost
    iterations, status = 0, str(Status.ITERATION_LIMIT)
    for _ in range(_PROGRAMS):
        h = np.maximum(np.maximum(curve, np.abs(slope) / _REACH), _LEAST)
        target = f - slope / h
        found = program(target - (offset or 0.0), h)
        iterations += found.iterations or 0
        if found.weights is None or not np.isfinite(found.weights).all():
            return found
        there = outputs(found.weights)
        there += np.average(target - there, weights=h) if offset is None else offset
        other = penalty(found)
        step = _best(terms, f, there - f, other - cost)
        weights = weights + step * (found.weights - weights)
        f, cost = f + step * (there - f), cost + step * (other - cost)
        value, slope, curve = terms(f)
        before, best = best, float(value.sum()) + cost
        if before - best <= _TOL * before:
            status = found.status
            break
    return replace(found, weights=weights, value=best, status=status, iterations=iterations)


def _best(terms: Callable[[Array], tuple[Array, ...]], f: Array, move: Array, cost: float) -> float:
    """The best step in [0, 1] along `move`, whose penalty is `cost` times the step."""

    def total(t: float) -> float:
        return float(terms(f + t * move)[0].sum()) + cost * t

    found = scipy.optimize.minimize_scalar(total, bounds=(0, 1), options={"xatol": 1e-8})
    return min((1.0, float(found.x), 0.0), key=total)
