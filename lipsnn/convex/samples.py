"""Data read in chunks, from an array, a memory-mapped file or a Dask array; packed patterns."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from functools import cached_property, partial, reduce
from hashlib import blake2b
from typing import Any

import numpy as np

from lipsnn import _checks
from lipsnn._checks import Array
from lipsnn.convex.progress import Pulse
from lipsnn.network import with_bias

# Samples read at a time: their hidden values at 100 units stay in cache.
CHUNK = 4096
# Samples of a Dask task, and tasks in flight: their slices of packed patterns travel with them.
_BLOCK, _WINDOW = 65_536, 32
TOO_LARGE = (
    "the squares of {} are beyond float64: divide it by its largest entry, and scale the network "
    "with it"
)


class Samples:
    """Rows (x_k, 1), n of them with p = d + 1 entries; at most a chunk is in memory beside X.

    Parameters
    ----------
    X : ndarray, numpy.memmap or Dask array, (n, d)
        Without the bias feature, or (n, d + 1) with it if `biased`.
    scale : float
        What all entries are multiplied by.
    """

    def __init__(self, X: Any, biased: bool = False, scale: float = 1.0) -> None:
        self.source, self._biased, self._scale = X, biased, scale
        self.n, self.p = int(X.shape[0]), int(X.shape[1]) + (not biased)
        self.remote = hasattr(X, "__dask_graph__")
        self.streamed = self.remote or isinstance(X, np.memmap)

    def map(
        self, function: Callable[..., Any], *aligned: Any, size: int = CHUNK
    ) -> Iterator[tuple[slice, Any]]:
        """``function(X1, *slices)`` of every chunk and of what is `aligned` with the samples.

        In order. Here one chunk after the other, so that what `function` holds may change between
        them; on a Dask cluster wherever its chunks are.
        """
        pulse = Pulse("%d of %d samples read")
        if self.remote:
            for block, found in self._tasks(partial(_each, function, size), aligned):
                for part, one in found:
                    yield slice(block.start + part.start, block.start + part.stop), one
                pulse(block.stop, self.n)
            return
        for part in _parts(self.n, size):
            yield part, function(self.rows(part), *(a[part] for a in aligned))
            pulse(part.stop, self.n)

    def fold(self, function: Callable[..., Any], *aligned: Any, size: int = CHUNK) -> Any:
        """The sum over all chunks, ``function(total, X1, *slices)`` adding one to it in place.

        The first total is None. On a Dask cluster each worker sums its own chunks.
        """
        total: Any = None
        if self.remote:
            totals = self._tasks(partial(_sum, function, size), aligned, operator.add)
            return reduce(operator.add, (total for _, total in totals))
        for _, chunk in self.map(lambda *chunk: chunk, *aligned, size=size):
            total = function(total, *chunk)
        return total

    def rows(self, part: slice | Array) -> Array:
        """(x_k, 1) of some samples, (.., p)."""
        X = self.source[part]
        X = np.asarray(_checks.plain(X.compute(), "X") if self.remote else X, dtype=np.float64)
        X = X if self._biased else with_bias(X)
        return X if self._scale == 1.0 else X * self._scale

    def scaled(self, scale: float) -> Samples:
        """All entries multiplied by `scale`, as they are read."""
        return Samples(self.source, self._biased, self._scale * scale)

    def array(self) -> Array:
        """All of them as one array (n, p), for solvers that need it whole."""
        if self.streamed:
            raise ValueError(
                "this needs all of X in memory: give it as an array (numpy.asarray(X)), or use "
                "the structured solver with method 'joint', 'alternating' or 'walk'"
            )
        return self.rows(slice(None))

    @cached_property
    def mean_square(self) -> float:
        """Of all entries, the bias feature's among them; with it NaN and infinity are found."""
        with np.errstate(over="ignore"):
            total = float(sum(one for _, one in self.map(lambda X1: float(np.vdot(X1, X1)))))
        if not np.isfinite(total):
            for part, bad in self.map(lambda X1: np.argwhere(~np.isfinite(X1))[:1].tolist()):
                for k, column in bad:
                    raise ValueError(
                        "X has NaN or infinite entries, the first at index "
                        f"{(part.start + k, column)}: remove or impute them"
                    )
            raise ValueError(TOO_LARGE.format("X"))
        return total / (self.n * self.p)

    def _tasks(
        self, function: Callable[..., Any], aligned: Any, combine: Callable[..., Any] | None = None
    ) -> Iterator[tuple[slice, Any]]:
        """`function` of every block on Dask's scheduler, a window of blocks at a time."""
        import dask

        X = self.source.rechunk((_BLOCK, -1))
        blocks, parts = X.to_delayed()[:, 0], list(_parts(self.n, _BLOCK))
        run = dask.delayed(function, pure=False)
        for k in range(0, len(parts), _WINDOW):
            window = parts[k : k + _WINDOW]
            tasks = [
                run((self._biased, self._scale), block, *(a[part] for a in aligned))
                for part, block in zip(window, blocks[k : k + _WINDOW], strict=True)
            ]
            if combine is not None:  # pair by pair, where they are
                while len(tasks) > 1:
                    pairs = [tasks[i : i + 2] for i in range(0, len(tasks), 2)]
                    tasks = [reduce(dask.delayed(combine, pure=False), pair) for pair in pairs]
                window = [slice(window[0].start, window[-1].stop)]
            yield from zip(window, dask.compute(*tasks), strict=True)


def as_samples(X: Any) -> Samples:
    """`X`, or an array (n, d + 1) with the bias feature, as `Samples`."""
    return X if isinstance(X, Samples) else Samples(X, biased=True)


def checked(X: Any, y: Any, dim: int | None = None) -> tuple[Samples, Array]:
    """Inputs X (n, d) as `Samples` and targets y (n,), checked as `_checks.data_pair` does.

    A memory-mapped file or Dask array is read chunk by chunk and stays where it is.
    """
    if isinstance(X, Samples):
        samples = X
    elif hasattr(X, "__dask_graph__") or isinstance(X, np.memmap):
        if not hasattr(X, "dtype"):
            raise ValueError("X is a Dask dataframe: pass X.to_dask_array(lengths=True)")
        if X.ndim != 2:
            raise ValueError(f"X must have 2 dimensions, got shape {X.shape}")
        if not np.isfinite(X.shape).all():
            raise ValueError(
                "X is a Dask array of unknown length: call X.compute_chunk_sizes() before"
            )
        if X.dtype.kind not in "fiub":
            raise ValueError(f"X must be numeric, got dtype {X.dtype}")
        samples = Samples(X)
    else:
        X, y = _checks.data_pair(X, y, dim)
        return Samples(X), y
    # one row stands for X in the checks of shapes
    _checks.inputs(np.zeros((1, samples.p - 1)), dim)
    y = _checks.targets(y, samples.n)
    if samples.streamed:
        _ = samples.mean_square  # finds what is not finite
    return samples, y


def checked_outputs(net: Any, X: Any, y: Any, loss: Any) -> tuple[Samples, Array]:
    """Inputs and targets for a network of several layers or outputs, as its loss takes them."""
    X, y = _checks.inputs(X, net.dim), loss.targets(y, (net.outputs,))
    if len(X) == 0 or len(X) != len(y):
        raise ValueError(f"X has {len(X)} rows but y has {len(y)}: give one target for each sample")
    return Samples(X), y


class Patterns:
    """Activation patterns of m units on n samples, one bit each.

    Parameters
    ----------
    bits : ndarray of uint8, (n, ceil(m / 8))
        Row k holds the k-th entries of the diagonals of all D_i, packed.
    m : int
    """

    def __init__(self, bits: Array, m: int) -> None:
        self.bits, self.m = bits, m

    @classmethod
    def of(cls, samples: Samples, weights: Array) -> Patterns:
        """Those of hidden weights (m, p): bit (k, i) is ``w_i' (x_k, 1) >= 0``."""

        def packed(X1: Array) -> Array:
            hidden = X1[:, :-1] @ weights[:, :-1].T
            return np.packbits(hidden + weights[:, -1] >= 0.0, axis=1)

        bits = np.empty((samples.n, -(-len(weights) // 8)), dtype=np.uint8)
        for part, found in samples.map(packed):
            bits[part] = found
        return cls(bits, len(weights))

    @classmethod
    def pack(cls, patterns: Any) -> Patterns:
        """From a boolean (n, m), column i the diagonal of D_i; or `patterns` if packed."""
        if isinstance(patterns, Patterns):
            return patterns
        return cls(np.packbits(patterns, axis=1), patterns.shape[1])

    def unpack(self) -> Array:
        """As a boolean (n, m)."""
        return unpacked(self.bits, self.m)

    def take(self, units: Array) -> Patterns:
        """Those of some units."""
        if np.array_equal(units, np.arange(self.m)):
            return self
        bits = np.empty((len(self.bits), -(-len(units) // 8)), dtype=np.uint8)
        for part in _parts(len(bits)):
            bits[part] = np.packbits(unpacked(self.bits[part], self.m)[:, units], axis=1)
        return Patterns(bits, len(units))

    def replaced(self, columns: dict[int, Array]) -> Patterns:
        """With other patterns (n,) of some units."""
        bits = self.bits.copy()
        for i, column in columns.items():
            bit = np.uint8(128 >> (i & 7))
            bits[:, i >> 3] &= ~bit
            bits[column, i >> 3] |= bit
        return Patterns(bits, self.m)

    def column(self, i: int) -> Array:
        """Of one unit, as a boolean (n,)."""
        return (self.bits[:, i >> 3] & np.uint8(128 >> (i & 7))) > 0

    @cached_property
    def keys(self) -> list[bytes]:
        """For each unit what tells its pattern from all others; empty if active nowhere."""
        digests = [blake2b(digest_size=16) for _ in range(self.m)]
        active = np.zeros(self.m, dtype=bool)
        for part in _parts(len(self.bits)):
            block = unpacked(self.bits[part], self.m)
            active |= block.any(axis=0)
            for digest, column in zip(digests, np.packbits(block, axis=0).T.copy(), strict=True):
                digest.update(column)
        return [d.digest() if on else b"" for d, on in zip(digests, active, strict=True)]


def unpacked(bits: Array, m: int) -> Array:
    """Packed rows as a boolean (.., m)."""
    return np.unpackbits(bits, axis=1, count=m).view(bool)


def _parts(n: int, size: int = CHUNK) -> Iterator[slice]:
    for start in range(0, n, size):
        yield slice(start, min(start + size, n))


def _each(function: Callable[..., Any], size: int, form: Any, X: Array, *aligned: Any) -> Any:
    """`function` of every chunk of a block, with where the chunk is in it."""
    return list(Samples(_checks.plain(X, "X"), *form).map(function, *aligned, size=size))


def _sum(function: Callable[..., Any], size: int, form: Any, X: Array, *aligned: Any) -> Any:
    return Samples(_checks.plain(X, "X"), *form).fold(function, *aligned, size=size)
