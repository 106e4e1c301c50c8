"""What can be merged before solving: equal samples, equal units, units without effect."""

from __future__ import annotations

import numpy as np

from lipsnn._checks import Array


def first_and_inverse(*columns: Array) -> tuple[Array, Array]:
    """Indices of the distinct rows of the arrays side by side, and for each row its index there."""
    bytes_of = [np.ascontiguousarray(c).view(np.uint8) for c in columns]
    # a column count must be given where there are no rows
    table = np.ascontiguousarray(np.hstack([c.reshape(len(c), c.shape[1]) for c in bytes_of]))
    keys = table.view(np.dtype((np.void, table.shape[1])))[:, 0]
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    return first, inverse


class Units:
    """Units merged by (pattern, sign).

    Equal units share one cone and enter the loss through their sum. Of all ways to split the
    sum among them, each in proportion to its share is best: for (6), and with T free, by the
    triangle inequality for the norms, any shares will do; at fixed T they are the q_i, because
    ``sum_i z_i z_i' / q_i >= z z' / q`` for z = sum z_i, q = sum q_i. With T free a unit that is
    active on no sample stays at zero, again by the triangle inequality; at fixed T it does not,
    because it can lower the norm of zbar_0 = sum_i zbar_i.

    Parameters
    ----------
    patterns : ndarray of bool, (n, m)
    signs : ndarray, (m,)
    shares : ndarray, (m,), optional
        q_i; units whose share is zero are left out.
    """

    def __init__(self, patterns: Array, signs: Array, shares: Array | None = None) -> None:
        self.m = patterns.shape[1]
        weight = np.ones(self.m) if shares is None else shares
        self.kept = np.flatnonzero(patterns.any(axis=0) if shares is None else shares > 0)
        packed = np.packbits(patterns[:, self.kept], axis=0).T
        first, self.group = first_and_inverse(packed, signs[self.kept, None])
        self.g = first.size
        self.bits = np.packbits(patterns[:, self.kept[first]], axis=1)
        self.signs = signs[self.kept[first]]
        self.shares = np.bincount(self.group, weight[self.kept], minlength=self.g)
        self._part = weight[self.kept] / self.shares[self.group]

    def split(self, values: Array) -> Array:
        """Rows (g, ..) of the merged units shared out to all m units, zero for those left out."""
        out = np.zeros((self.m, *values.shape[1:]))
        part = self._part.reshape(-1, *[1] * (values.ndim - 1))
        out[self.kept] = values[self.group] * part
        return out

    def copy(self, values: Array) -> Array:
        """Rows (g, ..) of the merged units given to all m units, zero for those left out."""
        out = np.zeros((self.m, *values.shape[1:]))
        out[self.kept] = values[self.group]
        return out
