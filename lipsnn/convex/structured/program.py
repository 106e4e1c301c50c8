"""A restricted program at unit scale: what is merged before the method, and the way back."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from scipy import sparse

from lipsnn._checks import Array
from lipsnn.certificate.threads import one_blas_thread
from lipsnn.convex.result import ProgramSolution
from lipsnn.convex.samples import Patterns, Samples, as_samples
from lipsnn.convex.structured import interior
from lipsnn.convex.structured import loss as losses
from lipsnn.convex.structured.arrow import ArrowCone
from lipsnn.convex.structured.merge import Units, among_copies, equal_samples
from lipsnn.convex.structured.newton import Iterate
from lipsnn.convex.structured.rows import Rows

# Order of the Newton system from which its factorisation is worth all the threads there are.
_WIDE = 3000
# What a strength and a bound near the ends of float64 count as, at unit scale.
_LEAST_COST, _BOUNDS = 1e-300, (1e-140, 1e140)

Patterned = Array | Patterns


class Program:
    """A program at unit scale, with equal samples and equal units merged."""

    def __init__(
        self,
        X1: Array | Samples,
        y: Array,
        patterns: Patterned,
        signs: Array,
        shares: Array | None = None,
        *,
        inside: Array | None = None,
        start: ProgramSolution | None = None,
        offset: bool = False,
        weights: Array | None = None,
        tol: float = 1e-8,
        max_iterations: int = 200,
    ) -> None:
        self.began, self.limits = time.perf_counter(), (tol, max_iterations)
        self.given, self.offset = as_samples(X1), offset
        self.even = weights is None
        given = np.ones(len(y)) if weights is None else weights
        n = float(given.sum())
        self.shares = given / n  # of the samples in the loss
        if offset:
            y = losses.centred(y, self.shares)
        square = float(self.shares @ y**2)
        if square < np.finfo(float).tiny:  # the objective cannot tell y from zero
            y, square = 0.0 * y, 1.0
        self.y = y
        self.units = units = Units(Patterns.pack(patterns), signs, shares)
        # inputs and targets of mean square one; the loss as a mean, so that the objective is of
        # order one; the weights then count in units of `scale`
        self.inputs = float(np.sqrt(self.given.mean_square))
        targets = float(np.sqrt(square))
        self.scale = targets / self.inputs
        self.spread, self.factor = targets**2, n * targets**2
        self.unit_cost = 1.0 / (n * self.inputs**2)
        self.p, self.g = self.given.p, units.g
        self.warm: Iterate | None = None
        before = None if start is None else start.warm
        if before is None or before.given.source is not self.given.source:
            before = None
        if before is not None and before.units.same(units):
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

    def _loss(self, before: Program | None) -> losses.Loss:
        bits, g = self.units.patterns.bits, self.g
        samples = self.given.scaled(1.0 / self.inputs)
        gram: Array | None = None
        if before is not None and before.g == g and before.even and self.even:
            gram, old = before.gram, before.units.patterns.bits
            if old is not bits:
                gram = losses.updated(gram, samples, old, bits, g, self.shares)
        if g == 0:
            gram = np.zeros((0, 0))
        elif gram is None:
            shares = self.shares
            if self.merged is not None:
                shares = np.bincount(self.merged[1], shares).astype(np.float64)
            gram = losses.gram(self.samples, self.bits, g, shares)
        self.gram: Array = gram  # as the next program may need it, not centred
        weighted = self.shares * self.y * (self.inputs * self.scale / self.spread)
        linear = losses.linear(samples, bits, g, weighted)
        sizes = np.diagonal(gram).reshape(self.p, g).sum(axis=1) / max(g, 1)
        if self.offset:
            means = losses.linear(samples, bits, g, self.shares).ravel()
            gram = gram - np.outer(means, means)
        constant = 0.5 * float(self.shares @ self.y**2) / self.spread
        return losses.Loss(gram, linear, sizes, constant)

    def arrow(
        self, strength: float | None, bound: float | None, shares: Array | None = None
    ) -> ArrowCone:
        """The LMI at this program's scale, its (q_0, .., q_g) fixed at `shares` or free."""
        cost = None if strength is None else max(strength * self.unit_cost, _LEAST_COST)
        rho = None if bound is None else float(np.clip(bound / self.scale, *_BOUNDS)) ** 2
        return ArrowCone(self.p - 1, self.g, cost, rho, shares)

    def solve(
        self, cone: Any, strength: float | None = None, factors: Array | None = None
    ) -> ProgramSolution:
        """Run the method, and back to the user's units and scale; z_i / factors_i is returned."""
        point = self._point(cone)
        weights = self.units.split(point.Z.T) * self.scale
        if factors is not None:
            weights /= np.where(factors != 0, factors, 1.0)[:, None]
        rho = shares = None
        if isinstance(cone, ArrowCone):
            rho = cone.rho
            if rho is None:
                rho = point.extras[-1]
            else:  # what a unit of it is worth
                strength = float(np.trace(point.Y[: cone.d, : cone.d])) / self.unit_cost
            rho = float(rho) * self.scale**2
            shares = self.units.split(point.extras[: self.g]) if cone.free else None
        return ProgramSolution(
            value=point.value * self.factor,
            weights=weights,
            status=point.status,
            solver="structured",
            iterations=point.iterations,
            seconds=time.perf_counter() - self.began,
            rho=rho,
            strength=strength,
            shares=shares,
            gap=point.gap,
            primal_residual=point.primal_residual,
            dual_residual=point.dual_residual,
            cone_duals=self._duals(point.multipliers, factors),
            warm=self,
        )

    def _point(self, cone: Any) -> Iterate:
        p, g = self.p, self.g
        start, self.warm = self.warm, None
        # the norms of (6) gain nothing by it
        arrows = start is not None and type(start.cone) is type(cone) is ArrowCone
        start = start if arrows and start and start.cone.extras == cone.extras else None
        if g == 0 or not self.loss.linear.any():
            none = np.zeros((g, 0))
            zeros = np.zeros((p, g)), np.zeros(cone.extras), none, none, np.zeros((p + g,) * 2)
            return Iterate(*zeros, cone, self.loss.constant, 0.0, 0.0, 0.0, status="optimal")
        # small dense algebra is slower on two threads, large is not
        run = interior.solve if p * g >= _WIDE else one_blas_thread(interior.solve)
        point = run(self.loss, self.rows, cone, *self.limits, start)
        self.warm = point.warm
        return point

    def _duals(self, multipliers: Array, factors: Array | None) -> sparse.csr_array:
        """The multipliers of the rows that were carried, shared among equal samples, (m, n)."""
        index = self.rows.index[:, : multipliers.shape[1]]
        unit = np.repeat(np.arange(self.g), index.shape[1])
        sample, values = index.ravel(), multipliers.ravel()
        if self.merged is not None:
            unit, sample, values = among_copies(self.merged[1], self.counts, unit, sample, values)
        duals = sparse.csr_array((values, (unit, sample)), shape=(self.g, len(self.y)))
        size = np.ones(self.units.m) if factors is None else np.abs(factors)
        return self.units.copies(size * self.factor / (self.scale * self.inputs)) @ duals
