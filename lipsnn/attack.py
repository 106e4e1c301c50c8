"""Attacks: how wrong can a small perturbation of the inputs make a network?

One projected gradient ascent serves both kinds of networks: of the squared error for a scalar
output, and for classes of a margin that does not depend on the scale of the outputs, so that no
network is safe because its cross-entropy has saturated.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lipsnn import _checks
from lipsnn._checks import Array
from lipsnn._modules import data, evaluating
from lipsnn.losses import SQUARED, CrossEntropy
from lipsnn.network import as_network

if TYPE_CHECKING:
    import torch
    from torch import nn

# Points (k, d), which samples they are of, the number of the start -> how bad each point is (inf:
# as bad as can be, the sample is done), and a direction that leads to worse ones, in float64.
Evaluate = Callable[[Any, Any, int], tuple[Any, Any]]
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
    """Perturbed inputs that raise the squared error of `net`, each within `radius` of its own.

    Projected gradient ascent on ``(f(x) - y)^2`` (Madry et al. 2018), from the clean input
    and, with `restarts`, from random points of the ball; each sample keeps the worst point met,
    so the error never falls below the clean one. For classes see `pgd_inputs`.

    Parameters
    ----------
    net : ShallowNet or torch.nn.Sequential
    X : array_like, (n, d)
    y : array_like, (n,)
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
    net = as_network(net)
    X, y = _checks.data_pair(X, y, net.dim)
    ball = Ball(radius, norm, clip)

    def evaluate(points: Array, rows: Array, start: int) -> tuple[Array, Array]:
        slope = SQUARED.gradient(net(points), y[rows])
        # the sign of the residual says whether to climb or descend f; without one, either will do
        return slope**2, np.where(slope < 0, -1.0, 1.0)[:, None] * net.gradient(points)

    usual = 2.5 * ball.radius / max(steps, 1)
    return _ascend(evaluate, X, ball, _steps(steps, step_size, usual, usual), restarts, seed)


def adversarial_mse(net: Any, X: Any, y: Any, radii: Any, **settings: Any) -> Array:
    """Mean squared error under `pgd_attack` at each attack size, (len(radii),).

    `settings` go to `pgd_attack`; a radius of 0 is the clean error.
    """
    net = as_network(net)
    attacked = [net(pgd_attack(net, X, y, radius, **settings)) for radius in radii]
    _, y = _checks.data_pair(X, y, net.dim)
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
    import torch

    ball = Ball(radius, norm, clip)
    steps = _steps(iterations, step, 2 * ball.radius, 0.0)
    with evaluating(net), torch.inference_mode(False), torch.enable_grad():
        found = []
        for inputs, classes in _batches(net, X, y, batch_size):
            # a copy, which gradients may pass through wherever X comes from
            flat, evaluate = inputs.flatten(1).clone(), _margin(net, inputs, classes)
            worst = _ascend(evaluate, flat, ball, steps, restarts, seed, _DRAWS)
            found.append(worst.reshape(inputs.shape))
    return torch.cat(found)


def accuracy(net: nn.Module, X: Any, y: Any, batch_size: int = 1000) -> float:
    """Share of the inputs X (n, ...) whose largest output is that of their class y (n,)."""
    import torch

    with evaluating(net), torch.no_grad():
        right = [
            net(inputs).argmax(dim=1) == classes
            for inputs, classes in _batches(net, X, y, batch_size)
        ]
    return float(torch.cat(right).double().mean())


@dataclass(frozen=True)
class Ball:
    """The perturbations that an attack may choose from.

    Parameters
    ----------
    radius : float
    norm : {2, inf}
    box : (float, float), optional
        What the perturbed inputs must not leave.
    """

    radius: float
    norm: float = 2
    box: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "radius", _checks.nonnegative(self.radius, "radius"))
        _checks.one_of(self.norm, "norm", (2, math.inf))
        if self.box is not None and not self.box[0] < self.box[1]:
            raise ValueError(f"clip must be two numbers, the smaller first, got {self.box}")

    def project(self, delta: Any) -> Any:
        """Each row of `delta` projected onto the ball."""
        return self._shrunk(delta, self.radius)

    def steepest(self, gradient: Any) -> Any:
        """The unit step of steepest ascent, row by row; zero where the gradient is."""
        xp = _namespace(gradient)
        if self.norm != 2:
            return xp.sign(gradient)
        size = xp.amax(abs(gradient), 1)[:, None]
        # beyond these the squares overflow, or vanish
        extreme = (size > 1e150) | ((size < 1e-150) & (size > 0))
        if extreme.any():
            gradient = gradient / xp.where(extreme, size, 1.0)
        length = _lengths(gradient)
        return gradient / xp.where(length > 0, length, 1.0)

    def draw(self, rng: np.random.Generator, shape: tuple[int, int]) -> Array:
        """Uniform draws from the ball, one per row."""
        if self.norm == 2:
            direction = rng.standard_normal(shape)
            direction /= np.linalg.norm(direction, axis=1, keepdims=True)
            return self.radius * rng.uniform(size=(shape[0], 1)) ** (1 / shape[1]) * direction
        return rng.uniform(-self.radius, self.radius, size=shape)

    def around(self, X: Any, delta: Any) -> Any:
        """``X + delta`` in the type of X and in the box, within the radius in exact arithmetic.

        What rounding has carried beyond `delta` (float64) is rounded towards X instead. `delta` is
        shrunk before by what the lengths' own rounding can hide.
        """
        xp = _namespace(X)
        delta = self._shrunk(delta, self.radius * (1 - (delta.shape[1] + 16) * 2.0**-52))
        moved = _like(X, _wide(X) + delta)
        further = abs(_wide(moved) - _wide(X)) > abs(delta)
        moved = xp.where(further, xp.nextafter(moved, X), moved)
        return moved if self.box is None else moved.clip(*self.box)

    def _shrunk(self, delta: Any, radius: float) -> Any:
        if self.norm == 2:
            tiny = np.finfo(float).tiny
            return delta * (radius / _lengths(delta).clip(min=tiny)).clip(max=1.0)
        return delta.clip(-radius, radius)


def _steps(count: int, length: float | None, first: float, last: float) -> Array:
    """Lengths of the steps of a start: as told, or along a line from `first` towards `last`."""
    count = _checks.count(count, "steps", least=0)
    if length is not None:
        first = last = _checks.positive(length, "the step")
    return np.linspace(first, last, count, endpoint=False)


def _ascend(
    evaluate: Evaluate,
    X: Any,
    ball: Ball,
    steps: Array,
    restarts: int,
    seed: int,
    draws: int = 1,
) -> Any:
    """The worst point met for each row of X, from X itself and from random points of the ball."""
    xp = _namespace(X)
    restarts = _checks.count(restarts, "restarts", least=0)
    starts = np.random.default_rng(_checks.seed(seed))
    wander = starts.spawn(1)[0]  # a stream of its own: the starts do not depend on it
    if ball.box is not None and (X.clip(*ball.box) != X).any():
        raise ValueError(f"X has entries outside of clip = {ball.box}: scale it, or leave clip out")
    everything = xp.arange(len(X)) if xp is np else xp.arange(len(X), device=X.device)
    worst, (highest, _) = 1 * X, evaluate(X, everything, 0)
    if ball.radius == 0:
        return worst

    def tensor(drawn: Array) -> Any:
        return drawn if xp is np else xp.as_tensor(drawn, device=X.device)

    def tried(rows: Any, delta: Any, start: int) -> tuple[Any, Any]:
        points = ball.around(X[rows], delta)
        score, ascent = evaluate(points, rows, start)
        worse = score > highest[rows]
        worst[rows[worse]], highest[rows[worse]] = points[worse], score[worse]
        return score, ascent

    for start in range(restarts + 1):
        rows = everything[highest < math.inf]
        delta = tensor(ball.draw(starts, tuple(X.shape)) if start else np.zeros(tuple(X.shape)))[
            rows
        ]
        score, ascent = tried(rows, delta, start)
        for _ in range(draws - 1 if start else 0):
            other = tensor(ball.draw(starts, tuple(X.shape)))[rows]
            found, uphill = tried(rows, other, start)
            worse = found > score
            delta[worse], score[worse], ascent[worse] = other[worse], found[worse], uphill[worse]
        for length in steps:
            left = score < math.inf
            rows, delta, ascent = rows[left], delta[left], ascent[left]
            if not len(rows):
                break
            flat = (ascent == 0).all(1)
            if flat.any():
                ascent[flat] = tensor(wander.standard_normal((int(flat.sum()), X.shape[1])))
            delta = ball.project(delta + length * ball.steepest(ascent))
            if ball.box is not None:
                delta = _wide(ball.around(X[rows], delta)) - _wide(X[rows])
            score, ascent = tried(rows, delta, start)
    return worst


def _margin(net: nn.Module, X: torch.Tensor, y: torch.Tensor) -> Evaluate:
    """The margin by which samples near X are taken for another class than y."""
    import torch

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
    from torch import nn

    return isinstance(layer, (nn.Softmax, nn.LogSoftmax)) and layer.dim in (1, -1)


def _batches(
    net: nn.Module, X: Any, y: Any, size: int
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Inputs and their classes, so many at a time."""
    size = _checks.count(size, "batch_size")
    inputs, classes = data(net, X, y, CrossEntropy())
    return zip(inputs.split(size), classes.split(size), strict=True)


def _lengths(delta: Any) -> Any:
    return _namespace(delta).sqrt((delta * delta).sum(1))[:, None]


def _wide(values: Any) -> Any:
    return values if isinstance(values, np.ndarray) else values.double()


def _like(X: Any, values: Any) -> Any:
    return values if isinstance(X, np.ndarray) else values.to(X.dtype)


def _namespace(values: Any) -> Any:
    """numpy, or torch: of the few functions used here both have the same."""
    if isinstance(values, np.ndarray):
        return np
    import torch

    return torch
