"""The Newton system of order g (d + 1) + extras: assembly, factorisation, refined directions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import blas, lapack

from lipsnn._checks import Array
from lipsnn.convex.structured.rows import Rows

# Weight of the proximal term |Z - Z_k|^2 / 2, relative to the loss Hessian's mean diagonal of each
# feature. It bounds the step where the data leave a direction free; no solution depends on it.
_PROXIMAL = 1e-9
# Relative lift of the factored matrix's diagonal; refinement takes it out again.
_LIFTS = (1e-14, 1e-12, 1e-10, 1e-8)
# Refinement ends when stationarity holds to this, relative to the data, or after so many rounds.
_REFINED = 1e-11
_REFINEMENTS = 4


@dataclass
class Residuals:
    """How far an iterate is from feasibility: each must vanish at the solution."""

    dual: Array  # of Z, (p, g)
    extras: Array
    rows: Array  # slack of the rows minus its definition, (n, g)


@dataclass
class Direction:
    """A Newton direction; that of the cone is in scaled coordinates."""

    Z: Array
    extras: Array
    slack: Array
    multiplier: Array
    cone_slack: Array
    cone_multiplier: Array

    @property
    def pair(self) -> tuple[Array, Array]:
        return self.cone_slack, self.cone_multiplier


class Newton:
    """``G dZ - C' dl - A* dY = -r`` with dl = a - w (C dZ - r_p) and dY = B - A dZ, scaled."""

    def __init__(self, rows: Rows, cone: Any) -> None:
        self._rows, self._cone = rows, cone
        self._gram = rows.gram()
        self._size = rows.p * rows.g
        diagonal = np.diagonal(self._gram).reshape(rows.p, rows.g).mean(axis=1)
        self._prox = np.repeat(_PROXIMAL * diagonal, rows.g)
        self._order = self._size + cone.extras
        scale = np.repeat(
            [np.abs(rows.pull(rows.y)).max(), cone.cost.max()], [self._size, cone.extras]
        )
        self._accuracy = _REFINED * scale
        self._matrix = np.zeros((self._order, self._order), order="F")
        unit = np.arange(rows.g)
        a, b = np.triu_indices(rows.p)
        self._row_index = a[:, None] * rows.g + unit
        self._column_index = b[:, None] * rows.g + unit

    def curve(self, Z: Array) -> Array:
        """The Hessian of the loss times Z."""
        return blas.dsymv(1.0, self._gram, Z.ravel()).reshape(Z.shape)

    def factor(self, weights: Array) -> None:
        """Assemble at row weights w = l / s and the cone's scaling, and factor.

        Raises
        ------
        numpy.linalg.LinAlgError
            If the matrix is not positive definite to working precision.
        """
        H, size = self._matrix, self._size
        H[:size, :size] = self._gram
        H[:, size:] = 0.0
        H[self._row_index, self._column_index] += self._rows.weighted_squares(weights)
        self._cone.add_hessian(H)
        diagonal = np.diagonal(H).copy()
        diagonal[:size] += self._prox
        for lift in _LIFTS:
            np.fill_diagonal(H, diagonal * (1.0 + lift))
            self._factor, info = lapack.dpotrf(H, lower=0, overwrite_a=0, clean=0)
            if info == 0:
                self._weights = weights
                return
        raise np.linalg.LinAlgError("the Newton matrix is not positive definite")

    def direction(self, residuals: Residuals, row_target: Array, target: Array) -> Direction:
        """Solve for targets a of the row multipliers and B of the cone's, with refinement.

        Refinement is on the full system with the multipliers' steps as unknowns: that keeps
        stationarity exact where the reduced system, of condition 1e16 near the end, cannot.
        """
        rows, cone, w = self._rows, self._cone, self._weights
        shape = (rows.p, rows.g)
        x, dl, dY = np.zeros(self._order), np.zeros_like(row_target), np.zeros_like(target)
        gap_rows, gap = row_target + w * residuals.rows, target
        rhs = -np.concatenate([residuals.dual.ravel(), residuals.extras])
        for left in range(_REFINEMENTS, -1, -1):
            fixed, extras = cone.adjoint(cone.unshrink(gap))
            rhs[: self._size] += (rows.slack_adjoint(gap_rows) + fixed).ravel()
            rhs[self._size :] += extras
            dx = lapack.dpotrs(self._factor, rhs, lower=0)[0]
            x += dx
            dZ, de = self._split(dx, shape)
            dl += gap_rows - w * rows.slack(dZ)
            dY += gap - cone.shrink(cone.linear(dZ, de))
            Z, extras = self._split(x, shape)
            if left == 0:
                break
            fixed, pulled = cone.adjoint(cone.unshrink(dY))
            curved = self.curve(Z) + self._prox.reshape(shape) * Z
            rhs[: self._size] = (rows.slack_adjoint(dl) + fixed - residuals.dual - curved).ravel()
            rhs[self._size :] = pulled - residuals.extras
            if (np.abs(rhs) <= self._accuracy).all():
                break
            gap_rows = row_target + w * (residuals.rows - rows.slack(Z)) - dl
            gap = target - cone.shrink(cone.linear(Z, extras)) - dY
        slack = rows.slack(Z) - residuals.rows
        return Direction(Z, extras, slack, dl, cone.shrink(cone.linear(Z, extras)), dY)

    def _split(self, x: Array, shape: tuple[int, int]) -> tuple[Array, Array]:
        return x[: self._size].reshape(shape), x[self._size :]
