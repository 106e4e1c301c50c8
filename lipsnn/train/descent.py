"""The training loop that the base models share: mini-batches, Adam or SGD, the rate's schedule.

Written out in numpy: the networks are small, and a step by torch's autograd and optimisers
costs ten times what its arithmetic does. The steps are torch's, to rounding.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from lipsnn import _checks
from lipsnn._checks import Array
from lipsnn._optional import torch
from lipsnn.certificate.threads import one_blas_thread
from lipsnn.losses import SQUARED
from lipsnn.network import ShallowNet

# (weights, outer, indices of the batch) -> gradients by weights and by outer, of the objective
# divided by the number of samples.
Gradient = Callable[[Array, Array, "torch.Tensor"], tuple[Array, Array]]
Step = Callable[[Array, Array, float], None]


def beside_mean(strength: Any, reduction: str, samples: int) -> float:
    """The strength beside the mean loss, on which the steps are, of one beside its `reduction`."""
    _checks.one_of(reduction, "reduction", ("sum", "mean"))
    return _checks.nonnegative(strength, "strength") / (samples if reduction == "sum" else 1)


class Adam:
    """The steps of ``torch.optim.Adam`` with its default betas and eps (Kingma and Ba 2015)."""

    def __init__(self, size: int) -> None:
        self.first, self.second, self.count = np.zeros(size), np.zeros(size), 0

    def __call__(self, point: Array, gradient: Array, rate: float) -> None:
        self.count += 1
        self.first += 0.1 * (gradient - self.first)
        self.second *= 0.999
        self.second += 0.001 * gradient * gradient
        root = np.sqrt(self.second)
        root /= math.sqrt(1 - 0.999**self.count)
        root += 1e-8
        point -= rate / (1 - 0.9**self.count) * self.first / root


class Momentum:
    """The steps of ``torch.optim.SGD``, by default with momentum 0.9."""

    def __init__(self, size: int, momentum: float = 0.9) -> None:
        self.velocity, self.momentum = np.zeros(size), momentum

    def __call__(self, point: Array, gradient: Array, rate: float) -> None:
        self.velocity *= self.momentum
        self.velocity += gradient
        point -= rate * self.velocity


OPTIMIZERS = ("adam", "sgd", "plain")
SCHEDULES = ("cosine", "constant")


def optimizer(name: str, size: int) -> Step:
    """Steps of the optimiser of this name over `size` numbers; "plain" has no momentum."""
    return Adam(size) if name == "adam" else Momentum(size, 0.9 if name == "sgd" else 0.0)


def torch_optimizer(name: str, parameters: Iterable[Any], rate: float) -> torch.optim.Optimizer:
    """The same for the parameters of a torch network."""
    if name == "adam":
        return torch.optim.Adam(parameters, lr=rate)
    return torch.optim.SGD(parameters, lr=rate, momentum=0.9 if name == "sgd" else 0.0)


def rate_at(schedule: str, rate: float, epoch: int, epochs: int) -> float:
    """The learning rate of an epoch, counted from 0: `rate`, or by a cosine to zero at the end."""
    return rate * (1 + math.cos(math.pi * epoch / epochs)) / 2 if schedule == "cosine" else rate


@dataclass(frozen=True, eq=False)
class Descent:
    """A training run, checked: data, where it starts, and how its steps are taken.

    Parameters
    ----------
    X, y, width, seed, epochs, batch_size, learning_rate, optimizer, init, schedule
        As in `train_sgd`; `batch_size` None is the full batch.

    Raises
    ------
    ValueError
        For bad input.
    """

    X: Any
    y: Any
    width: int
    seed: int
    epochs: int
    batch_size: int | None
    learning_rate: float
    optimizer: str
    init: ShallowNet | None = None
    schedule: str = "cosine"

    def __post_init__(self) -> None:
        X, y = _checks.data_pair(self.X, self.y)
        width = _checks.count(self.width, "width")
        batch_size = len(X) if self.batch_size is None else self.batch_size
        init = self.init
        if init is not None and (init.dim, init.width) != (X.shape[1], width):
            raise ValueError(
                f"init must have {X.shape[1]} inputs and {width} units, "
                f"got {init.dim} and {init.width}"
            )
        _checks.warn_of_scales(X, y if init is None else y - init(X))
        checked = {
            "X": X,
            "y": y if init is None else y - init.offset,
            "width": width,
            "seed": _checks.count(self.seed, "seed", least=0),
            "epochs": _checks.count(self.epochs, "epochs", least=0),
            "batch_size": _checks.count(batch_size, "batch_size"),
            "learning_rate": _checks.positive(self.learning_rate, "learning_rate"),
            "optimizer": _checks.one_of(self.optimizer, "optimizer", OPTIMIZERS),
            "schedule": _checks.one_of(self.schedule, "schedule", SCHEDULES),
        }
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    def run(self, gradient: Gradient) -> ShallowNet:
        """The network at the end of all steps along `gradient`.

        Raises
        ------
        RuntimeError
            If the weights diverge.
        """
        training = Training(self)
        training.advance(gradient, self.epochs)
        return training.net


class Training:
    """A `Descent` under way: its network, and the steps that are left of its schedule.

    Attributes
    ----------
    weights, outer : ndarray, (m, d + 1) and (m,)
        The network as it is; views that `advance` changes.
    """

    def __init__(self, descent: Descent) -> None:
        d, width = descent.X.shape[1], descent.width
        self.descent, self.epoch = descent, 0
        self.generator = torch.Generator().manual_seed(descent.seed)
        start = initial_network(d, width, self.generator)  # drawn always: the batches follow it
        start = start if descent.init is None else descent.init
        self.offset = start.offset
        self._point = np.concatenate([start.weights.ravel(), start.outer])
        self.weights = self._point[:-width].reshape(width, d + 1)
        self.outer = self._point[-width:]
        self._step = optimizer(descent.optimizer, len(self._point))

    @property
    def net(self) -> ShallowNet:
        """The network as it is, a copy."""
        return ShallowNet(self.weights, self.outer, self.offset)

    @one_blas_thread
    def advance(self, gradient: Gradient, epochs: int) -> None:
        """Take the steps of the next `epochs` epochs along `gradient`.

        Raises
        ------
        RuntimeError
            If the weights diverge.
        """
        descent = self.descent
        with np.errstate(over="ignore", invalid="ignore"):
            for _ in range(epochs):
                rate = rate_at(descent.schedule, descent.learning_rate, self.epoch, descent.epochs)
                order = torch.randperm(len(descent.X), generator=self.generator)
                for batch in order.split(descent.batch_size):
                    by_weights, by_outer = gradient(self.weights, self.outer, batch)
                    both = np.concatenate([by_weights.ravel(), by_outer])
                    self._step(self._point, both, rate)
                self.epoch += 1
                if not np.isfinite(self._point).all():
                    raise RuntimeError(
                        f"training diverged (learning_rate {descent.learning_rate:g}): choose a "
                        "smaller learning_rate"
                    )


def initial_network(dim: int, width: int, generator: torch.Generator) -> ShallowNet:
    """torch's default initialisation without an output bias, drawn from `generator` alone."""

    def uniform(*shape: int, fan_in: int) -> Array:
        drawn = torch.empty(shape, dtype=torch.float64)
        return drawn.uniform_(-(fan_in**-0.5), fan_in**-0.5, generator=generator).numpy()

    weights, bias = uniform(width, dim, fan_in=dim), uniform(width, fan_in=dim)
    outer = uniform(1, width, fan_in=width)[0]
    return ShallowNet(np.column_stack([weights, bias]), outer)


def loss_gradient(
    weights: Array, outer: Array, inputs: Array, targets: Array
) -> tuple[Array, Array]:
    """Gradients of the mean over the batch of ``1/2 (f(x_k) - y_k)^2``, the bias feature in."""
    hidden = np.maximum(inputs @ weights.T, 0.0)
    by_output = SQUARED.gradient(hidden @ outer, targets) / len(targets)
    through = (hidden > 0) * by_output[:, None]
    return outer[:, None] * (through.T @ inputs), by_output @ hidden
