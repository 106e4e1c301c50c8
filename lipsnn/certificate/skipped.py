"""The LMI of LipSDP-Neuron where units have one slope only: these pass their inputs on.

A unit whose slope is s on a region is ``v = s u``, and no variable; one that bends is ``v = m u + r
eta``, and eta is the variable, with the sector (-1, 1). What is left are the inputs and
the free units, each of which sees a row w_j of all of them that came before. Multipliers
that `chain` finds feasible are so here, where their matrix is restricted to a subspace.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from scipy.linalg import cho_factor, cho_solve, solve_triangular

from lipsnn._checks import Array
from lipsnn.certificate.chain import Banded, Chain
from lipsnn.certificate.exact import Dyadic
from lipsnn.certificate.form import Form, lengths_of, root

_EPS = float(np.finfo(float).eps)
# Where rounding moves rows by more than this, they are exact, unless that takes too many products.
_CANCELS, _EXACT = 1e-12, 3e7


class Skipped(Chain):
    """`Chain` over the free units: all of N is one block.

    `form.fixed` has by layer the slopes of units that have one only, NaN for free ones.
    """

    def __init__(self, form: Form) -> None:
        weights, free = list(form.weights), form.free
        super().__init__(weights, form.sectors)
        ends = np.cumsum([self.inputs, *map(np.sum, free)])
        self.order = int(ends[-1])
        self.units = self.order - self.inputs
        self.at = [slice(0, self.inputs), *(slice(int(a), int(b)) for a, b in pairwise(ends))]
        self.blocks = [slice(0, self.order)]
        self.of = [slice(s.start - self.inputs, s.stop - self.inputs) for s in self.at[1:]]
        chosen = np.concatenate(free)
        self.middle, self.radius = self.middle[chosen], self.radius[chosen]
        slopes = [np.nan_to_num(own) for own in form.fixed]
        self.lean = np.abs(np.concatenate(slopes)[chosen]) / np.concatenate(form.gains)[chosen]

        def seen(weights: Any, slopes: Any, lift: Any, read: Any) -> list[Array]:
            """What the free units of each layer, and the outputs, see of all that came before."""
            V, found = lift(np.eye(self.inputs, self.order)), []
            for W, own, gain, at in zip(weights, slopes, form.gains, self.at[1:], strict=False):
                units = gain > 0
                u = lift(W) @ V
                found.append(read(u)[units])
                place = np.zeros((len(units), self.order))
                place[np.flatnonzero(units), range(at.start, at.stop)] = gain[units]
                V = lift(np.diag(own)) @ u + lift(place)
            return [*found, read(lift(weights[-1]) @ V)]

        sizes = seen(*([np.abs(x) for x in part] for part in (weights, slopes)), *[np.asarray] * 2)
        rows = seen(weights, slopes, np.asarray, np.asarray)
        terms = self.depth + sum(W.shape[1] for W in weights)
        self.error = terms * _error(rows, sizes)
        if self.error > _CANCELS and sum(W.size for W in weights) * self.order < _EXACT:
            # what is left is the rounding of the weights, which were scaled
            rows = seen(weights, slopes, Dyadic.of, Dyadic.floats)
            self.error = (4 * self.depth + 4 + self.inputs) * _error(rows, sizes)
        # w_j (units, order), and what its entries would be without cancellation
        self.rows, self.sizes, self.outer = np.vstack(rows[:-1]), np.vstack(sizes[:-1]), rows[-1]
        self.gram = self.outer.T @ self.outer

    def matrix(self, t: Array, rho: float, constant: bool = True) -> Banded:
        """N(t, rho), or its linear part only if not `constant`."""
        inputs = np.arange(self.inputs)
        N = np.zeros((self.order, self.order))
        weighted = 2 * t[:, None] * self.rows
        mixed = self.middle[:, None] * weighted
        N[self.inputs :] -= mixed
        N[:, self.inputs :] -= mixed.T
        bent = self.middle**2 - self.radius**2
        if bent.any():
            N += (bent[:, None] * self.rows).T @ weighted
        N[inputs, inputs] += rho
        units = np.arange(self.inputs, self.order)
        N[units, units] += 2 * t
        return Banded([N - self.gram if constant else N], [])

    def _columns(self, full: Array) -> Array:
        return full @ self.rows.T

    def _rows(self, full: Array) -> Array:
        return self.rows @ full

    def backward(self, t: Array) -> Array:
        """Q_0 with ``|f(x) - f(x')|^2 <= (x - x')'Q_0 (x - x')``, from multipliers t."""
        N = self.matrix(t, 0.0).diagonal[0]
        d = self.inputs
        half = solve_triangular(np.linalg.cholesky(N[d:, d:]), N[d:, :d], lower=True)
        return half.T @ half - N[:d, :d]

    def first(self, most: float) -> Banded:
        """Covariances that satisfy the sectors, as those of `Chain.first`."""
        noise = min(most, 1 / self.depth)
        Q, responses = self.gram, []
        for at, of, (alpha, beta) in zip(
            self.at[:0:-1], self.of[::-1], self.sectors[::-1], strict=True
        ):
            W = self.rows[of, : at.start]
            side = (alpha + beta) * W + Q[at, : at.start]
            core = 2 * np.eye(len(W)) - Q[at, at]
            responses.append(cho_solve(cho_factor(core), side) if len(W) else side)
            Q = Q[: at.start, : at.start] + side.T @ responses[-1] - 2 * alpha * beta * W.T @ W
        C = self._start(Q, noise)
        for i, response in enumerate(reversed(responses)):
            W = self.rows[self.of[i], : self.at[i + 1].start]
            gain, allowed = self._gain(i, W, response, C, noise)
            below, own = gain @ C, gain @ C @ gain.T
            own[np.diag_indices_from(own)] += np.maximum(noise * allowed, np.finfo(float).tiny)
            C = np.block([[C, below.T], [below, own]])
        return Banded([C], [])

    def increments(self, X: Banded, t: Array, room: float) -> list[Array]:
        """F_0 .. F_l of the inputs and of the free units of each layer, as X says but for rounding.

        `room` is the share of the variance that may be dropped; rows may leave their sectors.
        """
        weight = np.append(np.ones(self.inputs), np.sqrt(np.maximum(t, np.finfo(float).tiny)))
        scaled = X.diagonal[0] * np.outer(weight, weight)
        F = root(scaled, room * float(np.trace(scaled))) / weight[:, None]
        return [F[at] for at in self.at]


def _error(rows: list[Array], sizes: list[Array]) -> float:
    """What one rounding in each may move the rows of a layer by, relative to its longest one."""
    found = [
        (lengths_of(u).max(), lengths_of(most).max())
        for u, most in zip(rows, sizes, strict=True)
        if most.any()
    ]
    with np.errstate(divide="ignore"):
        return float(_EPS * max((most / u for u, most in found), default=0.0))
