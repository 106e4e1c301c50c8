"""What the two toy examples of Pauli et al. (2020) are made of: data, first networks, training.

Settings as in the authors' code: 100 points of [0, 10], 10 tanh units, torch's initialisation,
float32, full-batch gradient descent with rate 0.01, a fixed number of steps. The Lipschitz network
is ADMM from another one, r = 2, T the optimum of LipSDP there and fixed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np

from lipsnn._checks import Array
from lipsnn.certificate import Certificate, certify_layers
from lipsnn.network import Network
from lipsnn.train.admm.engine import AdmmResult, run
from lipsnn.train.admm.step import FixedStep
from studies.pauli.descent import TanhNet, descend

UNITS, PENALTY = 10, 2.0
# Of the slopes: wider than the data, since the bound holds everywhere.
_GRID = np.linspace(-20.0, 30.0, 50_001)


def points() -> Array:
    """The 100 inputs of both examples."""
    return np.asarray(_torch().linspace(0, 10, 100).numpy())


def steps_target() -> Array:
    """Example 1: one on indices 10 to 14 and 70 to 79, else zero."""
    y = np.zeros(100, dtype=np.float32)
    y[10:15] = y[70:80] = 1.0
    return y


def noisy_sine(seed: int) -> Array:
    """Example 2: sin x plus noise uniform in [0, 1], drawn first after seeding torch."""
    torch = _torch()
    generator = torch.Generator().manual_seed(seed)
    x = torch.linspace(0, 10, 100)
    return np.asarray((torch.sin(x) + torch.rand(100, generator=generator)).numpy())


def initial_nets(seed: int, count: int, noise_first: bool = False) -> list[TanhNet]:
    """`count` networks as ``nn.Linear`` draws them one after the other from `seed`.

    Parameters
    ----------
    seed, count : int
    noise_first : bool
        Draw the 100 numbers of the noise before, as the code of example 2 does.
    """
    torch = _torch()
    from torch import nn

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if noise_first:
            torch.rand(100)
        drawn = [
            [*nn.Linear(1, UNITS).parameters(), *nn.Linear(UNITS, 1).parameters()]
            for _ in range(count)
        ]
    nets = []
    for tensors in drawn:
        inner, shift, outer, offset = (p.detach().numpy().copy() for p in tensors)
        nets.append(TanhNet(inner[:, 0], shift, outer[0], offset[0]))
    return nets


def certificate(net: TanhNet) -> Certificate:
    """LipSDP of a network; tanh has slopes in [0, 1]."""
    return certify_layers(Network(net.weights, activations="tanh"))


def steepest(net: TanhNet) -> float:
    """The largest slope seen on a fine grid from -20 to 30: attained, so below the bound."""
    return float(np.abs(net.slope(_GRID)).max())


class _Fit:
    """The side W of the splitting (9), by the compiled descent."""

    def __init__(self, net: TanhNet, x: Array, y: Array, steps: int) -> None:
        self.net, self.x, self.y, self.steps = net, x, y, steps

    @property
    def weights(self) -> list[Array]:
        return self.net.weights

    def descend(self, anchor: Sequence[Array]) -> None:
        self.net = descend(
            self.net, self.x, self.y, self.steps, penalty=PENALTY, anchor=list(anchor)
        ).net

    def loss(self, weights: Sequence[Array]) -> float:
        return mse(self.network(weights), self.x, self.y)

    def network(self, weights: Sequence[Array]) -> TanhNet:
        return self.net.with_weights(list(weights))


def mse(net: TanhNet, x: Array, y: Array) -> float:
    """Mean squared error, in float64."""
    return float(np.mean((net(x.astype(float)) - y) ** 2))


def lipschitz_net(
    start: TanhNet,
    x: Array,
    y: Array,
    *,
    rounds: int,
    steps: int,
    strength: float | None = None,
    enforce: float | None = None,
    callback: Callable[[list[Array]], None] | None = None,
) -> AdmmResult:
    """ADMM from `start`, equation (9) with `strength` mu or (12) with L_des = `enforce`.

    `callback` is shown Wbar after every round.
    """
    first = certificate(start)
    step = FixedStep(
        first.multipliers,
        first.bound**2 if enforce is None else enforce**2,
        mu=strength,
        penalty=PENALTY,
    )
    return run(
        _Fit(start, x, y, steps),
        step,
        strength=strength or 0.0,
        penalty=PENALTY,
        iterations=rounds,
        tol=1e-9,
        update=callback,
    )


def direct(start: TanhNet, y: Array, steps: int, strength: float) -> tuple[TanhNet, float]:
    """(9) without a splitting: descent on MSE + mu L^2, T free, by the certificate's gradient.

    Returns the network and the seconds of processor time it took.
    """
    begun = time.process_time()
    net = descend(start, points(), y, steps, strength=strength).net
    return net, time.process_time() - begun


def _torch():  # type: ignore[no-untyped-def]
    import torch

    return torch
