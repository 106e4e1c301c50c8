"""The loss of a restriction as a quadratic: its Hessian, exact and at a fraction of `dsyrk`'s work.

A = (D_1 X, .., D_g X) has n rows of g (d + 1) entries, and A'A is all that the loss needs of them.
Its block of units i and j is ``sum_k (D_i)_kk (D_j)_kk x_k x_k'``. The samples of a chunk are
sorted by the joint code of six units; within a code each of these is on or off, so that one product
of the (d + 1) (d + 2) / 2 distinct entries of x_k x_k' with the patterns of all units, code by
code, serves all six: about a fifth of the work of `dsyrk` on A.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy.linalg import blas, solve_triangular
from scipy.optimize import nnls

from lipsnn._checks import Array
from lipsnn.convex.samples import Samples, unpacked

# Units whose joint code sorts the samples.
_CODED = 6
# Samples that are sorted at a time, with 2^6 codes about 256 each; fewer where they have so many
# entries that these take more numbers. Below so few, codes have too few each: `dsyrk` is as fast.
_SORTED, _NUMBERS, _FEW = 16_384, 4_000_000, 4000
# Rows of A at a time: 512 of 1,300 columns are 5 MB, which stays in cache.
_ROWS = 512
# Relative lift of the diagonal where units are fitted: copies of one unit are no error.
_RIDGE = 1e-9
# Where more than this share of the samples have changed patterns, the sum is formed anew.
_CHANGED = 0.25


@dataclass(frozen=True, eq=False)
class Loss:
    """``1/2 sum_k c_k (sum_i D_i X z_i - y)_k^2 = z'Gz/2 - <linear, Z> + constant``.

    Variables are Z (p, g), column i being z_i, in the order (feature, unit) where they are one
    vector.

    Attributes
    ----------
    gram : ndarray, (p g, p g)
        G; its upper triangle counts.
    linear : ndarray, (p, g)
    sizes : ndarray, (p,)
        Mean over the units of ``sum_k c_k (D_i)_kk x_kf^2``, for each feature f.
    constant : float
        The loss at zero weights.
    """

    gram: Array
    linear: Array
    sizes: Array
    constant: float

    def curve(self, Z: Array) -> Array:
        """G times Z."""
        return blas.dsymv(1.0, self.gram.T, Z.ravel(), lower=1).reshape(Z.shape)

    def fitted(self, directions: Array, least: float) -> Array:
        """Columns of `directions` (p, g), each times the c_i >= 0 at which the loss is least.

        No column is shorter than `least` times their mean; zeros where the fit fails.
        """
        p, g = directions.shape
        directions = directions / np.maximum(np.abs(directions).max(axis=0), np.finfo(float).tiny)
        directions /= np.maximum(np.linalg.norm(directions, axis=0), np.finfo(float).tiny)
        curved = np.zeros((g, g))
        for a in range(p):
            for b in range(a, p):
                part = directions[a][:, None] * self.gram[a * g : (a + 1) * g, b * g : (b + 1) * g]
                part *= directions[b]
                curved += part + part.T if a < b else np.triu(part) + np.triu(part, 1).T
        curved[np.diag_indices(g)] += _RIDGE * np.trace(curved) / g
        pull = (directions * self.linear).sum(axis=0)
        try:
            root = np.linalg.cholesky(curved)
            sizes, _ = nnls(root.T, solve_triangular(root, pull, lower=True))
        except (np.linalg.LinAlgError, RuntimeError):
            return np.zeros_like(directions)
        return directions * np.maximum(sizes, least * sizes.mean())


def gram(samples: Samples, bits: Array, g: int, counts: Array) -> Array:
    """``sum_k c_k a_k a_k'``, a_k being row k of A; upper triangle, order (feature, unit)."""
    size = min(_SORTED, _NUMBERS // (samples.p * (samples.p + 1) // 2 + g))
    if min(samples.n, size) < _FEW:
        lower = samples.fold(partial(_by_rows, g), bits, counts)
        return lower.T
    products = samples.fold(partial(_by_codes, g), bits, counts, size=size)
    p = samples.p
    out = np.empty((p * g, p * g))
    for (a, b), block in zip(zip(*np.triu_indices(p), strict=True), products, strict=True):
        upper = np.triu(block)
        out[a * g : (a + 1) * g, b * g : (b + 1) * g] = upper + np.triu(block, 1).T
    return out


def linear(samples: Samples, bits: Array, g: int, weighted: Array) -> Array:
    """``sum_k v_k (D_i)_kk x_k`` for every unit, shape (p, g), from v (n,)."""

    def pull(total: Array | None, X1: Array, bits: Array, weighted: Array) -> Array:
        part = (X1 * weighted[:, None]).T @ unpacked(bits, g).astype(np.float64)
        return part if total is None else total + part

    return samples.fold(pull, bits, weighted)


def centred(y: Array, shares: Array) -> Array:
    """y without its weighted mean; zero where what is left is the rounding of y itself."""
    left = y - shares @ y
    left -= shares @ left
    rounding = 4.0 * np.finfo(float).eps * float(np.abs(y).max())
    return left if np.abs(left).max() > rounding else np.zeros_like(y)


def updated(
    gram: Array, samples: Samples, before: Array, bits: Array, g: int, counts: Array
) -> Array | None:
    """`gram` after the patterns of a few samples have changed; None if of many."""
    rows = np.flatnonzero((before != bits).any(axis=1))
    if not rows.size:
        return gram
    if rows.size > _CHANGED * samples.n:
        return None
    out = np.array(gram.T, order="F")
    for start in range(0, rows.size, _ROWS):
        some = rows[start : start + _ROWS]
        X1 = samples.rows(some)
        for sign, which in ((1.0, bits), (-1.0, before)):
            out = _add_rows(out, sign, X1, unpacked(which[some], g), counts[some])
    return out.T


def _by_rows(g: int, total: Array | None, X1: Array, bits: Array, counts: Array) -> Array:
    if total is None:
        total = np.zeros((X1.shape[1] * g,) * 2, order="F")
    for start in range(0, len(X1), _ROWS):
        some = slice(start, start + _ROWS)
        total = _add_rows(total, 1.0, X1[some], unpacked(bits[some], g), counts[some])
    return total


def _add_rows(total: Array, sign: float, X1: Array, on: Array, counts: Array) -> Array:
    rows = X1 * np.sqrt(counts)[:, None]
    block = (rows[:, :, None] * on[:, None, :]).reshape(len(rows), -1)
    return blas.dsyrk(sign, block.T, beta=1.0, c=total, lower=1, overwrite_c=1)


def _by_codes(g: int, total: Array | None, X1: Array, bits: Array, counts: Array) -> Array:
    """Add to ``total[e, i, j] = sum_k c_k (D_i)_kk (D_j)_kk (x_k x_k')_e``, e over a triangle.

    Blocks of six units i, each with all j from its first on.
    """
    first, second = np.triu_indices(X1.shape[1])
    entries = first.size
    if total is None:
        total = np.zeros((entries, g, g))
    table = np.empty((len(X1), entries + g))  # one table, so that one sort moves both
    np.multiply(X1[:, first], X1[:, second], out=table[:, :entries])
    table[:, :entries] *= counts[:, None]
    on = unpacked(bits, g)
    table[:, entries:] = on
    moved = np.empty_like(table)
    for start in range(0, g, _CODED):
        units = slice(start, min(start + _CODED, g))
        width = units.stop - start
        codes = np.packbits(on[:, units], axis=1)[:, 0] >> (8 - width)
        order = np.argsort(codes, kind="stable")
        np.take(table, order, axis=0, out=moved, mode="clip")
        ends = np.cumsum(np.bincount(codes, minlength=1 << width))
        sums = np.zeros((1 << width, entries, g - start))
        begin = 0
        for code, end in enumerate(ends):
            if end > begin and code:
                group = moved[begin:end]
                np.matmul(group[:, :entries].T, group[:, entries + start :], out=sums[code])
            begin = end
        chosen = np.arange(1 << width)[None, :] >> np.arange(width)[::-1, None] & 1
        sixth = chosen.astype(np.float64) @ sums.reshape(1 << width, -1)
        total[:, units, start:] += sixth.reshape(width, entries, -1).transpose(1, 0, 2)
    return total
