"""Program (2) by a primal-dual interior-point method, over P or over q.

With c_i the norms and u_i the directions of the slopes zbar_0 .. zbar_m, the value is

    maximise  1/2 sum c_i sqrt(u_i' P u_i)               over P >= 0, tr P = 1,
    minimise  lam + 1/4 sum c_i / v_i                     over v > 0, X >= 0,
              X = lam I - 1/4 sum c_i v_i u_i u_i'        (q_i is proportional to c_i / v_i).

Optimal are P X = 0 and v_i^2 u_i'P u_i = 1. One Newton system in the Nesterov-Todd scaling G of
(P, X), with utilde_i = G'u_i and w_i = c_i v_i / (8 u_i'P u_i), serves both forms:

    D + sum_i w_i (utilde_i' D utilde_i) utilde_i utilde_i' = B       for a symmetric D,

of order r (r + 1) / 2 as it stands (form "P") and of order m + 1 by Woodbury's identity
(form "q"), whose matrix is I + sqrt(w_i w_j) (utilde_i'utilde_j)^2.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from lipsnn._checks import Array

MAX_ITERATIONS = 80
# A step stops this far from the boundary of the cone.
_DAMPING = 0.98
# Features of the P form are built for so many numbers at a time: memory stays linear in m.
_CHUNK = 2**21

Solve = Callable[[Array], Array]
Direction = Callable[[Array], tuple[Array, Array, float]]


def quadratic(rows: Array, matrix: Array) -> Array:
    """The values ``row' matrix row`` (n,) for rows (n, r)."""
    return np.einsum("ij,ij->i", rows @ matrix, rows)


def weighted_gram(rows: Array, weights: Array) -> Array:
    """``sum_i weights_i row_i row_i'`` (r, r) for rows (n, r), in chunks of rows."""
    n, r = rows.shape
    total = np.zeros((r, r))
    chunk = max(_CHUNK // r, 1)
    positive = bool((weights >= 0).all())
    for start in range(0, n, chunk):
        part, w = rows[start : start + chunk], weights[start : start + chunk]
        if positive:  # BLAS computes half of a product with its own transpose
            part = part * np.sqrt(w)[:, None]
            total += part.T @ part
        else:
            total += (part.T * w) @ part
    return total


def svec(n: int) -> tuple[tuple[Array, Array], Array]:
    """Where the entries of a symmetric (n, n) matrix stand that a vector holds, and the factors
    (1 on the diagonal, sqrt 2 off it) that make its inner product that of the matrices."""
    upper = np.triu_indices(n)
    return upper, np.where(upper[0] == upper[1], 1.0, np.sqrt(2.0))


def svec_solver(K: Array, n: int) -> Solve:
    """Solver for a symmetric (n, n) matrix of the system whose matrix between `svec`s is K."""
    upper, scale = svec(n)
    factor = cho_factor(K, overwrite_a=True, check_finite=False)

    def solve(B: Array) -> Array:
        D = np.empty((n, n))
        D[upper] = cho_solve(factor, B[upper] * scale, check_finite=False) / scale
        D[upper[::-1]] = D[upper]
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


def work_of(form: str, n: int, r: int) -> float:
    """Floating-point operations of one iteration, roughly."""
    p = r * (r + 1) // 2
    common = 6.0 * n * r * r + 20.0 * r**3
    return common + (n * p**2 + p**3 / 3 if form == "P" else 2.0 * n**2 * r + n**3 / 3)


def _system_p(rows: Array, w: Array) -> Solve:
    """Solver of the Newton system over the r (r + 1) / 2 entries of D."""
    n, r = rows.shape
    upper, scale = svec(r)
    K = np.eye(len(scale))
    root = np.sqrt(np.sqrt(w))
    chunk = max(_CHUNK // len(scale), 1)
    for start in range(0, n, chunk):
        part = rows[start : start + chunk] * root[start : start + chunk, None]
        features = part[:, upper[0]] * part[:, upper[1]]
        features *= scale
        K += features.T @ features
    return svec_solver(K, r)


def _system_q(rows: Array, w: Array) -> Solve:
    """Solver of the same system over the n terms, by Woodbury's identity."""
    root = np.sqrt(w)
    K = (rows * np.sqrt(root)[:, None]) @ (rows * np.sqrt(root)[:, None]).T
    K *= K
    K[np.diag_indices_from(K)] += 1.0
    factor = cho_factor(K, overwrite_a=True, check_finite=False)

    def solve(B: Array) -> Array:
        y = root * cho_solve(factor, root * quadratic(rows, B), check_finite=False)
        return B - weighted_gram(rows, y)

    return solve


_SYSTEMS = {"P": _system_p, "q": _system_q}


class Scaling:
    """Nesterov and Todd's of P and X > 0: a G with ``G^-1 P G^-T = G'XG = diag(sigma)``.

    Steps dP and dX are ``G^-1 dP G^-T`` and ``G'dXG`` here.
    """

    def __init__(self, P: Array, X: Array) -> None:
        root_p, root_x = np.linalg.cholesky(P), np.linalg.cholesky(X)
        left, self.sigma, right = np.linalg.svd(root_x.T @ root_p)
        self.root = np.sqrt(self.sigma)
        self.G, self.inverse = root_p @ (right.T / self.root), (left / self.root).T @ root_x.T

    def centre(self, mu: float, *second: Array) -> Array:
        """What dP + dX are to be for ``PX = mu I``, with the term of second order of a pair."""
        wanted = np.diag(mu / self.sigma - self.sigma)
        if second:
            dP, dX = second
            wanted -= (dP @ dX + dX @ dP) / (self.sigma[:, None] + self.sigma)
        return wanted

    def back(self, dX: Array) -> Array:
        """A step of X as it is."""
        found = self.inverse.T @ dX @ self.inverse
        return (found + found.T) / 2

    def longest(self, D: Array) -> float:
        """The step to the boundary of the cone along D."""
        least = float(np.linalg.eigvalsh(D / np.outer(self.root, self.root))[0])
        return np.inf if least >= 0 else -1.0 / least

    def corrected(self, direction: Direction) -> tuple[Array, Array, float, float, float]:
        """Mehrotra's predictor and corrector: dP, dX and what is beside them, and the two steps.

        ``direction(centre)`` is to have dP + dX = centre.
        """
        n, D = len(self.sigma), np.diag(self.sigma)
        first = direction(self.centre(0.0))[:2]
        after = (D + min(1.0, self.longest(step)) * step for step in first)
        mu = float(self.sigma @ self.sigma) / n
        left = float(np.sum(np.multiply(*after))) / n / mu
        mu *= min(1.0, max(left, 0.0)) ** 3
        dP, dX, beside = direction(self.centre(mu, *first))
        step_p, step_x = (min(1.0, _DAMPING * self.longest(step)) for step in (dP, dX))
        return dP, dX, beside, step_p, step_x


def interior_point(
    norms: Array, units: Array, tol: float, form: str, start: Array | None = None
) -> tuple[Array, Array, int]:
    """Solve the pair above for c (n,) of sum 1 and u (n, r) to a relative gap of `tol`.

    The Newton system is that of `form`, "P" or "q"; `start` (r, r) is a positive definite P. The
    best P and shares q (n,) in the simplex that were seen, and the iterations.
    """
    r = units.shape[1]
    P = np.eye(r) / r if start is None else start / np.trace(start)
    v = quadratic(units, P) ** -0.5
    A = weighted_gram(units, 0.25 * norms * v)
    lam = 1.5 * float(np.linalg.eigvalsh(A)[-1])
    X = lam * np.eye(r) - A
    lower, upper, q, best_P = 0.0, np.inf, norms, P
    iteration = stalled = 0
    while True:
        s = quadratic(units, P)
        value = 0.5 * float(norms @ np.sqrt(s)) / np.sqrt(np.trace(P))
        ratio = norms / v
        total = float(ratio.sum())
        certified = np.sqrt(total * float(np.linalg.eigvalsh(A)[-1]))
        before = upper - lower
        if value > lower:
            lower, best_P = value, P
        if certified < upper:
            upper, q = certified, ratio / total
        stalled = 0 if upper - lower < 0.9 * before else stalled + 1
        gap = (upper - lower) / upper
        if gap <= tol or iteration == MAX_ITERATIONS or stalled == 6:
            break
        try:
            step = _newton_step(norms, units, form, P, X, A, lam, v, s)
        except np.linalg.LinAlgError:  # P or X is singular to rounding: no digit is left to gain
            break
        P, X, lam, v = step
        if not (np.isfinite(P).all() and np.isfinite(v).all()):
            break
        A = weighted_gram(units, 0.25 * norms * v)
        iteration += 1
    return best_P / np.trace(best_P), q, iteration


def _newton_step(
    norms: Array,
    units: Array,
    form: str,
    P: Array,
    X: Array,
    A: Array,
    lam: float,
    v: Array,
    s: Array,
) -> tuple[Array, Array, float, Array]:
    """One predictor-corrector step (Mehrotra) from (P, X, lam, v)."""
    r = units.shape[1]
    scaling = Scaling(P, X)
    G = scaling.G
    rows = units @ G
    e = -(2 * np.log(v) + np.log(s))
    metric = G.T @ G
    residual = G.T @ (X + A - lam * np.eye(r)) @ G + weighted_gram(rows, norms * v * e / 8)
    solve = _SYSTEMS[form](rows, norms * v / (8 * s))
    along = solve(metric)
    scale = float(np.sum(metric * along))

    def direction(centre: Array) -> tuple[Array, Array, float]:
        B = solve(centre + residual)
        d_lam = (float(np.sum(metric * B)) - (1 - np.trace(P))) / scale
        dP = B - d_lam * along
        return dP, centre - dP, d_lam

    dP, dX, d_lam, step_p, step_x = scaling.corrected(direction)
    dv = v / 2 * (e - quadratic(rows, dP) / s)
    steepest = float((dv / v).min())
    if steepest < 0:
        step_x = min(step_x, -_DAMPING / steepest)
    P = P + step_p * (G @ dP @ G.T)
    X = X + step_x * (scaling.inverse.T @ dX @ scaling.inverse)
    return (P + P.T) / 2, (X + X.T) / 2, lam + step_x * d_lam, v + step_x * dv
