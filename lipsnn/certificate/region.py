"""Convex regions of inputs, and which units cannot switch on them: what a local bound leans on.

On a region where unit i keeps its sign its slope is a constant, so that only the others, the free
ones, have a sector (fact I). ``sides`` finds the fixed ones in floating point, with room for its
rounding; ``proves`` decides in exact arithmetic that each of them keeps its side.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np

from lipsnn import _checks
from lipsnn._checks import Array
from lipsnn._optional import flint
from lipsnn.certificate.exact import Dyadic
from lipsnn.certificate.form import lengths_of

_EPS = float(np.finfo(float).eps)
_TINY = 1e-300


@dataclass(frozen=True, eq=False)
class Region:
    """A convex set of inputs."""

    def sides(self, W: Array, b: Array) -> Array:
        """Of each unit ``w'x + b``: 1 if it is >= 0 on the whole region, -1 if <= 0, else 0."""
        center, half, radius = self.spread()  # type: ignore[misc]  # a polytope has its own way
        return clear_sides(W, b, center[None], half[None], np.array([radius]))[0]

    def proves(self, W: Array, b: Array, sides: Array) -> Array:
        """Whether each unit keeps the side that `sides` (m,) gives it, in exact arithmetic."""
        raise NotImplementedError

    def spread(self) -> tuple[Array, Array, float] | None:
        """c, h (d,) and r with ``x = c + p + q``, |p| <= h entry by entry, |q| <= r; or None."""
        return None

    def content(self) -> dict[str, Any]:
        """What a document holds of it."""
        return {"kind": type(self).__name__.lower(), **vars(self)}

    def halfspaces(self) -> Array:
        """Rows (k, d + 1) of the ``w'x + b >= 0`` that bound it, all but a ball."""
        raise NotImplementedError

    def contains(self, x: Array) -> bool:
        """Whether it does, in exact arithmetic."""
        W = self.halfspaces()
        return all(value >= 0 for value in _values(W[:, :-1], x, W[:, -1]))


@dataclass(frozen=True, eq=False)
class Ball(Region):
    """``|x - center| <= radius``: ``w'x + b`` ranges over ``w'center + b -+ radius |w|``."""

    center: Array
    radius: float

    def __str__(self) -> str:
        return f"the ball of radius {self.radius!r} around {_shown(self.center)}"

    def proves(self, W: Array, b: Array, sides: Array) -> Array:
        reach = Fraction(self.radius) ** 2
        values, squares = _values(W, self.center, b), Dyadic.of(W).rows_square()
        return np.array(
            [
                s == 0 or (s * value >= 0 and value**2 >= reach * square)
                for s, value, square in zip(map(int, sides), values, squares, strict=True)
            ]
        )

    def spread(self) -> tuple[Array, Array, float]:
        return self.center, np.zeros_like(self.center), self.radius

    def halfspaces(self) -> Array:
        return np.empty((0, len(self.center) + 1))

    def contains(self, x: Array) -> bool:
        away = Dyadic.of(x[None]) - Dyadic.of(self.center[None])
        return away.square() <= Fraction(self.radius) ** 2


@dataclass(frozen=True, eq=False)
class Box(Region):
    """``low <= x <= high``, entry by entry."""

    low: Array
    high: Array

    def __str__(self) -> str:
        return f"the box from {_shown(self.low)} to {_shown(self.high)}"

    def proves(self, W: Array, b: Array, sides: Array) -> Array:
        W, b = sides[:, None] * W, sides * b  # all of them have to be >= 0
        up, down = np.maximum(W, 0.0), np.minimum(W, 0.0)
        least = zip(_values(up, self.low, b), _values(down, self.high, 0 * b), strict=True)
        return np.array([x + y >= 0 for x, y in least])

    def spread(self) -> tuple[Array, Array, float]:
        center = self.low / 2 + self.high / 2
        half = np.maximum(self.high - center, center - self.low)
        return center, np.nextafter(half, np.inf), 0.0

    def halfspaces(self) -> Array:
        eye = np.eye(len(self.low))
        return np.vstack([np.column_stack([eye, -self.low]), np.column_stack([-eye, self.high])])


@dataclass(frozen=True, eq=False)
class Polytope(Region):
    """``A x <= b``, bounded or not, by linear programs.

    A unit that keeps its side has Farkas multipliers: y >= 0 with ``A'y = -s w`` and
    ``y'b <= s c`` for ``s (w'x + c) >= 0``. `rows` (m, d), padded by -1, names the rows of A of
    which y is a combination; y itself is the exact solution of that linear system.
    """

    A: Array
    b: Array
    rows: Array = field(default_factory=lambda: np.empty((0, 0), dtype=np.int64))

    def __str__(self) -> str:
        return f"a polytope of {len(self.b)} inequalities"

    def sides(self, W: Array, b: Array) -> Array:
        from scipy.optimize import linprog

        scaled, _ = order_one(np.column_stack([self.A, self.b]))
        A, right = scaled[:, :-1], scaled[:, -1]

        # a point as far from all sides as there is, at most 1
        wider = np.column_stack([A, np.linalg.norm(A, axis=1)])
        most = [(None, None)] * W.shape[1] + [(0.0, 1.0)]
        inside = linprog(-np.eye(W.shape[1] + 1)[-1], wider, right, bounds=most, method="highs")
        if inside.status == 2:
            raise ValueError("the polytope is empty: no x has A x <= b")
        sides = np.where(W @ inside.x[:-1] + b >= 0, 1, -1)
        rows = np.full(W.shape, -1)
        for i, (w, c, s) in enumerate(zip(W, b, sides, strict=True)):
            found = linprog(s * w, A, right, bounds=(None, None), method="highs")
            # one that touches zero, as a side of A itself does, is for exact arithmetic to decide
            if found.status == 0 and found.fun + s * c >= -1e-9 * (1 + abs(c)):
                rows[i] = self._basis(-found.ineqlin.marginals, found.slack)
        object.__setattr__(self, "rows", rows)
        held = [self._holds(*unit) for unit in zip(W, b, sides, rows, strict=True)]
        return np.where(held, sides, 0)

    def _basis(self, y: Array, slack: Array) -> Array:
        """At most d independent rows, those with the largest multipliers first, then tight ones."""
        d = self.A.shape[1]
        rows = np.full(d, -1)
        basis, count = np.zeros((0, d)), 0
        for k in np.lexsort((slack, -y))[: 4 * d]:
            row = self.A[k] / (np.linalg.norm(self.A[k]) or 1.0)
            rest = row - basis.T @ (basis @ row)
            if count < d and np.linalg.norm(rest) > 1e-9 and (y[k] > 0 or slack[k] < 1e-9):
                basis = np.vstack([basis, rest / np.linalg.norm(rest)])
                rows[count], count = k, count + 1
        return rows

    def _holds(self, w: Array, c: float, s: int, rows: Array) -> bool:
        if s == 0:
            return True
        rows = rows[rows >= 0]
        if not w.any() or len(set(rows.tolist())) < len(rows) or (rows >= len(self.A)).any():
            return bool(s * c >= 0 and not w.any())
        A, target = _rational(self.A[rows]), _rational(-s * w[None])
        try:
            y = (A * A.transpose()).solve(A * target.transpose())
        except ZeroDivisionError:
            return False
        if A.transpose() * y != target.transpose():
            return False
        cost = (_rational(self.b[rows][None]) * y)[0, 0]
        return all(v >= 0 for v in y.entries()) and cost <= s * _rational(np.array([[c]]))[0, 0]

    def proves(self, W: Array, b: Array, sides: Array) -> Array:
        if self.rows.shape != W.shape:
            return sides == 0
        units = zip(W, b, map(int, sides), self.rows, strict=True)
        return np.array([self._holds(*unit) for unit in units])

    def halfspaces(self) -> Array:
        return np.column_stack([-self.A, self.b])


def clear_sides(W: Array, b: Array, centers: Array, half: Array, radii: Array) -> Array:
    """`Region.sides` (k, m) on k regions, from what `Region.spread` says of each."""
    rows, _ = order_one(np.column_stack([W, b]))
    W, b = rows[:, :-1], rows[:, -1]
    # touching zero within rounding is free, and so is what lies among the subnormal numbers
    with np.errstate(invalid="ignore", over="ignore"):
        middle, reach = centers @ W.T + b, half @ np.abs(W).T + radii[:, None] * lengths_of(W)
        size = np.abs(centers) @ np.abs(W).T + np.abs(b) + reach
        clear = np.abs(middle) - reach > 4 * (W.shape[1] + 4) * _EPS * size + _TINY
    return np.where(clear, np.where(middle >= 0, 1, -1), 0)


def order_one(rows: Array) -> tuple[Array, Array]:
    """Rows (w', b) of ``w'x + b`` with w near 1; exponents of the powers of two taken out."""
    exponents = np.frexp(np.abs(rows[:, :-1]).max(axis=1, initial=0.0))[1]
    with np.errstate(over="ignore"):
        return np.ldexp(rows, -exponents[:, None]), exponents


def _values(W: Array, x: Array, b: Array) -> list[Fraction]:
    """``W x + b`` without rounding."""
    return (Dyadic.of(W) @ Dyadic.of(x[:, None]) + Dyadic.of(b[:, None])).fractions()


def _rational(array: Array) -> Any:
    entries = [flint.fmpq(*x.as_integer_ratio()) for x in array.ravel().tolist()]
    return flint.fmpq_mat(array.shape[0], array.shape[1], entries)


def _shown(x: Array) -> str:
    return "(" + ", ".join(f"{v:.6g}" for v in x[:4]) + (", ..)" if len(x) > 4 else ")")


def _pair(given: Any, name: str, what: str) -> tuple[Any, Any]:
    if not isinstance(given, (tuple, list)) or len(given) != 2:
        raise ValueError(f"{name} must be a pair {what}")
    return given[0], given[1]


def _filled(given: Any, size: int, name: str, what: str) -> Array:
    """`given` as an array (size,); a number stands for all of its entries."""
    try:
        array = _checks.finite_array(given, name, None)
    except ValueError as error:
        raise ValueError(f"{name} must be {what}: {error}") from None
    if array.shape not in ((), (size,)):
        raise ValueError(f"{name} must be {what}, {size} in all, got shape {array.shape}")
    return np.full(size, array)


def regions(dim: int, ball: Any = None, box: Any = None, polytope: Any = None) -> list[Region]:
    """The regions that `certify` was given: at most one kind, and several centres of balls only."""
    if sum(given is not None for given in (ball, box, polytope)) > 1:
        raise ValueError("give one of ball, box and polytope, not several")
    if ball is not None:
        center, radius = _pair(ball, "ball", "(x0, r)")
        X = _checks.inputs(np.atleast_2d(_checks.finite_array(center, "ball[0]", None)), dim)
        r = _filled(radius, len(X), "ball[1]", "a radius, or one for each centre")
        if (r < 0).any():
            raise ValueError(f"the radius of a ball must not be negative, got {r.min():g}")
        return [Ball(x, float(s)) for x, s in zip(X, r, strict=True)]
    if box is not None:
        low, high = (
            _filled(given, dim, f"box[{i}]", "a number, or one for each input; no infinite side")
            for i, given in enumerate(_pair(box, "box", "(low, high)"))
        )
        if (low > high).any():
            raise ValueError(f"the box is empty: low is above high at {int((low > high).argmax())}")
        return [Box(low, high)]
    if polytope is not None:
        A, b = _pair(polytope, "polytope", "(A, b), of the inputs x with A x <= b")
        A, b = _checks.finite_array(A, "polytope[0]", 2), _checks.finite_array(b, "polytope[1]", 1)
        if A.shape != (len(b), dim):
            raise ValueError(f"A must have {dim} columns and a row for each b, got {A.shape}")
        return [Polytope(A, b)]
    return []
