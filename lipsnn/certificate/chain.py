"""The LMI of LipSDP-Neuron for a chain of layers: block-tridiagonal, and only ever held so.

With increments v_0 = x - x', v_i = phi_i(..) - phi_i(..), u_i = W_{i-1} v_{i-1}, the sector of unit
j says ``2 t_j (v_j - alpha u_j)(v_j - beta u_j) <= 0``. Added with t >= 0,

    v'N v = rho |v_0|^2 - |W_l v_l|^2 + sum_j 2 t_j (v_j - alpha u_j)(v_j - beta u_j) >= 0

for all v proves ``|f(x) - f(x')|^2 <= rho |x - x'|^2``. N couples a layer with the next one only.
With b_j = e_j - (alpha + beta)/2 w_j and r = (beta - alpha)/2, the matrix of unit j is

    A_j = 2 (b_j b_j' - r^2 w_j w_j'),      w_j the row of W_{i-1}, in the block of layer i - 1,

so that inner products of the A_j under two symmetric matrices are entrywise products of three
forms (`Forms`). The dual asks for covariances: X >= 0 with tr X_00 = 1 and <A_j, X> <= 0, that
maximise <W_l'W_l, X_ll>; only the blocks of N's pattern matter, since any whose cliques (layers i
and i + 1) are positive definite have a positive definite completion.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve, solve_triangular

from lipsnn._checks import Array
from lipsnn.activations import Sector
from lipsnn.certificate.symmetric import quadratic


@dataclass(eq=False)
class Banded:
    """A symmetric block-tridiagonal matrix, or the part of one: its diagonal blocks, and those
    below the diagonal (``below[i]`` is block (i + 1, i))."""

    diagonal: list[Array]
    below: list[Array]

    def __add__(self, other: Banded) -> Banded:
        return Banded(
            [a + b for a, b in zip(self.diagonal, other.diagonal, strict=True)],
            [a + b for a, b in zip(self.below, other.below, strict=True)],
        )

    def __rmul__(self, factor: float) -> Banded:
        return Banded([factor * a for a in self.diagonal], [factor * a for a in self.below])

    def dot(self, other: Banded) -> float:
        """The inner product, both triangles counted."""
        diagonal = sum(np.vdot(a, b) for a, b in zip(self.diagonal, other.diagonal, strict=True))
        below = sum(np.vdot(a, b) for a, b in zip(self.below, other.below, strict=True))
        return float(diagonal + 2 * below)

    def cholesky(self) -> tuple[list[Array], list[Array]]:
        """Blocks of the Cholesky factor, diagonal and below; LinAlgError if there is none."""
        L: list[Array] = []
        K: list[Array] = []
        for i, block in enumerate(self.diagonal):
            if i:
                side = self.below[i - 1].T
                K.append(solve_triangular(L[-1], side, lower=True, check_finite=False).T)
                block = block - K[-1] @ K[-1].T
            L.append(np.linalg.cholesky(block))
        return L, K

    def positive(self) -> bool:
        """Whether the matrix is positive definite, to rounding."""
        try:
            self.cholesky()
        except np.linalg.LinAlgError:
            return False
        return True


class Chain:
    """The LMI of a network: N(t, rho), its adjoint, and the Newton matrix of a pair (X, N)."""

    def __init__(self, weights: list[Array], sectors: tuple[Sector, ...]) -> None:
        self.weights, self.sectors = weights, sectors
        self.depth = len(weights) - 1
        sizes = [weight.shape[1] for weight in weights]
        ends = np.concatenate([[0], np.cumsum(sizes)])
        self.inputs, self.order = sizes[0], int(ends[-1])
        self.units = self.order - self.inputs
        self.at = [slice(a, b) for a, b in itertools.pairwise(ends)]
        self.blocks = self.at  # of the pattern of N
        # where the units of layer i + 1 stand in t
        self.of = [slice(s.start - self.inputs, s.stop - self.inputs) for s in self.at[1:]]
        self.middle, self.radius = np.empty(self.units), np.empty(self.units)
        for place, (alpha, beta) in zip(self.of, sectors, strict=True):
            self.middle[place], self.radius[place] = (alpha + beta) / 2, (beta - alpha) / 2
        # t >= 0 follows from N >= 0 where 0 is a slope
        self.signed = any(alpha * beta > 0 for alpha, beta in sectors)
        self.gram = weights[-1].T @ weights[-1]

    def matrix(self, t: Array, rho: float, constant: bool = True) -> Banded:
        """N(t, rho), or its linear part only if not `constant`."""
        diagonal = [rho * np.eye(self.inputs), *(np.diag(2 * t[place]) for place in self.of)]
        below = []
        for i, (alpha, beta) in enumerate(self.sectors):
            weighted = t[self.of[i]][:, None] * self.weights[i]
            below.append(-(alpha + beta) * weighted)
            if alpha * beta != 0:
                diagonal[i] += 2 * alpha * beta * (self.weights[i].T @ weighted)
        if constant:
            diagonal[-1] = diagonal[-1] - self.gram
        return Banded(diagonal, below)

    def inverse(self, matrix: Banded) -> Array:
        """The whole inverse (order, order): its upper blocks are chains of products."""
        L, K = matrix.cholesky()
        last = len(L) - 1
        diagonal, links = [np.empty(0)] * len(L), [np.empty(0)] * last
        for i in range(last, -1, -1):
            root = solve_triangular(L[i], np.eye(len(L[i])), lower=True, check_finite=False)
            diagonal[i] = root.T @ root
            if i < last:
                links[i] = -root.T @ K[i].T
                diagonal[i] += links[i] @ diagonal[i + 1] @ links[i].T
        return self._chained(diagonal, links)

    def completion(self, blocks: Banded) -> Array:
        """The positive completion (order, order) of largest determinant."""
        links = [
            cho_solve(cho_factor(block, check_finite=False), side, check_finite=False).T
            for block, side in zip(blocks.diagonal[1:], blocks.below, strict=True)
        ]
        return self._chained(blocks.diagonal, links)

    def _chained(self, diagonal: list[Array], links: list[Array]) -> Array:
        """The symmetric matrix with A_ij = links[i] A_{i+1,j} for j > i."""
        full = np.empty((self.order, self.order))
        for i, here in reversed(list(enumerate(self.blocks))):
            full[here, here] = diagonal[i]
            if links[i:]:
                rest = slice(here.stop, None)
                full[here, rest] = links[i] @ full[self.blocks[i + 1], rest]
                full[rest, here] = full[here, rest].T
        return full

    def part(self, full: Array) -> Banded:
        """The blocks of the pattern of a whole matrix."""
        at = self.blocks
        return Banded([full[s, s] for s in at], [full[b, a] for a, b in itertools.pairwise(at)])

    def cliques(self, blocks: Banded) -> list[Array]:
        """The blocks of two layers that follow each other, for all such pairs; or the only one."""
        pairs = zip(blocks.diagonal, blocks.diagonal[1:], blocks.below, strict=False)
        found = [np.block([[here, below.T], [below, after]]) for here, after, below in pairs]
        return found or blocks.diagonal

    def product(self, X: Array, dN: Banded, Z: Array) -> Banded:
        """The symmetric part of X dN Z, in the pattern."""
        moved = np.empty_like(Z)
        for i, here in enumerate(self.blocks):
            moved[here] = dN.diagonal[i] @ Z[here]
            if i:
                moved[here] += dN.below[i - 1] @ Z[self.blocks[i - 1]]
            if dN.below[i:]:
                moved[here] += dN.below[i].T @ Z[self.blocks[i + 1]]
        diagonal, below = [], []
        for i, here in enumerate(self.blocks):
            block = X[here] @ moved[:, here]
            diagonal.append((block + block.T) / 2)
            if dN.below[i:]:
                after = self.blocks[i + 1]
                side = X[after] @ moved[:, here] + (X[here] @ moved[:, after]).T
                below.append(side / 2)
        return Banded(diagonal, below)

    def forms(self, full: Array) -> Forms:
        """The forms of the b_j and w_j under a symmetric matrix (order, order)."""
        by_w = self._columns(full)
        by_b = full[:, self.inputs :] - by_w * self.middle
        ww, wb = self._rows(by_w), self._rows(by_b)
        bb = by_b[self.inputs :] - self.middle[:, None] * wb
        top = slice(0, self.inputs)
        return Forms(bb, wb, ww, by_b[top], by_w[top], full[top, top])

    def _columns(self, full: Array) -> Array:
        """The matrix times w_j, for all units j."""
        parts = [full[:, s] @ w.T for s, w in zip(self.at, self.weights[:-1], strict=False)]
        return np.hstack(parts)

    def _rows(self, full: Array) -> Array:
        """w_j' times the matrix, for all units j."""
        return np.vstack([w @ full[s] for s, w in zip(self.at, self.weights[:-1], strict=False)])

    def adjoint(self, forms: Forms) -> Array:
        """<A_j, .> for all units, then <dN/drho, .>: (units + 1,)."""
        slopes = 2 * (np.diag(forms.bb) - self.radius**2 * np.diag(forms.ww))
        return np.append(slopes, np.trace(forms.corner))

    def newton(self, first: Forms, second: Forms) -> Array:
        """tr(A_j X A_k Z) for all pairs, rho last: (units + 1, units + 1)."""
        square = self.radius**2
        matrix = np.empty((self.units + 1, self.units + 1))
        units = matrix[:-1, :-1]
        np.multiply(first.bb, second.bb, out=units)
        mixed = first.wb * second.wb
        mixed *= square[:, None]
        units -= mixed
        units -= mixed.T
        np.multiply(first.ww, second.ww, out=mixed)
        mixed *= square
        mixed *= square[:, None]
        units += mixed
        units *= 4
        rho = np.sum(first.top_b * second.top_b, axis=0)
        rho = 2 * (rho - square * np.sum(first.top_w * second.top_w, axis=0))
        matrix[-1, :-1] = matrix[:-1, -1] = rho
        matrix[-1, -1] = np.vdot(first.corner, second.corner)
        return matrix

    def first(self, most: float) -> Banded:
        """Covariances that satisfy the sectors: the worst response to t = 1, and some noise.

        With v = m u + r eta the sector of a unit is E eta^2 <= E u^2: whatever the correlations,
        a scaling of eta meets it. Of noise there is at most the share `most`.
        """
        noise = min(most, 1 / self.depth)
        Q = self.gram
        responses = []
        for W, (alpha, beta) in zip(self.weights[-2::-1], self.sectors[::-1], strict=True):
            eye = np.eye(len(Q))
            gain = (alpha + beta) * np.linalg.inv(2 * eye - Q)
            responses.append(gain @ W)
            Q = W.T @ ((alpha + beta) * gain - 2 * alpha * beta * eye) @ W
        C = self._start(Q, noise)
        X = Banded([C], [])
        for i, response in enumerate(reversed(responses)):
            gain, allowed = self._gain(i, self.weights[i], response, C, noise)
            X.below.append(gain @ C)
            C = gain @ C @ gain.T
            C[np.diag_indices_from(C)] += np.maximum(noise * allowed, np.finfo(float).tiny)
            X.diagonal.append(C)
        return X

    @staticmethod
    def _start(Q: Array, noise: float) -> Array:
        """A covariance of the inputs, of trace 1, that is large where Q is."""
        values, vectors = np.linalg.eigh(Q)
        values = np.maximum(values / values[-1], 0.0) ** 4
        values = (1 - noise) * values / values.sum() + noise / len(values)
        return np.asarray((vectors * values) @ vectors.T)

    def _gain(
        self, i: int, W: Array, response: Array, C: Array, noise: float
    ) -> tuple[Array, Array]:
        """The response of layer i + 1 to covariance C, inside the sectors, and its r^2 E u^2."""
        alpha, beta = self.sectors[i]
        radius = (beta - alpha) / 2
        linear = (alpha + beta) / 2 * W
        allowed = radius**2 * quadratic(W, C)
        # strictly inside where the multipliers have slacks
        allowed *= 1 - noise if self.signed else 1.0
        excess = response - linear
        used = np.maximum(quadratic(excess, C), np.finfo(float).tiny)
        return linear + np.sqrt((1 - noise) * allowed / used)[:, None] * excess, allowed

    def backward(self, t: Array) -> Array:
        """Q_0 with ``|f(x) - f(x')|^2 <= (x - x')'Q_0 (x - x')``, from multipliers t.

        Layer by layer, ``v'Q v - sum 2 t (v - alpha u)(v - beta u)`` is largest at a v that is
        linear in u: ``u'[(alpha + beta)^2 T (2T - Q)^-1 T - 2 alpha beta T] u``. LinAlgError if
        some 2T - Q is not positive definite: then t proves nothing.
        """
        Q = self.gram
        for i in range(self.depth - 1, -1, -1):
            alpha, beta = self.sectors[i]
            own = t[self.of[i]]
            weighted = own[:, None] * self.weights[i]
            root = np.linalg.cholesky(np.diag(2 * own) - Q)
            half = solve_triangular(root, weighted, lower=True, check_finite=False)
            Q = (alpha + beta) ** 2 * (half.T @ half)
            if alpha * beta != 0:
                Q -= 2 * alpha * beta * (self.weights[i].T @ weighted)
        return Q


@dataclass(frozen=True, eq=False)
class Forms:
    """``b_j'A b_k``, ``w_j'A b_k`` and ``w_j'A w_k`` (units, units), the rows of A for the
    inputs times b_k and w_k (inputs, units), and the block of the inputs."""

    bb: Array
    wb: Array
    ww: Array
    top_b: Array
    top_w: Array
    corner: Array
