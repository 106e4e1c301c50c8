"""Open cells of a hyperplane arrangement: a point inside each, or a proof that it is empty.

In homogeneous coordinates y = (x, 1) a cell is ``{y: s_i h_i'y > 0}``. By Gordan's theorem it has
no point exactly if some ``lambda >= 0``, not zero, has ``sum lambda_i s_i h_i = 0``. One
least-squares problem with nonnegative unknowns decides which of the two (Lawson and Hanson):
``min |sum lambda_i s_i h_i|^2 + (1 - sum lambda_i)^2``, whose residual is a point well inside the
cell unless it is zero. No box stands for infinity, so that a cell without end is like any other.

A point is taken at its word, since only what is attained there will count. Emptiness is proved:
in float64 with bounds on all rounding, or in rational arithmetic.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from lipsnn._checks import Array
from lipsnn.certificate.exact import Dyadic

_EPS = float(np.finfo(float).eps)


class Arrangement:
    """Half-spaces ``h'y >= 0`` of units and of a region's sides, and possibly a ball.

    h are the `rows` (k, n), the factor of the homogeneous coordinate last; the `ball` has a centre
    and a radius. `far` is how large x may be, by default the middle distance of the hyperplanes
    from 0.
    """

    def __init__(
        self, rows: Array, ball: tuple[Array, float] | None = None, far: float | None = None
    ) -> None:
        self.given, self.ball = rows, ball
        if not far:
            size = np.abs(rows[:, :-1]).max(axis=1)
            with np.errstate(over="ignore"):
                away = np.abs(rows[size > 0, -1]) / size[size > 0]
            away = away[(away > 0) & (away < np.inf)]
            far = float(np.median(away)) if len(away) else 1.0
        # (x, 1) at a scale where the places that count are near 1
        self.level = int(np.clip(np.frexp(far)[1], -900, 900))
        columns = np.append(np.zeros(rows.shape[1] - 1, dtype=int), -self.level)
        exponents = np.where(rows == 0, -(2**12), np.frexp(rows)[1] + columns)
        self.powers = -np.maximum(exponents.max(axis=1), -(2**11))
        shifts = self.powers[:, None] + columns
        with np.errstate(under="ignore"):
            self.rows = np.ldexp(rows, shifts)
            back = np.ldexp(self.rows, -shifts)
        self.kept = (back == rows).all(axis=1)  # nothing has underflown
        self.sizes = np.linalg.norm(self.rows, axis=1)
        self.units = self.rows / self.sizes[:, None]
        self.target = np.eye(rows.shape[1] + 1)[-1]
        self.room = 4 * (rows.shape[1] + 4) * _EPS  # a value of a unit row at a unit point

    def locate(self, y: Array) -> Array:
        """x of homogeneous coordinates."""
        return np.ldexp(y[:-1] / y[-1], self.level)

    def decide(self, index: Array, sides: Array) -> tuple[Array | None, Array, bool]:
        """A point (n,) of length 1 where row `index[i]` has the sign `sides[i]`, all of them.

        Or None, the places in `index` of rows that seem to exclude each other, and whether that
        is proved already: what `excludes` or `implied` is left to do.
        """
        from scipy.optimize import nnls

        system = np.empty((len(self.target), len(index)))
        np.multiply(self.units[index].T, sides, out=system[:-1])
        system[-1] = 1.0
        try:
            weights, length = nnls(system, self.target)
        except RuntimeError:
            return None, index[:0], False
        if length > 1e-12:
            y = system[:-1] @ weights
            y /= np.linalg.norm(y)
            if (y @ system[:-1]).min() > self.room:
                if self.ball is None or self.holds(y[None])[0]:
                    return y, index[:0], False
                return self._in_ball(self.ball, index, sides, y)
        return None, weights.nonzero()[0], False

    def excludes(self, index: Array, sides: Array) -> bool:
        """Whether these rows have no point in common, and so a combination that is zero.

        Its weights are nonnegative, and not all zero.
        """
        if self.implied(index[:-1], sides[:-1], index[-1:], -sides[-1:]).any():
            return True
        if not len(index):
            return False
        kernel, rank = Dyadic.of(sides[:, None] * self.given[index]).T.integers.nullspace()
        if rank != 1:
            return False
        weights = [kernel[i, 0] for i in range(len(index))]
        return all(w >= 0 for w in weights) or all(w <= 0 for w in weights)

    def implied(self, index: Array, sides: Array, units: Array, on: Array) -> Array:
        """Of `units`, whether their sides `on` follow from those of the n rows in `index`.

        The weights of each unit in this basis are positive by more than all rounding.
        """
        rows, targets = sides[:, None] * self.rows[index], on[:, None] * self.rows[units]
        n = rows.shape[1]
        if len(index) != n or not self.kept[index].all():
            return np.zeros(len(units), dtype=bool)
        try:
            inverse = np.linalg.inv(rows)
        except np.linalg.LinAlgError:
            return np.zeros(len(units), dtype=bool)
        size = np.abs(inverse).sum(axis=1).max()
        off = np.abs(np.eye(n) - rows @ inverse).sum(axis=1).max()
        off += self.room * (1 + (np.abs(rows) @ np.abs(inverse)).sum(axis=1).max())
        if not off < 0.5:
            return np.zeros(len(units), dtype=bool)
        weights = targets @ inverse
        # weights - exact = (weights rows - targets) rows^-1, and |rows^-1| <= 2 size
        error = np.abs(weights @ rows - targets).sum(axis=1)
        error += self.room * (np.abs(weights) @ np.abs(rows) + np.abs(targets)).sum(axis=1)
        with np.errstate(over="ignore"):  # infinite: nothing is implied
            error = 4 * size * error + 1e-290
        return self.kept[units] & (weights > error[:, None]).all(axis=1)

    def _in_ball(
        self, ball: tuple[Array, float], index: Array, sides: Array, y: Array
    ) -> tuple[Array | None, Array, bool]:
        """The same with the ball: its point nearest to the centre decides, and y leads inwards."""
        from scipy.optimize import nnls

        rows = sides[:, None] * self.units[index]
        center = np.append(np.ldexp(ball[0], -self.level), 1.0)
        radius = float(np.ldexp(ball[1], -self.level))
        system = np.vstack([radius * rows[:, :-1].T, -(rows @ center)])
        try:
            weights, _ = nnls(system, self.target[1:])
        except RuntimeError:
            return None, index[:0], False
        residual = self.target[1:] - system @ weights
        beyond = residual[-1] < 1e-14 or residual[:-1] @ residual[:-1] > residual[-1] ** 2
        if beyond:
            support = weights.nonzero()[0]
            index, sides, weights = index[support], sides[support], weights[support]
            return None, support, self._beyond(ball, index, sides, weights / self.sizes[index])
        nearest = center - np.append(radius * residual[:-1] / residual[-1], 0.0)
        for k in range(50):
            point = nearest + 2.0**-k * (y / y[-1] - nearest)
            point /= np.linalg.norm(point)
            if (rows @ point > self.room).all() and self.holds(point[None])[0]:
                return point, index[:0], False
        return None, index[:0], False

    def _beyond(
        self, ball: tuple[Array, float], index: Array, sides: Array, weights: Array
    ) -> bool:
        """Whether the combination of these rows is nowhere positive in the ball."""
        signed, shift = sides[:, None] * self.given[index], self.powers[index]
        ones = Dyadic.of(np.ones((1, len(index))))
        slope = ones @ Dyadic.of(signed[:, :-1], shift, weights=weights)
        bias = ones @ Dyadic.of(signed[:, -1:], shift, weights=weights)
        value = (slope @ Dyadic.of(ball[0][:, None]) + bias).fractions()[0]
        return value <= 0 and value**2 >= Fraction(ball[1]) ** 2 * slope.square()

    def holds(self, Y: Array) -> Array:
        """Whether the ball, if there is one, holds the points (k, n)."""
        return self._from_center(Y, 1 - 1e-12)[0] < 0

    def leaves(self, Y: Array, along: Array) -> Array:
        """Where lines ``y + s along`` from points y (k, n) leave the ball: s (2, k), or NaN."""
        if self.ball is None:
            return np.full((2, len(Y)), np.nan)
        at, p, r = self._from_center(Y)
        rate, q, s = self._from_center(along)
        middle = np.einsum("ij,ij->i", p, q) - r * s
        with np.errstate(divide="ignore", invalid="ignore"):
            root = np.sqrt(middle**2 - rate * at)
            return -at / np.array([middle + root, middle - root])

    def _from_center(self, Y: Array, share: float = 1.0) -> tuple[Array, Array, Array]:
        """``|p|^2 - r^2``, p and r in homogeneous coordinates, r a `share` of the radius."""
        if self.ball is None:
            return np.full(len(Y), -1.0), Y, Y
        center, radius = np.ldexp(self.ball[0], -self.level), np.ldexp(self.ball[1], -self.level)
        away, reach = Y[:, :-1] - Y[:, -1:] * center, share * radius * Y[:, -1]
        return np.einsum("ij,ij->i", away, away) - reach**2, away, reach
