"""What can be merged before solving: equal samples, equal units, units without effect."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from lipsnn._checks import Array
from lipsnn.convex.samples import Patterns, Samples


def equal_samples(samples: Samples, bits: Array) -> tuple[Array, Array] | None:
    """Indices of the samples that differ, in X or in `bits`, and for each sample its index there.

    None if all differ, or if X is not in memory: samples are then not compared.
    """
    if samples.streamed:
        return None
    rng = np.random.default_rng(0)
    weigh_x, weigh_bits = (
        rng.integers(2**64, size=size, dtype=np.uint64) | np.uint64(1)
        for size in (samples.p, bits.shape[1])
    )
    keys = np.empty(samples.n, dtype=np.uint64)
    # -0.0 is another key than 0.0, but no other sample
    for part, X1 in samples.map(lambda X1: np.ascontiguousarray(X1) + 0.0):
        keys[part] = (X1.view(np.uint64) * weigh_x).sum(axis=1, dtype=np.uint64)
        keys[part] += (bits[part] * weigh_bits).sum(axis=1, dtype=np.uint64)
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    if first.size == samples.n:
        return None
    again = np.flatnonzero(first[inverse] != np.arange(samples.n))
    model = first[inverse[again]]
    same = (samples.rows(again) == samples.rows(model)).all(axis=1)
    same &= (bits[again] == bits[model]).all(axis=1)
    return (first, inverse) if same.all() else None


def among_copies(
    inverse: Array, counts: Array, unit: Array, sample: Array, values: Array
) -> tuple[Array, Array, Array]:
    """Values of merged samples shared out to all the samples that are equal."""
    values, copies = values / counts[sample], counts[sample].astype(np.intp)
    order = np.argsort(inverse, kind="stable")
    begin = np.repeat((np.cumsum(counts) - counts)[sample], copies)
    within = np.arange(copies.sum()) - np.repeat(np.cumsum(copies) - copies, copies)
    return np.repeat(unit, copies), order[begin.astype(np.intp) + within], np.repeat(values, copies)


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
    patterns : Patterns, (n, m)
    signs : ndarray, (m,)
    shares : ndarray, (m,), optional
        q_i; units whose share is zero are left out.
    """

    def __init__(self, patterns: Patterns, signs: Array, shares: Array | None = None) -> None:
        self.m, keys = patterns.m, patterns.keys
        weight = np.ones(self.m) if shares is None else shares
        used = [bool(key) for key in keys] if shares is None else shares > 0
        self.kept = np.flatnonzero(used)
        index: dict[tuple[bytes, bool], int] = {}
        group = [index.setdefault((keys[i], signs[i] > 0), len(index)) for i in self.kept]
        self.group, self.g = np.array(group, dtype=int), len(index)
        self.first = self.kept[np.unique(self.group, return_index=True)[1]]
        self.patterns = patterns.take(self.first)
        self.signs = signs[self.first]
        self.shares = np.bincount(self.group, weight[self.kept], minlength=self.g)
        self._part = weight[self.kept] / self.shares[self.group]

    def same(self, other: Units) -> bool:
        """Whether the merged units are the same."""
        return (
            self.patterns.m == other.patterns.m
            and np.array_equal(self.signs, other.signs)
            and np.array_equal(self.patterns.bits, other.patterns.bits)
        )

    def split(self, values: Array) -> Array:
        """Rows (g, ..) of the merged units shared out to all m units, zero for those left out."""
        out = np.zeros((self.m, *values.shape[1:]))
        part = self._part.reshape(-1, *[1] * (values.ndim - 1))
        out[self.kept] = values[self.group] * part
        return out

    def copies(self, factors: Array) -> sparse.csr_array:
        """The matrix (m, g) that gives each unit the values of its merged one, times its factor."""
        entries = factors[self.kept], (self.kept, self.group)
        return sparse.csr_array(entries, shape=(self.m, self.g))
