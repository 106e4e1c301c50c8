"""Gradient descent on problem (4) itself, by the gradient of the certificate."""

from __future__ import annotations

from typing import Any

import numpy as np

from lipsnn._checks import Array
from lipsnn.losses import Loss
from lipsnn.network import ShallowNet
from lipsnn.train.descent import Descent, Steps, loss_gradient


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
    init: Any = None,
    reduction: str = "sum",
    loss: str | Loss = "squared",
) -> ShallowNet:
    """Train on problem (4) with lam_reg = 0: the loss plus lam_lip rho, rho certified at each step.

    Minimises ``1/2 sum_k (f(x_k) - y_k)^2 + strength L(W, a)^2`` with the differentiable L of
    `lipsnn.autograd.lipschitz_bound` (facts A and B). Each certificate starts from the one before.
    Scaling, initial weights and learning rate are those of `train_sgd`.

    Parameters
    ----------
    X, y, width, seed, epochs, batch_size, learning_rate, optimizer, reduction, loss
        As for `train_sgd`, with its result and its errors.
    strength : float
        lam_lip, not negative.
    tol : float
        Relative gap of the certificates between the steps.
    init : ShallowNet, optional
        Where to start, `width` units of d inputs, instead of at random. Its offset is kept and
        not trained.
    """
    from lipsnn.autograd import WarmBound  # its classes are torch's

    steps = Steps(seed, epochs, batch_size, learning_rate, optimizer)
    descent = Descent(X, y, width, steps, init, loss)
    share = descent.beside_mean(strength, reduction)
    bound = WarmBound(tol)

    def gradient(weights: Array, outer: Array, x: Array, y: Array) -> tuple[Array, Array]:
        by_weights, by_outer = loss_gradient(weights, outer, x, y, descent.slope)
        # divergence is the loop's to report, at the end of the epoch
        if share > 0 and np.isfinite(weights).all() and np.isfinite(outer).all():
            (value,), found = bound.solve([weights[None], outer[None]], shallow=True)
            by_weights += 2 * share * value * found[0][0]
            by_outer += 2 * share * value * found[1][0]
        return by_weights, by_outer

    return descent.advance(gradient)
