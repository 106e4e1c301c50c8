"""Programs (6), (12) and the joint one, from the user's arrays to the method and back.

Arguments common to all three, those after `strength` by name:

X1 : ndarray, (n, d + 1), or Samples
    Data with the bias feature.
y : ndarray, (n,)
patterns : ndarray of bool, (n, m), or Patterns
    Column i is the diagonal of D_i.
signs : ndarray, (m,)
    s_i.
strength : float
    lam_reg or lam_lip, positive. Without meaning, None will do, where there is a `bound`.
bound : float, optional
    L, positive: the loss alone under ``rho <= L^2``, in (12) and the joint program. The solution
    has the strength, the multiplier of rho, at which it is the solution without a bound.
inside : ndarray, (m, d + 1), optional
    Weights with these patterns, as a refinement has them: the rows that are carried are found by
    them. Without any, all n m rows are.
start : ProgramSolution, optional
    Of a program on the same data. What serves again is taken from it: the Gram matrix, up to rows
    whose patterns have changed; in the same cells the rows that are carried; and at a similar
    strength, or at other kappa and multipliers, an iterate to start from.
offset : bool
    Whether a constant, free and without cost, is added to the output. For fixed z the best one is
    the mean of what is left of y, so that it is eliminated: D_i X and y lose their column means.
weights : ndarray, (n,), optional
    Of the samples in the loss, positive; 1 if None.
tol : float
    For the relative gap and both residuals.
max_iterations : int
    In all; a method that stalls starts again with shorter steps.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from lipsnn._checks import Array
from lipsnn.convex.result import ProgramSolution
from lipsnn.convex.samples import Samples
from lipsnn.convex.structured.norms import NormCone
from lipsnn.convex.structured.program import Patterned, Program

# q_0 = 1 - sum q_i may miss zero by this much, the accuracy of a T from program (2).
_SHARE_SLACK = 1e-8
# The least q_0 the LMI is solved with; at q_0 = 0 it forces sum_i zbar_i = 0.
_LEAST_SHARE = 1e-10


def solve_l2(
    X1: Array | Samples,
    y: Array,
    patterns: Patterned,
    signs: Array,
    strength: float,
    **settings: Any,
) -> ProgramSolution:
    """Program (6): `weights` are the u_i and v_j, (m, d + 1)."""
    problem = Program(X1, y, patterns, signs, **settings)
    cost = strength * problem.unit_cost / problem.scale
    return problem.solve(NormCone(problem.p, problem.g, cost), factors=signs.astype(np.float64))


def solve_lipschitz(
    X1: Array | Samples,
    y: Array,
    patterns: Patterned,
    signs: Array,
    kappa: Array,
    multipliers: Array,
    strength: float | None,
    *,
    bound: float | None = None,
    **settings: Any,
) -> ProgramSolution:
    """Program (12): Lipschitz training at fixed T = diag(multipliers) and kappa = |a|.

    It is the joint program at fixed q_i = kappa_i^2 / (2 t_i), in z_i = s_i kappa_i w_i. Units
    with kappa_i = 0 or t_i = 0 are left out: their weights are zero.

    Parameters
    ----------
    kappa, multipliers : ndarray, (m,)
        |a_i| and t_i.

    Returns
    -------
    ProgramSolution
        `weights` are the u_i and v_j, (m, d + 1), and `shares` the given q_i. Status
        "infeasible" without a point if ``1/2 sum kappa_i^2 / t_i > 1`` (Lemma 6).
    """
    used = (kappa > 0) & (multipliers > 0)
    shares = np.zeros(len(kappa))
    shares[used] = kappa[used] ** 2 / (2.0 * multipliers[used])
    rest = 1.0 - float(shares.sum())
    if rest < -_SHARE_SLACK:
        return ProgramSolution(float("nan"), "infeasible", "structured", 0, 0.0)
    problem = Program(X1, y, patterns, signs, shares, **settings)
    fixed = np.concatenate([[max(rest, _LEAST_SHARE)], problem.units.shares])
    solution = problem.solve(
        problem.arrow(strength, bound, fixed), strength, np.where(used, signs * kappa, 0.0)
    )
    return replace(solution, shares=shares)


def solve_joint(
    X1: Array | Samples,
    y: Array,
    patterns: Patterned,
    signs: Array,
    strength: float | None,
    *,
    bound: float | None = None,
    **settings: Any,
) -> ProgramSolution:
    """The joint program (fact C): `weights` are z_i = a_i w_i, (m, d + 1), `shares` q_i, (m,)."""
    problem = Program(X1, y, patterns, signs, **settings)
    return problem.solve(problem.arrow(strength, bound), strength)
