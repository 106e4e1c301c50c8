"""What the interior-point method returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lipsnn._checks import Array


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
