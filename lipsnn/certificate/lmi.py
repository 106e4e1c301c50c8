"""Program (2) word for word: the reference for every faster form."""

from __future__ import annotations

import cvxpy as cp
import numpy as np

from lipsnn._checks import Array
from lipsnn.network import ShallowNet
from lipsnn.solvers import Solution, solve


def lmi_matrix(
    rho: cp.Expression | float, t: cp.Expression | Array, wbar: cp.Expression | Array,
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


def solve_lmi(net: ShallowNet, solver: str | None = None) -> tuple[float, Array, Solution]:
    """Program (2): min rho over rho and T = diag(t) >= 0 such that M(rho, T, W, a) <= 0.

    Returns
    -------
    rho : float
        The optimal value, NaN without a point.
    t : ndarray, (m,)
        The multipliers.
    solution : Solution
    """
    rho, t = cp.Variable(), cp.Variable(net.width, nonneg=True)
    problem = cp.Problem(
        cp.Minimize(rho), [lmi_matrix(rho, t, net.weights[:, :-1], net.outer) << 0]
    )
    solution = solve(problem, solver)
    if not solution.has_point:
        return float("nan"), np.full(net.width, np.nan), solution
    return float(rho.value), np.maximum(t.value, 0.0), solution
