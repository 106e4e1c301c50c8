"""What `train_clip` adds to the loss, and how its strength is steered."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import torch

from lipsnn import _checks
from lipsnn.train.clip import Draw, LipschitzSet


@dataclass(frozen=True)
class Discrepancy:
    """The rule at the end of CLIP's Algorithm 2: the strength moves towards a target accuracy.

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


@dataclass(frozen=True)
class Pairs:
    """How training draws its Lipschitz set, measures it and moves it.

    Parameters
    ----------
    draw : callable
        Takes a torch.Generator, returns the halves of the pairs; see `noisy_copies` and
        `uniform_pairs`.
    redraw : int
        A new set after so many mini-batches. The source's classification has 2000.
    step, factor, input_norm, output_norm
        Of `LipschitzSet`. The source has a step of 10.
    updates : int
        Adversarial updates in each mini-batch.
    """

    draw: Draw = field(repr=False)
    redraw: int = 2000
    step: float = 10.0
    factor: float = 1.3
    updates: int = 1
    input_norm: float = 2
    output_norm: float = 2

    def __post_init__(self) -> None:
        _checks.count(self.redraw, "redraw")
        _checks.count(self.updates, "updates")
        self.moved(torch.zeros(2, 1, 1))  # which checks the rest

    def moved(self, halves: Iterable[torch.Tensor]) -> LipschitzSet:
        """The Lipschitz set of these halves of pairs."""
        return LipschitzSet(
            *halves,
            step=self.step,
            factor=self.factor,
            input_norm=self.input_norm,
            output_norm=self.output_norm,
        )


@dataclass(frozen=True)
class Weights:
    """``strength`` times the sum of the squared parameters: CLIP's baseline.

    Parameters
    ----------
    strength : float
        mu, at the start, and throughout without a rule.
    rule : Discrepancy, optional
        How the strength is steered towards a target accuracy.
    """

    strength: float
    rule: Discrepancy | None = None

    def __post_init__(self) -> None:
        _checks.nonnegative(self.strength, "strength")


@dataclass(frozen=True)
class Lipschitz:
    """``strength`` times the estimated Lipschitz constant: CLIP's (2).

    Parameters
    ----------
    pairs : Pairs
        The Lipschitz set that estimates it.
    strength : float
        lambda, at the start, and throughout without a rule.
    rule : Discrepancy, optional
        How the strength is steered towards a target accuracy.
    power : {1, 2}
        Of the quotients. 1 is CLIP's (2) as printed; with 2 the authors computed their table.
    pooling : {"max", "mean"}
        Of the quotients to that power: the worst pair, CLIP's (5), or their mean, which the
        authors' code offers too. Take "mean" where the rule has a low target: the worst pair's
        gradient is several times as long and turns whenever another pair is the worst. At the
        default learning rate a sigmoid network saturates under it, and loses classes that it does
        not get back when the strength falls again.
    """

    pairs: Pairs
    strength: float
    rule: Discrepancy | None = None
    power: int = 2
    pooling: str = "max"

    def __post_init__(self) -> None:
        if not isinstance(self.pairs, Pairs):
            raise ValueError("pairs must be a Pairs, which says how they are drawn: see its draw")
        _checks.nonnegative(self.strength, "strength")
        _checks.one_of(self.power, "power", (1, 2))
        _checks.one_of(self.pooling, "pooling", ("max", "mean"))
