"""Block-tridiagonal matrices in exact arithmetic, and a proof that one is positive semidefinite."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from lipsnn._checks import Array
from lipsnn.certificate.chain import Banded
from lipsnn.certificate.exact import Dyadic


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
