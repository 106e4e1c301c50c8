"""Neighbouring affine maps as one, so that no bound is lost to rounding.

A product of weight matrices in floating point may cancel, and a bound for it lies below the
network's own. Here the product is exact (integers of any length), and where float64 cannot hold it
each entry is rounded once: a relative error of at most u = 2^-53, whatever cancels. A network with
such entries has nearly the same LipSDP bound L: for the path through one unit, a coefficient of the
Jacobian that is affine in that unit's slope, has at most the norm 2 max(|alpha|, |beta|) /
(beta - alpha) L =: kappa L, since L bounds it at both ends of the sector. An error of u in each
of the entries between n units and m others moves L by at most u n m kappa kappa' L. So the
rounded map is made larger by twice that share: then L can only have grown, by some 1e-14. On a
region, where units are fixed and their terms may cancel, that is no argument: `Network.rounding`
tells `certify` to count the rounding there as it is.
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
) -> tuple[Array, Array, float]:
    """The weight matrix and bias of `parts`, applied in order to `inputs` values, and their error.

    The error is relative, of any entry; 0 where the product is exact. The sectors are those of the
    activations `before` and `after` the map, None at the ends of the network. A ValueError if an
    entry is beyond the range of float64.
    """
    if not parts:
        return np.eye(inputs), np.zeros(inputs), 0.0
    if len(parts) == 1 and isinstance(parts[0], Linear):
        return parts[0].W, parts[0].b, 0.0
    exact = _matrix(parts[0])
    for part in parts[1:]:
        exact = _matrix(part) * exact
    names = ", ".join(part.where for part in parts if part.where)
    rounded, held, exactly = _floats(exact, names)
    error = 0.0 if exactly else 2.0**-52
    if not held:
        n, m = len(rounded), inputs
        growth = 2.0**-52
        for units, sector in ((n, after), (m, before)):
            if sector is not None:
                alpha, beta = sector
                growth *= units * 2 * max(abs(alpha), abs(beta)) / (beta - alpha)
        more = math.ceil(math.ldexp(growth, 80))
        rounded, *_ = _floats(exact * flint.fmpq((1 << 80) + more, 1 << 80), names)
        error += growth
    return rounded[:, :-1], rounded[:, -1], error


def _matrix(part: Affine) -> flint.fmpq_mat:
    """The map of (x, 1), its last row (0, .., 0, 1)."""
    if isinstance(part, Scale):
        k = len(part.s)
        matrix = flint.fmpq_mat(k + 1, k + 1)
        for i, (s, b) in enumerate(zip(part.s, part.b, strict=True)):
            matrix[i, i], matrix[i, k] = _dyadic(s), _dyadic(b)
        matrix[k, k] = 1
        return matrix
    k, n = part.W.shape
    whole = np.column_stack([part.W, part.b]).ravel().tolist()
    entries = [flint.fmpq(*value.as_integer_ratio()) for value in whole]
    return flint.fmpq_mat(k + 1, n + 1, [*entries, *[0] * n, 1])


def _dyadic(value: Fraction) -> flint.fmpq:
    """A fraction whose denominator is a power of two, so that those of sums stay small."""
    if value.denominator & (value.denominator - 1):
        size = value.numerator.bit_length() - value.denominator.bit_length()
        unit = Fraction(2) ** (size - _DIGITS)
        value = round(value / unit) * unit
    return flint.fmpq(value.numerator, value.denominator)


def _floats(exact: flint.fmpq_mat, names: str) -> tuple[Array, bool, bool]:
    """All rows but the last, each entry rounded once, and whether no weight and no bias changed."""
    rows = exact.tolist()[:-1]
    beyond = ValueError(
        f"the product of the layers {names} has weights or biases beyond the range of float64: "
        "scale them, or multiply them yourself"
    )
    try:
        found = np.array([[int(v.p) / int(v.q) for v in row] for row in rows])
    except OverflowError:
        raise beyond from None
    exactly = np.array(
        [
            [x.as_integer_ratio() == (v.p, v.q) for x, v in zip(own, row, strict=True)]
            for own, row in zip(found.tolist(), rows, strict=True)
        ]
    )
    if (~exactly & (np.abs(found) < np.finfo(float).tiny)).any():  # its error is not relative
        raise beyond
    return found, bool(exactly[:, :-1].all()), bool(exactly.all())
