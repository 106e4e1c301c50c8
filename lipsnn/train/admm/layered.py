"""ADMM of Pauli et al. for torch networks of any depth, as in their letter."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from lipsnn._checks import Array
from lipsnn.certificate import certify_layers
from lipsnn.certificate.layers import as_layers
from lipsnn.train.admm.engine import Outcome, run
from lipsnn.train.admm.options import Options
from lipsnn.train.admm.step import FixedStep
from lipsnn.train.descent import SCHEDULES

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,
    "sgd": lambda parameters, lr: torch.optim.SGD(parameters, lr=lr, momentum=0.9),
    "plain": torch.optim.SGD,
}


def _half_squares(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    return 0.5 * ((output - target) ** 2).sum() / len(output)


# The means that gradient steps are taken on; "squares" is n times its mean.
LOSSES: dict[str, Loss] = {
    "squares": _half_squares,
    "mse": functional.mse_loss,
    "cross_entropy": functional.cross_entropy,
}


def train_layered(
    net: nn.Module,
    X: Any,
    y: Any,
    loss: str,
    options: Options,
    watch: Callable[[Any], None] | None = None,
) -> tuple[Outcome, tuple[Array, ...]]:
    """`train_admm` for a torch network: what it reached, and the last multipliers.

    Raises
    ------
    ValueError
        For a network that has no LMI convex in its weights, or data that do not fit it.
    """
    if options.free:
        raise ValueError(
            'multipliers="free" is for a ShallowNet: with trained outer weights or more layers the '
            'LMI is not convex in T and the weights together; use "updated"'
        )
    slopes = _slopes(net)
    inputs, targets = _data(net, X, y, loss)
    certificate = certify_layers(net)
    given = options.given
    scale = len(inputs) if loss == "squares" else 1
    fit = LayeredFit(net, inputs, targets, loss, options)
    step = FixedStep(
        certificate.multipliers if given is None else given,
        options.rho(certificate.bound),
        mu=options.strength,
        penalty=scale * options.penalty,
        slopes=slopes,
    )

    def update(weights: list[Array]) -> None:
        step.multipliers = list(certify_layers(fit.network(weights)).multipliers)

    outcome = run(
        fit,
        step,
        strength=0.0 if options.strength is None else options.strength,
        penalty=scale * options.penalty,
        iterations=options.iterations,
        tol=options.tol,
        retune=update if options.updated else None,
        watch=watch,
    )
    return outcome, tuple(step.multipliers)


class LayeredFit:
    """The side W of the splitting (9): a copy of a torch network, trained in its own dtype.

    Parameters
    ----------
    net : nn.Module
        Linear layers and activations, in order.
    inputs, targets : Tensor
    loss : {"squares", "mse", "cross_entropy"}
    options : Options
    """

    def __init__(
        self,
        net: nn.Module,
        inputs: torch.Tensor,
        targets: torch.Tensor,
        loss: str,
        options: Options,
    ) -> None:
        self.net, self.options = copy.deepcopy(net).train(), options
        self.inputs, self.targets = inputs, targets
        self.mean, self.scale = LOSSES[loss], len(inputs) if loss == "squares" else 1
        self.linear = _linear(self.net)
        self.generator = torch.Generator().manual_seed(options.seed)
        self.steps = OPTIMIZERS[options.optimizer](self.net.parameters(), lr=options.learning_rate)
        self.epoch = 0

    @property
    def weights(self) -> list[Array]:
        # copies: the parameters change in place
        return [layer.weight.detach().cpu().numpy().astype(np.float64) for layer in self.linear]

    def descend(self, anchor: Sequence[Array]) -> None:
        options, n = self.options, len(self.inputs)
        pulls = [torch.as_tensor(matrix).to(self.inputs) for matrix in anchor]
        for _ in range(options.epochs):
            fall = SCHEDULES[options.schedule](self.epoch / options.total)
            for group in self.steps.param_groups:
                group["lr"] = options.learning_rate * fall
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
    layers = as_layers(net)
    if len(_linear(net)) != len(layers.weights):
        raise ValueError(
            "ADMM needs Linear layers with one activation between each two, a Linear one last: "
            "multiply neighbouring Linear layers into one"
        )
    for alpha, beta in layers.sectors:
        if alpha > 0:
            raise ValueError(
                f"an activation with slopes in [{alpha:g}, {beta:g}] is not supported in training: "
                "only from 0 on is the LMI convex in the weights; use ReLU, Tanh or Sigmoid"
            )
    return [beta for _, beta in layers.sectors]


def _data(net: nn.Module, X: Any, y: Any, loss: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Inputs and targets in the network's dtype, checked by what it makes of them."""
    like = _linear(net)[0].weight
    inputs = torch.as_tensor(np.asarray(X)).to(like)
    targets = torch.as_tensor(np.asarray(y))
    if inputs.ndim < 2 or not len(inputs) or not torch.isfinite(inputs).all():
        raise ValueError(
            f"X must be finite numbers, a row per sample, got shape {tuple(inputs.shape)}"
        )
    if len(targets) != len(inputs):
        raise ValueError(f"X has {len(inputs)} rows but y has {len(targets)} entries")
    with torch.no_grad():
        try:
            shape = tuple(copy.deepcopy(net).eval()(inputs[:1]).shape[1:])
        except RuntimeError as error:
            raise ValueError(f"X does not fit the network: {error}") from None
    if loss == "cross_entropy":
        whole = not targets.is_floating_point() and targets.ndim == 1
        if not whole or targets.min() < 0 or targets.max() >= shape[0]:
            raise ValueError(f"y must be whole class numbers (n,) below {shape[0]}")
        return inputs, targets.long()
    targets = targets.to(like)
    if targets.ndim == 1 and shape == (1,):
        targets = targets[:, None]
    if tuple(targets.shape[1:]) != shape or not torch.isfinite(targets).all():
        raise ValueError(
            f"y must be finite numbers of shape {(len(inputs), *shape)}, got {tuple(targets.shape)}"
        )
    return inputs, targets
