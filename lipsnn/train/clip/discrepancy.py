"""The discrepancy principle: the strength is steered towards a target accuracy."""

from __future__ import annotations

from dataclasses import dataclass

from lipsnn import _checks


@dataclass(frozen=True)
class Discrepancy:
    """The rule at the end of CLIP's Algorithm 2.

    A network better than its target can afford more regularisation, a worse one less.

    Parameters
    ----------
    target : float
        Accuracy on the training data, between 0 and 1.
    increment : float
        d lambda: what the strength moves by.
    warmup : int
        Epochs before the first move.
    every : int
        Epochs between moves.
    least : float
        The strength stays at this or above.
    """

    target: float
    increment: float
    warmup: int = 5
    every: int = 2
    least: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < _checks.positive(self.target, "target") <= 1:
            raise ValueError(f"target must be an accuracy in (0, 1], got {self.target!r}")
        _checks.positive(self.increment, "increment")
        _checks.count(self.warmup, "warmup", least=0)
        _checks.count(self.every, "every")
        _checks.nonnegative(self.least, "least")

    def next(self, strength: float, accuracy: float, epoch: int) -> float:
        """The strength after the epoch of this number, counted from 1."""
        if epoch < self.warmup or (epoch - self.warmup) % self.every:
            return strength
        if accuracy > self.target:
            return strength + self.increment
        return max(self.least, strength - self.increment)
