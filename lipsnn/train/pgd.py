"""Adversarial training: problem (4) with lam_lip = 0, the loss at worst-case inputs."""

from __future__ import annotations

from typing import Any

import numpy as np

from lipsnn import _checks
from lipsnn._ascent import Ball
from lipsnn._checks import Array
from lipsnn.network import ShallowNet
from lipsnn.train.descent import Descent, Steps, decayed


def train_pgd(
    X: Any,
    y: Any,
    width: int,
    strength: float,
    seed: int = 0,
    *,
    radius: float,
    norm: float = 2,
    attack_steps: int = 7,
    epochs: int = 500,
    batch_size: int | None = 32,
    learning_rate: float = 1e-2,
    optimizer: str = "adam",
    init: Any = None,
    schedule: str = "cosine",
    reduction: str = "sum",
) -> ShallowNet:
    """Train on the worst inputs that an attack finds near the data (Madry et al. 2018).

    Minimises ``1/2 sum_k max_{|e_k| <= radius} (f(x_k + e_k) - y_k)^2 + strength/2 sum_i
    (|w_i|^2 + a_i^2)``, where the inner maximum is replaced by what projected gradient ascent
    reaches from a random point of the ball, anew for each mini-batch. The step in the weights is
    the gradient at the inputs found, which are held fixed. With ``radius = 0`` this is
    `train_sgd`; scaling, initial weights and learning rate are the same.

    Parameters
    ----------
    X, y, width, strength
        As for `train_sgd`.
    seed : int
        Fixes the random starts too; numpy's global state is neither read nor changed either.
    radius : float
        Attack size, in the units of X; not negative.
    norm : {2, inf}
        The norm of the ball.
    attack_steps : int
        Ascent steps of each attack, each of length ``2.5 radius / attack_steps``.
    init : ShallowNet, optional
        Where to start, `width` units of d inputs, instead of at random. Its offset is kept and
        not trained.
    epochs, batch_size, learning_rate, optimizer, schedule, reduction
        As for `train_sgd`, with its result and its errors.
    """
    steps = Steps(seed, epochs, batch_size, learning_rate, optimizer, schedule)
    descent = Descent(X, y, width, steps, init)
    at_inputs = decayed(descent.beside_mean(strength, reduction))
    ball = Ball(radius, norm)
    length = 2.5 * ball.radius / _checks.count(attack_steps, "attack_steps")
    rng = np.random.default_rng(steps.seed)

    def gradient(weights: Array, outer: Array, x: Array, y: Array) -> tuple[Array, Array]:
        if ball.radius > 0:
            start = ball.draw(rng, (len(x), weights.shape[1] - 1))
            x = _attacked(weights, outer, x, y, start, ball, attack_steps, length)
        return at_inputs(weights, outer, x, y)

    return descent.advance(gradient)


def _attacked(
    weights: Array,
    outer: Array,
    inputs: Array,
    targets: Array,
    delta: Array,
    ball: Ball,
    steps: int,
    length: float,
) -> Array:
    """`inputs` (with the bias feature) after `steps` ascent steps on the error from `delta`.

    `pgd_attack` without what an evaluation needs and a training step does not: restarts, and
    the worst of all points met. The preactivations of the clean inputs are computed once.
    """
    clean, slopes = inputs @ weights.T, outer[:, None] * weights[:, :-1]
    moving = weights[:, :-1].T
    for _ in range(steps):
        active = np.maximum(clean + delta @ moving, 0.0)
        # the sign of the residual says whether to climb or descend f
        side = np.sign(active @ outer - targets)
        ascent = side[:, None] * ((active > 0).astype(np.float64) @ slopes)
        delta = ball.project(delta + length * ball.steepest(ascent))
    attacked = inputs.copy()
    attacked[:, :-1] += delta
    return attacked
