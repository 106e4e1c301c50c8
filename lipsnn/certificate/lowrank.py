"""Program (2) by ascent over low-rank P = RR', for m and d both large.

First ``R <- normalise(sum_i zbar_i (zbar_i'R) / |zbar_i'R|)``, which raises the lower value at
every step (it maximises a convex function over a sphere by its linearisations) and costs one
pass over the slopes; R gets more columns where it stalls. Its convergence is linear, so an
interior point takes over on the span of R, enlarged by the directions in which the multipliers'
matrix exceeds it: the optimal P has a rank far below d, and a few such rounds close the gap.
"""

from __future__ import annotations

import numpy as np

from lipsnn._checks import Array
from lipsnn.certificate.form import lengths_of, root
from lipsnn.certificate.interior import interior_point
from lipsnn.certificate.symmetric import weighted_gram

# Gap at which the ascent is left for the interior point on the span of R: the smaller, the fewer
# columns are left in R. A tolerance near it is not worth a round.
_SWITCH = 1e-3
# Columns of the first R, steps between two evaluations of the upper bound, and their most.
COLUMNS = 32
_STEPS = 10
_MOST_STEPS = 400
# Where these steps keep more than this of the gap, R has too few columns, and gets more.
_STALLED = 0.75
_MOST_COLUMNS = 128
_MOST_ROUNDS = 20
# Most directions added at a time.
_ADDED = 24


class _Pair:
    """The best lower value and the best upper bound seen."""

    def __init__(self, norms: Array, units: Array, tol: float) -> None:
        self.norms, self.units = norms, units
        self.room = 0.05 * tol
        self.lower, self.upper = 0.0, np.inf
        self.R, self.q = np.empty(0), np.empty(0)
        self.values, self.vectors = np.empty(0), np.empty(0)

    @property
    def gap(self) -> float:
        return 1.0 - self.lower / self.upper

    def exceeding(self) -> Array:
        """The directions (r, j) in which the multipliers' matrix of the last offer is too large."""
        count = int((self.values > self.values[-1] * (1 - 10 * self.gap)).sum())
        return self.vectors[:, -min(max(count, 4), _ADDED) :]

    def offer(self, R: Array, q: Array | None = None) -> None:
        """Evaluate R of norm 1 and q (by default the one that R suggests)."""
        lengths = lengths_of(self.units @ R)
        terms = self.norms * lengths
        lower = 0.5 * float(terms.sum())
        # a little of every term, or one that R does not see would have an infinite bound
        q = (1 - self.room) * (terms / terms.sum() if q is None else q) + self.room * self.norms
        self.values, self.vectors = np.linalg.eigh(weighted_gram(self.units, self.norms**2 / q))
        upper = 0.5 * float(np.sqrt(self.values[-1]))
        if lower > self.lower:
            self.lower, self.R = lower, R
        if upper < self.upper:
            self.upper, self.q = upper, q


def _main_columns(R: Array, drop: float) -> Array:
    """R times a rotation, without the columns that hold less than `drop` of its square."""
    values, vectors = np.linalg.eigh(R.T @ R)
    kept = np.cumsum(values) > drop * values.sum()
    R = R @ vectors[:, kept]
    return R / np.linalg.norm(R)


def low_rank(
    norms: Array, units: Array, tol: float, start: Array | None = None
) -> tuple[Array, Array, int]:
    """Maximise ``1/2 sum c_i |R'u_i|`` over |R|_F = 1 to a relative gap of `tol`.

    For c (n,) of sum 1 and u (n, r) of norm 1, from `start` (r, k) with random columns beside it.
    The best shares q (n,) in the simplex and R (r, k), and the steps and iterations.
    """
    r = units.shape[1]
    R = np.random.default_rng(0).normal(size=(r, min(COLUMNS, r)))
    R /= np.linalg.norm(R)
    if start is not None:
        R = np.hstack([start / np.linalg.norm(start), 0.1 * R])
    pair = _Pair(norms, units, tol)
    steps, before = 0, np.inf
    switch = tol if tol > _SWITCH / 2 else _SWITCH
    while pair.gap > switch and steps < _MOST_STEPS:
        if pair.gap > _STALLED * before and R.shape[1] < _MOST_COLUMNS:
            R = np.hstack([R, 0.1 * pair.exceeding() / np.sqrt(_ADDED)])
        before = pair.gap
        for _ in range(_STEPS):
            seen = units @ R
            seen *= (norms / np.maximum(lengths_of(seen), np.finfo(float).tiny))[:, None]
            R = units.T @ seen
            R /= np.linalg.norm(R)
        R = _main_columns(R, min(1e-6, 0.1 * tol))
        pair.offer(R)
        steps += _STEPS
    for _ in range(_MOST_ROUNDS):
        if pair.gap <= tol:
            break
        steps += _enlarge(pair, tol)
    return pair.q, pair.R, steps


def _enlarge(pair: _Pair, tol: float) -> int:
    """One round: the optimum over the span of R and of the directions that exceed the bound."""
    columns = [_main_columns(pair.R, 0.05 * tol), pair.exceeding()]
    basis = np.linalg.qr(np.hstack(columns))[0]
    rows = pair.units @ basis
    lengths = lengths_of(rows)
    # what the span does not see keeps the share that `offer` gives to every term
    seen = lengths > 1e-12
    norms = pair.norms[seen] * lengths[seen]
    # a round gains about two digits: none of its digits beyond that would last
    inner = max(0.3 * tol, 3e-3 * pair.gap)
    P, own, steps = interior_point(
        norms / norms.sum(), rows[seen] / lengths[seen, None], inner, "P"
    )
    q = np.zeros(len(lengths))
    q[seen] = own
    pair.offer(basis @ root(P), q)
    return steps
