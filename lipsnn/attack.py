"""Attacks: how wrong can a small perturbation of the inputs make a network?

One projected gradient ascent serves both kinds of networks: of the squared error for a scalar
output, and for classes of a margin that does not depend on the scale of the outputs, so that no
network is safe because its cross-entropy has saturated.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from lipsnn import _checks
from lipsnn._ascent import Ball, Evaluate, ascend, step_lengths
from lipsnn._checks import Array
from lipsnn._modules import data, evaluating
from lipsnn._optional import nn, torch
from lipsnn.convert import as_network
from lipsnn.losses import SQUARED, CrossEntropy

# Random points of which an attack on classes takes the worst to start from: tried before any
# gradient is, so that noise is no better than the attack where gradients say nothing.
_DRAWS = 10


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
    clip: tuple[float, float] | None = None,
) -> Array:
    """Perturbed inputs that raise the error of `net`, each within `radius` of its own.

    Projected gradient ascent on ``|f(x) - y|^2`` (Madry et al. 2018), from the clean input
    and, with `restarts`, from random points of the ball; each sample keeps the worst point met,
    so the error never falls below the clean one. Where y holds a class for several outputs it is
    `pgd_inputs`, on the margin.

    Parameters
    ----------
    net : Network, ShallowNet or anything that `as_network` takes
        Images and layers that a `Network` has not, such as convolutions: see `pgd_inputs`.
    X : array_like, (n, d)
    y : array_like, (n,) or (n, k)
        A number for each of k outputs; (n,) for one output, or the class, of several.
    radius : float
        Attack size, in the units of X; not negative. No point is further away, rounding included.
    norm : {2, inf}
        The norm of the ball.
    steps : int
        Gradient steps of each start. Without any, the starts alone are tried: noise.
    seed : int
        Of the random starts.
    restarts : int
        Number of random starts beside the clean one.
    step_size : float, optional
        ``2.5 radius / steps`` if None, enough to cross the ball.
    clip : (float, float), optional
        The box that inputs come from, such as (0, 1): no point leaves it.

    Returns
    -------
    ndarray, (n, d)

    Raises
    ------
    ValueError
        For bad input.
    """
    net = as_network(net, X)
    if net.outputs > 1 and np.shape(y)[1:] != (net.outputs,):
        X = torch.from_numpy(_checks.inputs(X, net.dim))
        more: dict[str, Any] = {"iterations": steps, "step": step_size, "restarts": restarts}
        more |= {"norm": norm, "seed": seed, "clip": clip}
        return pgd_inputs(net.to_torch(torch.float64), X, y, radius, **more).numpy()
    y = SQUARED.targets(y, (net.outputs,))
    X, _ = _checks.data_pair(X, y[:, 0], net.dim)
    ball = Ball(radius, norm, clip)

    def evaluate(points: Array, rows: Array, start: int) -> tuple[Array, Array]:
        slope = SQUARED.gradient(net(points), y[rows])
        # residuals say how far to climb or descend each output; without any, either will do
        uphill = np.where((slope == 0).all(1)[:, None], 1.0, slope)
        uphill /= abs(uphill).max(1)[:, None]
        return (slope**2).sum(1), (uphill[:, :, None] * net.gradient(points)).sum(1)

    usual = 2.5 * ball.radius / max(steps, 1)
    return ascend(evaluate, X, ball, step_lengths(steps, step_size, usual, usual), restarts, seed)


def adversarial_mse(net: Any, X: Any, y: Any, radii: Any, **settings: Any) -> Array:
    """Mean squared error under `pgd_attack` at each attack size, (len(radii),).

    `settings` go to `pgd_attack`; a radius of 0 is the clean error.
    """
    net = as_network(net, X)
    y = SQUARED.targets(y, (net.outputs,))
    radii = _checks.finite_array(radii, "radii", 1)
    attacked = [net(pgd_attack(net, X, y, radius, **settings)) for radius in radii]
    return np.array([2 * np.mean(SQUARED.value(output, y)) for output in attacked])


def pgd_inputs(
    net: nn.Module,
    X: Any,
    y: Any,
    radius: float,
    *,
    norm: float = 2,
    step: float | None = None,
    iterations: int = 100,
    restarts: int = 3,
    seed: int = 0,
    clip: tuple[float, float] | None = None,
    batch_size: int = 1000,
) -> torch.Tensor:
    """Inputs near X that `net` takes for another class, each within `radius` of its own.

    Projected gradient ascent on the margin ``max_{j != y} f_j - f_y`` over the spread of the
    outputs: as AutoAttack's ratio (Croce and Hein 2020) it does not change with the scale of the
    outputs, and it needs no third class. The step is the steepest one in the ball's norm; the sign
    of the gradient, which CLIP's (14) takes in both, finds far less in l2. A sample is left where
    it is first misclassified; of one that never is, the worst point met is returned. Where the
    gradient vanishes the step is random.

    Parameters
    ----------
    net : torch.nn.Module
        With outputs (n, k), one for each class; evaluated, and left, as it is.
    X : Tensor or array_like, (n, ...)
    y : Tensor or array_like, (n,)
        Classes, whole numbers of any type.
    radius : float
        Attack size, in the units of X; not negative. No point is further away, rounding included.
    norm : {2, inf}
        The norm of the ball.
    step : float, optional
        Length of a step; if None it falls from ``2 radius`` to 0 along a line.
    iterations : int
        Steps of each start. Without any, the starts alone are tried: noise.
    restarts : int
        Starts beside the clean one, each from the worst of ten random points of the ball and
        towards one class: the likeliest wrong one, then the next (Gowal et al. 2019).
    seed : int
        Of the random points.
    clip : (float, float), optional
        The box that inputs come from, such as (0, 1): no point leaves it.
    batch_size : int

    Returns
    -------
    Tensor, (n, ...)
        In the type and on the device of the network's parameters, as X is before its attack.

    Raises
    ------
    ValueError
        For bad input.
    """
    ball = Ball(radius, norm, clip)
    steps = step_lengths(iterations, step, 2 * ball.radius, 0.0)
    with evaluating(net), torch.inference_mode(False), torch.enable_grad():
        found = []
        for inputs, classes in _batches(net, X, y, batch_size):
            # a copy, which gradients may pass through wherever X comes from
            flat, evaluate = inputs.flatten(1).clone(), _margin(net, inputs, classes)
            worst = ascend(evaluate, flat, ball, steps, restarts, seed, _DRAWS)
            found.append(worst.reshape(inputs.shape))
    return torch.cat(found)


def accuracy(net: nn.Module, X: Any, y: Any, batch_size: int = 1000) -> float:
    """Share of the inputs X (n, ...) whose largest output is that of their class y (n,)."""
    with evaluating(net), torch.no_grad():
        right = [
            net(inputs).argmax(dim=1) == classes
            for inputs, classes in _batches(net, X, y, batch_size)
        ]
    return float(torch.cat(right).double().mean())


def _margin(net: nn.Module, X: torch.Tensor, y: torch.Tensor) -> Evaluate:
    """The margin by which samples near X are taken for another class than y."""
    judge = net
    while type(net) is torch.nn.Sequential and len(net) and _normalises(net[-1]):
        net = net[:-1]  # it keeps the order of the outputs, and only hides their slopes

    with torch.no_grad():
        likeliest = net(X).scatter(1, y[:, None], -math.inf).argsort(1, descending=True)

    def evaluate(
        points: torch.Tensor, rows: torch.Tensor, start: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        inputs, own = points.detach().reshape(-1, *X.shape[1:]).requires_grad_(), y[rows][:, None]
        outputs = net(inputs)
        spread = (outputs.amax(1) - outputs.amin(1)).detach()
        margins = (outputs - outputs.gather(1, own)) / torch.where(spread > 0, spread, 1.0)[:, None]
        margin = margins.scatter(1, own, -math.inf).amax(1)
        aim = margin
        if start:
            target = likeliest[rows, (start - 1) % (likeliest.shape[1] - 1)]
            aim = margins.gather(1, target[:, None])[:, 0]
        ascent = torch.zeros_like(points, dtype=torch.float64)
        if aim.requires_grad:
            (found,) = torch.autograd.grad(aim.sum(), inputs, allow_unused=True)
            if found is not None:
                ascent = found.double().nan_to_num().flatten(1)
        with torch.no_grad():
            judged = outputs if net is judge else judge(inputs)
        fooled = judged.argmax(1) != own[:, 0]
        score = margin.detach().double().nan_to_num(-math.inf)
        return torch.where(fooled, math.inf, score), ascent

    return evaluate


def _normalises(layer: nn.Module) -> bool:
    return isinstance(layer, (nn.Softmax, nn.LogSoftmax)) and layer.dim in (1, -1)


def _batches(
    net: nn.Module, X: Any, y: Any, size: int
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Inputs and their classes, so many at a time."""
    size = _checks.count(size, "batch_size")
    inputs, classes = data(net, X, y, CrossEntropy())
    return zip(inputs.split(size), classes.split(size), strict=True)
