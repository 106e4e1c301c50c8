"""The data of a restriction: its loss and its cone rows, and the sums over samples they need."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.linalg import blas

from lipsnn._checks import Array

# Samples per chunk of the Gram sum: 512 rows of 1,300 columns are 5 MB, which stays in cache.
_CHUNK = 512


class Rows:
    """Loss ``1/2 sum_k c_k (sum_i D_i X z_i - y)_k^2`` and cones ``S_i X z_i >= 0``.

    Variables are held as Z (d + 1, g): column i is z_i = a_i w_i. All products with data run
    over the n samples once and never build an (n, g (d + 1)) array.

    Parameters
    ----------
    X : ndarray, (n, p)
        Rows with the bias feature, p = d + 1.
    y, counts : ndarray, (n,)
        Targets, and how often each row occurs.
    bits : ndarray of uint8, (n, ceil(g / 8))
        Row k holds the k-th entries of the diagonals of all D_i, packed.
    signs : ndarray, (g,)
        s_i, so that S_i = s_i (2 D_i - I).
    constant : float
        The loss at zero weights.
    """

    def __init__(
        self,
        X: Array,
        y: Array,
        counts: Array,
        bits: Array,
        signs: Array,
        constant: float,
    ) -> None:
        self.X, self.y, self.counts, self.constant = X, y, counts, constant
        self.n, self.p = X.shape
        self.g = signs.size
        self._bits = bits
        self.sigma = np.empty((self.n, self.g))
        for part in self._chunks():
            self.sigma[part] = np.where(self._patterns(part), signs, -signs)
        first, second = np.triu_indices(self.p)
        self._squares = X[:, first] * X[:, second]

    def _chunks(self) -> Iterator[slice]:
        for start in range(0, self.n, _CHUNK):
            yield slice(start, min(start + _CHUNK, self.n))

    def _patterns(self, part: slice) -> Array:
        """Which units are active on some of the samples: bool, one column per unit."""
        return np.unpackbits(self._bits[part], axis=1, count=self.g).view(bool)

    def pull(self, residual: Array) -> Array:
        """``sum_k c_k r_k (D_i)_kk x_k`` for every unit, shape (p, g), from r (n,)."""
        weighted = self.X * (self.counts * residual)[:, None]
        out = np.zeros((self.p, self.g))
        for part in self._chunks():
            out += weighted[part].T @ self._patterns(part).astype(np.float64)
        return out

    def slack(self, Z: Array) -> Array:
        """``S_i X z_i`` for every unit, shape (n, g)."""
        out = self.X @ Z
        out *= self.sigma
        return out

    def slack_adjoint(self, v: Array) -> Array:
        """``X' S_i v_i`` for every unit, shape (p, g)."""
        return self.X.T @ (self.sigma * v)

    def gram(self) -> Array:
        """Hessian of the loss, order p g, in the order (feature, unit); upper triangle only."""
        size = self.p * self.g
        lower = np.zeros((size, size), order="F")
        for part in self._chunks():
            X = self.X[part] * np.sqrt(self.counts[part])[:, None]
            block = (X[:, :, None] * self._patterns(part)[:, None, :]).reshape(-1, size)
            lower = blas.dsyrk(1.0, block.T, beta=1.0, c=lower, lower=1, overwrite_c=1)
        return lower.T

    def weighted_squares(self, weights: Array) -> Array:
        """``X' diag(weights_i) X`` for every unit, from weights (n, g).

        Its upper triangle only, row by row: shape (p (p + 1) / 2, g).
        """
        return self._squares.T @ weights
