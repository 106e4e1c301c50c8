"""The side of the splitting that fits the data, for torch networks of any depth."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np

from lipsnn._checks import Array
from lipsnn._modules import data
from lipsnn._optional import nn, torch
from lipsnn.certificate import certify_layers
from lipsnn.convert import as_network
from lipsnn.losses import Loss
from lipsnn.train.admm.options import AdmmOptions
from lipsnn.train.descent import rate_at, torch_optimizer


class ModuleFit:
    """The side W of the splitting (9): a copy of a torch network, trained in its own dtype.

    Parameters
    ----------
    net : nn.Module
        Linear layers and activations, in order.
    X, y, loss
        As in `train_admm`.
    options : AdmmOptions

    Attributes
    ----------
    scale : int
        What the mean that gradient steps are taken on is multiplied by in the objective.
    slopes : list of float
        The largest slope of each activation.

    Raises
    ------
    ValueError
        For a network that has no LMI convex in its weights, or data that do not fit it.
    """

    def __init__(self, net: nn.Module, X: Any, y: Any, loss: Loss, options: AdmmOptions) -> None:
        if options.free:
            raise ValueError(
                'multipliers="free" is for a ShallowNet: with trained outer weights or more layers '
                'the LMI is not convex in T and the weights together; use "updated"'
            )
        self.slopes = _slopes(net)
        self.inputs, self.targets = data(net, X, y, loss)
        self.net, self.options, self.mean = copy.deepcopy(net).train(), options, loss.mean
        self.scale = len(self.inputs) if loss.summed else 1
        self.linear = _linear(self.net)
        self.generator = torch.Generator().manual_seed(options.seed)
        self.steps = torch_optimizer(
            options.optimizer, self.net.parameters(), options.learning_rate
        )
        self.epoch = 0

    @staticmethod
    def certified(net: nn.Module) -> tuple[list[Array], float]:
        """Multipliers and bound of program (2)."""
        certificate = certify_layers(net)
        return list(certificate.multipliers), certificate.bound

    @staticmethod
    def multipliers(given: Any) -> list[Array]:
        """The multipliers that a user gave; `FixedStep` checks them."""
        return list(given)

    @property
    def weights(self) -> list[Array]:
        # copies: the parameters change in place
        return [layer.weight.detach().cpu().numpy().astype(np.float64) for layer in self.linear]

    def descend(self, anchor: Sequence[Array]) -> None:
        options, n = self.options, len(self.inputs)
        pulls = [torch.as_tensor(matrix).to(self.inputs) for matrix in anchor]
        for _ in range(options.epochs):
            for group in self.steps.param_groups:
                group["lr"] = rate_at(
                    options.schedule, options.learning_rate, self.epoch, options.total
                )
            order = torch.randperm(n, generator=self.generator)
            for batch in order.split(options.batch_size or n):
                self.steps.zero_grad()
                loss = self.mean(self.net(self.inputs[batch]), self.targets[batch])
                for layer, pull in zip(self.linear, pulls, strict=True):
                    loss = loss + options.penalty / 2 * ((layer.weight - pull) ** 2).sum()
                loss.backward()
                self.steps.step()
            self.epoch += 1
        if not all(torch.isfinite(parameter).all() for parameter in self.net.parameters()):
            raise RuntimeError(
                f"training diverged (learning_rate {options.learning_rate:g}): choose a smaller "
                "learning_rate"
            )

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
