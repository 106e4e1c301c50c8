"""The cone rows that are carried, and the check of all the others.

Of the n g rows ``S_i X z_i >= 0`` about as many are active at the optimum as there are variables,
and those are among the few of least angular margin ``|x_k' w_i| / (|x_k| |w_i|)`` at the known
network, whatever n (fact L). So each unit carries the same small number of rows, found by one pass
over the data, and others enter where a check of all of them finds the iterate outside.
"""

from __future__ import annotations

import numpy as np

from lipsnn._checks import Array
from lipsnn.convex.samples import Samples, unpacked

# Rows carried for each unit, per variable of the unit: 8 were enough and 2 fatal in all trials.
CARRIED = 12
# Rows that may enter a unit at one check, per variable.
_ENTERING = 2


class Rows:
    """The rows that are carried, the same number K for each unit.

    Variables are held as Z (p, g): column i is z_i = a_i w_i. Slacks and multipliers are (g, K).

    Parameters
    ----------
    samples, bits, signs
        All rows: S_i = s_i (2 D_i - I), with the diagonals of all D_i packed in `bits`.
    inside : ndarray, (g, p), optional
        Weights within the cones, to find the rows by. Without it all rows are carried.
    """

    def __init__(
        self, samples: Samples, bits: Array, signs: Array, inside: Array | None = None
    ) -> None:
        self._samples, self._bits, self._signs = samples, bits, signs
        self.p, self.g = samples.p, signs.size
        self._triangle = np.triu_indices(self.p)
        self.inside = None if inside is None else signs * inside.T
        count = CARRIED * self.p
        if self.inside is None or samples.n <= 2 * count:
            self.index = np.tile(np.arange(samples.n), (self.g, 1))
            self._rows = np.empty((self.g, samples.n, self.p))
            for part, X1 in samples.map(lambda X1: X1):
                side = np.where(unpacked(bits[part], self.g), signs, -signs)
                self._rows[:, part] = side.T[:, :, None] * X1
            return
        empty = np.empty((self.g, 0), dtype=np.int64)
        _, self._rows, self.index = self._least(self.inside, count, empty, angular=True)

    @property
    def shape(self) -> tuple[int, int]:
        return self.index.shape

    def slack(self, Z: Array) -> Array:
        """``S_i x_k z_i`` of every row."""
        return np.matmul(self._rows, Z.T[:, :, None])[:, :, 0]

    def slack_adjoint(self, v: Array) -> Array:
        """``sum_k v_ik S_i x_k`` for every unit, shape (p, g)."""
        return np.matmul(v[:, None, :], self._rows)[:, 0, :].T

    def weighted_squares(self, weights: Array) -> Array:
        """``sum_k weights_ik x_k x_k'`` for every unit.

        Its upper triangle only, row by row: shape (p (p + 1) / 2, g).
        """
        weighted = self._rows * weights[:, :, None]
        squares = np.matmul(self._rows.transpose(0, 2, 1), weighted)
        return squares[:, self._triangle[0], self._triangle[1]].T

    def admit(self, Z: Array, cut: float) -> float:
        """Check all rows at Z and take in those violated by more than `cut`, `cut` >= 0.

        Each unit takes in the same number, those of least slack, so that all carry equally many.

        Returns
        -------
        float
            The largest violation of a row that was not carried; 0 if there is none.
        """
        if self.shape[1] >= self._samples.n:
            return 0.0
        slack, rows, index = self._least(Z, _ENTERING * self.p, self.index)
        many = int((slack < -cut).sum(axis=1).max())
        if many:
            self._rows = np.concatenate([self._rows, rows[:, :many]], axis=1)
            self.index = np.concatenate([self.index, index[:, :many]], axis=1)
        return max(0.0, -float(slack.min()))

    def _least(
        self, weights: Array, count: int, carried: Array, angular: bool = False
    ) -> tuple[Array, Array, Array]:
        """Of all rows not `carried`, for each unit the `count` of least slack at weights (p, g).

        By slack in rows of length one if `angular`. Slacks, signed rows and sample indices; with
        equal rows counted once, and the last repeated where there are fewer.
        """
        order = np.argsort(carried, axis=None, kind="stable")
        owner, place = order // max(carried.shape[1], 1), carried.ravel()[order]
        pool = _Pool(self.g, self.p, count)
        signs, bound = self._signs, pool.bound  # what travels to a cluster, and not all rows

        def candidates(X1: Array, samples: range, bits: Array) -> tuple[Array, ...]:
            """Units, sample indices, slacks and signed rows that may be among the least."""
            side = np.where(unpacked(bits, signs.size), signs, -signs)
            slack = X1 @ weights
            slack *= side
            if angular:
                slack /= np.maximum(np.linalg.norm(X1, axis=1), np.finfo(float).tiny)[:, None]
            here = slice(*np.searchsorted(place, [samples.start, samples.stop]))
            slack[place[here] - samples.start, owner[here]] = np.inf
            least = slack < bound
            for i in np.flatnonzero(least.sum(axis=0) > count):
                some = np.argpartition(slack[:, i], count - 1)[:count]
                some = some[least[some, i]]
                least[:, i] = False
                least[some, i] = True
            row, unit = np.nonzero(least)
            return unit, row + samples.start, slack[row, unit], X1[row] * side[row, unit, None]

        for _, found in self._samples.map(candidates, range(self._samples.n), self._bits):
            pool.add(*found)
        return pool.filled()


class _Pool:
    """The rows of least slack so far, for each unit."""

    def __init__(self, g: int, p: int, count: int) -> None:
        self._g, self._count, self._waiting = g, count, 0
        # a row above it is not among them; chunks that are read one after the other see it fall
        self.bound = np.full(g, np.inf)
        none = np.empty(0, dtype=np.int64)
        self._found: list[tuple[Array, ...]] = [(none, none, np.empty(0), np.empty((0, p)))]

    def add(self, *found: Array) -> None:
        self._found.append(found)
        self._waiting += found[0].size
        if self._waiting > 2 * self._g * self._count:
            self._prune()

    def _prune(self) -> tuple[Array, ...]:
        """Units, indices, slacks and rows, sorted by unit and slack, equal rows once."""
        parts = [np.concatenate(part) for part in zip(*self._found, strict=True)]
        order = np.lexsort((parts[2], parts[0]))
        unit, _, _, rows = parts = [part[order] for part in parts]
        same = (unit[1:] == unit[:-1]) & (rows[1:] == rows[:-1]).all(axis=1)
        distinct = np.concatenate([[True], ~same])[: unit.size]
        unit, _, slack, _ = parts = [part[distinct] for part in parts]
        ends = np.cumsum(np.bincount(unit, minlength=self._g))
        rank = np.arange(unit.size) - np.concatenate([[0], ends])[unit]
        full, kept = rank == self._count - 1, rank < self._count
        self.bound[unit[full]] = slack[full]
        self._found, self._waiting = [tuple(part[kept] for part in parts)], 0
        return self._found[0]

    def filled(self) -> tuple[Array, Array, Array]:
        """Slacks (g, count), rows (g, count, p) and indices (g, count), slacks ascending."""
        unit, index, slack, rows = self._prune()
        sizes = np.bincount(unit, minlength=self._g)
        starts = np.cumsum(sizes) - sizes
        at = starts[:, None] + np.minimum(np.arange(self._count), np.maximum(sizes, 1)[:, None] - 1)
        return slack[at], rows[at], index[at]
