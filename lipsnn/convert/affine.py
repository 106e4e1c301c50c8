"""Neighbouring affine maps as one, so that no bound is lost to rounding.

A product of weight matrices in floating point may cancel, and a bound for it lies below the
network's own. Here the product is exact (integers of any length), and where float64 cannot hold it
each entry is rounded once: a relative error of at most u = 2^-53, whatever cancels. A network with
such entries has nearly the same LipSDP bound L: for the path through one unit, a coefficient of the
Jacobian that is affine in that unit's slope, has at most the norm 2 max(|alpha|, |beta|) /
(beta - alpha) L =: kappa L, since L bounds it at both ends of the sector. An error of u in each
of the entries between n units and m others moves L by at most u n m kappa kappa' L. So the
rounded map is made larger by twice that share: then L can only have grown, by some 1e-14.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from lipsnn._checks import Array
from lipsnn._optional import flint
from lipsnn.activations import Sector

# digits of what is no fraction, such as the root in a batch normalisation: enough that sums of
# them cancel by 2^-250 before an entry loses its own relative accuracy
_DIGITS = 400


@dataclass(frozen=True, eq=False)
class Linear:
    """``x -> W x + b``, W (k, n), of the layer `where`."""

    W: Array
    b: Array
    where: str = ""


@dataclass(frozen=True, eq=False)
class Scale:
    """``x -> s x + b`` entry by entry, s and b fractions, one per entry, of the layer `where`."""

    s: tuple[Fraction, ...]
    b: tuple[Fraction, ...]
    where: str = ""


Affine = Linear | Scale


def scale(s: Array, b: Array, where: str = "") -> Scale:
    """`Scale` of floats."""
    return Scale(tuple(map(Fraction, s.tolist())), tuple(map(Fraction, b.tolist())), where)


def divide(divisor: Array, b: Array, where: str = "") -> Scale:
    """``x -> x / divisor + b``."""
    s = tuple(1 / Fraction(value) for value in divisor.tolist())
    return Scale(s, tuple(map(Fraction, b.tolist())), where)


def normalise(
    mean: Array, variance: Array, eps: float, gamma: Array, beta: Array, where: str = ""
) -> Scale:
    """``x -> (x - mean) / sqrt(variance + eps) gamma + beta``, to 400 binary digits."""
    s, b = [], []
    for m, v, g, c in zip(*(part.tolist() for part in (mean, variance, gamma, beta)), strict=True):
        square = Fraction(v) + Fraction(eps)
        if square <= 0:
            raise ValueError(f"{where}: a variance plus eps is not positive ({float(square):g})")
        # 1 / sqrt(p / q) = sqrt(p q) / p, with so many digits that even 1e-300 has 400
        p, q = square.numerator, square.denominator
        shift = _DIGITS + max(0, p.bit_length() - q.bit_length())
        root = Fraction(math.isqrt(p * q << 2 * shift), p << shift)
        s.append(root * Fraction(g))
        b.append(Fraction(c) - root * Fraction(g) * Fraction(m))
    return Scale(tuple(s), tuple(b), where)


def merge(
    parts: Sequence[Affine], inputs: int, before: Sector | None, after: Sector | None
) -> tuple[Array, Array]:
    """The weight matrix and bias of `parts`, applied in order to `inputs` values.

    Parameters
    ----------
    before, after : (alpha, beta) or None
        Sectors of the activations next to the map, None at the ends of the network.

    Raises
    ------
    ValueError
        If an entry of the product is beyond the range of float64.
    """
    if not parts:
        return np.eye(inputs), np.zeros(inputs)
    if len(parts) == 1 and isinstance(parts[0], Linear):
        return parts[0].W, parts[0].b
    exact, exponent = _product(parts, inputs)
    names = ", ".join(part.where for part in parts if part.where)
    rounded = _floats(exact, exponent, names)
    if _equal(rounded, exact, exponent):
        return rounded[:-1, :-1], rounded[:-1, -1]
    n, m = exact.shape[0] - 1, inputs
    growth = 2.0**-52
    for units, sector in ((n, after), (m, before)):
        if sector is not None:
            alpha, beta = sector
            growth *= units * 2 * max(abs(alpha), abs(beta)) / (beta - alpha)
    more = math.ceil(math.ldexp(growth, 80))
    rounded = _floats(exact * ((1 << 80) + more), exponent + 80, names)
    return rounded[:-1, :-1], rounded[:-1, -1]


def _product(parts: Sequence[Affine], inputs: int) -> tuple[Array, int]:
    """Integers M and an exponent e: M 2^-e is the map of (x, 1), the last row (0, .., 0, 1)."""
    total, exponent = None, 0
    for part in parts:
        matrix, own = _integers(part)
        if total is None:
            total, exponent = matrix, own
            continue
        product = flint.fmpz_mat(matrix.tolist()) * flint.fmpz_mat(total.tolist())
        total = np.array([[int(v) for v in row] for row in product.tolist()], dtype=object)
        exponent += own
    assert total is not None
    return total, exponent


def _integers(part: Affine) -> tuple[Array, int]:
    """The integers and the exponent of one map."""
    if isinstance(part, Scale):
        numbers = [*part.s, *part.b]
        k = len(part.s)
        finest = min((_ulp(value) for value in numbers if value), default=0)
        e = max(0, -finest)
        M = np.zeros((k + 1, k + 1), dtype=object)
        for i, (s, b) in enumerate(zip(part.s, part.b, strict=True)):
            M[i, i], M[i, -1] = round(s * 2**e), round(b * 2**e)
        M[-1, -1] = 1 << e
        return M, e
    whole = np.column_stack([part.W, part.b])
    mantissas, exponents = np.frexp(whole)
    exponents = np.where(whole == 0, 0, exponents - 53)
    e = max(0, -int(exponents.min()))
    M = np.zeros((whole.shape[0] + 1, whole.shape[1]), dtype=object)
    digits = np.ldexp(mantissas, 53).astype(np.int64).astype(object)
    M[:-1] = np.frompyfunc(lambda m, x: m << x if m else 0, 2, 1)(
        digits, (exponents + e).astype(object)
    )
    M[-1, -1] = 1 << e
    return M, e


def _ulp(value: Fraction) -> int:
    """The exponent of a last digit to keep: exact for floats, 400 digits for other fractions."""
    size = value.numerator.bit_length() - value.denominator.bit_length()
    if value.denominator & (value.denominator - 1) == 0:
        return -(value.denominator.bit_length() - 1)
    return size - _DIGITS


def _floats(exact: Array, exponent: int, names: str) -> Array:
    """The integers times 2^-exponent, each rounded once."""
    one = 1 << exponent
    try:
        found = np.array([[int(v) / one for v in row] for row in exact.tolist()])
    except OverflowError:
        found = np.array([[np.inf]])
    lost = (np.abs(found) < np.finfo(float).tiny) & (exact != 0)
    if not np.isfinite(found).all() or lost[:-1, :-1].any():
        raise ValueError(
            f"the product of the layers {names} has weights beyond the range of float64: scale "
            "them, or multiply them yourself"
        )
    return found


def _equal(rounded: Array, exact: Array, exponent: int) -> bool:
    one = 1 << exponent
    for row, whole in zip(rounded[:, :-1].tolist(), exact[:, :-1].tolist(), strict=True):
        for value, integer in zip(row, whole, strict=True):
            p, q = value.as_integer_ratio()
            if p * one != integer * q:
                return False
    return True
