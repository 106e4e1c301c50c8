"""Stochastic gradient descent on the l2-regularised problem (4)."""

from __future__ import annotations

from typing import Any

from lipsnn.losses import Loss
from lipsnn.network import ShallowNet
from lipsnn.train.descent import Descent, Steps, decayed


def train_sgd(
    X: Any,
    y: Any,
    width: int,
    strength: float,
    seed: int = 0,
    *,
    epochs: int = 500,
    batch_size: int | None = 32,
    learning_rate: float = 1e-2,
    optimizer: str = "adam",
    schedule: str = "cosine",
    reduction: str = "sum",
    loss: str | Loss = "squared",
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
    epochs : int
    batch_size : int or None
        None is the full batch.
    learning_rate : float
    optimizer : {"adam", "sgd", "plain"}
        "sgd" has momentum 0.9, "plain" has none.
    schedule : {"cosine", "constant"}
        The learning rate falls to zero along a cosine, or stays.
    reduction : {"sum", "mean"}
        "mean" divides the loss by n, so that a strength means the same at every n.
    loss : {"squared", "huber", "logistic"} or Loss
        In place of half of the squared error, as `refine` has it.

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
    steps = Steps(seed, epochs, batch_size, learning_rate, optimizer, schedule)
    descent = Descent(X, y, width, steps, loss=loss)
    return descent.advance(decayed(descent.beside_mean(strength, reduction), descent.slope))
