"""Stochastic gradient descent on the l2-regularised problem (4)."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn.utils import skip_init

from lipsnn import _checks
from lipsnn.network import ShallowNet

OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,
    "sgd": functools.partial(torch.optim.SGD, momentum=0.9),
}


def initial_network(dim: int, width: int, generator: torch.Generator) -> nn.Sequential:
    """torch's default initialisation without an output bias, drawn from `generator` alone."""
    net = nn.Sequential(
        skip_init(nn.Linear, dim, width, dtype=torch.float64),
        nn.ReLU(),
        skip_init(nn.Linear, width, 1, bias=False, dtype=torch.float64),
    )
    for parameter, fan_in in zip(net.parameters(), (dim, dim, width), strict=True):
        nn.init.uniform_(parameter, -(fan_in**-0.5), fan_in**-0.5, generator=generator)
    return net


def train_sgd(
    X: Any,
    y: Any,
    width: int,
    strength: float,
    seed: int = 0,
    *,
    epochs: int = 500,
    batch_size: int = 32,
    learning_rate: float = 1e-2,
    optimizer: str = "adam",
) -> ShallowNet:
    """Train on problem (4) with lam_lip = 0: the l2-regularised base model.

    Minimises ``1/2 sum_k (f(x_k) - y_k)^2 + strength/2 sum_i (|w_i|^2 + a_i^2)`` over
    mini-batches, each scaled to the whole sum; the step is on the objective divided by n, so
    that `learning_rate` does not depend on the number of samples. The learning rate falls to
    zero along a cosine.

    Parameters
    ----------
    X : array_like, (n, d)
    y : array_like, (n,)
    width : int
        Number m of hidden units.
    strength : float
        lam_reg, not negative.
    seed : int
        Fixes the initial weights and the order of the mini-batches; torch's global state is
        neither read nor changed.
    epochs, batch_size : int
    learning_rate : float
    optimizer : {"adam", "sgd"}
        "sgd" has momentum 0.9.

    Returns
    -------
    ShallowNet

    Raises
    ------
    ValueError
        For bad input.
    RuntimeError
        If the weights diverge.
    """
    X, y = _checks.data_pair(X, y)
    width = _checks.count(width, "width")
    strength = _checks.nonnegative(strength, "strength")
    epochs = _checks.count(epochs, "epochs", least=0)
    batch_size = _checks.count(batch_size, "batch_size")
    learning_rate = _checks.positive(learning_rate, "learning_rate")
    _checks.one_of(optimizer, "optimizer", tuple(OPTIMIZERS))

    n, d = X.shape
    generator = torch.Generator().manual_seed(seed)
    net = initial_network(d, width, generator)
    inputs, targets = torch.from_numpy(X), torch.from_numpy(y)
    steps = OPTIMIZERS[optimizer](net.parameters(), lr=learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(steps, max(epochs, 1))
    for _ in range(epochs):
        for batch in torch.randperm(n, generator=generator).split(batch_size):
            steps.zero_grad()
            residual = net(inputs[batch])[:, 0] - targets[batch]
            squares = sum((parameter**2).sum() for parameter in net.parameters())
            (0.5 * (residual**2).mean() + strength / (2 * n) * squares).backward()
            steps.step()
        schedule.step()
    if not all(torch.isfinite(parameter).all() for parameter in net.parameters()):
        raise RuntimeError(
            f"training diverged (learning_rate {learning_rate:g}): choose a smaller learning_rate"
        )
    return ShallowNet.from_torch(net)
