"""Theorem 1 of Pauli et al. as printed, for one hidden layer: their (4), (5) and (6) in CVXPY."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cvxpy as cp
import numpy as np

from lipsnn import _checks
from lipsnn._checks import Array
from lipsnn.solvers import Solution, solve


def sector_matrix(
    rho: Any, T: Any, hidden: Any, outer: Any, alpha: float = 0.0, beta: float = 1.0
) -> Any:
    """P(rho, T) of equation (5) of Pauli et al., of order d + m, symmetric by construction.

    Affine in rho and T: with a CVXPY expression for either it is one, with numbers an array. T
    is any symmetric (m, m) matrix; only a diagonal one that is not negative proves a bound.

    Raises
    ------
    ValueError
        For weights that do not fit, or no sector.
    """
    hidden, outer = _weights(hidden, outer)
    alpha, beta = _sector(alpha, beta)
    corner = -2 * alpha * beta * (hidden.T @ T @ hidden) - rho * np.eye(hidden.shape[1])
    side = (alpha + beta) * (T @ hidden)
    middle = -2 * T + outer.T @ outer
    rows = [[corner, side.T], [side, middle]]
    if all(isinstance(block, np.ndarray) for row in rows for block in row):
        return np.block(rows)
    matrix: cp.Expression = cp.bmat(rows)
    return (matrix + matrix.T) / 2


@dataclass(frozen=True, eq=False)
class SectorBound:
    """What a solver found for program (6) of Pauli et al.

    Attributes
    ----------
    bound : float
        L, NaN without a point. Good to the solver's accuracy; nothing is rounded up.
    multipliers : ndarray, (m,)
        Diagonal of T, cut off at zero.
    solution : Solution
        Status, iterations, seconds.
    """

    bound: float
    multipliers: Array
    solution: Solution


def sector_bound(
    hidden: Any, outer: Any, alpha: float = 0.0, beta: float = 1.0, solver: str | None = None
) -> SectorBound:
    """The least L of Pauli et al.'s Theorem 1: min L^2 such that P(L^2, T) <= 0, T diagonal >= 0.

    Bounds ``x -> outer phi(hidden x + bias) + constant`` in the l2 norm, whatever the biases, for
    every phi with ``alpha <= (phi(u) - phi(v)) / (u - v) <= beta``.

    Parameters
    ----------
    hidden : array_like, (m, d)
        W^0, without biases.
    outer : array_like, (k, m)
        W^1, a row per output.
    alpha, beta : float
        The sector, ``0 <= alpha < beta``: [0, 1] for ReLU and tanh, [0, 1/4] for the sigmoid.
    solver : str, optional
        A CVXPY solver; MOSEK with a licence, else Clarabel, if None.

    Returns
    -------
    SectorBound

    Raises
    ------
    ValueError
        For weights that do not fit, or no sector.
    """
    hidden, outer = _weights(hidden, outer)
    rho, t = cp.Variable(), cp.Variable(len(hidden), nonneg=True)
    lmi = sector_matrix(rho, cp.diag(t), hidden, outer, alpha, beta) << 0
    solution = solve(cp.Problem(cp.Minimize(rho), [lmi]), solver)
    if not solution.has_point or t.value is None:
        return SectorBound(float("nan"), np.full(len(hidden), np.nan), solution)
    return SectorBound(float(np.sqrt(max(solution.value, 0.0))), np.maximum(t.value, 0.0), solution)


def increment_form(
    T: Any, moved: Any, answered: Any, alpha: float = 0.0, beta: float = 1.0
) -> Array:
    """The quadratic form (4) of Pauli et al. at increments u = x - y and v = phi(x) - phi(y).

    ``-2 alpha beta u'Tu + 2 (alpha + beta) u'Tv - 2 v'Tv``: never negative for a diagonal T >= 0.

    Parameters
    ----------
    T : array_like, (m, m)
        Symmetric.
    moved, answered : array_like, (n, m)
        Increments u of the preactivations and v of what the units answer, a pair per row.

    Returns
    -------
    ndarray, (n,)
    """
    alpha, beta = _sector(alpha, beta)
    T = _checks.finite_array(T, "T", 2)
    u = _checks.finite_array(moved, "moved", 2)
    v = _checks.finite_array(answered, "answered", 2)
    if not (u.shape == v.shape and T.shape == (u.shape[1], u.shape[1])):
        raise ValueError(
            f"T must be (m, m), moved and answered (n, m); got {T.shape}, {u.shape}, {v.shape}"
        )
    by_u = (u @ T) * (-2 * alpha * beta * u + 2 * (alpha + beta) * v)
    return np.asarray(np.sum(by_u - 2 * (v @ T) * v, axis=1))


def _weights(hidden: Any, outer: Any) -> tuple[Array, Array]:
    hidden = _checks.finite_array(hidden, "hidden", 2)
    outer = _checks.finite_array(outer, "outer", 2)
    if hidden.shape[0] != outer.shape[1] or 0 in (*hidden.shape, *outer.shape):
        raise ValueError(
            "hidden must be (m, d) and outer (k, m) with at least one unit, input and output, "
            f"got shapes {hidden.shape} and {outer.shape}"
        )
    return hidden, outer


def _sector(alpha: float, beta: float) -> tuple[float, float]:
    alpha, beta = _checks.nonnegative(alpha, "alpha"), _checks.positive(beta, "beta")
    if not alpha < beta:
        raise ValueError(f"a sector needs alpha < beta, got [{alpha:g}, {beta:g}]")
    return alpha, beta
