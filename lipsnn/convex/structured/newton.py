"""The Newton system of order g (d + 1) + extras: assembly, factorisation, refined directions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import blas, lapack

from lipsnn._checks import Array
from lipsnn.convex.structured.loss import Loss
from lipsnn.convex.structured.rows import Rows

# Weight of the proximal term |Z - Z_k|^2 / 2, relative to the mean square of each feature. It
# bounds the step where the data leave a direction free; no solution depends on it.
_PROXIMAL = 1e-9
# Relative lift of the factored matrix's diagonal; refinement takes it out again.
_LIFTS = (1e-14, 1e-12, 1e-10, 1e-8)
# Refinement ends when stationarity holds to this, relative to the data, or after so many rounds.
_REFINED = 1e-11
_REFINEMENTS = 10


@dataclass(eq=False)
class Iterate:
    """A primal-dual point with its measures of optimality.

    `warm` is one half way, near the central path, from which a similar program may start.
    """

    Z: Array
    extras: Array
    s: Array
    multipliers: Array
    Y: Array
    cone: Any
    value: float
    gap: float
    primal_residual: float
    dual_residual: float
    iterations: int = 0
    status: str = ""
    warm: Iterate | None = None

    @property
    def error(self) -> float:
        return max(self.gap, self.primal_residual, self.dual_residual)


@dataclass
class Residuals:
    """How far an iterate is from feasibility: each must vanish at the solution."""

    dual: Array  # of Z, (p, g)
    extras: Array
    rows: Array  # slack of the rows minus its definition, (g, K)


@dataclass
class Direction:
    """A Newton direction; the `pair` of the cone's slack and multiplier in scaled coordinates."""

    Z: Array
    extras: Array
    slack: Array
    multiplier: Array
    pair: tuple[Array, Array]


class Newton:
    """``G dZ - C' dl - A* dY = -r`` with dl = a - w (C dZ - r_p) and dY = B - A dZ, scaled."""

    def __init__(self, loss: Loss, rows: Rows, cone: Any) -> None:
        self._loss, self._rows, self._cone = loss, rows, cone
        self._size = rows.p * rows.g
        self._prox = np.repeat(_PROXIMAL * loss.sizes, rows.g)
        self._order = self._size + cone.extras
        pull = np.abs(loss.linear).max()
        cost = cone.cost.max() if cone.cost.any() else pull
        scale = np.repeat([pull, cost], [self._size, cone.extras])
        self._accuracy = _REFINED * scale
        self._matrix = np.zeros((self._order, self._order))
        unit = np.arange(rows.g)
        a, b = np.triu_indices(rows.p)
        self._row_index = a[:, None] * rows.g + unit
        self._column_index = b[:, None] * rows.g + unit

    def factor(self, weights: Array) -> None:
        """Assemble at row weights w = l / s and the cone's scaling, and factor.

        Raises
        ------
        numpy.linalg.LinAlgError
            If the matrix is not positive definite to working precision.
        """
        for lift in _LIFTS:
            self._assemble(weights, lift)
            # rows of the upper triangle are columns of the lower one, which LAPACK factors faster
            self._factor, info = lapack.dpotrf(self._matrix.T, lower=1, overwrite_a=1, clean=0)
            if info == 0:
                self._weights = weights
                return
        raise np.linalg.LinAlgError("the Newton matrix is not positive definite")

    def _assemble(self, weights: Array, lift: float) -> None:
        """The upper triangle of the matrix, its diagonal lifted; a factor there is overwritten."""
        H, size, g = self._matrix, self._size, self._rows.g
        for start in range(0, size, g):
            H[start : start + g, start:size] = self._loss.gram[start : start + g, start:]
        H[:, size:] = 0.0
        H[self._row_index, self._column_index] += self._rows.weighted_squares(weights)
        self._cone.add_hessian(H)
        diagonal = np.diagonal(H).copy()
        diagonal[:size] += self._prox
        np.fill_diagonal(H, diagonal * (1.0 + lift))

    def direction(
        self, residuals: Residuals, row_target: Array, target: Array, refined: bool = True
    ) -> Direction:
        """Solve for targets a of the row multipliers and B of the cone's, with refinement.

        Refinement is on the full system with the multipliers' steps as unknowns: that keeps
        stationarity exact where the reduced system, of condition 1e16 near the end, cannot.
        Where units are held to thin cones it is slow, and the corrections so far are combined so
        that they leave the least residual; the first solution is not among them, as it alone
        carries the targets. Without refinement it is good enough for a predictor.
        """
        aims = residuals, row_target, target
        wrong = (
            -np.concatenate([residuals.dual.ravel(), residuals.extras]),
            row_target + self._weights * residuals.rows,
            target,
        )
        state = self._correction(wrong)
        moves: list[list[Array]] = []
        drops: list[Array] = []
        for _ in range(_REFINEMENTS if refined else 0):
            before, wrong = wrong[0], self._wrong(state, *aims)
            if (np.abs(wrong[0]) <= self._accuracy).all():
                break
            if moves:
                drops.append(before - wrong[0])
                seen = np.array(drops) / self._accuracy
                shares = np.linalg.lstsq(seen.T, wrong[0] / self._accuracy)[0]
                for share, move in zip(shares, moves, strict=True):
                    for part, step in zip(state, move, strict=True):
                        part += share * step
                wrong = self._wrong(state, *aims)
            moves.append(self._correction(wrong))
            for part, step in zip(state, moves[-1], strict=True):
                part += step
        x, dl, dY, slack, cone_slack = state
        return Direction(*self._split(x), slack - residuals.rows, dl, (cone_slack, dY))

    def _wrong(
        self, state: list[Array], residuals: Residuals, row_target: Array, target: Array
    ) -> tuple[Array, Array, Array]:
        """What each equation is off by: stationarity, the rows' multipliers and the cone's."""
        rows, cone, (x, dl, dY, slack, cone_slack) = self._rows, self._cone, state
        Z, _ = self._split(x)
        fixed, pulled = cone.adjoint(cone.unshrink(dY))
        curved = self._loss.curve(Z) + self._prox.reshape(Z.shape) * Z
        off = (rows.slack_adjoint(dl) + fixed - residuals.dual - curved).ravel()
        gap_rows = row_target + self._weights * (residuals.rows - slack) - dl
        gap = target - cone_slack - dY
        return np.concatenate([off, pulled - residuals.extras]), gap_rows, gap

    def _correction(self, wrong: tuple[Array, Array, Array]) -> list[Array]:
        """What to add to (x, dl, dY, C dZ, A dZ), by the factor of the reduced system."""
        rows, cone, (rhs, gap_rows, gap) = self._rows, self._cone, wrong
        fixed, extras = cone.adjoint(cone.unshrink(gap))
        pulled = np.concatenate([(rows.slack_adjoint(gap_rows) + fixed).ravel(), extras])
        # two triangular solves take half the time of LAPACK's one call for a single right-hand side
        half = blas.dtrsv(self._factor, rhs + pulled, lower=1, overwrite_x=1)
        dx = blas.dtrsv(self._factor, half, lower=1, trans=1, overwrite_x=1)
        dZ, de = self._split(dx)
        slack, cone_slack = rows.slack(dZ), cone.shrink(cone.linear(dZ, de))
        return [dx, gap_rows - self._weights * slack, gap - cone_slack, slack, cone_slack]

    def _split(self, x: Array) -> tuple[Array, Array]:
        shape = self._rows.p, self._rows.g
        return x[: self._size].reshape(shape), x[self._size :]
