"""What the certificate needs of a network with one hidden layer: its slopes, safely scaled.

zbar_i = a_i wbar_i for ReLU. For a sector [alpha, beta] the same program (2) holds with
(beta - alpha) a_i wbar_i for zbar_i, and (alpha + beta) sum a_i wbar_i for their sum zbar_0. On a
region where a unit's slope is a constant s, its sector is [s, s]: fact I. One that bends there, as
``m u + r eta``, has the outer weight ``r a_i`` beside a slope of m.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from lipsnn._checks import Array
from lipsnn.certificate.exact import Dyadic
from lipsnn.certificate.form import Form, balance, lengths_of, scaled_by

# Relative room kept below 1 in sum(q): it pays for the units whose slope is zero but whose
# multiplier must be finite, and for q_0, so that rounding never makes q_0 negative. A bound
# grows by half of it.
SHARE = 1e-12
# Rounding of the eigenvalue and of the sums in a bound, relative, beside that of each term; a proof
# is `verify`'s.
ROUNDING = 1e-12
_EPS = float(np.finfo(float).eps)
# And of a sum of products in pairs, relative to the sum of their sizes.
_SUMMED = 40 * _EPS
# t and rho are squares: outside this range they lose digits or overflow.
_SMALLEST, _LARGEST = 1e-290, 1e290
# Entries of a matrix that are held as integers at a time: memory stays that of the float64.
_CHUNK = 2**18


@dataclass(frozen=True, eq=False)
class Slopes:
    """The slopes of a network, scaled by a power of two so that the largest entry is near 1.

    `scaled` (m, d) has ``zbar_i / 2^exponent``; what underflows is below 1e-300 of the largest.
    It and `outer` (m,) are zero for a unit whose slope is fixed (fact I). `sum` (d,) is zbar_0,
    scaled: ``(alpha + beta) / (beta - alpha)`` times the sum of the others, and ``2 s a_i wbar_i``
    of each unit whose slope is fixed at s. `terms` (n,) are those of zbar_0, zbar_1, .., zbar_m
    that are not negligible, `units` (n, d) their directions and `norms` (n,) their norms over
    `total`, the sum of all norms: zero when every slope is. `rows` (m,) are the lengths |wbar_i|.
    """

    outer: Array
    scaled: Array
    exponent: int
    terms: Array
    norms: Array
    units: Array
    total: float
    sum: Array
    rows: Array

    @property
    def constant(self) -> bool:
        """Whether every slope is zero: the network is a constant."""
        return self.total == 0.0

    def unscale(self, value: float) -> float:
        """`value` of the scaled slopes in the units of the network; may overflow to infinity."""
        with np.errstate(over="ignore", under="ignore"):
            return float(np.ldexp(value, self.exponent))


def slopes(net: Any) -> Slopes:
    """Of one hidden layer and one output, whatever the scale of the weights."""
    form = net if isinstance(net, Form) else Form.of(net)
    (wbar, outer), (alpha, beta), free = form.weights, form.sectors[0], form.free[0]
    gains, outer = form.gains[0], outer[0]
    alive = wbar.any(axis=1) & (outer != 0) & form.moving[0]
    scaled, exponent = _scaled(form, alive)
    shares = hub_shares(form) / (beta - alpha)
    summed = np.ascontiguousarray((shares[:, None] * scaled).T)
    total = summed.sum(axis=1)  # pairwise, along rows
    if not form.all_free:
        scaled = gains[:, None] * scaled
        left = np.append(np.abs(total), np.abs(scaled[free])).max()
        if _SUMMED * np.abs(summed).sum(axis=1).max() > ROUNDING / 8 * left:
            # the units cancel: exact to its last digits, at the scale of what is left
            hub, own = exact_hub(form), alive & free
            any_left = own.any()
            scaled, own = _scaled(form, own)
            exponent = max(hub.magnitude(), own) if any_left else hub.magnitude()
            scaled = gains[:, None] * np.ldexp(scaled, max(own - exponent, -1100))
            total = hub.times(Fraction(2) ** -exponent).floats()[0]
        outer, scaled = gains * outer, np.where(free[:, None], scaled, 0.0)
    stacked = np.vstack([total, scaled])
    norms = lengths_of(stacked)
    size = float(norms.sum())
    # below rounding even if all m of them point the same way
    terms = np.flatnonzero(norms > 1e-16 * size / len(norms))
    norms = norms[terms]
    units = stacked[terms] if len(terms) < len(stacked) else stacked
    units /= norms[:, None]
    norms = norms / (size or 1.0)
    return Slopes(
        outer, scaled, exponent, terms, norms, units, size, total, lengths_of(form.weights[0])
    )


def _scaled(form: Form, units: Array) -> tuple[Array, int]:
    """``(beta - alpha) a_i wbar_i / 2^exponent`` of some units, zero for the others; exponent."""
    (wbar, outer), (alpha, beta) = form.weights, form.sectors[0]
    weights = np.where(units[:, None], wbar, 0.0), np.where(units, outer, 0.0)
    exponents = balance(weights)
    first, last = scaled_by(weights, exponents)
    return (beta - alpha) * last[0][:, None] * first, -int(exponents[-1][0])


def hub_shares(form: Form) -> Array:
    """By how much each ``a_i wbar_i`` enters zbar_0."""
    (alpha, beta), own = form.sectors[0], form.fixed[0]
    return np.where(np.isnan(own), alpha + beta, 2 * own)


def exact_hub(form: Form) -> Dyadic:
    """``(alpha + beta) sum a_i wbar_i`` (1, d), or ``2 s a_i wbar_i`` where s is the slope."""
    (W, outer), (alpha, beta) = form.weights, form.sectors[0]
    shares = form.fixed[0]
    hub = Dyadic.zero(1, form.dim)
    for s in np.unique(shares):  # all NaN, the free ones, are one
        own = np.flatnonzero(np.isnan(shares) if np.isnan(s) else shares == s)
        share = Fraction(alpha) + Fraction(beta) if np.isnan(s) else 2 * Fraction(s)
        if not share:
            continue
        for k in chunks(W[own]):
            hub += (Dyadic.of(outer[:, own[k]]) @ Dyadic.of(W[own[k]])).times(share)
    return hub


def chunks(W: Array) -> Iterator[slice]:
    """Slices of rows of at most `_CHUNK` entries."""
    step = max(_CHUNK // W.shape[1], 1)
    return (slice(start, start + step) for start in range(0, len(W), step))


def multipliers(slopes: Slopes, q: Array) -> Array:
    """Multipliers t (m,) with ``q_i = a_i^2 / (2 t_i)``, from q (n,) of the terms in the simplex.

    A unit with a_i = 0 gets t_i = 0, a unit without slope a share of q as small as `SHARE`.
    """
    outer = slopes.outer
    m = len(outer)
    full = np.zeros(m + 1)
    full[slopes.terms] = q / q.sum() if len(q) else q
    silent = (full[1:] == 0) & (outer != 0)
    if slopes.constant:
        full[1:][silent] = 0.5 / max(silent.sum(), 1)
    else:
        full[1:] *= 1 - 2 * SHARE
        full[1:][silent] = SHARE / max(silent.sum(), 1)
    t = np.zeros(m)
    live = outer != 0
    with np.errstate(over="ignore", under="ignore"):
        t[live] = outer[live] * (outer[live] / (2 * full[1:][live]))
    # digits of t, where the more that it asks of the others is below rounding
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        least = 1e-14 * slopes.unscale(slopes.total) / slopes.rows
        least = np.nan_to_num(np.minimum(least, 1e-140) ** 2)
    t[silent] = np.maximum(t[silent], least[silent])
    return t


def bound(slopes: Slopes, t: Array) -> float:
    """The smallest L that multipliers t (m,) certify, rounded up.

    ``L^2 = 1/4 lambda_max(sum_{i=0..m} zbar_i zbar_i' / q_i)``, ``q_0 = 1 - sum q_i``, which is
    the LMI (2b) after the elimination of its lower blocks. Infinite when t certifies nothing.
    """
    live, q = slopes.outer != 0, np.zeros(len(t))
    used, outer = t[live], slopes.outer[slopes.outer != 0]
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        q[live] = outer / used * (outer / 2)
    if not (np.isfinite(t).all() and (t >= 0).all() and np.isfinite(q).all()):
        return np.inf
    if len(used) and (used.min() < _SMALLEST or used.max() > _LARGEST):
        return np.inf
    rest = 1.0 - q.sum()
    if rest <= 0:
        return np.inf
    live &= slopes.scaled.any(axis=1)
    if not q[live].all():
        return np.inf
    rows = np.vstack([slopes.sum, slopes.scaled[live]])
    result = slopes.unscale(float(certified(rows, np.append(rest, q[live]), len(t))))
    if slopes.constant:
        return 0.0
    return result if 1e-145 < result < 1e145 else np.inf


def lower_value(slopes: Slopes, factor: Array) -> float:
    """``1/2 sum_{i=0..m} |R'zbar_i| / |R|_F`` for a factor R (d, k) of P = RR': a lower value,
    rounded down."""
    rows = np.vstack([slopes.sum, slopes.scaled])
    result = slopes.unscale(float(attained(rows, factor, len(slopes.scaled))))
    return result if result > 1e-300 else 0.0


def certified(rows: Array, q: Array, m: int) -> Array:
    """``1/2 lambda_max(sum_i zbar_i zbar_i' / q_i)^1/2`` of rows (.., n, d), rounded up."""
    rows = rows / np.sqrt(q)[..., None]
    gram = rows.mT @ rows if rows.shape[-2] >= rows.shape[-1] else rows @ rows.mT
    largest = np.maximum(np.linalg.eigvalsh(gram)[..., -1], 0.0)
    return 0.5 * np.sqrt(largest) * (1 + ROUNDING + 2 * m * _EPS)


def attained(rows: Array, factor: Array, m: int) -> Array:
    """``1/2 sum_i |R'zbar_i| / |R|_F`` of rows (.., n, d) and R (.., d, k), rounded down."""
    value = lengths_of(rows @ factor).sum(axis=-1) / np.linalg.norm(factor, axis=(-2, -1))
    return 0.5 * value * (1 - ROUNDING - 2 * m * _EPS)
