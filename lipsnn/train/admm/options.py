"""What all forms of ADMM are told, checked once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lipsnn import _checks
from lipsnn.train.descent import OPTIMIZERS, SCHEDULES

MULTIPLIERS = ("fixed", "updated", "free")


@dataclass(frozen=True)
class Options:
    """The arguments of `train_admm` that do not depend on the network.

    Raises
    ------
    ValueError
        For bad input.
    """

    strength: Any
    enforce: Any
    multipliers: Any
    penalty: Any
    iterations: Any
    epochs: Any
    batch_size: Any
    learning_rate: Any
    optimizer: str
    tol: Any
    seed: int
    schedule: str = "cosine"

    def __post_init__(self) -> None:
        if (self.strength is None) == (self.enforce is None):
            raise ValueError(
                "give either strength (the bound is penalised) or enforce (the bound is a "
                "constraint)"
            )
        if self.enforce is None:
            _checks.positive(self.strength, "strength")
        else:
            _checks.positive(self.enforce, "enforce (L_des)")
        if isinstance(self.multipliers, str):
            _checks.one_of(self.multipliers, "multipliers", MULTIPLIERS)
        _checks.positive(self.penalty, "penalty")
        _checks.count(self.iterations, "iterations")
        _checks.count(self.epochs, "epochs")
        if self.batch_size is not None:
            _checks.count(self.batch_size, "batch_size")
        _checks.positive(self.learning_rate, "learning_rate")
        _checks.one_of(self.optimizer, "optimizer", tuple(OPTIMIZERS))
        _checks.one_of(self.schedule, "schedule", tuple(SCHEDULES))
        _checks.positive(self.tol, "tol")

    @property
    def total(self) -> int:
        """Epochs of all iterations together."""
        return int(self.iterations * self.epochs)

    @property
    def updated(self) -> bool:
        """Whether T follows Wbar."""
        return isinstance(self.multipliers, str) and self.multipliers == "updated"

    @property
    def free(self) -> bool:
        """Whether T is a variable of the Lipschitz step."""
        return isinstance(self.multipliers, str) and self.multipliers == "free"

    @property
    def given(self) -> Any:
        """The multipliers that the user gave, or None."""
        return None if isinstance(self.multipliers, str) else self.multipliers

    def rho(self, bound: float) -> float:
        """L_des^2, or the guess of rho that a network's bound makes."""
        # a guess is needed even where that network is constant
        return float(self.enforce**2 if self.enforce is not None else bound**2 or 1.0)
