"""Errors under attack from both sides: what an attack reaches, and what none can.

With ``p_i = w_i'(x, 1)`` and ``|e| <= r``, only units with ``|p_i| < r |wbar_i|`` can switch.
Upwards, ``f(x + e)`` has the terms ``a_i (p_i + wbar_i'e)_+``. Where a_i > 0 that is
``a_i / 2 (p_i + wbar_i'e + |p_i + wbar_i'e|)``, with, for ``P >= ee'``, ``tr P <= r^2``, ``u_i =
wbar_i'P wbar_i + 2 p_i wbar_i'e + p_i^2`` and any kappa_i > 0,

    |p_i + wbar_i'e| <= sqrt(u_i) <= u_i / (2 kappa_i) + kappa_i / 2,

and where a_i < 0 it is at most ``a_i theta_i (p_i + wbar_i'e)`` for any theta_i in [0, 1] (fact
J2). What is left is ``c + 2 h'e + <M, P>``, M >= 0, at most ``c + lam r^2 + h'(lam I - M)^-1 h``
for any lam above M's largest eigenvalue. So all multipliers prove; those of a Frank-Wolfe ascent
over (P, e), smoothed where a_i < 0, are near the best ones, and its points e are attacks.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lipsnn import _checks
from lipsnn._ascent import Ball
from lipsnn._checks import Array
from lipsnn._optional import pd
from lipsnn.attack import pgd_attack
from lipsnn.certificate.region import order_one
from lipsnn.certificate.threads import one_blas_thread
from lipsnn.convert import as_shallow
from lipsnn.network import ShallowNet

# Most rounds of the ascent, and the share of an error at which its enclosure counts as closed.
_ROUNDS, _CLOSED = 20, 1e-4
# Steps of the attack; the points of the ascent are tried as well.
_STEPS = 40
# The smoothing of (u)_+ in the first round, in units of r |wbar_i|; in round k it is 1/k of that.
_SMOOTH = 0.1
# The least kappa, in units of r |wbar_i|: it costs a quarter of that, and keeps digits.
_LEAST = 1e-4
# Numbers in one temporary array: memory stays bounded.
_CHUNK = 2**22
# Rounding, relative to the sizes of all terms and for each of a sum's.
_ROUNDING = 16 * float(np.finfo(float).eps)
# And what a product of each may lose below float64's least number.
_UNDERFLOW = 1e-300


@one_blas_thread
def certified_error(net: Any, X: Any, y: Any, radii: Any) -> pd.DataFrame:
    """The largest squared error within each radius of each sample, from both sides, in l2.

    `lower` is attained, by PGD or by a point of the certificate's own ascent; `upper` is proved
    by feasible multipliers (fact J2), each rounded outwards.

    Parameters
    ----------
    net : ShallowNet, or what `as_shallow` takes
    X : array_like, (n, d)
    y : array_like, (n,)
    radii : float or array_like, (k,)
        Attack sizes, in the units of X; not negative.

    Returns
    -------
    DataFrame
        n k rows with columns sample, radius, lower and upper, the errors in squared units of y.

    Raises
    ------
    ValueError
        For bad input, or values beyond float64.

    Examples
    --------
    The certified mean squared error at each attack size::

        certified_error(net, X, y, [0.1, 0.2]).groupby("radius").mean()
    """
    net = as_shallow(net, X)
    X, y = _checks.data_pair(X, y, net.dim)
    radii = _checks.finite_array(np.atleast_1d(radii), "radii", 1)
    if (radii < 0).any():
        raise ValueError(f"radii must not be negative, got {radii.min():g}")
    order = np.argsort(radii)
    lower, upper = np.empty((2, len(X), len(radii)))
    size = max(_CHUNK // (2 * max(len(radii), 1) * (net.width + net.dim**2)), 1)
    for start in range(0, len(X), size):
        part = slice(start, start + size)
        with np.errstate(over="ignore", invalid="ignore"):
            found = _enclosed(net, X[part], y[part], radii[order])
        lower[part, order], upper[part, order] = found
    if not (np.isfinite(upper) & (lower <= upper)).all():
        raise ValueError("the errors are beyond float64: rescale the network or the data")
    return pd.DataFrame(
        {
            "sample": np.repeat(np.arange(len(X)), len(radii)),
            "radius": np.tile(radii, len(X)),
            "lower": lower.ravel(),
            "upper": upper.ravel(),
        }
    )


def _enclosed(net: ShallowNet, X: Array, y: Array, radii: Array) -> tuple[Array, Array]:
    """Lower and upper values (n, k) for radii that rise."""
    n, k = len(X), len(radii)
    # one problem for each sample, radius and direction: s = 1 raises f - y, s = -1 lowers it
    sample, at, s = (x.ravel() for x in np.meshgrid(np.arange(n), np.arange(k), [1.0, -1.0]))
    problems = _Problems(net, X[sample], y[sample], radii[at], s)
    largest = np.ldexp(problems.size + problems.shift, problems.unit)
    if not np.isfinite(largest**2 + problems.r**2).all():
        return np.zeros((n, k)), np.full((n, k), np.inf)
    lower = np.empty((n, k))
    for j, radius in enumerate(radii):
        points = pgd_attack(net, X, y, radius, steps=_STEPS, restarts=0)
        lower[:, j] = (net(points) - y) ** 2
    lower = np.maximum.accumulate(lower, axis=1)
    best, open_ = np.full(len(s), np.inf), np.arange(len(s))
    for _ in range(_ROUNDS):
        bound, moves = problems.step()
        best[open_] = np.fmin(best[open_], bound)
        for j in np.unique(at[open_]):
            own = at[open_] == j
            rows = sample[open_[own]]
            points = Ball(radii[j]).around(X[rows], moves[own])
            np.maximum.at(lower[:, j], rows, (net(points) - y[rows]) ** 2)
        lower = np.maximum.accumulate(lower, axis=1)
        left = best[open_] > (1 + _CLOSED / 2) * np.sqrt(lower[sample[open_], at[open_]])
        open_ = open_[left]
        if not len(open_):
            break
        problems.keep(left)
    worst = np.full((n, k), -np.inf)
    np.maximum.at(worst, (sample, at), best)
    upper = np.nextafter(np.maximum(worst, 0.0) ** 2 * (1 + 4 * np.finfo(float).eps), np.inf)
    return lower, np.minimum.accumulate(upper[:, ::-1], axis=1)[:, ::-1]


class _Problems:
    """Bounds on ``s (f(x + e) - y)``, ``|e| <= r``, for many (x, y, r, s) at once."""

    def __init__(self, net: ShallowNet, X: Array, y: Array, radii: Array, s: Array) -> None:
        # rescaling (1): every slope in a_i, first by a power of two, so that squares can bear it
        W, exponents = order_one(net.weights)
        W, b = W[:, :-1], W[:, -1]
        lengths = np.sqrt(np.einsum("ij,ij->i", W, W))
        scale = np.where(lengths > 0, lengths, 1.0)
        self.W = W / scale[:, None]
        outer, powers = np.frexp(net.outer)[0], _exponents(net.outer) + exponents
        bias = b / scale
        first, second = np.triu_indices(net.dim)
        self.entries, self.products = (first, second), self.W[:, first] * self.W[:, second]
        self.terms = net.width + net.dim + 8
        self.r = np.maximum(radii, 1e-100)  # a larger ball, and no division by zero
        self.reach = self.r[:, None] * (lengths > 0)
        p = X @ self.W.T + bias
        sizes = np.abs(X) @ np.abs(self.W).T + np.abs(bias) + self.reach
        shift = np.abs(net.offset) + np.abs(y)
        # and each problem by a power of two, so that its largest term is of order one
        unit = np.maximum((_exponents(sizes) + powers).max(1), _exponents(shift))
        self.unit, self.shift = unit, np.ldexp(shift, -unit)
        a = s[:, None] * np.ldexp(outer * scale, np.maximum(powers - unit[:, None], -(2**12)))
        switch = np.abs(p) < self.reach
        self.up, self.down = np.where(switch & (a > 0), a, 0.0), np.where(switch & (a < 0), -a, 0.0)
        fixed = np.where(~switch & (p > 0), a, 0.0) + self.up / 2
        self.slope, self.value = fixed @ self.W, (fixed * p).sum(1)
        self.value += s * np.ldexp(net.offset - y, -unit)
        self.size = (np.abs(a) * sizes).sum(1)
        # the squares of a far unit, which cannot switch, may be beyond float64
        self.p, self.sizes = np.where(switch, p, 0.0), np.where(switch, sizes, 0.0)
        self.kappa = np.maximum(np.maximum(np.abs(self.p), self.reach / 2), 1e-200)
        self.theta = np.clip(0.5 + self.p / (2 * np.maximum(self.reach, 1e-100)), 0.0, 1.0)
        self.e = np.zeros_like(X)
        self.u, self.z = np.empty(0), self.p  # of the iterate (P, e)
        self.round = 0

    def keep(self, left: Array) -> None:
        """Drop all problems but those in `left`."""
        for name in _EACH:
            setattr(self, name, getattr(self, name)[left])

    def step(self) -> tuple[Array, Array]:
        """A bound (B,) from the multipliers, and a point e (B, d); then better multipliers."""
        self.round += 1
        weight, theta = np.divide(self.up, 4 * self.kappa), self.down * self.theta
        linear = self.slope + (2 * weight * self.p - theta) @ self.W
        value = self.value + (self.up / 4 * self.kappa + weight * self.p**2 - theta * self.p).sum(1)
        M = np.zeros((len(value), self.W.shape[1], self.W.shape[1]))
        M[:, self.entries[0], self.entries[1]] = entries = weight @ self.products
        M[:, self.entries[1], self.entries[0]] = entries
        mu, vectors = np.linalg.eigh(M)
        h = np.einsum("bij,bi->bj", vectors, linear) / 2
        square = self.r**2
        size = self.size + (weight * self.sizes**2).sum(1)
        slack = self.terms * _ROUNDING
        mu = mu + slack * np.abs(mu).sum(1, keepdims=True)
        # an error of h by slack size / r moves the value by at most 3 slack size
        lam, g = _trust_region(mu, h, self.r, slack * size / square)
        rise = lam * square + (h * g).sum(1)
        bound = value + rise + slack * (4 * size + self.shift + rise) + self.terms * _UNDERFLOW
        length = np.sqrt(np.einsum("bi,bi->b", g, g))
        g *= np.minimum(1.0, self.r / np.maximum(length, 1e-200))[:, None]
        e = np.einsum("bij,bj->bi", vectors, g)
        rest = np.maximum(square - np.einsum("bi,bi->b", g, g), 0.0)
        self._ascend(e, rest[:, None] * (vectors[:, :, -1] @ self.W.T) ** 2)
        return np.nextafter(np.ldexp(bound, self.unit), np.inf), e

    def _ascend(self, e: Array, spread: Array) -> None:
        """The iterate towards (ee' + .., e), by a line search, and its multipliers."""
        z = self.p + e @ self.W.T
        u = z**2 + spread
        width = 2 * _SMOOTH / self.round * np.maximum(self.reach, 1e-100)
        if self.round == 1:
            self.e, self.z, self.u = e, z, u
        else:
            du, dz, de = u - self.u, z - self.z, e - self.e
            along = np.einsum("bi,bi->b", de, self.slope)
            low, high = np.zeros(len(e)), np.ones(len(e))
            for _ in range(8):
                middle = (low + high)[:, None] / 2
                root = np.sqrt(np.maximum(self.u + middle * du, 1e-300))
                theta = np.clip(0.5 + (self.z + middle * dz) / width, 0.0, 1.0)
                rises = along + (self.up / 4 * du / root - self.down * theta * dz).sum(1) > 0
                low, high = np.where(rises, middle[:, 0], low), np.where(rises, high, middle[:, 0])
            share = (low + high)[:, None] / 2
            self.e, self.z = self.e + share * de, self.z + share * dz
            self.u = self.u + share * du
        self.kappa = np.maximum(np.sqrt(self.u), np.maximum(_LEAST * self.reach, 1e-200))
        self.theta = np.clip(0.5 + self.z / width, 0.0, 1.0)


# What `_Problems` has for each problem.
_EACH = (
    *("r", "reach", "p", "up", "down", "slope", "value", "size", "shift", "sizes"),
    *("kappa", "theta", "e", "u", "z", "unit"),
)


def _exponents(values: Array) -> Array:
    """Powers of two just above; far below all others where a value is zero."""
    return np.where(values == 0, -(2**20), np.frexp(values)[1])


def _trust_region(mu: Array, h: Array, r: Array, room: Array) -> tuple[Array, Array]:
    """lam > mu that about minimises ``lam r^2 + sum h^2 / (lam - mu)``, and g = h / (lam - mu).

    Parameters
    ----------
    mu, h : ndarray, (B, d)
        Eigenvalues, ascending, and h in the basis of the eigenvectors.
    r, room : ndarray, (B,)
        Radii; the least distance from lam to the largest eigenvalue, beside a relative one.
    """
    length = np.sqrt(np.einsum("bi,bi->b", h, h))
    least = mu[:, -1] + 1e-8 * (np.abs(mu).max(1) + length / r) + np.maximum(room, 1e-200)
    lam = np.maximum(least, np.maximum(mu[:, -1] + np.abs(h[:, -1]) / r, mu[:, 0] + length / r))
    for _ in range(12):  # Newton on 1 / |g| = 1 / r, from the left, where it is monotone
        g = h / (lam[:, None] - mu)
        square = np.einsum("bi,bi->b", g, g)
        slope = np.einsum("bi,bi->b", g, g / (lam[:, None] - mu))
        step = square / np.maximum(slope, 1e-300) * (np.sqrt(square) / r - 1)
        lam = np.maximum(lam + step, least)
    return lam, h / (lam[:, None] - mu)
