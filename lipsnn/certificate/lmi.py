"""The LMIs word for word, in CVXPY: the reference for every faster form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.linalg import block_diag

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
    et al. (2019), Theorem 2, with a sector (alpha, beta) per layer. Affine in rho and the diagonal
    t (n_1 + .. + n_l,) of T, which may be CVXPY's.
    """
    inner = weights[:-1]
    units, order = sum(len(w) for w in inner), sum(w.shape[1] for w in weights)
    A = np.hstack([block_diag(*inner), np.zeros((units, weights[-1].shape[1]))])
    B = np.eye(order)[order - units :]
    alpha, beta = np.repeat(sectors, [len(w) for w in inner], axis=0).T
    # the rows of b and of r w: A_j = 2 (b b' - r^2 w w')
    low, high = B - alpha[:, None] * A, B - beta[:, None] * A
    T = cp.diag(t)
    form = low.T @ T @ high
    start = np.diag(np.arange(order) < weights[0].shape[1]).astype(float)
    ends = np.zeros((order, order))
    ends[-weights[-1].shape[1] :, -weights[-1].shape[1] :] = weights[-1].T @ weights[-1]
    return -(form + form.T) - rho * start + ends


def solve_lmi(
    weights: Sequence[Array],
    sectors: Sequence[Sector],
    solver: str | None = None,
) -> tuple[Array, Array, Solution]:
    """min rho over rho and T = diag(t) >= 0 such that the LMI holds: program (2) and its kin.

    The LMI is (3) of the paper for one hidden layer of ReLU and one output. The solver's
    multipliers, cut off at zero, and NaN without a point; the dual matrix in the order of the LMI,
    whose first (d, d) block is fact A's P; and value, status, iterations and seconds.
    """
    units = sum(len(weight) for weight in weights[:-1])
    rho, t = cp.Variable(), cp.Variable(units, nonneg=True)
    if tuple(sectors) == ((0.0, 1.0),) and len(weights[1]) == 1:
        matrix = lmi_matrix(rho, t, weights[0], weights[1][0])
    else:
        matrix = layers_matrix(weights, sectors, rho, t)
    lmi = matrix << 0
    solution = solve(cp.Problem(cp.Minimize(rho), [lmi]), solver)
    if not solution.has_point or t.value is None:
        return np.full(units, np.nan), np.full(matrix.shape, np.nan), solution
    X = lmi.dual_value
    return np.maximum(np.asarray(t.value), 0.0), (X + X.T) / 2, solution
