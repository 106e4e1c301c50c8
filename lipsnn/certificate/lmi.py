"""Program (2) word for word: the reference for every faster form."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lipsnn._checks import Array
from lipsnn._optional import cp
from lipsnn.network import ShallowNet
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


@dataclass(frozen=True, eq=False)
class LmiSolution:
    """What a solver found for program (2).

    Attributes
    ----------
    rho : float
        The solver's optimal value, NaN without a point.
    t : ndarray, (m,)
        The solver's multipliers, cut off at zero.
    P : ndarray, (d, d)
        The dual matrix of the block -rho I, of trace 1 at the optimum: fact A's P.
    solution : Solution
        Status, iterations, seconds.
    """

    rho: float
    t: Array
    P: Array
    solution: Solution


def solve_lmi(net: ShallowNet, solver: str | None = None) -> LmiSolution:
    """Program (2): min rho over rho and T = diag(t) >= 0 such that M(rho, T, W, a) <= 0."""

    rho, t = cp.Variable(), cp.Variable(net.width, nonneg=True)
    lmi = lmi_matrix(rho, t, net.weights[:, :-1], net.outer) << 0
    problem = cp.Problem(cp.Minimize(rho), [lmi])
    solution = solve(problem, solver)
    d = net.dim
    if not solution.has_point:
        return LmiSolution(
            float("nan"), np.full(net.width, np.nan), np.full((d, d), np.nan), solution
        )
    P = lmi.dual_value[:d, :d]
    return LmiSolution(
        solution.value, np.maximum(np.asarray(t.value), 0.0), (P + P.T) / 2, solution
    )
