"""Matrices of dyadic numbers: integers (python-flint's) times one power of two, never rounded.

A float64 is such a number, and so are sums and products. Nothing here depends on python-flint's
precision, which belongs to the whole process. At the end a proof that one, which is
block-tridiagonal, is positive semidefinite.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import isqrt
from typing import Any

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from lipsnn._checks import Array
from lipsnn._optional import flint
from lipsnn.certificate.chain import Banded


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


@dataclass(frozen=True)
class Matrix:
    """A block-tridiagonal matrix, its first block plus ``(bound / 2^level)^2 diag(corner)``."""

    corner: list[Fraction]
    diagonal: list[Dyadic]
    below: list[Dyadic]
    level: int

    def rho(self, bound: float | Fraction) -> Fraction:
        return (Fraction(bound) / Fraction(2) ** self.level) ** 2

    def at(self, bound: float | Fraction) -> list[Dyadic]:
        """The diagonal blocks for a bound."""
        rho = self.rho(bound)
        first = Dyadic.diagonal([rho * entry for entry in self.corner])
        return [first + self.diagonal[0], *self.diagonal[1:]]


def schur(matrix: Matrix) -> Array:
    """What the later blocks leave of the first one, without rho, in float64."""
    corner = matrix.diagonal[-1].floats()
    for diagonal, below in zip(matrix.diagonal[-2::-1], matrix.below[::-1], strict=True):
        side = below.floats()
        factor = cho_factor(corner, check_finite=False)
        corner = diagonal.floats() - side.T @ cho_solve(factor, side, check_finite=False)
    return (corner + corner.T) / 2


def positive(matrix: Matrix, bound: float | Fraction) -> bool:
    """Whether the matrix at `bound` is proved positive semidefinite."""
    exact = matrix.at(bound)
    middle = Banded([x.floats() for x in exact], [x.floats() for x in matrix.below])

    def moved(bits: int) -> Banded:
        """The matrix less 2^-bits."""
        return Banded([x - 2.0**-bits * np.eye(len(x)) for x in middle.diagonal], middle.below)

    low, high = 3, 54  # the largest 2^-low that leaves the matrix positive, by bisection
    if not moved(high).positive():
        return False
    while high - low > 1:
        half = (low + high) // 2
        low, high = (low, half) if moved(half).positive() else (half, high)
    delta = 2.0 ** -(high + 1)
    try:
        found = moved(high + 1).cholesky()
    except np.linalg.LinAlgError:
        return False
    L, K = ([_whole(x) for x in blocks] for blocks in found)
    left = Fraction(0)
    for i, block in enumerate(exact):
        product = L[i] @ L[i].T
        if i:
            product += K[i - 1] @ K[i - 1].T
            left += 2 * (K[i - 1] @ L[i - 1].T - matrix.below[i - 1]).square()
        eye = Dyadic.diagonal([Fraction(delta)] * len(middle.diagonal[i]))
        left += (product + eye - block).square()
    return left <= Fraction(delta) ** 2


def _whole(block: Array) -> Dyadic:
    """Any matrix will do as factor: a multiple of 2^-60 is a small integer."""
    return Dyadic.of(np.ldexp(np.rint(np.ldexp(block, 60)), -60))
