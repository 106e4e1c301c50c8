"""What interior-point methods need of symmetric matrices: vectors, solvers, scalings.

Most of it takes stacks of small matrices, too, whose programs are solved beside one another.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy.linalg import cho_factor, cho_solve, lapack

from lipsnn._checks import Array

# A step stops this far from the boundary of the cone.
DAMPING = 0.98
# Features are built for so many numbers at a time: memory stays linear in the rows.
CHUNK = 2**21

Solve = Callable[[Array], Array]
Direction = Callable[[Array], tuple[Array, Array, Any]]


def quadratic(rows: Array, matrix: Array) -> Array:
    """The values ``row' matrix row`` (.., n) for rows (.., n, r)."""
    return np.einsum("...ij,...ij->...i", rows @ matrix, rows)


def weighted_gram(rows: Array, weights: Array) -> Array:
    """``sum_i weights_i row_i row_i'`` (.., r, r) for rows (.., n, r), in chunks of rows."""
    *many, n, r = rows.shape
    total = np.zeros((*many, r, r))
    chunk = max(CHUNK // r, 1)
    positive = bool((weights >= 0).all())
    for start in range(0, n, chunk):
        part, w = rows[..., start : start + chunk, :], weights[..., start : start + chunk, None]
        if positive:  # BLAS computes half of a product with its own transpose
            part = part * np.sqrt(w)
            total += part.mT @ part
        else:
            total += (part * w).mT @ part
    return total


@functools.cache
def svec(n: int) -> tuple[tuple[Array, Array], Array]:
    """Where the entries of a symmetric (n, n) matrix stand that a vector holds, and the factors
    (1 on the diagonal, sqrt 2 off it) that make its inner product that of the matrices."""
    upper = np.triu_indices(n)
    return upper, np.where(upper[0] == upper[1], 1.0, np.sqrt(2.0))


def factored(K: Array) -> Solve:
    """Solver by a positive definite matrix, or by many small ones (.., n, n)."""
    if len(K.shape) == 2 or len(K) == 1:
        factor, info = lapack.dpotrf(K.reshape(K.shape[-2:]).T, overwrite_a=1)
        if info:
            raise np.linalg.LinAlgError("the Newton matrix is not positive definite")
        return lambda b: lapack.dpotrs(factor, b.T)[0].T.reshape(b.shape)
    inverse = np.linalg.inv(K)

    def solve(b: Array) -> Array:
        x = inverse @ b[..., None]
        return (x + inverse @ (b[..., None] - K @ x))[..., 0]  # to all digits

    return solve


def svec_solver(K: Array, n: int) -> Solve:
    """Solver for a symmetric (n, n) matrix of the system whose matrix between `svec`s is K."""
    (i, j), scale = svec(n)
    solved = factored(K)

    def solve(B: Array) -> Array:
        D = np.empty(B.shape)
        D[..., i, j] = D[..., j, i] = solved(B[..., i, j] * scale) / scale
        return D

    return solve


def scaled_solver(matrix: Array, ridges: Sequence[float]) -> Solve:
    """Solver by a matrix, scaled in place to a unit diagonal and lifted by the first ridge to do.

    A LinAlgError if none makes it positive definite.
    """
    scale = 1 / np.sqrt(np.maximum(np.diag(matrix), 1e-300))
    matrix *= scale
    matrix *= scale[:, None]
    for ridge in ridges:
        lifted = matrix.copy()
        lifted[np.diag_indices_from(lifted)] += ridge
        try:
            factor = cho_factor(lifted, lower=True, overwrite_a=True, check_finite=False)
        except np.linalg.LinAlgError:
            continue
        return lambda side: scale * cho_solve(factor, scale * side, check_finite=False)
    raise np.linalg.LinAlgError("the Newton matrix is not positive definite")


class Scaling:
    """Nesterov and Todd's of P and X > 0: a G with ``G^-1 P G^-T = G'XG = diag(sigma)``.

    Steps dP and dX are ``G^-1 dP G^-T`` and ``G'dXG`` here. P and X may be many, (.., n, n).
    """

    def __init__(self, P: Array, X: Array) -> None:
        root_p, root_x = np.linalg.cholesky(P), np.linalg.cholesky(X)
        left, self.sigma, right = np.linalg.svd(root_x.mT @ root_p)
        self.root = np.sqrt(self.sigma)
        across = self.root[..., None, :]
        self.G, self.inverse = root_p @ (right.mT / across), (left / across).mT @ root_x.mT
        self.diagonal = self.sigma[..., None] * np.eye(self.sigma.shape[-1])

    def centre(self, mu: Any, *second: Array) -> Array:
        """What dP + dX are to be for ``PX = mu I``, with the term of second order of a pair."""
        wanted = -self.diagonal
        if np.any(mu):
            mu = np.asarray(mu)[..., None] / self.sigma
            wanted += mu[..., None] * np.eye(mu.shape[-1])
        if second:
            dP, dX = second
            product = dP @ dX
            wanted -= (product + product.mT) / (self.sigma[..., None] + self.sigma[..., None, :])
        return wanted

    def back(self, dX: Array) -> Array:
        """A step of X as it is."""
        found = self.inverse.mT @ dX @ self.inverse
        return (found + found.mT) / 2

    def longest(self, D: Array) -> Any:
        """The step to the boundary of the cone along D; very long where there is none."""
        scaled = D / self.root[..., None] / self.root[..., None, :]
        return -1.0 / np.minimum(np.linalg.eigvalsh(scaled)[..., 0], -1e-300)

    def corrected(self, direction: Direction) -> tuple[Array, Array, Any, Any, Any]:
        """Mehrotra's predictor and corrector: dP, dX and what is beside them, and the two steps.

        ``direction(centre)`` is to have dP + dX = centre.
        """
        n, D = self.sigma.shape[-1], self.diagonal
        first = direction(self.centre(0.0))[:2]
        steps = over(np.minimum(1.0, self.longest(np.stack(first))))
        after = (D + length * step for length, step in zip(steps, first, strict=True))
        mu = np.sum(self.sigma**2, axis=-1) / n
        left = np.sum(np.multiply(*after), axis=(-2, -1)) / n / mu
        mu = mu * np.clip(left, 0.0, 1.0) ** 3
        dP, dX, beside = direction(self.centre(mu, *first))
        step_p, step_x = np.minimum(1.0, DAMPING * self.longest(np.stack([dP, dX])))
        return dP, dX, beside, step_p, step_x


def over(numbers: Any) -> Array:
    """Numbers (..) as factors of matrices (.., n, n)."""
    return np.asarray(numbers)[..., None, None]
