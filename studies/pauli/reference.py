"""The Lipschitz step (10b) as printed, in CVXPY: the reference for `FixedStep`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cvxpy as cp
import numpy as np

from lipsnn._checks import Array
from lipsnn.solvers import Solution, solve


def solve_step(
    target: Sequence[Array],
    multipliers: Sequence[Array],
    *,
    mu: float | None,
    penalty: float,
    rho: float | None = None,
    slopes: Sequence[float] | None = None,
    solver: str | None = None,
) -> tuple[list[Array], float, Solution]:
    """``min mu rho + r/2 |Wbar - V|^2`` such that M(rho, Wbar) <= 0, at fixed T.

    The LMI is (7) of Pauli et al., for several layers that of the letter:

        M = [[-rho I, be W0'T1, 0], [be T1 W0, -2 T1, be W1'T2], .., [W_l, -I]].

    Arguments are those of `FixedStep`, V a matrix per layer; with ``mu=None`` `rho` is fixed.

    Returns
    -------
    list of ndarray, float, Solution
        Wbar, rho and what the solver said; NaN without a point.
    """
    weights = [cp.Variable(matrix.shape) for matrix in target]
    level = cp.Variable(nonneg=True)
    fixed = [] if mu is not None else [level == rho]
    distance = sum(cp.sum_squares(W - V) for W, V in zip(weights, target, strict=True))
    cost = penalty / 2 * distance + (0.0 if mu is None else mu * level)
    condition = holds(weights, level, multipliers, slopes)
    solution = solve(cp.Problem(cp.Minimize(cost), [condition, *fixed]), solver)
    if not solution.has_point:
        return [np.full(W.shape, np.nan) for W in target], float("nan"), solution
    return [np.asarray(W.value) for W in weights], float(np.asarray(level.value)), solution


def holds(
    weights: Sequence[Any],
    level: Any,
    multipliers: Sequence[Array],
    slopes: Sequence[float] | None = None,
) -> Any:
    """M(rho, Wbar) <= 0 as a constraint of CVXPY, on variables Wbar and rho = `level`."""
    beta = [1.0] * len(multipliers) if slopes is None else list(slopes)
    sizes = [weights[0].shape[1]] + [matrix.shape[0] for matrix in weights]
    blocks: list[list[object]] = [[np.zeros((n, k)) for k in sizes] for n in sizes]
    blocks[0][0] = -level * np.eye(sizes[0])
    blocks[-1][-1] = -np.eye(sizes[-1])
    for layer, W in enumerate(weights):
        last = layer == len(weights) - 1
        link = W if last else beta[layer] * np.diag(multipliers[layer]) @ W
        blocks[layer + 1][layer], blocks[layer][layer + 1] = link, link.T
        if not last:
            blocks[layer + 1][layer + 1] = -2 * np.diag(multipliers[layer])
    matrix = cp.bmat(blocks)
    return (matrix + matrix.T) / 2 << 0


def solve_free_step(
    hidden: Array,
    outer: Array,
    *,
    mu: float | None,
    penalty: float,
    rho: float | None = None,
    solver: str | None = None,
) -> tuple[Array, float, Solution]:
    """`solve_step` for one hidden layer, T free and the outer weights (m,) held.

    As the LMI ``[[rho I, Z'], [Z, 4 diag(q)]] >= 0`` with the rows z_0, .., z_m of Z and
    sum q <= 1 (`studies.pauli.free`). Returns the hidden weights (m, d), rho and what the solver
    said.
    """
    W = cp.Variable(hidden.shape)
    q = cp.Variable(len(outer) + 1, nonneg=True)
    level = cp.Variable(nonneg=True)
    Z = cp.vstack([outer[None] @ W, np.diag(outer) @ W])
    matrix = cp.bmat([[level * np.eye(hidden.shape[1]), Z.T], [Z, 4 * cp.diag(q)]])
    conditions = [(matrix + matrix.T) / 2 >> 0, cp.sum(q) <= 1]
    cost = penalty / 2 * cp.sum_squares(W - hidden)
    if mu is None:
        conditions.append(level == rho)
    else:
        cost = cost + mu * level
    solution = solve(cp.Problem(cp.Minimize(cost), conditions), solver)
    if not solution.has_point:
        return np.full(hidden.shape, np.nan), float("nan"), solution
    return np.asarray(W.value), float(np.asarray(level.value)), solution
