"""ADMM of Pauli et al. for the shallow ReLU network and problem (4), in numpy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from lipsnn import _checks
from lipsnn._checks import Array
from lipsnn.certificate import certify
from lipsnn.network import ShallowNet, with_bias
from lipsnn.train.admm.engine import Outcome, run
from lipsnn.train.admm.free import FreeStep
from lipsnn.train.admm.options import Options
from lipsnn.train.admm.step import FixedStep
from lipsnn.train.descent import Descent, Training, squared_loss_gradient


def train_shallow(
    X: Any,
    y: Any,
    init: ShallowNet,
    options: Options,
    watch: Callable[[Any], None] | None = None,
) -> tuple[Outcome, Array]:
    """`train_admm` for a `ShallowNet`: what it reached, and the last multipliers.

    Raises
    ------
    ValueError
        For data or multipliers that do not fit.
    """
    descent = Descent(
        X,
        y,
        init.width,
        options.seed,
        options.total,
        options.batch_size,
        options.learning_rate,
        options.optimizer,
        init,
        options.schedule,
    )
    fit = _ShallowFit(descent, options.penalty, options.epochs, options.free)
    certificate = certify(init)
    t = certificate.multipliers
    if options.given is not None:
        t = _checks.finite_array(options.given, "multipliers", 1)
    penalty = len(descent.X) * options.penalty
    rho = options.rho(certificate.bound)
    step: FixedStep | FreeStep
    if options.free:
        step = FreeStep(init.outer, rho, mu=options.strength, penalty=penalty)
    else:
        step = FixedStep([t], rho, mu=options.strength, penalty=penalty)

    def update(weights: list[Array]) -> None:
        step.multipliers = [certify(fit.network(weights)).multipliers]

    outcome = run(
        fit,
        step,
        strength=0.0 if options.strength is None else options.strength,
        penalty=penalty,
        iterations=options.iterations,
        tol=options.tol,
        retune=update if options.updated else None,
        watch=watch,
    )
    return outcome, step.multipliers[0]


class _ShallowFit:
    """The side W: ``1/2 sum_k (f(x_k) - y_k)^2`` by the loop of `train_sgd`.

    With `held` the outer weights stay as they are.
    """

    def __init__(self, descent: Descent, penalty: float, epochs: int, held: bool) -> None:
        self.training, self.penalty, self.epochs = Training(descent), penalty, epochs
        self.held = held
        self.inputs, self.targets = with_bias(descent.X), descent.y

    @property
    def weights(self) -> list[Array]:
        return [self.training.weights[:, :-1].copy(), self.training.outer[None].copy()]

    def descend(self, anchor: Sequence[Array]) -> None:
        hidden, outer_anchor = anchor[0], anchor[1][0]

        def gradient(weights: Array, outer: Array, batch: torch.Tensor) -> tuple[Array, Array]:
            rows = batch.numpy()
            by_weights, by_outer = squared_loss_gradient(
                weights, outer, self.inputs[rows], self.targets[rows]
            )
            by_weights[:, :-1] += self.penalty * (weights[:, :-1] - hidden)
            if self.held:
                return by_weights, np.zeros_like(by_outer)
            return by_weights, by_outer + self.penalty * (outer - outer_anchor)

        self.training.advance(gradient, self.epochs)

    def loss(self, weights: Sequence[Array]) -> float:
        net = self.network(weights)
        output = np.maximum(self.inputs @ net.weights.T, 0.0) @ net.outer
        return 0.5 * float(np.sum((output - self.targets) ** 2))

    def network(self, weights: Sequence[Array]) -> ShallowNet:
        """The network with these matrices and the present biases."""
        biases = self.training.weights[:, -1]
        return ShallowNet(
            np.column_stack([weights[0], biases]), weights[1][0], self.training.offset
        )
