"""Stochastic gradient descent on the l2-regularised problem (4)."""

from __future__ import annotations

from typing import Any

from lipsnn._checks import Array
from lipsnn._optional import torch
from lipsnn.network import ShallowNet, with_bias
from lipsnn.train.descent import Descent, Gradient, beside_mean, loss_gradient


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
    schedule: str = "cosine",
    reduction: str = "sum",
) -> ShallowNet:
    """Train on problem (4) with lam_lip = 0: the l2-regularised base model.

    Minimises ``1/2 sum_k (f(x_k) - y_k)^2 + strength/2 sum_i (|w_i|^2 + a_i^2)`` over
    mini-batches, each scaled to the whole sum; the step is on the objective divided by n, so
    that `learning_rate` does not depend on the number of samples.

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
    optimizer : {"adam", "sgd", "plain"}
        "sgd" has momentum 0.9, "plain" has none.
    schedule : {"cosine", "constant"}
        The learning rate falls to zero along a cosine, or stays.
    reduction : {"sum", "mean"}
        "mean" divides the loss by n, so that a strength means the same at every n.

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
    descent = Descent(
        X, y, width, seed, epochs, batch_size, learning_rate, optimizer, schedule=schedule
    )
    return descent.run(l2_gradient(descent, beside_mean(strength, reduction, len(descent.X))))


def l2_gradient(descent: Descent, decay: float) -> Gradient:
    """Of half the mean of squares plus ``decay/2 sum_i (|w_i|^2 + a_i^2)``, on its data."""
    inputs, targets = with_bias(descent.X), descent.y

    def gradient(weights: Array, outer: Array, batch: torch.Tensor) -> tuple[Array, Array]:
        rows = batch.numpy()
        by_weights, by_outer = loss_gradient(weights, outer, inputs[rows], targets[rows])
        return by_weights + decay * weights, by_outer + decay * outer

    return gradient
