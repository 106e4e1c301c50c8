"""Programs (6) and (12) in CVXPY as the paper prints them, and the joint program of the book.

Each takes the data with the bias feature, X (n, d + 1); activation patterns, a boolean (n, m)
whose column i is the diagonal of D_i; and signs s (m,). A unit with s_i = +1 is one of the
paper's u_i (its pattern in P+), one with s_i = -1 a v_j (its pattern in P-); both are rows of
one matrix here. With `offset` an output bias b, which the paper's networks do not have, is one more
variable: it is linear in the output, has no rows and no cost; a number is its value. With a `bound`
L the two Lipschitz programs minimise the loss alone under rho <= L^2, and `strength` has no
meaning. `loss` is the squared one as printed, or another of `lipsnn.losses`.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import sparse

from lipsnn._checks import Array
from lipsnn._optional import cp
from lipsnn.certificate.lmi import lmi_matrix
from lipsnn.convex.result import ProgramSolution
from lipsnn.losses import SQUARED, Separable, expression
from lipsnn.solvers import solve


def solve_l2(
    X: Array,
    y: Array,
    patterns: Array,
    signs: Array,
    strength: float,
    solver: str | None = None,
    offset: bool | float = False,
    loss: Separable = SQUARED,
) -> ProgramSolution:
    """Program (6): l2-regularised training within fixed patterns and signs.

    Returns
    -------
    ProgramSolution
        `weights` are the u_i and v_j, (m, d + 1).
    """
    u = cp.Variable((patterns.shape[1], X.shape[1]))
    value = _loss(X, y, patterns, signs, u, offset, loss) + strength * cp.sum(cp.norm(u, 2, axis=1))
    return solution(cp.Problem(cp.Minimize(value), _cones(X, patterns, u)), u, solver)


def solve_lipschitz(
    X: Array,
    y: Array,
    patterns: Array,
    signs: Array,
    kappa: Array,
    multipliers: Array,
    strength: float | None,
    solver: str | None = None,
    offset: bool | float = False,
    loss: Separable = SQUARED,
    bound: float | None = None,
) -> ProgramSolution:
    """Program (12): Lipschitz training at fixed T = diag(multipliers) and kappa = |a|.

    Units with kappa_i = 0 are left out: their t_i is 0 too, and they have no effect.

    Returns
    -------
    ProgramSolution
        `weights` are the u_i and v_j, (m, d + 1), zero for units left out.
    """
    used = (kappa > 0) & (multipliers > 0)
    patterns, outer, t = patterns[:, used], (signs * kappa)[used], multipliers[used]
    w, rho = cp.Variable((outer.size, X.shape[1])), cp.Variable()
    constraints = [*_cones(X, patterns, w), lmi_matrix(rho, t, w[:, :-1], outer) << 0]
    value = _loss(X, y, patterns, outer, w, offset, loss)
    problem = priced(value, constraints, rho, strength, bound)
    found = solution(problem, w, solver, rho, None if bound else strength)
    if found.weights is None:
        return found
    weights = np.zeros((used.size, X.shape[1]))
    weights[used] = found.weights
    return replace(found, weights=weights, cone_duals=None)


def solve_joint(
    X: Array,
    y: Array,
    patterns: Array,
    signs: Array,
    strength: float | None,
    solver: str | None = None,
    offset: bool | float = False,
    loss: Separable = SQUARED,
    bound: float | None = None,
) -> ProgramSolution:
    """The joint program: (4) within fixed patterns and signs, over W, |a| and T together.

    Not in the paper. In z_i = a_i w_i and q_i = a_i^2 / (2 t_i), with zbar_0 = sum_i zbar_i
    and q_0 = 1 - sum_i q_i, the LMI (2b) reads
    ``[[rho I, Zbar_0'], [Zbar_0, 4 diag(q_0, ..., q_m)]] >= 0``, so that T need not be fixed.

    Returns
    -------
    ProgramSolution
        `weights` are the z_i, (m, d + 1), and `shares` the q_i, (m,).
    """
    m, d = patterns.shape[1], X.shape[1] - 1
    z, q, rho = cp.Variable((m, d + 1)), cp.Variable(m, nonneg=True), cp.Variable()
    slopes = cp.vstack([cp.sum(z[:, :-1], axis=0, keepdims=True), z[:, :-1]])
    shares = cp.hstack([1 - cp.sum(q), q])
    lmi = cp.bmat([[rho * np.eye(d), slopes.T], [slopes, 4 * cp.diag(shares)]])
    constraints = [*_cones(X, patterns, cp.multiply(signs[:, None], z)), (lmi + lmi.T) / 2 >> 0]
    value = _loss(X, y, patterns, np.ones(m), z, offset, loss)
    problem = priced(value, constraints, rho, strength, bound)
    return solution(problem, z, solver, rho, None if bound else strength, q)


def _loss(
    X: Array,
    y: Array,
    patterns: Array,
    outer: Array,
    w: cp.Expression,
    offset: bool | float,
    loss: Separable,
) -> cp.Expression:
    """``1/2 |sum_i a_i D_i X w_i + b - y|^2`` or another loss, b free if `offset` is True."""
    fitted = cp.sum(cp.multiply(patterns * outer[None, :], X @ w.T), axis=1)
    fitted += cp.Variable() if offset is True else float(offset)
    return expression(loss, fitted, y)


def _cones(X: Array, patterns: Array, w: cp.Expression) -> list[cp.Constraint]:
    """The cones (5): ``(2 D_i - I) X w_i >= 0`` for every unit."""
    return [cp.multiply(2.0 * patterns - 1.0, X @ w.T) >= 0]


def priced(
    loss: cp.Expression,
    constraints: list[cp.Constraint],
    rho: cp.Variable,
    strength: float | None,
    bound: float | None,
) -> cp.Problem:
    """The problem with rho at its price or, by its last constraint, under the bound."""
    if bound is None:
        return cp.Problem(cp.Minimize(loss + strength * rho), constraints)
    return cp.Problem(cp.Minimize(loss), [*constraints, rho <= bound**2])


def solution(
    problem: cp.Problem,
    weights: cp.Variable,
    solver: str | None,
    rho: cp.Variable | None = None,
    strength: float | None = None,
    shares: cp.Variable | None = None,
) -> ProgramSolution:
    """Solve it, whose first constraints are the cones; without a strength, rho is under a bound."""
    stats = solve(problem, solver)
    point, duals = None, None
    if stats.has_point and weights.value is not None:
        point = np.asarray(weights.value)
        found = problem.constraints[0].dual_value
        duals = None if found is None else sparse.csr_array(np.asarray(found).T)
        if rho is not None and strength is None:  # the multiplier of the bound, which comes last
            strength = problem.constraints[-1].dual_value
    return ProgramSolution(
        **vars(stats),
        weights=point,
        rho=None if rho is None or point is None else float(np.asarray(rho.value)),
        shares=None if shares is None or point is None else np.asarray(shares.value),
        strength=None if strength is None else float(strength),
        cone_duals=duals,
    )
