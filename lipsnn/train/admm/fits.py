"""The side W of the splitting (9), which knows the data, for either kind of network."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np

from lipsnn._checks import Array
from lipsnn._modules import data
from lipsnn._optional import nn, torch
from lipsnn.convert import as_network
from lipsnn.losses import SQUARED, Loss
from lipsnn.network import ShallowNet
from lipsnn.train.descent import Descent, Steps, loss_gradient, torch_optimizer


class ShallowFit:
    """``1/2 sum_k (f(x_k) - y_k)^2`` of a network (1), by the loop of `train_sgd`.

    Parameters
    ----------
    init, X, y
        As in `train_admm`.
    penalty : float
        r, beside the mean over the samples.
    epochs : int
        Of each (10a).
    steps : Steps
        Of all iterations together.
    trains_outer : bool
        Whether the outer weights follow the loss and the anchor too, or stay as they are.

    Attributes
    ----------
    scale : int
        What the mean that steps are taken on is multiplied by in the objective.
    slopes : list of float
        The largest slope of each activation.
    """

    def __init__(
        self,
        init: ShallowNet,
        X: Any,
        y: Any,
        penalty: float,
        epochs: int,
        steps: Steps,
        trains_outer: bool = True,
    ) -> None:
        self.descent = Descent(X, y, init.width, steps, init)
        self.penalty, self.epochs, self.trains_outer = penalty, epochs, trains_outer
        self.scale, self.slopes = len(self.descent.targets), [1.0]

    @property
    def weights(self) -> list[Array]:
        return [self.descent.weights[:, :-1].copy(), self.descent.outer[None].copy()]

    def descend(self, anchor: Sequence[Array]) -> None:
        hidden, outer_anchor = anchor[0], anchor[1][0]

        def gradient(weights: Array, outer: Array, x: Array, y: Array) -> tuple[Array, Array]:
            by_weights, by_outer = loss_gradient(weights, outer, x, y)
            by_weights[:, :-1] += self.penalty * (weights[:, :-1] - hidden)
            by_outer += self.penalty * (outer - outer_anchor)
            return by_weights, by_outer * self.trains_outer

        self.descent.advance(gradient, self.epochs)

    def loss(self, weights: Sequence[Array]) -> float:
        net = self.network(weights)
        outputs = np.maximum(self.descent.inputs @ net.weights.T, 0.0) @ net.outer
        return float(np.sum(SQUARED.value(outputs, self.descent.targets)))

    def network(self, weights: Sequence[Array]) -> ShallowNet:
        biases = self.descent.weights[:, -1]
        hidden = np.column_stack([weights[0], biases])
        return ShallowNet(hidden, weights[1][0], self.descent.offset)


class ModuleFit:
    """The loss of a copy of a torch network of any depth, trained in its own dtype.

    Parameters and attributes are those of `ShallowFit`; `init` has Linear layers and activations,
    in order.

    Raises
    ------
    ValueError
        For a network that has no LMI convex in its weights, or data that do not fit it.
    """

    def __init__(
        self,
        init: nn.Module,
        X: Any,
        y: Any,
        penalty: float,
        epochs: int,
        steps: Steps,
        loss: Loss,
    ) -> None:
        self.slopes = _slopes(init)
        self.inputs, self.targets = data(init, X, y, loss)
        self.net, self.mean = copy.deepcopy(init).train(), loss.mean
        self.penalty, self.epochs, self.steps, self.epoch = penalty, epochs, steps, 0
        self.scale = len(self.inputs) if loss.summed else 1
        self.generator = torch.Generator().manual_seed(steps.seed)
        self.optimizer = torch_optimizer(
            steps.optimizer, self.net.parameters(), steps.learning_rate
        )

    @property
    def weights(self) -> list[Array]:
        # copies: the parameters change in place
        layers = _linear(self.net)
        return [layer.weight.detach().cpu().numpy().astype(np.float64) for layer in layers]

    def descend(self, anchor: Sequence[Array]) -> None:
        pulls = [torch.as_tensor(matrix).to(self.inputs) for matrix in anchor]
        layers = _linear(self.net)
        for _ in range(self.epochs):
            for group in self.optimizer.param_groups:
                group["lr"] = self.steps.rate(self.epoch)
            for batch in self.steps.batches(len(self.inputs), self.generator):
                self.optimizer.zero_grad()
                loss = self.mean(self.net(self.inputs[batch]), self.targets[batch])
                for layer, pull in zip(layers, pulls, strict=True):
                    loss = loss + self.penalty / 2 * ((layer.weight - pull) ** 2).sum()
                loss.backward()
                self.optimizer.step()
            self.epoch += 1
        if not all(torch.isfinite(parameter).all() for parameter in self.net.parameters()):
            raise self.steps.diverged()

    def loss(self, weights: Sequence[Array]) -> float:
        with torch.no_grad():
            return self.scale * float(self.mean(self.network(weights)(self.inputs), self.targets))

    def network(self, weights: Sequence[Array]) -> nn.Module:
        net = copy.deepcopy(self.net).eval()
        with torch.no_grad():
            for layer, matrix in zip(_linear(net), weights, strict=True):
                layer.weight.copy_(torch.as_tensor(matrix))
        net.zero_grad(set_to_none=True)
        return net


def _linear(net: nn.Module) -> list[nn.Linear]:
    return [module for module in net.modules() if isinstance(module, nn.Linear)]


def _slopes(net: nn.Module) -> list[float]:
    """The largest slope of each activation, of a network whose LMI is convex in the weights."""
    layers = as_network(net)
    if len(_linear(net)) != len(layers.weights):
        raise ValueError(
            "ADMM needs Linear layers with one activation between each two, a Linear one last: "
            "multiply neighbouring Linear layers into one"
        )
    for alpha, beta in layers.sectors:
        if alpha != 0:
            raise ValueError(
                f"an activation with slopes in [{alpha:g}, {beta:g}] is not supported in training: "
                "only from 0 on is the LMI convex in the weights; use ReLU, Tanh or Sigmoid"
            )
    return [beta for _, beta in layers.sectors]
