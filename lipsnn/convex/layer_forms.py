"""What one layer's program is made of, as linear maps and parts of a Newton matrix.

Each entry of (W_j, T, U) stands in M_j as u v' + v u' with u a unit vector, so that M_j's part of
the Newton matrix is sums of products of entries of the scaling S: a Kronecker product for W_j. The
rows of layer j + 1 touch a unit each; those of later layers are dense. Only rows of least angular
margin are carried (fact L).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from lipsnn._checks import Array
from lipsnn.convex.layer_program import LayerProgram
from lipsnn.network import with_bias

_CARRIED = 6  # rows of each unit at the beginning, in numbers of its inputs
_SLACK = 0.1  # of a row at the start, relative to the root mean square of its layer
_CHUNK = 2048  # samples whose slopes are formed at a time


class Forms:
    """A program's linear maps, their adjoints, and the Newton matrix.

    Its unknowns are one vector, (W_j | b_j row by row, b_{j+1} .. b_l, diagonals of T, U, rho); its
    rows, those of the layers j + 1 .. l beside one another, are the columns of an array (n, rows).
    """

    def __init__(self, program: LayerProgram) -> None:
        self.program = program
        j, weights = program.layer, program.weights
        self.at, self.depth = _slices(program.X.shape[1], *map(len, weights)), len(weights) - 1
        self.later, self.gates = weights[j + 1 :], program.gates
        self.parts = _slices(*(u.shape[1] for u in program.pre))  # each layer's rows
        none = np.empty((len(program.X), 0))
        self.signs = np.hstack([none, *program.signs])
        self.inner = len(weights[j])
        self.V = with_bias(program.inputs)
        self.p1 = self.inner * self.V.shape[1]
        self.tails = _slices(self.p1, *map(len, program.biases[j + 1 :]))[1:]  # later biases
        self.fit = self.tails[-1].stop if self.tails else self.p1  # what the outputs depend on
        self.units = slice(self.at[0].stop, self.at[-1].start)
        self.total = self.fit + (self.units.stop - self.units.start) + 1
        self.arms = self._arms()
        sizes = [max(float(np.sqrt(np.mean(u**2))), 1e-12) for u in program.pre]
        self.least = _SLACK * np.repeat(sizes, [u.shape[1] for u in program.pre])
        self.carried = self._nearest()

    # What is linear: pre-activations, outputs and M_j, and the adjoints.

    def forward(self, x: Array) -> tuple[Array, Array]:
        """The rows (2 D_i - I) pre_i, i = j + 1 .. l, and the outputs (n, k)."""
        u, rows = self.V @ x[: self.p1].reshape(self.inner, -1).T, 1 * self.signs
        for W, gate, part, tail in zip(self.later, self.gates, self.parts, self.tails, strict=True):
            rows[:, part] *= u
            u = (gate * u) @ W.T + x[tail]
        return rows, u

    def pull(self, rows: Array, outputs: Array) -> Array:
        """The adjoint of `forward`."""
        u, found, signed = outputs, np.zeros(self.total), self.signs * rows
        for i in range(len(self.later) - 1, -1, -1):
            found[self.tails[i]] = u.sum(axis=0)
            u = (u @ self.later[i]) * self.gates[i] + signed[:, self.parts[i]]
        found[: self.p1] = (u.T @ self.V).ravel()
        return found

    def matrix(self, x: Array, constant: bool = True) -> Array:
        """M_j at x, or its linear part."""
        at, j = self.at, self.program.layer
        M = np.zeros((at[-1].stop,) * 2)
        M[self.units] = (x[self.fit : -1] * self.arms).T
        M += M.T
        M[at[j + 1], at[j]] = -x[: self.p1].reshape(self.inner, -1)[:, :-1]
        M[at[j], at[j + 1]] = M[at[j + 1], at[j]].T
        M[at[0], at[0]] += x[-1] * np.eye(at[0].stop)
        if constant:
            M[at[-1], at[-1]] = np.eye(at[-1].stop - at[-1].start)
        return M

    def pull_matrix(self, Q: Array) -> Array:
        """The adjoint of the linear part of `matrix`, at a symmetric Q."""
        at, j, found = self.at, self.program.layer, np.zeros(self.total)
        W = found[: self.p1].reshape(self.inner, -1)
        W[:, :-1] = -2 * Q[at[j + 1], at[j]]
        found[self.fit : -1] = 2 * np.einsum("qi,iq->q", Q[self.units], self.arms)
        found[-1] = np.trace(Q[at[0], at[0]])
        return found

    def start(self) -> Array:
        """Zero weights and biases, and multipliers and rho at which M_j is well inside its cone.

        Each layer's multipliers take half of what the layer before, or after it, leaves.
        """
        weights, j, x = self.program.weights, self.program.layer, np.zeros(self.total)
        x[-1] = 1.0 if self.program.bound is None else self.program.bound**2
        shift = self.fit - self.units.start
        for layers, level in (range(1, j + 1), x[-1]), (range(self.depth, j, -1), 1.0):
            for i in layers:
                level = level / np.linalg.norm(weights[i - 1] if i <= j else weights[i], 2) ** 2
                x[self.at[i].start + shift : self.at[i].stop + shift] = level
        if self.program.multipliers is not None:
            x[self.fit : -1] = self.program.multipliers
        return x

    def _arms(self) -> Array:
        """Column q is g with ``e_q g' + g e_q'`` the matrix of multiplier q, (order, units)."""
        at, j = self.at, self.program.layer
        G = np.eye(at[-1].stop)
        for i in range(1, self.depth + 1):
            if i <= j:
                G[at[i - 1], at[i]] = -self.program.weights[i - 1].T
            else:
                G[at[i + 1], at[i]] = -self.program.weights[i]
        return G[:, self.units]

    # Rows that are carried.

    def _nearest(self) -> Array:
        """Which rows to begin with: least slack over length of the sample, as the layer has it."""
        kept, inputs = np.zeros(self.signs.shape, dtype=bool), self.V
        for u, gate, part in zip(self.program.pre, self.gates, self.parts, strict=True):
            count = min(len(u), _CARRIED * inputs.shape[1])
            angle = np.abs(u) / np.linalg.norm(inputs, axis=1)[:, None]
            first = np.argpartition(angle, count - 1, axis=0)[:count]
            np.put_along_axis(kept[:, part], first, True, axis=0)
            inputs = with_bias(gate * u)
        return kept

    # The Newton matrix.

    def _add_outer(self, i: int, samples: Array, u: Array, H: Array) -> None:
        """Add ``sum_r g_r g_r'``, g_r the gradient of ``u_r'pre_{j+1+i}``, the outputs if last.

        With u (samples, r, units). The part of W_j is ``B'u_r`` Kronecker the layer's input v, B
        the later layers' slopes, so that a sample adds ``K (x) v v'`` whatever r is.
        """
        parts: list[Array] = []
        for q in range(i - 1, -1, -1):
            parts.insert(0, u)
            u = (u @ self.later[q]) * self.gates[q][samples][:, None]
        V, first, second = self.V[samples], *np.triu_indices(self.inner)
        K = (u.transpose(0, 2, 1) @ u).reshape(len(u), -1)
        K = np.take(K, first * self.inner + second, axis=1)
        pair = np.zeros((self.inner,) * 2, dtype=int)
        pair[first, second] = pair[second, first] = np.arange(len(first))
        square = H[: self.p1, : self.p1].reshape(self.inner, V.shape[1], self.inner, -1)
        for f in range(V.shape[1]):
            block = ((V[:, f:] * V[:, [f]]).T @ K)[:, pair]
            square[:, f, :, f:] += block.transpose(1, 2, 0)
            square[:, f + 1 :, :, f] += block[1:].transpose(1, 0, 2)
        if parts:
            biases = np.concatenate(parts, axis=2)
            at = slice(self.p1, self.p1 + biases.shape[2])
            mixed = np.tensordot(u.transpose(0, 2, 1) @ biases, V, (0, 0)).transpose(0, 2, 1)
            H[: self.p1, at] += mixed.reshape(self.p1, -1)
            H[at, : self.p1] = H[: self.p1, at].T
            H[at, at] += np.tensordot(biases, biases, ((0, 1), (0, 1)))

    def gram(self, roots: Array | None = None) -> Array:
        """The loss's Hessian, from roots (n, k, k) of that by the outputs, I if None."""
        H, n, k = np.zeros((self.fit, self.fit)), len(self.V), self.program.weights[-1].shape[0]
        roots = np.broadcast_to(np.eye(k), (n, k, k)) if roots is None else roots
        for some in _chunks(np.arange(n)):
            self._add_outer(len(self.later), some, roots[some].transpose(0, 2, 1), H)
        return H

    def add_rows(self, weights: Array, H: Array) -> None:
        """Add ``A' diag(weights) A`` of the carried rows."""
        width = self.V.shape[1]
        for a in range(self.inner if self.parts else 0):
            kept, own = self.carried[:, a], slice(a * width, (a + 1) * width)
            V = self.V[kept] * np.sqrt(weights[kept, a, None])
            H[own, own] += V.T @ V
        for i, part in enumerate(self.parts[1:], start=1):
            for some in _chunks(np.flatnonzero(self.carried[:, part].any(axis=1))):
                roots = np.sqrt(weights[some, part])
                self._add_outer(i, some, roots[:, :, None] * np.eye(roots.shape[1]), H)

    def add_cone(self, S: Array, H: Array) -> None:
        """Add ``<M_p, S M_q S>`` of all pairs of unknowns."""
        at, j, G, d = self.at, self.program.layer, self.arms, self.at[0].stop
        idx, A, B = np.arange(self.units.start, self.units.stop), at[j + 1], at[j]
        multipliers, width = slice(self.fit, self.total - 1), self.V.shape[1]
        SG, K = S @ G, S[:, :d] @ S[:d]
        P, aa, ab, bb = SG[idx], S[A, A], S[A, B], S[B, B]
        square = H[: self.p1, : self.p1].reshape(self.inner, width, self.inner, width)
        for a in range(self.inner):
            square[a, :-1, :, :-1] += 2 * (
                aa[a][None, :, None] * bb[:, None, :] + ab[a][None, None, :] * ab.T[:, :, None]
            )
        cross = np.zeros((self.inner, width, len(idx) + 1))
        cross[:, :-1, :-1] = -2 * (
            S[A, idx][:, None, :] * SG[B][None] + SG[A][:, None, :] * S[B, idx][None]
        )
        cross[:, :-1, -1] = -2 * K[A, B]
        rest = slice(self.fit, self.total)
        H[: self.p1, rest] += cross.reshape(self.p1, -1)
        H[rest, : self.p1] += cross.reshape(self.p1, -1).T
        H[multipliers, multipliers] += 2 * (S[np.ix_(idx, idx)] * (G.T @ SG) + P * P.T)
        H[multipliers, -1] += 2 * np.einsum("qi,iq->q", K[idx], G)
        H[-1, multipliers] = H[multipliers, -1]
        H[-1, -1] += np.sum(S[:d, :d] ** 2)


def _chunks(samples: Array) -> Iterator[Array]:
    for begin in range(0, len(samples), _CHUNK):
        yield samples[begin : begin + _CHUNK]


def _slices(*sizes: int) -> list[slice]:
    """Where parts of these sizes stand one after the other."""
    return [slice(a, b) for a, b in pairwise(np.cumsum([0, *sizes]).tolist())]
