"""Matrices of dyadic numbers: integers (python-flint's) times one power of two, never rounded.

A float64 is such a number, and so are sums and products. Nothing here depends on python-flint's
precision, which belongs to the whole process.
"""

from __future__ import annotations

from fractions import Fraction
from math import isqrt
from typing import Any

import numpy as np

from lipsnn._checks import Array
from lipsnn._optional import flint


def integers(array: Array) -> tuple[Array, Array]:
    """Integers below 2^53 and exponents, both int64: ``array = integers * 2**exponents``."""
    mantissa, exponents = np.frexp(array)
    return np.ldexp(mantissa, 53).astype(np.int64), exponents.astype(np.int64) - 53


class Dyadic:
    """``integers * 2**exponent``."""

    def __init__(self, integers: flint.fmpz_mat, exponent: int) -> None:
        self.integers, self.exponent = integers, exponent

    @classmethod
    def of(
        cls, array: Array, rows: Any = 0, columns: Any = 0, weights: Array | None = None
    ) -> Dyadic:
        """A float64 matrix (m, n), its rows times `weights` (m,), float64, and powers of two.

        `rows` (m,) and `columns` (n,) are the exponents of those that scale rows and columns.
        """
        whole, exponents = integers(array)
        power = exponents + np.reshape(rows, (-1, 1)) + np.reshape(columns, (1, -1))
        numbers = whole.ravel().tolist()
        if weights is not None:
            factor, exponents = integers(weights)
            power = power + exponents[:, None]
            factors = np.repeat(factor, array.shape[1]).tolist()
            numbers = [a * b for a, b in zip(numbers, factors, strict=True)]
        least = int(power[whole != 0].min()) if whole.any() else 0
        shifts = np.maximum(power - least, 0).ravel().tolist()  # zeros have any exponent
        numbers = [n << s if n else 0 for n, s in zip(numbers, shifts, strict=True)]
        return cls(flint.fmpz_mat(array.shape[0], array.shape[1], numbers), least)

    @classmethod
    def diagonal(cls, entries: list[Fraction]) -> Dyadic:
        """A diagonal matrix of dyadic fractions."""
        n = len(entries)
        bits = max(x.denominator.bit_length() - 1 for x in entries)
        matrix = flint.fmpz_mat(n, n)
        for i, x in enumerate(entries):
            matrix[i, i] = (x.numerator << bits) // x.denominator
        return cls(matrix, -bits)

    @classmethod
    def zero(cls, rows: int, columns: int) -> Dyadic:
        return cls(flint.fmpz_mat(rows, columns), 0)

    @property
    def T(self) -> Dyadic:
        return Dyadic(self.integers.transpose(), self.exponent)

    def __matmul__(self, other: Dyadic) -> Dyadic:
        return Dyadic(self.integers * other.integers, self.exponent + other.exponent)

    def __add__(self, other: Dyadic) -> Dyadic:
        least = min(self.exponent, other.exponent)
        return Dyadic(self._at(least) + other._at(least), least)

    def __sub__(self, other: Dyadic) -> Dyadic:
        return self + other.times(Fraction(-1))

    def _at(self, exponent: int) -> flint.fmpz_mat:
        shift = self.exponent - exponent
        return self.integers if shift == 0 else self.integers * (1 << shift)

    def times(self, factor: Fraction) -> Dyadic:
        """Times a dyadic fraction."""
        bits = factor.denominator.bit_length() - 1
        return Dyadic(self.integers * factor.numerator, self.exponent - bits)

    def weighted(self, weights: list[Fraction]) -> Dyadic:
        """Its rows times dyadic fractions."""
        bits = max(x.denominator.bit_length() - 1 for x in weights)
        factors = [(x.numerator << bits) // x.denominator for x in weights]
        rows = zip(factors, self.integers.tolist(), strict=True)
        entries = [w * x for w, row in rows for x in row]
        shape = self.integers.nrows(), self.integers.ncols()
        return Dyadic(flint.fmpz_mat(*shape, entries), self.exponent - bits)

    def fractions(self) -> list[Fraction]:
        """The entries, row by row."""
        unit = Fraction(2) ** self.exponent
        return [int(x) * unit for x in self.integers.entries()]

    def square(self) -> Fraction:
        """The sum of the squares of all entries."""
        return self._scaled(_squares(self.integers.entries()))

    def rows_square(self) -> list[Fraction]:
        """The sums of squares of the rows."""
        return [self._scaled(_squares(row)) for row in self.integers.tolist()]

    def lengths_below(self) -> Fraction:
        """The sum of the lengths of the rows, each rounded down after 60 binary digits."""
        roots = sum(isqrt(_squares(row) << 120) for row in self.integers.tolist())
        return roots * Fraction(2) ** (self.exponent - 60)

    def _scaled(self, squares: int) -> Fraction:
        power = 2 * self.exponent
        return Fraction(squares << power) if power >= 0 else Fraction(squares, 1 << -power)

    def magnitude(self) -> int:
        """The power of two just above all entries; -2^20 where all are zero."""
        bits = max((abs(int(x)).bit_length() for x in self.integers.entries()), default=0)
        return self.exponent + bits if bits else -(2**20)

    def floats(self) -> Array:
        """The entries in float64, each to half a digit of the largest one at least."""
        m, n = self.integers.nrows(), self.integers.ncols()
        numbers = [int(x) for x in self.integers.entries()]
        spare = max((abs(x).bit_length() for x in numbers), default=0) - 1000
        if spare > 0:
            numbers = [x >> spare for x in numbers]
        mantissas = np.array([float(x) for x in numbers]).reshape(m, n)
        return np.ldexp(mantissas, self.exponent + max(spare, 0))


def _squares(entries: list[flint.fmpz]) -> int:
    """The sum of their squares; each entry as an int would take five times as long."""
    return int(sum(x * x for x in entries))


def rounded(value: Fraction, bits: int, up: bool) -> Fraction:
    """A dyadic fraction of about `bits` bits next to a positive `value`, not below it if `up`."""
    shift = bits + value.denominator.bit_length() - value.numerator.bit_length()
    scaled = value * Fraction(2) ** shift
    whole = (
        -(-scaled.numerator // scaled.denominator) if up else scaled.numerator // scaled.denominator
    )
    return Fraction(whole) / Fraction(2) ** shift


def float_above(value: Fraction) -> float:
    """The smallest float64 that is not below a `value` >= 0; infinity beyond the largest."""
    try:
        number = float(value)
    except OverflowError:
        return float("inf")
    if not np.isfinite(number) or Fraction(number) >= value:
        return number
    return float(np.nextafter(number, np.inf))
