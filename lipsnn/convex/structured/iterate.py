"""Iterates of the interior-point method: what it returns and where another one may start."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lipsnn._checks import Array


@dataclass(frozen=True, eq=False)
class WarmStart:
    """An iterate half way, near the central path, from which a similar program may start."""

    Z: Array
    extras: Array
    s: Array
    multipliers: Array
    Y: Array
    cone: Any


@dataclass
class Iterate:
    """A primal-dual point with its measures of optimality."""

    Z: Array
    extras: Array
    multipliers: Array
    Y: Array
    value: float
    gap: float
    primal_residual: float
    dual_residual: float
    iterations: int = 0
    status: str = ""
    warm: WarmStart | None = None

    @property
    def error(self) -> float:
        return max(self.gap, self.primal_residual, self.dual_residual)
