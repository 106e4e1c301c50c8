"""The group norms of program (6) as second-order cones with Nesterov-Todd scaling."""

from __future__ import annotations

import numpy as np

from lipsnn._checks import Array

# Where the method starts, tau is at least this many norms.
_ROOM = 1.5


class NormCone:
    """``|z_i| <= tau_i`` for every unit: slack S (p + 1, g) with columns (tau_i, z_i).

    The extras are tau (g,), each at cost `strength`.
    """

    def __init__(self, p: int, g: int, strength: float) -> None:
        self.p, self.g = p, g
        self.extras, self.degree = g, g
        self.cost = np.full(g, strength)

    def start(self, Z: Array) -> tuple[Array, Array]:
        """Z, and extras for which S is well inside its cone there."""
        return Z, np.maximum(1.0, _ROOM * np.linalg.norm(Z, axis=0))

    def slack(self, Z: Array, extras: Array) -> Array:
        return np.vstack([extras, Z])

    linear = slack

    def adjoint(self, Y: Array) -> tuple[Array, Array]:
        return Y[1:], Y[0]

    def centred(self, S: Array) -> Array:
        """The multiplier Y with S o Y = e."""
        return _mirror(S) / _form(S, S)

    def mend(self, Y: Array) -> Array:
        """Y with its stationarity in the extras made exact, by a scaling."""
        return Y * (self.cost / Y[0])

    def scale(self, S: Array, Y: Array) -> None:
        """Set W with W Y = W^-1 S = l, one hyperbolic Householder matrix per unit."""
        self.S, self.Y = S, Y
        size_s, size_y = _form(S, S), _form(Y, Y)
        if not (min(size_s.min(), size_y.min(), S[0].min(), Y[0].min()) > 0):
            raise np.linalg.LinAlgError("a slack or multiplier left its cone")
        s, y = S / np.sqrt(size_s), Y / np.sqrt(size_y)
        gamma = np.sqrt((1.0 + (s * y).sum(axis=0)) / 2.0)
        w = (s + _mirror(y)) / (2.0 * gamma)
        self._eta = (size_s / size_y) ** 0.25
        self._w = w
        self._l = self._eta * self._turn(w, Y)

    def advance(self, S: Array, multiplier: Array, step: float) -> Array:
        """Scale anew at slack S and at the multiplier moved by a scaled step; the latter."""
        Y = self.Y + step * self.unshrink(multiplier)
        self.scale(S, Y)
        return Y

    @staticmethod
    def _turn(w: Array, v: Array) -> Array:
        """W v / eta, W = eta (2 w w' - J)^(1/2): [[w0, w1'], [w1, I + w1 w1' / (1 + w0)]] v."""
        dot = (w[1:] * v[1:]).sum(axis=0)
        first = w[0] * v[0] + dot
        return np.vstack([first, v[1:] + w[1:] * (v[0] + dot / (1.0 + w[0]))])

    def shrink(self, dS: Array) -> Array:
        """W^-1 dS, which is W^-1 of a multiplier as well."""
        return self._turn(_mirror(self._w), dS) / self._eta

    unshrink = shrink

    def recentred(self, pair: tuple[Array, Array], step: float, low: float, high: float) -> Array:
        """What to add to the target so that the products after `step` lie in [low, high]."""
        product = _jordan(self._l + step * pair[0], self._l + step * pair[1])
        size = np.linalg.norm(product[1:], axis=0)
        axis = product[1:] / np.where(size > 0, size, 1.0)
        values = np.stack([product[0] + size, product[0] - size])
        shift = np.maximum(np.clip(values, low, high) - values, -high)
        return self._divide(np.vstack([shift.sum(axis=0), (shift[0] - shift[1]) * axis]) / 2)

    def target(self, mu: float, pair: tuple[Array, Array] | None) -> Array:
        """W^-1 B for l o B = mu e - l o l - the second-order term of a scaled `pair`."""
        wanted = -_jordan(self._l, self._l)
        wanted[0] += mu
        if pair is not None:
            wanted -= _jordan(*pair)
        return self._divide(wanted)

    def _divide(self, wanted: Array) -> Array:
        """B with l o B = wanted: the inverse of the arrow matrix of l."""
        low, high = self._l[0], self._l[1:]
        form = _form(self._l, self._l)
        dot = (high * wanted[1:]).sum(axis=0)
        first = (low * wanted[0] - dot) / form
        return np.vstack([first, (wanted[1:] - high * first) / low])

    def longest(self, pair: tuple[Array, Array]) -> float:
        """The longest step for which slack and multiplier stay in the cone."""
        unit = self._l / np.sqrt(_form(self._l, self._l))
        least = np.inf
        for part in pair:
            # eigenvalues of the direction in the frame of l
            turned = self._turn(_mirror(unit), part) / np.sqrt(_form(self._l, self._l))
            least = min(least, (turned[0] - np.linalg.norm(turned[1:], axis=0)).min())
        return np.inf if least >= 0 else -1.0 / least

    def add_hessian(self, H: Array) -> None:
        """Add A* W^-2 A: W^-2 = (2 Jw Jw' - J) / eta^2, unit by unit."""
        p, g = self.p, self.g
        v = _mirror(self._w) / self._eta
        inverse = 1.0 / self._eta**2
        unit = np.arange(g)
        for a in range(p):
            for b in range(a, p):
                H[a * g + unit, b * g + unit] += 2.0 * v[1 + a] * v[1 + b] + (a == b) * inverse
            H[a * g + unit, p * g + unit] += 2.0 * v[1 + a] * v[0]
        H[p * g + unit, p * g + unit] += 2.0 * v[0] * v[0] - inverse


def _form(u: Array, v: Array) -> Array:
    """u' J v for every column."""
    # the difference of squares keeps its digits near the cone's boundary
    if u is v:
        norm = np.linalg.norm(u[1:], axis=0)
        return (u[0] - norm) * (u[0] + norm)
    return u[0] * v[0] - (u[1:] * v[1:]).sum(axis=0)


def _mirror(v: Array) -> Array:
    return np.vstack([v[0], -v[1:]])


def _jordan(u: Array, v: Array) -> Array:
    return np.vstack([(u * v).sum(axis=0), u[0] * v[1:] + v[0] * u[1:]])
