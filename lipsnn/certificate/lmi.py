"""The LMIs word for word, in CVXPY: the reference for every faster form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lipsnn import _checks
from lipsnn._checks import Array
from lipsnn._optional import cp
from lipsnn.activations import Sector
from lipsnn.solvers import Solution, solve


def lmi_matrix(
    rho: cp.Expression | float,
    t: cp.Expression | Array,
    wbar: cp.Expression | Array,
    outer: cp.Expression | Array,
) -> cp.Expression:
    """M(rho, T, W, a) of equation (3), of order d + m + 1, symmetric by construction.

    Affine in (rho, t) at fixed weights and in (rho, wbar, outer) at fixed t.
    """

    m, d = wbar.shape
    slope = cp.diag(t) @ wbar
    a = cp.reshape(outer, (m, 1), order="F")
    matrix = cp.bmat(
        [
            [-rho * np.eye(d), slope.T, np.zeros((d, 1))],
            [slope, -2 * cp.diag(t), a],
            [np.zeros((1, d)), a.T, -np.ones((1, 1))],
        ]
    )
    return (matrix + matrix.T) / 2


def layers_matrix(weights: Any, sectors: Any, rho: Any, t: Any) -> Any:
    """The LMI's matrix, negative semidefinite for a certificate, of order sum of all widths.

    ``[A; B]'[[-2 alpha beta T, (alpha + beta) T], [(alpha + beta) T, -2 T]][A; B]
    + blkdiag(-rho I, 0, W_l'W_l)`` with ``A = [blkdiag(W_0 .. W_{l-1}) 0]``, ``B = [0 I]``: Fazlyab
    et al. (2019), Theorem 2, with a sector per layer. Affine in rho and t.

    Parameters
    ----------
    weights : sequence of ndarray
        W_0 .. W_l.
    sectors : sequence of (alpha, beta)
    rho : float or CVXPY scalar
    t : ndarray or CVXPY vector, (n_1 + .. + n_l,)
    """

    inner = weights[:-1]
    units, order = sum(len(w) for w in inner), sum(w.shape[1] for w in weights)
    A, B = np.zeros((units, order)), np.eye(order)[order - units :]
    row = column = 0
    for w in inner:
        A[row : row + w.shape[0], column : column + w.shape[1]] = w
        row, column = row + w.shape[0], column + w.shape[1]
    alpha = np.concatenate([np.full(len(w), s[0]) for w, s in zip(inner, sectors, strict=True)])
    beta = np.concatenate([np.full(len(w), s[1]) for w, s in zip(inner, sectors, strict=True)])
    # the rows of b and of r w: A_j = 2 (b b' - r^2 w w')
    low, high = B - alpha[:, None] * A, B - beta[:, None] * A
    T = cp.diag(t)
    form = low.T @ T @ high
    ends = np.zeros((order, order))
    ends[-weights[-1].shape[1] :, -weights[-1].shape[1] :] = weights[-1].T @ weights[-1]
    start = np.zeros((order, order))
    start[: weights[0].shape[1], : weights[0].shape[1]] = np.eye(weights[0].shape[1])
    return -(form + form.T) - rho * start + ends


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
class LmiSolution:
    """What a solver found for the program: min rho such that the LMI holds.

    Attributes
    ----------
    rho : float
        The solver's optimal value, NaN without a point.
    t : ndarray, (n_1 + .. + n_l,)
        The solver's multipliers, cut off at zero.
    X : ndarray
        The dual matrix, in the order of the LMI; its first (d, d) block is fact A's P.
    solution : Solution
        Status, iterations, seconds.
    """

    rho: float
    t: Array
    X: Array
    solution: Solution


def solve_lmi(
    weights: Sequence[Array],
    sectors: Sequence[Sector],
    solver: str | None = None,
    printed: Any = None,
) -> LmiSolution:
    """min rho over rho and T = diag(t) >= 0 such that the LMI holds: program (2) and its kin.

    Parameters
    ----------
    weights : sequence of ndarray
        W_0 .. W_l. For one hidden layer of ReLU and one output the LMI is (3) of the paper.
    sectors : sequence of (alpha, beta)
    solver : str, optional
        A CVXPY solver; MOSEK with a licence, else Clarabel, if None.
    printed : callable, optional
        `sector_matrix` to have the LMI as Pauli et al. print it; one hidden layer.
    """

    units = sum(len(weight) for weight in weights[:-1])
    rho, t = cp.Variable(), cp.Variable(units, nonneg=True)
    if printed is not None:
        matrix = printed(rho, cp.diag(t), *weights, *sectors[0])
    elif tuple(sectors) == ((0.0, 1.0),) and len(weights[1]) == 1:
        matrix = lmi_matrix(rho, t, weights[0], weights[1][0])
    else:
        matrix = layers_matrix(weights, sectors, rho, t)
    lmi = matrix << 0
    solution = solve(cp.Problem(cp.Minimize(rho), [lmi]), solver)
    if not solution.has_point or t.value is None:
        nothing = np.full(units, np.nan)
        return LmiSolution(float("nan"), nothing, np.full(matrix.shape, np.nan), solution)
    X = lmi.dual_value
    return LmiSolution(
        solution.value, np.maximum(np.asarray(t.value), 0.0), (X + X.T) / 2, solution
    )


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
    answer = solve_lmi(_weights(hidden, outer), (_sector(alpha, beta),), solver, sector_matrix)
    bound = float(np.sqrt(max(answer.rho, 0.0))) if answer.solution.has_point else float("nan")
    return SectorBound(bound, answer.t, answer.solution)


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
