"""Projected gradient ascent in a ball of inputs, on arrays of numpy and tensors of torch alike."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from lipsnn import _checks
from lipsnn._checks import Array
from lipsnn._optional import torch

# Points (k, d), which samples they are of, the number of the start -> how bad each point is (inf:
# as bad as can be, the sample is done), and a direction that leads to worse ones, in float64.
Evaluate = Callable[[Any, Any, int], tuple[Any, Any]]


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

    def project(self, delta: Any, share: float = 1.0) -> Any:
        """Each row of `delta` projected onto the ball, or one of that share of the radius."""
        radius = self.radius * share
        if self.norm != 2:
            return delta.clip(-radius, radius)
        # a length below the radius, however small, is left alone; squares keep their digits
        unit = 1.0 if radius == 0 or 1e-140 < radius < 1e140 else radius
        lengths = _lengths(delta if unit == 1 else delta / unit)
        return delta * (radius / unit / lengths.clip(min=radius / unit or 1.0))

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
        delta = self.project(delta, 1 - (delta.shape[1] + 16) * 2.0**-52)
        moved = _wide(X) + delta
        moved = moved if xp is np else moved.to(X.dtype)
        further = abs(_wide(moved) - _wide(X)) > abs(delta)
        moved = xp.where(further, xp.nextafter(moved, X), moved)
        return moved if self.box is None else moved.clip(*self.box)


def step_lengths(count: int, length: float | None, first: float, last: float) -> Array:
    """Lengths of the steps of a start: as told, or along a line from `first` towards `last`."""
    count = _checks.count(count, "steps", least=0)
    if length is not None:
        first = last = _checks.positive(length, "the step")
    return np.linspace(first, last, count, endpoint=False)


def ascend(
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
    starts = np.random.default_rng(_checks.count(seed, "seed", least=0))
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
        drawn = ball.draw(starts, tuple(X.shape)) if start else np.zeros(tuple(X.shape))
        delta = tensor(drawn)[rows]
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


def _lengths(delta: Any) -> Any:
    return _namespace(delta).sqrt((delta * delta).sum(1))[:, None]


def _wide(values: Any) -> Any:
    return values if isinstance(values, np.ndarray) else values.double()


def _namespace(values: Any) -> Any:
    """numpy, or torch: of the few functions used here both have the same."""
    return np if isinstance(values, np.ndarray) else torch
