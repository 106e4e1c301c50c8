"""The side of the splitting that fits the data, for the shallow network and problem (4)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lipsnn import _checks
from lipsnn._checks import Array
from lipsnn._optional import torch
from lipsnn.certificate import certify
from lipsnn.losses import SQUARED
from lipsnn.network import ShallowNet, with_bias
from lipsnn.train.admm.options import AdmmOptions
from lipsnn.train.descent import Descent, Training, loss_gradient


class ShallowFit:
    """The side W: ``1/2 sum_k (f(x_k) - y_k)^2`` by the loop of `train_sgd`.

    If T is free the outer weights stay as they are.

    Attributes
    ----------
    scale : int
        The number of samples: gradient steps are on the mean, the objective is the sum.
    slopes : list of float
        The largest slope of each activation.
    """

    slopes = (1.0,)

    def __init__(self, init: ShallowNet, X: Any, y: Any, options: AdmmOptions) -> None:
        rate, optimizer = options.learning_rate, options.optimizer
        descent = Descent(
            X,
            y,
            init.width,
            options.seed,
            options.total,
            options.batch_size,
            rate,
            optimizer,
            init,
            options.schedule,
        )
        self.training, self.options = Training(descent), options
        self.inputs, self.targets = with_bias(descent.X), descent.y
        self.scale = len(descent.X)

    @staticmethod
    def certified(net: ShallowNet) -> tuple[list[Array], float]:
        """Multipliers and bound of program (2)."""
        certificate = certify(net)
        return [certificate.multipliers], certificate.bound

    @staticmethod
    def multipliers(given: Any) -> list[Array]:
        """The multipliers that a user gave, checked."""
        return [_checks.finite_array(given, "multipliers", 1)]

    @property
    def weights(self) -> list[Array]:
        return [self.training.weights[:, :-1].copy(), self.training.outer[None].copy()]

    def descend(self, anchor: Sequence[Array]) -> None:
        hidden, outer_anchor = anchor[0], anchor[1][0]
        penalty = self.options.penalty

        def gradient(weights: Array, outer: Array, batch: torch.Tensor) -> tuple[Array, Array]:
            rows = batch.numpy()
            by_weights, by_outer = loss_gradient(
                weights, outer, self.inputs[rows], self.targets[rows]
            )
            by_weights[:, :-1] += penalty * (weights[:, :-1] - hidden)
            if self.options.free:
                return by_weights, np.zeros_like(by_outer)
            return by_weights, by_outer + penalty * (outer - outer_anchor)

        self.training.advance(gradient, self.options.epochs)

    def loss(self, weights: Sequence[Array]) -> float:
        net = self.network(weights)
        outputs = np.maximum(self.inputs @ net.weights.T, 0.0) @ net.outer
        return float(np.sum(SQUARED.value(outputs, self.targets)))

    def network(self, weights: Sequence[Array]) -> ShallowNet:
        biases = self.training.weights[:, -1]
        return ShallowNet(
            np.column_stack([weights[0], biases]), weights[1][0], self.training.offset
        )
