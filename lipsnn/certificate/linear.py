"""Which units of later layers keep their side on a ball or a box: linear bounds, backwards.

On a region where ``low <= u <= high`` a unit phi(u), of slope a below 0 and b above, lies between
its chord and any line ``s u`` with s between a and b (above the chord if phi is concave). Put in
for each unit, from the layer before back to the inputs, these lines bound ``w'v + c`` by a linear
function of x, as CROWN does (Zhang, Weng, Chen, Hsieh and Daniel, 2018), whose largest value on
the region is known. Each choice of the s is a bound; the least of four is taken.

All in float64 with proved bounds on the rounding: where a product B W_k is off by E, ``E v_k`` is
at most ``|E| |v_k|``, and all |v_k| are bounded already.
"""

from __future__ import annotations

import numpy as np

from lipsnn._checks import Array
from lipsnn.certificate.form import Form
from lipsnn.certificate.region import Polytope, Region

_EPS = float(np.finfo(float).eps)
# More than a sum of products may lose to underflow, relative to the sizes beside it.
_TINY = 1e-290


def sides_of(
    form: Form, region: Region, claimed: list[Array] | None = None, rounding: tuple[float, ...] = ()
) -> list[Array]:
    """Of each unit, by layer: 1 if it is >= 0 on the whole region, -1 if <= 0, else 0.

    On a polytope, whose points have no known bound, of the first hidden layer only. Sides that are
    `claimed` are proved: the others, and those that are not proved, are 0. Without them rounding
    errors are taken twice as large as they can be, so that a proof will find no less. With
    `Network.rounding` each unit has its side with all weights that are so near, too.
    """
    if not all(phi.homogeneous for phi in form.activations):
        raise ValueError(
            "a ball, box or polytope needs relu, leaky_relu, prelu or abs in every hidden layer: "
            "leave it out for a global bound"
        )
    W, b = form.weights[0], form.biases[0]
    # its sides in floating point leave more room than one rounding, but not on a polytope
    sides = [region.sides(W, b) if claimed is None or any(rounding[:1]) else claimed[0]]
    if any(rounding[:1]) and isinstance(region, Polytope):
        sides = [np.zeros(len(W), dtype=int)]
    if claimed is not None:
        agreed = np.where(sides[0] == claimed[0], claimed[0], 0)
        sides = [np.where(region.proves(W, b, agreed), agreed, 0)]
    later = form.widths[1:]
    spread = region.spread()
    if not later or spread is None:
        return sides + [np.zeros(n, dtype=int) for n in later]
    layers = _Layers(form, spread, 2.0 if claimed is None else 1.0, 4 * sum(rounding))
    with np.errstate(over="ignore", invalid="ignore"):
        for k in range(len(form.widths)):
            low, high = layers.bounds()
            if k:
                sides.append(np.select([low >= 0, high <= 0], [1, -1], 0))
            layers.add(sides[k], low, high)
    if claimed is not None:
        pairs = zip(sides, claimed, strict=True)
        sides = [np.where(own == said, own, 0) for own, said in pairs]
    return sides


class _Layers:
    """Lines around the units of the layers so far, and the sizes of all values."""

    def __init__(
        self, net: Form, spread: tuple[Array, Array, float], room: float, more: float
    ) -> None:
        self.net = net
        self.center, self.half, self.radius = spread
        most = max(net.dim, *net.widths) + 4
        self.rounding = 4 * room * most * _EPS + more
        # |v_k| <= values[k], and what the sums of |W_k| |v_k| + |b_k| come to
        self.values = [np.abs(self.center) + self.half + self.radius]
        self.sums = [self._sum(0)]
        # for each layer slopes (4, n) of the lines below and above, and where these start
        self.lines: list[tuple[Array, Array, Array, Array]] = []

    def _sum(self, k: int) -> Array:
        W, b = self.net.weights[k], self.net.biases[k]
        return (np.abs(W) @ self.values[k] + np.abs(b)) * (1 + self.rounding) + _TINY

    def add(self, sides: Array, low: Array, high: Array) -> None:
        """The next layer: its sides, and its bounds."""
        phi = self.net.activations[len(self.lines)]
        ones = np.ones(len(sides))
        below, above = phi.slope(-ones), phi.slope(ones)
        # a fixed side is proved by other means where `low` and `high` do not show it
        low = np.where(sides > 0, np.maximum(low, 0.0), np.minimum(low, 0.0))
        high = np.where(sides < 0, np.minimum(high, 0.0), np.maximum(high, 0.0))
        at_low, at_high = below * np.minimum(low, 0.0), above * np.maximum(high, 0.0)
        with np.errstate(divide="ignore"):
            chord = np.where(high > low, (at_high - at_low) / (high - low), 0.0)
        chord = np.clip(chord, np.minimum(below, above), np.maximum(below, above))
        nearer = np.where(high > -low, above, below)
        free, convex = sides == 0, above >= below
        fixed = np.where(sides > 0, above, below)
        touching = np.where(free, np.array([nearer, chord, below, above]), fixed)
        chord = np.broadcast_to(np.where(free, chord, fixed), touching.shape)
        ends = at_low - chord[0] * low, at_high - chord[0] * high
        steepest = np.maximum(np.abs(below), np.abs(above))
        error = 8 * _EPS * steepest * (np.abs(low) + np.abs(high)) + _TINY
        start = np.where(convex, np.maximum(*ends) + error, np.minimum(*ends) - error)
        start = np.where(free, start, 0.0)
        zero = np.zeros_like(start)
        self.lines.append(
            (
                np.where(convex, touching, chord),
                np.where(convex, chord, touching),
                np.where(convex, zero, start),
                np.where(convex, start, zero),
            )
        )
        largest = np.maximum(np.abs(low), np.abs(high))
        self.values.append(steepest * np.minimum(largest, self.sums[-1]) * (1 + 4 * _EPS))
        if len(self.lines) < len(self.net.widths):
            self.sums.append(self._sum(len(self.lines)))

    def bounds(self) -> tuple[Array, Array]:
        """Least and largest values (n,) of the next layer's units, rounded outwards."""
        n = self.net.widths[len(self.lines)]
        high = np.min([self._largest(choice) for choice in range(4 if self.lines else 1)], axis=0)
        return -high[n:], high[:n]

    def _largest(self, choice: int) -> Array:
        """Upper bounds (2 n,) of the units and of what is minus them."""
        i = len(self.lines)
        A = np.vstack([self.net.weights[i], -self.net.weights[i]])
        c = np.concatenate([self.net.biases[i], -self.net.biases[i]])
        size = np.tile(self.sums[i], 2)
        for k in range(i - 1, -1, -1):
            below, above, start_below, start_above = self.lines[k]
            up, down = np.maximum(A, 0.0), np.minimum(A, 0.0)
            c = c + up @ start_above + down @ start_below
            size = size + np.abs(A) @ np.maximum(np.abs(start_above), np.abs(start_below))
            B = up * above[choice] + down * below[choice]
            c, A = c + B @ self.net.biases[k], B @ self.net.weights[k]
            # of B by its units, of A = B W_k by the values it will meet, and of c
            size = size + np.abs(B) @ self.sums[k] + np.abs(A) @ self.values[k] + np.abs(c)
        moves = np.abs(A) @ self.half
        if self.radius:
            moves = moves + self.radius * np.hypot.reduce(A, axis=1)
        size = size + np.abs(A) @ self.values[0]
        size = size + _TINY / _EPS * (1 + sum(map(np.sum, (*self.values, *self.sums))))
        top = A @ self.center + moves + c + self.rounding * size
        return np.where(np.isnan(top), np.inf, top)
