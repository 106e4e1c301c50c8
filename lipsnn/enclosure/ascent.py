"""Upper bounds by the lifted form (fact J2), for many samples, radii and outputs at once.

With ``u_i = p_i + g_i'e``, only units with ``|p_i|`` below the most that ``g_i'e`` can be switch.
Upwards, the output has the terms ``a_i (u_i)_+``. Where a_i > 0 that is ``a_i / 2 (u_i + |u_i|)``,
with, for ``P >= ee'``, ``U_i = g_i'P g_i + 2 p_i g_i'e + p_i^2`` and any kappa_i > 0,

    |u_i| <= sqrt(U_i) <= U_i / (2 kappa_i) + kappa_i / 2,

and where a_i < 0 it is at most ``a_i theta_i u_i`` for any theta_i in [0, 1]. Groups of entries of
e with ``|e_g| <= R_g`` are in the ellipsoid ``sum_g D_g |e_g|^2 / R_g^2 <= 1`` for any D > 0 that
sums to one; in the l2 norm there is one group. What is left is ``c + 2 h'q + <M, Q>``, M >= 0,
|q| <= 1, at most ``c + lam + h'(lam I - M)^-1 h`` for any lam above M's largest eigenvalue. So all
multipliers prove; those of a Frank-Wolfe ascent over (P, e), smoothed where a_i < 0, are near the
best ones, and its points e are attacks. D follows them: where Q is too large in a group, D grows.
"""

from __future__ import annotations

import copy
from typing import Any, NamedTuple

import numpy as np

from lipsnn._checks import Array
from lipsnn.certificate.region import order_one

# The smoothing of (u)_+ in the first round, in units of the reach; in round k it is 1/k of that.
_SMOOTH = 0.1
# The least kappa, in units of the reach: it costs a quarter of that, and keeps digits.
_LEAST = 1e-4
# By which power of Q the shares of groups move: more of it overshoots.
_RATE = 0.1
# The least share of a group, in units of the mean one.
SHARE = 1e-3
# The least unit of a problem, as a power of two: squared, it is no float64.
_LEAST_UNIT = -550
# Rounding, relative to the sizes of all terms and for each of a sum's.
_ROUNDING = 16 * float(np.finfo(float).eps)
# And what a product of each may lose below float64's least number.
_UNDERFLOW = 1e-300


class Found(NamedTuple):
    """Of multipliers the bound (B,), lam (B,), and (P, e) that attain it where they are best.

    With e (B, k), z and U (B, m) of the units, scaled, and Q (B, G), the groups' squares by R_g^2.
    """

    bound: Array
    e: Array
    z: Array
    U: Array
    Q: Array
    lam: Array


class Problems:
    """Bounds on ``sum_i a_i (u_i)_+ + c`` for many (x, R, a, c) at once, ``u = W (x + e, 1)``.

    `weights` are rows (m, k + 1), and the powers of two (m,), or one, that they are over; X (B, k)
    and `outer` (B, m); `shifts` (B, 2) has c and the size of its terms; `groups` (k,) the group of
    each entry of e, and R (B, G) the groups' radii.
    """

    def __init__(
        self,
        weights: tuple[Array, Any],
        X: Array,
        outer: Array,
        shifts: Array,
        groups: Array,
        R: Array,
    ) -> None:
        # rescaling (1): every slope in a_i, first by a power of two, so that squares can bear it
        W, exponents = order_one(weights[0])
        exponents = exponents + weights[1]
        W, b = W[:, :-1], W[:, -1]
        lengths = np.sqrt(np.einsum("ij,ij->i", W, W))
        scale = np.where(lengths > 0, lengths, 1.0)
        self.W, self.scale = W / scale[:, None], (scale, exponents)
        outer, powers = np.frexp(outer)[0], _exponents(outer) + exponents
        bias = b / scale
        first, second = np.triu_indices(W.shape[1])
        self.entries, self.products = (first, second), self.W[:, first] * self.W[:, second]
        self.terms = sum(W.shape) + 8
        self.groups, self.of = groups, np.eye(R.shape[1])[groups]
        self.R = np.maximum(R, 1e-100)  # a larger ball, and no division by zero
        self.reach = self.R @ np.sqrt(self.of.T @ (self.W**2).T)
        p = X @ self.W.T + bias
        sizes = np.abs(X) @ np.abs(self.W).T + np.abs(bias) + self.reach
        value, shift = shifts.T
        # and each problem by a power of two, so that its largest term is of order one
        unit = np.maximum((_exponents(sizes) + powers).max(1), _exponents(shift))
        tiny = unit < _LEAST_UNIT  # whose multipliers would underflow
        unit[tiny] = _LEAST_UNIT
        self.unit, self.shift = unit, np.ldexp(shift, -unit)
        a = np.ldexp(outer * scale, np.maximum(powers - unit[:, None], -(2**12)))
        switch = np.abs(p) < self.reach + self.terms * _ROUNDING * sizes
        self.up, self.down = np.where(switch & (a > 0), a, 0.0), np.where(switch & (a < 0), -a, 0.0)
        # of units that keep their side: no kappa where a > 0, theta where a < 0
        self.still = np.where(switch, np.nan, (a < 0) & (p > 0))
        fixed = np.where(~switch & (p > 0), a, 0.0) + self.up / 2
        self.slope, self.value = fixed @ self.W, (fixed * p).sum(1)
        self.value += np.ldexp(value, -unit)
        self.size = (np.abs(a) * sizes).sum(1) + tiny
        # the squares of a far unit, which cannot switch, may be beyond float64
        self.p, self.sizes = np.where(switch, p, 0.0), np.where(switch, sizes, 0.0)
        # and what p's own rounding hides
        self.least = np.maximum(_LEAST * self.reach, self.terms * _ROUNDING * self.sizes + 1e-200)
        self.kappa = np.maximum(np.maximum(np.abs(self.p), self.reach / 2), self.least)
        self.theta = np.clip(0.5 + self.p / (2 * np.maximum(self.reach, 1e-100)), 0.0, 1.0)
        self.side = np.zeros_like(p)  # that was chosen; theta is then mu, down one
        self.D = np.full_like(self.R, 1 / R.shape[1])
        self.e = np.zeros_like(X)
        self.u, self.z = np.empty(0), self.p  # of the iterate (P, e)
        self.round = 0

    def keep(self, left: Array) -> None:
        """Drop all problems but those in `left`."""
        for name in _EACH:
            setattr(self, name, getattr(self, name)[left])

    def one(self, i: int) -> Problems:
        """The problem i alone."""
        part = copy.copy(self)
        part.keep(np.array([i]))
        return part

    def bound(self) -> Found:
        """What the multipliers kappa, theta and D give."""
        weight = np.divide(self.up, 4 * self.kappa)
        theta = np.where(self.side > 0, -self.down, self.down) * self.theta
        linear = self.slope + (2 * weight * self.p - theta) @ self.W
        value = self.value + (self.up / 4 * self.kappa + weight * self.p**2 - theta * self.p).sum(1)
        axes = self.R[:, self.groups] / np.sqrt(self.D[:, self.groups])
        M = np.zeros((len(value), self.W.shape[1], self.W.shape[1]))
        M[:, self.entries[0], self.entries[1]] = entries = weight @ self.products
        M[:, self.entries[1], self.entries[0]] = entries
        M *= axes[:, :, None] * axes[:, None, :]
        mu, vectors = np.linalg.eigh(M)
        h = np.einsum("bij,bi->bj", vectors, axes * linear) / 2
        # the ellipsoid is so much longer than the groups, and the least term with it
        slack = self.terms * _ROUNDING / np.sqrt(self.D.min(1))
        # (u + d)^2 - u^2 <= 2 d (|u| + d), where p is off by d
        most = np.abs(self.p) + self.reach + slack[:, None] * self.sizes
        size = self.size + ((weight * most + np.abs(theta)) * self.sizes).sum(1)
        mu = mu + slack[:, None] * np.abs(mu).sum(1, keepdims=True)
        # an error of h by slack size moves the value by at most 3 slack size
        lam, g = _trust_region(mu, h, slack * size)
        rise = lam + (h * g).sum(1)
        bound = value + rise + slack * (4 * size + self.shift + rise) + self.terms * _UNDERFLOW
        length = np.sqrt(np.einsum("bi,bi->b", g, g))
        g *= np.minimum(1.0, 1 / np.maximum(length, 1e-200))[:, None]
        e, top = axes * np.einsum("bij,bj->bi", vectors, g), axes * vectors[:, :, -1]
        rest = np.maximum(1 - np.einsum("bi,bi->b", g, g), 0.0)[:, None]
        z = self.p + e @ self.W.T
        Q = ((e**2 + rest * top**2) @ self.of) / self.R**2
        bound = np.nextafter(np.ldexp(bound, self.unit), np.inf)
        return Found(bound, e, z, z**2 + rest * (top @ self.W.T) ** 2, Q, lam)

    def multipliers(self, lam: Array) -> tuple[Array, Array]:
        """(B, m) and (B, G) that prove what `bound` found: see `certificate.lifted`."""
        scale, exponents = self.scale
        with np.errstate(over="ignore", under="ignore"):
            # also of units so small that they count as zero here
            kappa = np.clip(np.ldexp(self.kappa * scale, exponents), 5e-324, 1e308)
        chosen = np.ldexp(self.down * self.theta / scale, self.unit[:, None] - exponents)
        chosen = np.where(self.side != 0, chosen, self.theta)
        given = np.where(self.down > 0, chosen, np.where(np.isnan(self.still), kappa, self.still))
        return given, np.ldexp(lam[:, None] * self.D / self.R**2, self.unit[:, None])

    def improve(self, found: Found) -> None:
        """Better multipliers, by a step of the iterate towards what the last ones have `found`."""
        self.round += 1
        width = 2 * _SMOOTH / self.round * np.maximum(self.reach, 1e-100)
        if self.round == 1:
            self.e, self.z, self.u = found.e, found.z, found.U
        else:
            du, dz, de = found.U - self.u, found.z - self.z, found.e - self.e
            along = np.einsum("bi,bi->b", de, self.slope)
            low, high = np.zeros(len(de)), np.ones(len(de))
            for _ in range(8):
                middle = (low + high)[:, None] / 2
                root = np.sqrt(np.maximum(self.u + middle * du, 1e-300))
                theta = np.clip(0.5 + (self.z + middle * dz) / width, 0.0, 1.0)
                rises = along + (self.up / 4 * du / root - self.down * theta * dz).sum(1) > 0
                low, high = np.where(rises, middle[:, 0], low), np.where(rises, high, middle[:, 0])
            share = (low + high)[:, None] / 2
            self.e, self.z = self.e + share * de, self.z + share * dz
            self.u = self.u + share * du
        self.kappa = np.maximum(np.sqrt(self.u), self.least)
        self.theta = np.clip(0.5 + self.z / width, 0.0, 1.0)
        self.share(self.D * found.Q**_RATE)

    def share(self, D: Array) -> None:
        """Take D, such that it sums to one."""
        G = D.shape[1]
        D = D / np.maximum(D.sum(1, keepdims=True), 1e-300)
        self.D = (D + SHARE / G) / (1 + SHARE) if G > 1 else np.ones_like(D)


# What `Problems` has for each problem.
_EACH = (
    *("R", "reach", "p", "up", "down", "still", "slope", "value", "size", "shift", "sizes", "side"),
    *("least", "kappa", "theta", "D", "e", "u", "z", "unit"),
)


def _exponents(values: Array) -> Array:
    """Powers of two just above; far below all others where a value is zero."""
    return np.where(values == 0, -(2**20), np.frexp(values)[1])


def _trust_region(mu: Array, h: Array, room: Array) -> tuple[Array, Array]:
    """lam > mu that about minimises ``lam + sum h^2 / (lam - mu)``, and g = h / (lam - mu).

    mu (B, d) ascending, h in the basis of its vectors; lam keeps `room` (B,) above mu at least.
    """
    length = np.sqrt(np.einsum("bi,bi->b", h, h))
    least = mu[:, -1] + 1e-8 * (np.abs(mu).max(1) + length) + np.maximum(room, 1e-200)
    lam = np.maximum(least, np.maximum(mu[:, -1] + np.abs(h[:, -1]), mu[:, 0] + length))
    for _ in range(12):  # Newton on 1 / |g| = 1, from the left, where it is monotone
        g = h / (lam[:, None] - mu)
        square = np.einsum("bi,bi->b", g, g)
        slope = np.einsum("bi,bi->b", g, g / (lam[:, None] - mu))
        step = square / np.maximum(slope, 1e-300) * (np.sqrt(square) - 1)
        lam = np.maximum(lam + step, least)
    return lam, h / (lam[:, None] - mu)
