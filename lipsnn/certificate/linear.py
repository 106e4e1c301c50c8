"""Which units of later layers keep their side on a ball or a box: linear bounds, backwards.

On a region where ``low <= u <= high`` a unit phi(u), of slope a below 0 and b above, lies between
its chord and any line ``s u`` with s between a and b (above the chord if phi is concave). Put in
for each unit, from the layer before back to the inputs, these lines bound ``w'v + c`` by a linear
function of x, as CROWN does (Zhang, Weng, Chen, Hsieh and Daniel, 2018), whose largest value on
the region is known. Each choice of the s is a bound; the least of four is taken. Another
activation, of slopes alpha to beta between low and high, keeps as near to each line through its
values at the two ends as these slopes let it: those are its lines, and its sector.

All in float64 with proved bounds on the rounding: where a product B W_k is off by E, ``E v_k`` is
at most ``|E| |v_k|``, and all |v_k| are bounded already.
"""

from __future__ import annotations

import numpy as np

from lipsnn._checks import Array
from lipsnn.activations import Activation
from lipsnn.certificate.bent import bend, wider
from lipsnn.certificate.form import Form
from lipsnn.certificate.region import Polytope, Region

_EPS = float(np.finfo(float).eps)
# More than a sum of products may lose to underflow, relative to the sizes beside it.
_TINY = 1e-290


def sides_of(
    form: Form, region: Region, claimed: list[Array] | None = None, rounding: tuple[float, ...] = ()
) -> list[Array]:
    """Of each unit, by layer: 1 if it is >= 0 on the whole region, -1 if <= 0, else 0.

    Or its sector there, (2, n), where the activation is not positively homogeneous. On a polytope,
    whose points have no known bound, of the first hidden layer only, and sides only. What is
    `claimed` is proved: the other sides, and those that are not proved, are 0, and the sectors
    whole. Without claims rounding errors are taken twice as large as they can be, so that a proof
    will find no less. With `Network.rounding` all holds with all weights that are so near, too.
    """
    W, b = form.weights[0], form.biases[0]
    nothing = [np.zeros(n, dtype=int) for n in form.widths]
    spread, known = region.spread(), list[Array]()
    if form.activations[0].homogeneous:
        # its sides in floating point leave more room than one rounding, but not on a polytope
        if claimed is None or any(rounding[:1]):
            rough = any(rounding[:1]) and isinstance(region, Polytope)
            known = nothing[:1] if rough else [region.sides(W, b)]
        else:
            known = [claimed[0] if claimed[0].ndim == 1 else nothing[0]]
        if claimed is not None:
            agreed = _agreed(known[0], claimed[0], form.activations[0], nothing[0])
            known = [np.where(region.proves(W, b, agreed), agreed, 0)]
    if spread is None or (known and len(form.widths) == 1):
        return known + nothing[len(known) :]
    with np.errstate(over="ignore", invalid="ignore"):
        layers = _Layers(form, spread, 2.0 if claimed is None else 1.0, 4 * sum(rounding))
        for k, phi in enumerate(form.activations):
            low, high = layers.bounds()
            if not phi.homogeneous:
                known.append(layers.bend(phi, low, high))
                continue
            if k:
                known.append(np.select([low >= 0, high <= 0], [1, -1], 0))
            layers.add(phi, known[k], low, high)
    if claimed is None:
        pairs = zip(known, form.activations, strict=True)
        return [wider(own, phi) if own.ndim == 2 else own for own, phi in pairs]
    return list(map(_agreed, known, claimed, form.activations, nothing))


def _agreed(own: Array, said: Array, phi: Activation, nothing: Array) -> Array:
    """What is said of a layer's units, where what was found allows it."""
    if own.shape != said.shape:
        return nothing
    if own.ndim == 1:
        return np.where(own == said, own, nothing)
    inside = (said[0] <= own[0]) & (own[1] <= said[1]) & np.isfinite(said).all(axis=0)
    return np.where(inside, said, np.reshape(phi.sector, (2, 1)))


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
        # for each layer slopes (4, n) of the lines below and above, and where these start, (n,) or
        # (4, n)
        self.lines: list[tuple[Array, Array, Array, Array]] = []

    def _sum(self, k: int) -> Array:
        W, b = self.net.weights[k], self.net.biases[k]
        return (np.abs(W) @ self.values[k] + np.abs(b)) * (1 + self.rounding) + _TINY

    def bend(self, phi: Activation, low: Array, high: Array) -> Array:
        """The next layer, of an activation that is not positively homogeneous; its sectors."""
        sectors, first, last = bend(phi, low, high)
        (alpha, beta), width = sectors, high - low
        with np.errstate(divide="ignore"):
            chord = np.where(width > 0, (last[0] - first[1]) / width, alpha)
        flat = np.clip(0 * alpha, alpha, beta)
        slopes = np.array([np.clip(chord, alpha, beta), alpha, beta, flat])
        # phi(u) - s u falls by at most s - alpha and rises by at most beta - s
        falls, rises, span = slopes - alpha, beta - slopes, beta - alpha
        share = np.divide(rises, span, out=np.ones_like(slopes), where=span > 0)
        room = share * falls * width
        error = np.abs(first).max(axis=0) + np.abs(last).max(axis=0)
        steepest = np.maximum(np.abs(alpha), np.abs(beta))
        error = 32 * _EPS * (error + steepest * (np.abs(low) + np.abs(high))) + _TINY
        begin, end = (ends[:, None] - slopes * at for ends, at in ((first, low), (last, high)))
        below = share * begin[0] + (1 - share) * end[0] - room - error
        above = (1 - share) * begin[1] + share * end[1] + room + error
        self.lines.append((slopes, slopes, below, above))
        least, most = np.min([first[0], last[0]], axis=0), np.max([first[1], last[1]], axis=0)
        self._next(np.maximum(np.abs(least), np.abs(most)) + steepest * width)
        return sectors

    def add(self, phi: Activation, sides: Array, low: Array, high: Array) -> None:
        """The next layer, of a positively homogeneous activation: its sides, and its bounds."""
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
        self._next(steepest * np.minimum(largest, self.sums[-1]))

    def _next(self, largest: Array) -> None:
        """How large the units of a layer are at most, but for rounding."""
        self.values.append(largest * (1 + 8 * _EPS))
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
            below, above, *starts = self.lines[k]
            start_below, start_above = (np.broadcast_to(x, below.shape)[choice] for x in starts)
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
