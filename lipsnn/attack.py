"""Projected gradient descent on the inputs: how wrong can a small perturbation make the network?"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lipsnn import _checks
from lipsnn._checks import Array
from lipsnn.convert import as_shallow


def pgd_attack(
    net: Any,
    X: Any,
    y: Any,
    radius: float,
    norm: float = 2,
    steps: int = 50,
    seed: int = 0,
    *,
    restarts: int = 1,
    step_size: float | None = None,
) -> Array:
    """Perturbed inputs that raise the squared error of `net`, each within `radius` of its own.

    Projected gradient ascent on ``(f(x) - y)^2`` (Madry et al. 2018), from the clean input
    and, with `restarts`, from random points of the ball; each sample keeps the worst point met,
    so the error never falls below the clean one.

    Parameters
    ----------
    net : ShallowNet or torch.nn.Sequential
    X : array_like, (n, d)
    y : array_like, (n,)
    radius : float
        Attack size, in the units of X; not negative.
    norm : {2, inf}
        The norm of the ball.
    steps : int
        Gradient steps of each start.
    seed : int
        Of the random starts.
    restarts : int
        Number of random starts beside the clean one.
    step_size : float, optional
        ``2.5 radius / steps`` if None, enough to cross the ball.

    Returns
    -------
    ndarray, (n, d)
    """
    net = as_shallow(net, X)
    X, y = _checks.data_pair(X, y, net.dim)
    radius = _checks.nonnegative(radius, "radius")
    norm = _checks.one_of(norm, "norm", (2, math.inf))
    steps = _checks.count(steps, "steps")
    restarts = _checks.count(restarts, "restarts", least=0)
    step = 2.5 * radius / steps if step_size is None else _checks.positive(step_size, "step_size")

    worst, worst_error = X.copy(), (net(X) - y) ** 2
    if radius == 0:
        return worst
    rng = np.random.default_rng(_checks.count(seed, "seed", least=0))
    for start in range(restarts + 1):
        delta = np.zeros_like(X) if start == 0 else random_in_ball(rng, X.shape, radius, norm)
        for _ in range(steps):
            # the sign of the residual says whether to climb or descend f
            ascent = np.sign(net(X + delta) - y)[:, None] * net.gradient(X + delta)
            delta = project(delta + step * steepest(ascent, norm), radius, norm)
            error = (net(X + delta) - y) ** 2
            better = error > worst_error
            worst[better] = (X + delta)[better]
            worst_error[better] = error[better]
    return worst


def adversarial_mse(net: Any, X: Any, y: Any, radii: Any, **settings: Any) -> Array:
    """Mean squared error under `pgd_attack` at each attack size, (len(radii),).

    `settings` go to `pgd_attack`; a radius of 0 is the clean error.
    """
    net = as_shallow(net, X)
    attacked = [net(pgd_attack(net, X, y, radius, **settings)) for radius in radii]
    _, y = _checks.data_pair(X, y, net.dim)
    return np.array([np.mean((output - y) ** 2) for output in attacked])


def steepest(gradient: Array, norm: float) -> Array:
    """The unit step of steepest ascent in `norm`, row by row; zero where the gradient is."""
    if norm == 2:
        length = np.linalg.norm(gradient, axis=1, keepdims=True)
        return gradient / np.where(length > 0, length, 1.0)
    return np.sign(gradient)


def project(delta: Array, radius: float, norm: float) -> Array:
    """Each row of `delta` projected onto the ball."""
    if norm == 2:
        length = np.linalg.norm(delta, axis=1, keepdims=True)
        return delta * np.minimum(1.0, radius / np.maximum(length, np.finfo(float).tiny))
    return np.clip(delta, -radius, radius)


def random_in_ball(
    rng: np.random.Generator, shape: tuple[int, int], radius: float, norm: float
) -> Array:
    """Uniform draws from the ball, one per row."""
    if norm == 2:
        direction = rng.standard_normal(shape)
        direction /= np.linalg.norm(direction, axis=1, keepdims=True)
        return radius * rng.uniform(size=(shape[0], 1)) ** (1 / shape[1]) * direction
    return rng.uniform(-radius, radius, size=shape)
