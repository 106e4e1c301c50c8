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
from lipsnn.convert import as_shallow
from lipsnn.losses import SQUARED, Loss, scalar_loss
from lipsnn.network import ShallowNet, with_bias

# (weights, outer, inputs with the bias feature, targets) of a batch -> gradients by weights and by
# outer, of the objective divided by the number of samples.
Gradient = Callable[[Array, Array, Array, Array], tuple[Array, Array]]
# (outputs, targets without the offset) -> derivatives of each sample's loss by its output.
Slope = Callable[[Array, Array], Array]
OPTIMIZERS = ("adam", "sgd", "plain")
SCHEDULES = ("cosine", "constant")


@dataclass(frozen=True)
class Steps:
    """How a training run takes its steps, checked; the fields are arguments of `train_sgd`.

    Raises
    ------
    ValueError
        For bad input.
    """

    seed: int
    epochs: int
    batch_size: int | None  # None is the full batch
    learning_rate: float
    optimizer: str
    schedule: str = "cosine"

    def __post_init__(self) -> None:
        size = self.batch_size
        vars(self).update(  # whole numbers may come as floats
            seed=_checks.count(self.seed, "seed", least=0),
            epochs=_checks.count(self.epochs, "epochs", least=0),
            batch_size=None if size is None else _checks.count(size, "batch_size"),
            learning_rate=_checks.positive(self.learning_rate, "learning_rate"),
        )
        _checks.one_of(self.optimizer, "optimizer", OPTIMIZERS)
        _checks.one_of(self.schedule, "schedule", SCHEDULES)

    def rate(self, epoch: int) -> float:
        """The learning rate of an epoch, counted from 0; a cosine takes it to zero at the end."""
        if self.schedule == "constant":
            return self.learning_rate
        return self.learning_rate * (1 + math.cos(math.pi * epoch / self.epochs)) / 2

    def batches(self, samples: int, generator: torch.Generator) -> tuple[torch.Tensor, ...]:
        """The indices of an epoch's mini-batches."""
        order = torch.randperm(samples, generator=generator)
        return order.split(self.batch_size or samples)

    def diverged(self) -> RuntimeError:
        """The error of a run whose weights are no longer finite."""
        return RuntimeError(
            f"training diverged (learning_rate {self.learning_rate:g}): choose a smaller "
            "learning_rate"
        )


class Adam:
    """The steps of ``torch.optim.Adam`` with its default betas and eps (Kingma and Ba 2015)."""

    def __init__(self, size: int) -> None:
        self.first, self.second, self.count = np.zeros(size), np.zeros(size), 0

    def __call__(self, point: Array, gradient: Array, rate: float | Array) -> None:
        self.count += 1
        self.first += 0.1 * (gradient - self.first)
        self.second *= 0.999
        self.second += 0.001 * gradient * gradient
        root = np.sqrt(self.second)
        root /= math.sqrt(1 - 0.999**self.count)
        root += 1e-8
        point -= rate / (1 - 0.9**self.count) * self.first / root


class Momentum:
    """The steps of ``torch.optim.SGD``."""

    def __init__(self, size: int, momentum: float) -> None:
        self.velocity, self.momentum = np.zeros(size), momentum

    def __call__(self, point: Array, gradient: Array, rate: float) -> None:
        self.velocity *= self.momentum
        self.velocity += gradient
        point -= rate * self.velocity


_MOMENTUM = {"sgd": 0.9, "plain": 0.0}


def torch_optimizer(name: str, parameters: Iterable[Any], rate: float) -> torch.optim.Optimizer:
    """The optimiser of this name for the parameters of a torch network."""
    if name == "adam":
        return torch.optim.Adam(parameters, lr=rate)
    return torch.optim.SGD(parameters, lr=rate, momentum=_MOMENTUM[name])


class Descent:
    """A training run of a network (1): its data, its network, the steps left of its schedule.

    Parameters
    ----------
    X, y, width
        As in `train_sgd`.
    steps : Steps
    init : ShallowNet or what `as_shallow` takes, optional
        Where to start, `width` units of d inputs, instead of at random. Its offset is kept and
        not trained.
    loss : str or Loss
        Of one output.

    Attributes
    ----------
    inputs, targets : ndarray, (n, d + 1) and (n,)
        With the bias feature, and without the offset.
    weights, outer : ndarray, (m, d + 1) and (m,)
        The network as it is; views that `advance` changes.
    epoch : int
        Epochs done.

    Raises
    ------
    ValueError
        For bad input.
    """

    def __init__(
        self,
        X: Any,
        y: Any,
        width: int,
        steps: Steps,
        init: Any = None,
        loss: str | Loss = SQUARED,
    ) -> None:
        X, y = _checks.data_pair(X, y)
        self.kind = scalar_loss(loss)
        y = self.kind.targets(y, ())
        d, width = X.shape[1], _checks.count(width, "width")
        init = None if init is None else as_shallow(init, X)
        if init is not None and (init.dim, init.width) != (d, width):
            raise ValueError(
                f"init must have {d} inputs and {width} units, got {init.dim} and {init.width}"
            )
        outputs = np.zeros(len(y)) if init is None else init(X)
        _checks.warn_of_scales(X, -self.kind.gradient(outputs, y))
        self.steps, self.epoch = steps, 0
        self.generator = torch.Generator().manual_seed(steps.seed)
        start = initial_network(d, width, self.generator)  # drawn always: the batches follow it
        start = start if init is None else init
        self.offset = start.offset
        self.inputs, self.targets = with_bias(X), y - start.offset
        self._point = np.concatenate([start.weights.ravel(), start.outer])
        self.weights = self._point[:-width].reshape(width, d + 1)
        self.outer = self._point[-width:]
        size, name = len(self._point), steps.optimizer
        self._step = Adam(size) if name == "adam" else Momentum(size, _MOMENTUM[name])

    def beside_mean(self, strength: Any, reduction: str) -> float:
        """The strength beside the mean loss, which steps are on, of one beside its `reduction`."""
        _checks.one_of(reduction, "reduction", ("sum", "mean"))
        samples = len(self.targets) if reduction == "sum" else 1
        return _checks.nonnegative(strength, "strength") / samples

    def slope(self, outputs: Array, targets: Array) -> Array:
        """The `Slope` of the run's loss."""
        return self.kind.gradient(outputs + self.offset, targets + self.offset)

    @property
    def net(self) -> ShallowNet:
        """The network as it is, a copy."""
        return ShallowNet(self.weights, self.outer, self.offset)

    @one_blas_thread
    def advance(self, gradient: Gradient, epochs: int | None = None) -> ShallowNet:
        """Take the steps of the next epochs, or of all, along `gradient`; the network then.

        Raises
        ------
        RuntimeError
            If the weights diverge.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            for _ in range(self.steps.epochs if epochs is None else epochs):
                rate = self.steps.rate(self.epoch)
                for batch in self.steps.batches(len(self.targets), self.generator):
                    rows = batch.numpy()
                    by_weights, by_outer = gradient(
                        self.weights, self.outer, self.inputs[rows], self.targets[rows]
                    )
                    both = np.concatenate([by_weights.ravel(), by_outer])
                    self._step(self._point, both, rate)
                self.epoch += 1
                if not np.isfinite(self._point).all():
                    raise self.steps.diverged()
        return self.net


def initial_network(dim: int, width: int, generator: torch.Generator) -> ShallowNet:
    """torch's default initialisation without an output bias, drawn from `generator` alone."""

    def uniform(*shape: int, fan_in: int) -> Array:
        drawn = torch.empty(shape, dtype=torch.float64)
        return drawn.uniform_(-(fan_in**-0.5), fan_in**-0.5, generator=generator).numpy()

    weights, bias = uniform(width, dim, fan_in=dim), uniform(width, fan_in=dim)
    outer = uniform(1, width, fan_in=width)[0]
    return ShallowNet(np.column_stack([weights, bias]), outer)


def loss_gradient(
    weights: Array, outer: Array, inputs: Array, targets: Array, slope: Slope = SQUARED.gradient
) -> tuple[Array, Array]:
    """The `Gradient` of the mean over the batch of ``1/2 (f(x_k) - y_k)^2``, or another loss."""
    hidden = np.maximum(inputs @ weights.T, 0.0)
    by_output = slope(hidden @ outer, targets) / len(targets)
    through = (hidden > 0) * by_output[:, None]
    return outer[:, None] * (through.T @ inputs), by_output @ hidden


def decayed(decay: float, slope: Slope = SQUARED.gradient) -> Gradient:
    """The `Gradient` of that mean plus ``decay/2 sum_i (|w_i|^2 + a_i^2)``."""

    def gradient(weights: Array, outer: Array, x: Array, y: Array) -> tuple[Array, Array]:
        by_weights, by_outer = loss_gradient(weights, outer, x, y, slope)
        return by_weights + decay * weights, by_outer + decay * outer

    return gradient
