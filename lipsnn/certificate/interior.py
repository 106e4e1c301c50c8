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

from typing import Any

import numpy as np

from lipsnn._checks import Array
from lipsnn.certificate.symmetric import (
    CHUNK,
    DAMPING,
    Scaling,
    Solve,
    factored,
    over,
    quadratic,
    svec,
    svec_solver,
    weighted_gram,
)

MAX_ITERATIONS = 80


def work_of(form: str, n: int, r: int) -> float:
    """Floating-point operations of one iteration, roughly."""
    p = r * (r + 1) // 2
    common = 6.0 * n * r * r + 20.0 * r**3
    return common + (n * p**2 + p**3 / 3 if form == "P" else 2.0 * n**2 * r + n**3 / 3)


def _add_eye(K: Array) -> None:
    i = np.arange(K.shape[-1])
    K[..., i, i] += 1.0


def _system_p(rows: Array, w: Array) -> Solve:
    """Solver of the Newton system over the r (r + 1) / 2 entries of D."""
    *many, n, r = rows.shape
    scale = svec(r)[1]
    K = np.zeros((*many, len(scale), len(scale)))
    root = np.sqrt(np.sqrt(w))[..., None]
    chunk = max(CHUNK // len(scale), 1)
    for start in range(0, n, chunk):
        part = rows[..., start : start + chunk, :] * root[..., start : start + chunk, :]
        features = np.empty((*part.shape[:-1], len(scale)))
        for a, end in enumerate(np.cumsum(np.arange(r, 0, -1))):
            np.multiply(part[..., a, None], part[..., a:], out=features[..., end - r + a : end])
        K += features.mT @ features
    K *= scale
    K *= scale[:, None]
    _add_eye(K)
    return svec_solver(K, r)


def _system_q(rows: Array, w: Array) -> Solve:
    """Solver of the same system over the n terms, by Woodbury's identity."""
    root = np.sqrt(w)
    part = rows * np.sqrt(root)[..., None]
    K = part @ part.mT
    K *= K
    _add_eye(K)
    solved = factored(K)

    def solve(B: Array) -> Array:
        y = root * solved(root * quadratic(rows, B))
        return B - weighted_gram(rows, y)

    return solve


_SYSTEMS = {"P": _system_p, "q": _system_q}


def interior_point(
    norms: Array, units: Array, tol: float, form: str, start: Array | None = None
) -> tuple[Array, Array, Any]:
    """Solve the pair above for c (n,) of sum 1 and u (n, r) to a relative gap of `tol`.

    The Newton system is that of `form`, "P" or "q"; `start` (r, r) is a positive definite P. The
    best P and shares q (n,) in the simplex that were seen, and the iterations. Small programs of
    one shape are solved beside one another: c (k, n) and u (k, n, r).
    """
    if norms.ndim == 1:
        P, q, count = interior_point(norms[None], units[None], tol, form, start)
        return P[0], q[0], int(count[0])
    k, r = len(norms), units.shape[-1]
    P = np.eye(r) / r if start is None else start / np.trace(start)
    P = np.broadcast_to(P, (k, r, r))
    v = quadratic(units, P) ** -0.5
    A = weighted_gram(units, 0.25 * norms * v)
    lam = 1.5 * np.linalg.eigvalsh(A)[:, -1]
    X = over(lam) * np.eye(r) - A
    lower, upper, q, best_P = np.zeros(k), np.full(k, np.inf), norms.copy(), P.copy()
    left, count, stalled = np.arange(k), np.zeros(k, dtype=int), np.zeros(k, dtype=int)
    while True:
        s = quadratic(units, P)
        value = 0.5 * np.sum(norms * np.sqrt(s), axis=1) / np.sqrt(np.trace(P, axis1=1, axis2=2))
        ratio = norms / v
        total = ratio.sum(axis=1)
        certified = np.sqrt(total * np.linalg.eigvalsh(A)[:, -1])
        before = upper[left] - lower[left]
        higher, less = value > lower[left], certified < upper[left]
        lower[left[higher]], best_P[left[higher]] = value[higher], P[higher]
        upper[left[less]], q[left[less]] = certified[less], (ratio / total[:, None])[less]
        gap = upper[left] - lower[left]
        stalled[left] = np.where(gap < 0.9 * before, 0, stalled[left] + 1)
        going = (gap > tol * upper[left]) & (count[left] < MAX_ITERATIONS) & (stalled[left] < 6)
        if not going.any():
            break
        if not going.all():
            left = left[going]
            norms, units, P, X, A, lam, v, s = (
                part[going] for part in (norms, units, P, X, A, lam, v, s)
            )
        try:
            P, X, lam, v = _newton_step(norms, units, form, P, X, A, lam, v, s)
        except np.linalg.LinAlgError:  # P or X is singular to rounding: no digit is left to gain
            break
        if not (np.isfinite(P).all() and np.isfinite(v).all()):
            break
        A = weighted_gram(units, 0.25 * norms * v)
        count[left] += 1
    return best_P / over(np.trace(best_P, axis1=1, axis2=2)), q, count


def _newton_step(
    norms: Array,
    units: Array,
    form: str,
    P: Array,
    X: Array,
    A: Array,
    lam: Array,
    v: Array,
    s: Array,
) -> tuple[Array, Array, Array, Array]:
    """One predictor-corrector step (Mehrotra) from (P, X, lam, v)."""
    scaling = Scaling(P, X)
    G = scaling.G
    rows = units @ G
    e = -(2 * np.log(v) + np.log(s))
    metric = G.mT @ G
    residual = G.mT @ (X + A - over(lam) * np.eye(units.shape[-1])) @ G
    residual += weighted_gram(rows, norms * v * e / 8)
    solve = _SYSTEMS[form](rows, norms * v / (8 * s))
    along = solve(metric)
    scale = np.sum(metric * along, axis=(-2, -1))
    short = 1 - np.trace(P, axis1=-2, axis2=-1)

    def direction(centre: Array) -> tuple[Array, Array, Array]:
        B = solve(centre + residual)
        d_lam = (np.sum(metric * B, axis=(-2, -1)) - short) / scale
        dP = B - over(d_lam) * along
        return dP, centre - dP, d_lam

    dP, dX, d_lam, step_p, step_x = scaling.corrected(direction)
    dv = v / 2 * (e - quadratic(rows, dP) / s)
    steepest = (dv / v).min(axis=-1)
    step_x = np.minimum(step_x, -DAMPING / np.minimum(steepest, -1e-300))
    P = P + over(step_p) * (G @ dP @ G.mT)
    X = X + over(step_x) * (scaling.inverse.mT @ dX @ scaling.inverse)
    v = v + step_x[..., None] * dv
    return (P + P.mT) / 2, (X + X.mT) / 2, lam + step_x * d_lam, v
