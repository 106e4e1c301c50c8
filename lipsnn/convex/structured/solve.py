"""Programs (6), (12) and the joint one, from the user's arrays to the method and back.

Arguments common to all three:

X1 : ndarray, (n, d + 1), or Samples
    Data with the bias feature.
y : ndarray, (n,)
patterns : ndarray of bool, (n, m), or Patterns
    Column i is the diagonal of D_i.
signs : ndarray, (m,)
    s_i.
strength : float
    lam_reg or lam_lip, positive.
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
from scipy import sparse

from lipsnn._checks import Array
from lipsnn.certificate.threads import one_blas_thread
from lipsnn.convex.samples import Patterns, Samples, as_samples
from lipsnn.convex.solution import ProgramSolution
from lipsnn.convex.structured import interior
from lipsnn.convex.structured import loss as losses
from lipsnn.convex.structured.arrow import ArrowCone
from lipsnn.convex.structured.merge import Units, equal_samples
from lipsnn.convex.structured.norms import NormCone
from lipsnn.convex.structured.rows import Rows

# q_0 = 1 - sum q_i may miss zero by this much, the accuracy of a T from program (2).
_SHARE_SLACK = 1e-8
# Order of the Newton system from which its factorisation is worth all the threads there are.
_WIDE = 3000
# The least q_0 the LMI is solved with; at q_0 = 0 it forces sum_i zbar_i = 0.
_LEAST_SHARE = 1e-10
# What a strength near the end of float64 counts as, at unit scale.
_LEAST_COST = 1e-300


def solve_l2(
    X1: Array | Samples,
    y: Array,
    patterns: Array | Patterns,
    signs: Array,
    strength: float,
    *,
    inside: Array | None = None,
    start: ProgramSolution | None = None,
    offset: bool = False,
    tol: float = 1e-8,
    max_iterations: int = 200,
) -> ProgramSolution:
    """Program (6): l2-regularised training within fixed patterns and signs.

    Returns
    -------
    ProgramSolution
        `weights` are the u_i and v_j, (m, d + 1).
    """
    problem = _Program(X1, y, patterns, signs, inside, start, offset)
    cost = strength * problem.unit_cost / problem.scale
    point = problem.solve(lambda p, g: NormCone(p, g, cost), tol, max_iterations)
    return problem.solution(point, factors=signs.astype(np.float64))


def solve_lipschitz(
    X1: Array | Samples,
    y: Array,
    patterns: Array | Patterns,
    signs: Array,
    kappa: Array,
    multipliers: Array,
    strength: float,
    *,
    inside: Array | None = None,
    start: ProgramSolution | None = None,
    offset: bool = False,
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
    problem = _Program(X1, y, patterns, signs, inside, start, offset, shares)
    cost = max(strength * problem.unit_cost, _LEAST_COST)
    fixed = np.concatenate([[max(rest, _LEAST_SHARE)], problem.units.shares])
    point = problem.solve(
        lambda p, g: ArrowCone(p - 1, g, cost, fixed), tol, max_iterations, warm=True
    )
    factors = np.where(used, signs * kappa, 0.0)
    return problem.solution(point, rho=point.extras[-1], shares=shares, factors=factors)


def solve_joint(
    X1: Array | Samples,
    y: Array,
    patterns: Array | Patterns,
    signs: Array,
    strength: float,
    *,
    inside: Array | None = None,
    start: ProgramSolution | None = None,
    offset: bool = False,
    tol: float = 1e-8,
    max_iterations: int = 200,
) -> ProgramSolution:
    """The joint program: (4) within fixed patterns and signs, over W, |a| and T (fact C).

    Returns
    -------
    ProgramSolution
        `weights` are the z_i = a_i w_i, (m, d + 1), and `shares` the q_i, (m,).
    """
    problem = _Program(X1, y, patterns, signs, inside, start, offset)
    cost = max(strength * problem.unit_cost, _LEAST_COST)
    point = problem.solve(lambda p, g: ArrowCone(p - 1, g, cost), tol, max_iterations, warm=True)
    shares = problem.units.split(point.extras[:-1])
    return problem.solution(point, rho=point.extras[-1], shares=shares)


class _Program:
    """A program at unit scale, with equal samples and equal units merged."""

    def __init__(
        self,
        X1: Array | Samples,
        y: Array,
        patterns: Array | Patterns,
        signs: Array,
        inside: Array | None,
        start: ProgramSolution | None,
        offset: bool = False,
        shares: Array | None = None,
    ) -> None:
        self.began = time.perf_counter()
        self.given, self.offset = as_samples(X1), offset
        self.y = y = losses.centred(y) if offset else y
        self.units = units = Units(Patterns.pack(patterns), signs, shares)
        n = len(y)
        # inputs and targets of mean square one; the loss as a mean, so that the objective is of
        # order one; the weights then count in units of `scale`
        self.inputs = float(np.sqrt(self.given.mean_square))
        targets = float(np.sqrt(np.mean(y**2))) or 1.0
        self.scale = targets / self.inputs
        self.factor = n * targets**2
        self.unit_cost = 1.0 / (n * self.inputs**2)
        self.p, self.g = self.given.p, units.g
        self.warm: interior.WarmStart | None = None
        before = None if start is None else start.warm
        if before is None or before.given.source is not self.given.source:
            before = None
        if before is not None and before.has_cells_of(units):
            self.merged, self.counts, self.samples = before.merged, before.counts, before.samples
            self.rows, self.bits = before.rows, before.bits
            self.warm = before.warm if before.offset == offset else None
        else:
            self._merge(inside)
        self.loss = self._loss(before)

    def _merge(self, inside: Array | None) -> None:
        bits = self.units.patterns.bits
        self.merged = equal_samples(self.given, bits)
        self.samples, self.counts = self.given.scaled(1.0 / self.inputs), np.ones(len(self.y))
        self.bits = bits
        if self.merged is not None:
            first, inverse = self.merged
            self.samples = Samples(self.samples.rows(first), biased=True)
            self.counts = np.bincount(inverse).astype(np.float64)
            self.bits = bits[first]
        inside = None if inside is None else inside[self.units.first]
        self.rows = Rows(self.samples, self.bits, self.units.signs, inside)

    def _loss(self, before: _Program | None) -> losses.Loss:
        n, bits, g = len(self.y), self.units.patterns.bits, self.g
        samples = self.given.scaled(1.0 / self.inputs)
        gram: Array | None = None
        if before is not None and before.g == g:
            gram, old = before.gram, before.units.patterns.bits
            if old is not bits:
                gram = losses.updated(gram, samples, old, bits, g, np.full(n, 1.0 / n))
        if g == 0:
            gram = np.zeros((0, 0))
        elif gram is None:
            gram = losses.gram(self.samples, self.bits, g, self.counts / n)
        self.gram: Array = gram  # as the next program may need it, not centred
        weighted = self.y * (self.inputs * self.scale / self.factor)
        linear = losses.linear(samples, bits, g, weighted)
        sizes = np.diagonal(gram).reshape(self.p, g).sum(axis=1) / max(g, 1)
        if self.offset:
            means = losses.linear(samples, bits, g, np.full(n, 1.0 / n)).ravel()
            gram = gram - np.outer(means, means)
        constant = 0.5 * float(self.y @ self.y) / self.factor
        return losses.Loss(gram, linear, sizes, constant)

    def has_cells_of(self, units: Units) -> bool:
        """Whether its own merged units are the same."""
        ours = self.units
        return (
            ours.patterns.m == units.patterns.m
            and np.array_equal(ours.signs, units.signs)
            and np.array_equal(ours.patterns.bits, units.patterns.bits)
        )

    def solve(
        self,
        cone: Callable[[int, int], Any],
        tol: float,
        max_iterations: int,
        warm: bool = False,
    ) -> interior.Iterate:
        """Run the method with the cone made for (d + 1) inputs and g merged units."""
        p, g = self.p, self.g
        start, self.warm = self.warm if warm else None, None
        if g == 0 or not self.loss.linear.any():
            return interior.Iterate(
                Z=np.zeros((p, g)),
                extras=np.zeros(g + 1),
                multipliers=np.zeros((g, 0)),
                value=self.loss.constant,
                gap=0.0,
                primal_residual=0.0,
                dual_residual=0.0,
                status="optimal",
            )
        # small dense algebra is slower on two threads, large is not
        run = interior.solve if p * g >= _WIDE else one_blas_thread(interior.solve)
        point = run(self.loss, self.rows, cone(p, g), tol, max_iterations, start)
        self.warm = point.warm
        return point

    def solution(
        self,
        point: interior.Iterate,
        rho: float | None = None,
        shares: Array | None = None,
        factors: Array | None = None,
    ) -> ProgramSolution:
        """Back to the user's units and scale; z_i / factors_i is what is returned."""
        weights = self.units.split(point.Z.T) * self.scale
        if factors is not None:
            weights /= np.where(factors != 0, factors, 1.0)[:, None]
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
            cone_duals=self._duals(point.multipliers, factors),
            warm=self,
        )

    def _duals(self, multipliers: Array, factors: Array | None) -> sparse.csr_array:
        """The multipliers of the rows that were carried, shared among equal samples, (m, n)."""
        index = self.rows.index[:, : multipliers.shape[1]]
        unit = np.repeat(np.arange(self.g), index.shape[1])
        sample, values = index.ravel(), multipliers.ravel()
        if self.merged is not None:
            inverse = self.merged[1]
            values, copies = values / self.counts[sample], self.counts[sample].astype(np.intp)
            order = np.argsort(inverse, kind="stable")
            begin = np.repeat((np.cumsum(self.counts) - self.counts)[sample], copies)
            within = np.arange(copies.sum()) - np.repeat(np.cumsum(copies) - copies, copies)
            sample = order[begin.astype(np.intp) + within]
            unit, values = np.repeat(unit, copies), np.repeat(values, copies)
        duals = sparse.csr_array((values, (unit, sample)), shape=(self.g, len(self.y)))
        size = np.ones(self.units.m) if factors is None else np.abs(factors)
        return self.units.copies(size * self.factor / (self.scale * self.inputs)) @ duals
