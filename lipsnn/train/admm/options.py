"""What all forms of ADMM are told, checked once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lipsnn import _checks
from lipsnn.train.descent import OPTIMIZERS, SCHEDULES

MULTIPLIERS = ("fixed", "updated", "free")


@dataclass(frozen=True, kw_only=True)
class AdmmOptions:
    """The arguments of `train_admm` that do not depend on the network, under the same names.

    Raises
    ------
    ValueError
        For bad input.
    """

    strength: float | None = None
    enforce: float | None = None
    multipliers: Any = "fixed"
    penalty: float = 0.01
    iterations: int = 50
    epochs: int = 10
    batch_size: int | None = 32
    learning_rate: float = 1e-2
    optimizer: str = "adam"
    schedule: str = "cosine"
    tol: float = 1e-4
    seed: int = 0

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
        _checks.one_of(self.optimizer, "optimizer", OPTIMIZERS)
        _checks.one_of(self.schedule, "schedule", SCHEDULES)
        _checks.positive(self.tol, "tol")
        object.__setattr__(self, "seed", _checks.count(self.seed, "seed", least=0))

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
