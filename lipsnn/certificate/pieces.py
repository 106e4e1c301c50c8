"""A network with one hidden layer and the cells that its units cut a region into (fact K).

This is all that the proof of an exact constant needs; `branch` searches over it.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np

from lipsnn._checks import Array
from lipsnn.certificate.cone import Arrangement
from lipsnn.certificate.exact import Dyadic
from lipsnn.certificate.form import Form
from lipsnn.certificate.region import Ball, Region
from lipsnn.certificate.slopes import slopes


class Pieces:
    """The units that act, the arrangement of their hyperplanes and the region's walls, and slopes.

    `sides` (m + k,) are those of the units, all open, and of the `walls`, the rows from m on;
    `point` lies inside all walls.
    """

    def __init__(self, net: Any, region: Region | None) -> None:
        self.form = form = Form.of(net)
        self.region, self.phi = region, form.activations[0]
        if not (form.small and self.phi.homogeneous):
            raise ValueError("needs one hidden layer of relu, leaky_relu, prelu or abs, one output")
        W, b, outer = form.weights[0], form.biases[0], form.weights[1][0]
        self.live = live = W.any(axis=1) & (outer != 0)
        self.W, self.b, self.outer = W[live], b[live], outer[live]
        self.m, self.dim = self.W.shape
        problem = slopes(form)
        self.exponent, self.scaled = problem.exponent, problem.scaled[live]
        walls = np.empty((0, self.dim + 1)) if region is None else region.halfspaces()
        infinity = np.eye(self.dim + 1)[-1:]
        spread = None if region is None else region.spread()
        far = None if spread is None else float(max(np.abs(spread[0]) + spread[1]) + spread[2])
        self.cells = Arrangement(
            np.vstack([np.column_stack([self.W, self.b]), walls[walls.any(axis=1)], infinity]),
            (region.center, region.radius) if isinstance(region, Ball) else None,
            far,
        )
        self.walls = np.arange(self.m, len(self.cells.rows))
        self.sides = np.repeat([0.0, 1.0], [self.m, len(self.walls)])
        point, *_ = self.cells.decide(self.walls, np.ones(len(self.walls)))
        if point is None:
            raise ValueError(
                "the region has no inner point that float64 can tell: widen or shift it"
            )
        self.point = point

    def slope_at(self, x: Array) -> Fraction | None:
        """The length of the scaled slope at a point of the region; None where units are zero."""
        if not np.isfinite(x).all() or not (self.region is None or self.region.contains(x)):
            return None
        at = Dyadic.of(self.W) @ Dyadic.of(x[:, None]) + Dyadic.of(self.b[:, None])
        values = at.fractions()
        return self.slope(np.where([v > 0 for v in values], 1.0, -1.0)) if all(values) else None

    def slope(self, sides: Array) -> Fraction:
        """The length of the scaled slope on these sides, rounded down after 60 binary digits."""
        share = self.phi.slope(sides)
        total = Dyadic.zero(1, self.dim)
        for s in np.unique(share):
            own = share == s
            total += (Dyadic.of(self.outer[None, own]) @ Dyadic.of(self.W[own])).times(Fraction(s))
        return total.lengths_below() * Fraction(2) ** -self.exponent
