"""The Lipschitz step (10b) at fixed T: an interior-point method of our own.

The saddle point of `lipsnn.train.admm.saddle` is found with primal-dual Newton steps in the
Nesterov-Todd scaling of (Lambda, Z), Z = -dg/dLambda. Each iterate gives an upper and a lower
bound of the step's value: the pair is certified whatever the iteration did.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from lipsnn._checks import Array
from lipsnn.certificate.symmetric import Scaling, svec_solver
from lipsnn.train.admm.saddle import Iterate, Point, Saddle

MAX_ITERATIONS = 60


@dataclass(frozen=True, eq=False)
class StepSolution:
    """Weights that satisfy the LMI, and how good they are.

    Attributes
    ----------
    weights : list of ndarray
        Wbar, a matrix per layer; of a `Saddle` x_j, one (k, R) array per entry of its columns.
    rho : float
        The LMI holds for these weights and this rho.
    value, lower : float
        ``mu rho + r/2 |Wbar - V|^2`` and a lower bound of its minimum.
    iterations : int
    """

    weights: list[Array]
    rho: float
    value: float
    lower: float
    iterations: int

    @property
    def gap(self) -> float:
        """value - lower."""
        return self.value - self.lower


def interior_point(
    step: Saddle, tol: float, start: Array | None = None
) -> tuple[StepSolution, Array]:
    """Solve `step` until value - lower is at most ``tol/2 sum |v_j|^2``, if rounding allows.

    The step is strongly convex: the weights are then within ``sqrt(tol)`` of the optimal ones,
    relative to the norm of all v_j. Returned is besides Lambda, to start the next solve from.
    """
    at = step.begin(start)
    size = max(step.size, np.finfo(float).tiny)
    best: StepSolution | None = None
    lower = -np.inf
    iteration = stalled = 0
    point = step.point(at.L, at.rho)
    while True:
        weights, value = step.primal(point, at.rho)
        dual = step.dual(at, point)
        before = np.inf if best is None else best.value - lower
        if dual > lower:
            lower, multiplier = dual, at.L
        if best is None or value < best.value:
            best = StepSolution(weights, at.rho * step.rho, value, lower, iteration)
        gap = best.value - lower
        stalled = 0 if gap < 0.9 * before else stalled + 1
        if gap <= tol * size or iteration == MAX_ITERATIONS or stalled == 6:
            break
        try:
            at, point = _newton(step, at, point)
        except np.linalg.LinAlgError:  # Lambda or Z is singular to rounding
            break
        iteration += 1
    return replace(best, lower=lower, iterations=iteration), multiplier


def _newton(step: Saddle, at: Iterate, point: Point) -> tuple[Iterate, Point]:
    """One predictor-corrector step (Mehrotra)."""
    n, scaling = step.n, Scaling(at.L, at.Z)
    G = scaling.G
    residual = G.T @ (at.Z - np.diag(step.E(at.rho)) + point.gram) @ G
    solve = _system(step, point, G)
    cross = G.T @ (point.gram_by_rho - np.diag(step.by_rho)) @ G
    through = float(np.sum(at.L * point.input_gram)) / at.rho
    curvature = (through - float(np.sum(at.L * point.gram_by_rho))) / at.rho
    along = solve(cross) if step.mu is not None else np.zeros((n, n))
    bend = curvature + float(np.sum(cross * along))

    def direction(centre: Array) -> tuple[Array, Array, float]:
        dL = solve(centre + residual)
        d_rho = -float(np.sum(cross * dL)) / bend if step.mu is not None else 0.0
        dL = dL + d_rho * along
        return dL, centre - dL, d_rho

    dL, dZ, d_rho, step_l, step_z = scaling.corrected(direction)
    if d_rho < 0:
        step_z = min(step_z, -0.9 * at.rho / d_rho)
    dL, dZ = G @ dL @ G.T, scaling.back(dZ)
    for share in (1.0, 0.5):
        moved = step.settle(
            at.L + share * step_l * (dL + dL.T) / 2,
            at.Z + share * step_z * dZ,
            at.rho + share * step_z * d_rho,
        )
        after = step.point(moved.L, moved.rho)
        # U is not linear in Lambda: a step that leaves more to do than before is halved once
        if _merit(step, moved, after) < _merit(step, at, point):
            break
    return moved, after


def _merit(step: Saddle, at: Iterate, point: Point) -> float:
    """What is left of the gap, with what the residual of Z can hide of it."""
    residual = at.Z - np.diag(step.E(at.rho)) + point.gram
    return float(np.sum(at.Z * at.L) + np.linalg.norm(residual) * np.linalg.norm(at.L))


def _system(step: Saddle, point: Point, G: Array) -> Callable[[Array], Array]:
    """Solver of ``D - d2g/dLambda2 [D] = B`` for symmetric D, in the scaled coordinates.

    The second derivative is ``D -> 2 sum_j (N_j D A_j + A_j D N_j)`` with A_j = u_j u_j'.
    """
    n = step.n
    outer, inner = [], []
    for part, u, inverse in zip(step.columns, point.columns, point.inverses, strict=True):
        g = G[part.rows]
        w = u @ g
        shared = len(inverse) == 1
        outer.append((w.T @ w)[None] if shared else w[:, :, None] * w[:, None, :])
        inner.append(g.T @ inverse @ g)
    left, right = np.concatenate(inner), np.concatenate(outer)
    Q = left.reshape(len(left), -1).T @ right.reshape(len(right), -1)
    Q = Q.reshape(n, n, n, n)  # N_ac A_bd at [a, c, b, d]
    a, b = (index[:, None] for index in step.upper)
    c, d = (index[None, :] for index in step.upper)
    K = Q[a, c, b, d] + Q[a, d, b, c] + Q[b, d, a, c] + Q[b, c, a, d]
    K *= np.outer(step.root2, step.root2)
    K[np.diag_indices_from(K)] += 1.0
    return svec_solver(K, n)
