"""Gradient descent on problem (4) itself, by the gradient of the certificate."""

from __future__ import annotations

from typing import Any

import torch

from lipsnn import _checks
from lipsnn.network import ShallowNet
from lipsnn.torch import WarmBound
from lipsnn.train.sgd import OPTIMIZERS, initial_network


def train_lipschitz(
    X: Any,
    y: Any,
    width: int,
    strength: float,
    seed: int = 0,
    *,
    epochs: int = 500,
    batch_size: int | None = None,
    learning_rate: float = 1e-2,
    optimizer: str = "adam",
    tol: float = 1e-3,
    init: ShallowNet | None = None,
) -> ShallowNet:
    """Train on problem (4) with lam_reg = 0: the loss plus lam_lip rho, rho certified at each step.

    Minimises ``1/2 sum_k (f(x_k) - y_k)^2 + strength L(W, a)^2`` with the differentiable L of
    `lipsnn.torch.lipschitz_bound` (facts A and B). Each certificate starts from the one before.
    Scaling, initial weights and learning rate are those of `train_sgd`.

    Parameters
    ----------
    X : array_like, (n, d)
    y : array_like, (n,)
    width : int
        Number m of hidden units.
    strength : float
        lam_lip, not negative.
    seed : int
        Fixes the initial weights and the order of the mini-batches; torch's global state is
        neither read nor changed.
    epochs : int
    batch_size : int or None
        None is the full batch.
    learning_rate : float
    optimizer : {"adam", "sgd"}
        "sgd" has momentum 0.9.
    tol : float
        Relative gap of the certificates between the steps.
    init : ShallowNet, optional
        Where to start, `width` units of d inputs, instead of at random. Its offset is kept and
        not trained.

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
    batch_size = len(X) if batch_size is None else _checks.count(batch_size, "batch_size")
    learning_rate = _checks.positive(learning_rate, "learning_rate")
    _checks.one_of(optimizer, "optimizer", tuple(OPTIMIZERS))

    n, d = X.shape
    generator = torch.Generator().manual_seed(seed)
    net = initial_network(d, width, generator)
    weight, bias, outer = net.parameters()
    offset = 0.0
    if init is not None:
        if (init.dim, init.width) != (d, width):
            raise ValueError(
                f"init must have {d} inputs and {width} units, got {init.dim} and {init.width}"
            )
        offset = init.offset
        with torch.no_grad():
            weight.copy_(torch.tensor(init.weights[:, :-1]))
            bias.copy_(torch.tensor(init.weights[:, -1]))
            outer.copy_(torch.tensor(init.outer)[None])
    bound = WarmBound(tol)
    inputs, targets = torch.from_numpy(X), torch.from_numpy(y - offset)
    steps = OPTIMIZERS[optimizer](net.parameters(), lr=learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(steps, max(epochs, 1))
    diverged = RuntimeError(
        f"training diverged (learning_rate {learning_rate:g}): choose a smaller learning_rate"
    )
    for _ in range(epochs):
        for batch in torch.randperm(n, generator=generator).split(batch_size):
            steps.zero_grad()
            residual = net(inputs[batch])[:, 0] - targets[batch]
            loss = 0.5 * (residual**2).mean()
            if strength > 0:
                if not all(torch.isfinite(parameter).all() for parameter in net.parameters()):
                    raise diverged
                weights = torch.hstack([weight, bias[:, None]])
                loss = loss + strength / n * bound(weights, outer[0]) ** 2
            loss.backward()
            steps.step()
        schedule.step()
    if not all(torch.isfinite(parameter).all() for parameter in net.parameters()):
        raise diverged
    trained = ShallowNet.from_torch(net)
    return ShallowNet(trained.weights, trained.outer, offset)
