"""Programs (6), (12) and the joint one, from the user's arrays to the method and back.

Arguments common to all three, `start` only to the Lipschitz programs:

X1 : ndarray, (n, d + 1)
    Data with the bias feature.
y : ndarray, (n,)
patterns : ndarray of bool, (n, m)
    Column i is the diagonal of D_i.
signs : ndarray, (m,)
    s_i.
strength : float
    lam_reg or lam_lip, positive.
start : ProgramSolution, optional
    Of the same program at another strength, or at other kappa and multipliers, to start from.
    One whose data or patterns differ in shape is not used.
tol : float
    For the relative gap and both residuals.
max_iterations : int
    In all; a method that stalls starts again with shorter steps.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from lipsnn._checks import Array
from lipsnn.certificate.threads import one_blas_thread
from lipsnn.convex.solution import ProgramSolution
from lipsnn.convex.structured import interior
from lipsnn.convex.structured.arrow import ArrowCone
from lipsnn.convex.structured.merge import Units, first_and_inverse
from lipsnn.convex.structured.norms import NormCone
from lipsnn.convex.structured.rows import Rows

# q_0 = 1 - sum q_i may miss zero by this much, the accuracy of a T from program (2).
_SHARE_SLACK = 1e-8
# The least q_0 the LMI is solved with; at q_0 = 0 it forces sum_i zbar_i = 0.
_LEAST_SHARE = 1e-10


def solve_l2(
    X1: Array,
    y: Array,
    patterns: Array,
    signs: Array,
    strength: float,
    *,
    tol: float = 1e-8,
    max_iterations: int = 200,
) -> ProgramSolution:
    """Program (6): l2-regularised training within fixed patterns and signs.

    Returns
    -------
    ProgramSolution
        `weights` are the u_i and v_j, (m, d + 1).
    """
    problem = _Merged(X1, y, patterns, signs)
    cost = strength * problem.unit_cost / problem.scale
    point = problem.solve(lambda p, g: NormCone(p, g, cost), tol, max_iterations)
    return problem.solution(point, factors=signs.astype(np.float64))


def solve_lipschitz(
    X1: Array,
    y: Array,
    patterns: Array,
    signs: Array,
    kappa: Array,
    multipliers: Array,
    strength: float,
    *,
    start: ProgramSolution | None = None,
    tol: float = 1e-8,
    max_iterations: int = 200,
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
        return ProgramSolution(float("nan"), None, "infeasible", "structured", 0, 0.0)
    problem = _Merged(X1, y, patterns, signs, shares)
    cost = strength * problem.unit_cost
    fixed = np.concatenate([[max(rest, _LEAST_SHARE)], problem.units.shares])
    point = problem.solve(lambda p, g: ArrowCone(p - 1, g, cost, fixed), tol, max_iterations, start)
    factors = np.where(used, signs * kappa, 0.0)
    return problem.solution(point, rho=point.extras[-1], shares=shares, factors=factors)


def solve_joint(
    X1: Array,
    y: Array,
    patterns: Array,
    signs: Array,
    strength: float,
    *,
    start: ProgramSolution | None = None,
    tol: float = 1e-8,
    max_iterations: int = 200,
) -> ProgramSolution:
    """The joint program: (4) within fixed patterns and signs, over W, |a| and T (fact C).

    Returns
    -------
    ProgramSolution
        `weights` are the z_i = a_i w_i, (m, d + 1), and `shares` the q_i, (m,).
    """
    problem = _Merged(X1, y, patterns, signs)
    cost = strength * problem.unit_cost
    point = problem.solve(lambda p, g: ArrowCone(p - 1, g, cost), tol, max_iterations, start)
    shares = problem.units.split(point.extras[:-1])
    return problem.solution(point, rho=point.extras[-1], shares=shares)


class _Merged:
    """A program at unit scale, with equal samples and equal units merged."""

    def __init__(
        self, X1: Array, y: Array, patterns: Array, signs: Array, shares: Array | None = None
    ) -> None:
        self.began = time.perf_counter()
        self.units = units = Units(patterns, signs, shares)
        first, self.inverse = first_and_inverse(X1 + 0.0, units.bits)
        n = len(y)
        self.counts = np.bincount(self.inverse, minlength=first.size)
        means = np.bincount(self.inverse, y, minlength=first.size) / self.counts
        # inputs and targets of mean square one; the loss as a mean, so that the objective is of
        # order one; the weights then count in units of `scale`
        self.inputs = inputs = float(np.sqrt(np.mean(X1**2)))
        targets = float(np.sqrt(np.mean(y**2))) or 1.0
        self.scale = targets / inputs
        self.factor = n * targets**2
        self.unit_cost = 1.0 / (n * inputs**2)
        self.rows = Rows(
            X1[first] / inputs,
            means / targets,
            self.counts / n,
            units.bits[first],
            units.signs,
            constant=0.5 * float(y @ y) / self.factor,
        )

    def solve(
        self,
        cone: Callable[[int, int], Any],
        tol: float,
        max_iterations: int,
        start: ProgramSolution | None = None,
    ) -> interior.Iterate:
        """Run the method with the cone made for (d + 1) inputs and g merged units."""
        p, g = self.rows.p, self.rows.g
        if g == 0 or not self.rows.pull(self.rows.y).any():
            zero = np.zeros((self.rows.n, g))
            return interior.Iterate(
                Z=np.zeros((p, g)),
                extras=np.zeros(g + 1),
                multipliers=zero,
                cone_multiplier=zero,
                value=self.rows.constant,
                gap=0.0,
                primal_residual=0.0,
                dual_residual=0.0,
                iterations=0,
                status="optimal",
            )
        warm = None if start is None else start.warm
        return one_blas_thread(interior.solve)(self.rows, cone(p, g), tol, max_iterations, warm)

    def solution(
        self,
        point: interior.Iterate,
        rho: float | None = None,
        shares: Array | None = None,
        factors: Array | None = None,
    ) -> ProgramSolution:
        """Back to the user's units and scale; z_i / factors_i is what is returned."""
        weights = self.units.split(point.Z.T) * self.scale
        duals = self.units.copy((point.multipliers / self.counts[:, None])[self.inverse].T)
        duals *= self.factor / (self.scale * self.inputs)
        if factors is not None:
            weights /= np.where(factors != 0, factors, 1.0)[:, None]
            duals *= np.abs(factors)[:, None]
        return ProgramSolution(
            value=point.value * self.factor,
            weights=weights,
            status=point.status,
            solver="structured",
            iterations=point.iterations,
            seconds=time.perf_counter() - self.began,
            rho=None if rho is None else float(rho) * self.scale**2,
            shares=shares,
            gap=point.gap,
            primal_residual=point.primal_residual,
            dual_residual=point.dual_residual,
            cone_duals=duals,
            warm=point.warm,
        )
