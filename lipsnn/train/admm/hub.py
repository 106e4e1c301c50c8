"""The Lipschitz step (10b) at fixed T, through its hub: an interior-point method of our own.

At fixed T the LMI says that a matrix G whose entries are scaled weights has spectral norm at
most one (`lipsnn.train.admm.step`). With u_j the columns of G, which hold disjoint weights x_j,
the step is

    minimise  mu rho + 1/2 sum_j |x_j - v_j|^2    over x and rho,
    subject to  sum_j u_j u_j' <= E(rho),  u_j = C_j x_j,  C_j diagonal.

Given multipliers Lambda >= 0 of the constraint, the weights are those of separate problems,
``x_j = (I + 2 C_j Lambda C_j)^{-1} v_j``, so all that is left is the saddle point of

    g(Lambda, rho) = mu rho + 1/2 sum_j v_j'(v_j - x_j) - <Lambda, E(rho)>,

concave in Lambda and convex in rho, over a matrix of the order of the hub. It is found with
primal-dual Newton steps in the Nesterov-Todd scaling of (Lambda, Z), Z = -dg/dLambda. For any
Lambda, min over rho of g is a lower bound of the step's value, and x shrunk until it is feasible
gives an upper bound: the pair is certified whatever the iteration did.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from lipsnn._checks import Array

MAX_ITERATIONS = 60
# A step stops this far from the boundary of the cone.
_DAMPING = 0.98


@dataclass(frozen=True, eq=False)
class Columns:
    """Columns u_j = C_j x_j of G that share their rows: the units of one layer.

    Attributes
    ----------
    rows : ndarray of int, (R,)
        Where the entries of these columns stand in the hub.
    target : ndarray, (k, R)
        v_j, a row per column.
    scale : ndarray, (k, R) or (1, R)
        The diagonals of C_j; one row if all columns share it.
    inputs : bool
        Whether these are the network's inputs, whose scale is divided by sqrt(rho).
    """

    rows: Array
    target: Array
    scale: Array
    inputs: bool = False


@dataclass(frozen=True, eq=False)
class Hub:
    """One Lipschitz step, its penalty r divided out.

    Attributes
    ----------
    order : int
        Order n of the hub.
    columns : tuple of Columns
    inputs : ndarray of int
        Rows of the hub where E is rho; elsewhere it is 1. Empty if the inputs are columns.
    mu : float or None
        Weight of rho, over r. None: rho is fixed.
    rho : float
        The fixed rho, else a guess of it: everything is scaled to it.
    """

    order: int
    columns: tuple[Columns, ...]
    inputs: Array
    mu: float | None
    rho: float


@dataclass(frozen=True, eq=False)
class HubSolution:
    """A feasible point of a `Hub` and what proves how good it is.

    Attributes
    ----------
    weights : list of ndarray
        x_j, one (k, R) array per entry of `Hub.columns`.
    rho : float
        The feasible rho.
    value, lower : float
        The objective there, and a lower bound of the optimal one.
    multiplier : ndarray, (n, n)
        Lambda, to start the next solve from.
    iterations : int
    """

    weights: list[Array]
    rho: float
    value: float
    lower: float
    multiplier: Array
    iterations: int


@dataclass(frozen=True, eq=False)
class _Point:
    """The separate minimisers at one (Lambda, rho).

    x_j, u_j = C_j x_j and N_j = C_j (I + 2 C_j Lambda C_j)^{-1} C_j, one entry per entry of
    `Hub.columns`; U = sum_j u_j u_j', its part from the inputs where these are columns, and
    dU/drho.
    """

    weights: list[Array]
    columns: list[Array]
    inverses: list[Array]
    gram: Array
    input_gram: Array
    gram_by_rho: Array


@dataclass(eq=False)
class _Iterate:
    """Lambda, Z and rho."""

    L: Array
    Z: Array
    rho: float


def solve_hub(hub: Hub, tol: float, start: Array | None = None) -> HubSolution:
    """Solve `hub` until value - lower is at most ``tol/2 sum |v_j|^2``, if rounding allows.

    The step is strongly convex: the weights are then within ``sqrt(tol)`` of the optimal ones,
    relative to the norm of all v_j.
    """
    step = _Scaled(hub)
    at = step.begin(start)
    size = max(step.size, np.finfo(float).tiny)
    best: HubSolution | None = None
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
            best = HubSolution(weights, at.rho * hub.rho, value, lower, at.L, iteration)
        gap = best.value - lower
        stalled = 0 if gap < 0.9 * before else stalled + 1
        if gap <= tol * size or iteration == MAX_ITERATIONS or stalled == 6:
            break
        try:
            at, point = step.newton(at, point)
        except np.linalg.LinAlgError:  # Lambda or Z is singular to rounding
            break
        iteration += 1
    return replace(best, lower=lower, multiplier=multiplier, iterations=iteration)


class _Scaled:
    """A `Hub` in units where its guess of rho is 1."""

    def __init__(self, hub: Hub) -> None:
        self.hub, self.n = hub, hub.order
        self.free = hub.mu is not None
        self.mu = 0.0 if hub.mu is None else hub.mu * hub.rho
        self.by_rho = np.zeros(self.n)  # dE/drho
        self.by_rho[hub.inputs] = 1.0
        root = np.where(self.by_rho > 0, hub.rho**-0.5, 1.0)
        self.scales = [
            part.scale * (hub.rho**-0.5 if part.inputs else root[part.rows]) for part in hub.columns
        ]
        self.size = 0.5 * sum(float(np.sum(part.target**2)) for part in hub.columns)
        a, b = np.triu_indices(self.n)
        self.upper = (a, b)
        self.root2 = np.where(a == b, 1.0, np.sqrt(2.0))

    def E(self, rho: float) -> Array:
        """The diagonal of E(rho)."""
        return 1.0 + (rho - 1.0) * self.by_rho

    def begin(self, multiplier: Array | None) -> _Iterate:
        """A start inside the cone: Lambda a multiple of I at which U is about I, or a warm one."""
        n = self.n
        if multiplier is None:
            low, high = 0.0, 1.0
            if self._norm2(low) > 0.9:
                while self._norm2(high) > 0.9:
                    low, high = high, 4 * high
                for _ in range(6):
                    middle = np.sqrt(low * high) if low else high / 4
                    low, high = (middle, high) if self._norm2(middle) > 0.9 else (low, middle)
            L = high * np.eye(n)
        else:
            L = multiplier + 0.1 * float(np.trace(multiplier)) / n * np.eye(n)
        at = self._settle(L, L, 1.0)
        values, vectors = np.linalg.eigh(np.diag(self.E(at.rho)) - self.point(at.L, at.rho).gram)
        return replace(at, Z=(vectors * np.maximum(values, 0.1)) @ vectors.T)

    def _norm2(self, level: float) -> float:
        """The largest eigenvalue of U at Lambda = level I, rho = 1."""
        return float(np.linalg.eigvalsh(self.point(level * np.eye(self.n), 1.0).gram)[-1])

    def point(self, L: Array, rho: float) -> _Point:
        """The minimising weights at (Lambda, rho)."""
        n = self.n
        weights, columns, inverses = [], [], []
        gram, input_gram, by_rho = np.zeros((3, n, n))
        for part, scale in zip(self.hub.columns, self.scales, strict=True):
            rows = np.ix_(part.rows, part.rows)
            c = scale / np.sqrt(rho) if part.inputs else scale
            H = 2 * c[:, :, None] * L[rows] * c[:, None, :]
            H[:, np.arange(H.shape[1]), np.arange(H.shape[1])] += 1.0
            inverse = np.linalg.inv(H)
            if len(c) == 1:
                x = part.target @ inverse[0]
            else:
                x = (inverse @ part.target[:, :, None])[:, :, 0]
            u = c * x
            block = u.T @ u
            gram[rows] += block
            if part.inputs:
                input_gram[rows] = block
                shrunk = (c[0][:, None] * inverse[0] / c[0]) @ block
                by_rho[rows] = (block - shrunk - shrunk.T) / rho
            weights.append(x)
            columns.append(u)
            inverses.append(c[:, :, None] * inverse * c[:, None, :])
        return _Point(weights, columns, inverses, gram, input_gram, by_rho)

    def primal(self, point: _Point, rho: float) -> tuple[list[Array], float]:
        """The weights shrunk until they are feasible at rho, and the objective there."""
        root = np.sqrt(self.E(rho))
        norm2 = float(np.linalg.eigvalsh(point.gram / np.outer(root, root))[-1])
        norm2 *= 1 + 1e-14 * self.n
        theta = min(1.0, norm2**-0.5) if norm2 > 0 else 1.0
        weights = [theta * x for x in point.weights]
        value = self.mu * rho
        for part, x in zip(self.hub.columns, weights, strict=True):
            value += 0.5 * float(np.sum((x - part.target) ** 2))
        return weights, value

    def dual(self, at: _Iterate, point: _Point) -> float:
        """g at the iterate, where it is least in rho: a lower bound of the optimal value."""
        value = self.mu * at.rho - float(np.diagonal(at.L) @ self.E(at.rho))
        for part, x in zip(self.hub.columns, point.weights, strict=True):
            value += 0.5 * float(np.sum(part.target * (part.target - x)))
        return value

    def _settle(self, L: Array, Z: Array, rho: float) -> _Iterate:
        """The iterate (Lambda, Z, rho) with dg/drho = 0.

        g is linear in rho where the inputs are rows of the hub: Lambda is scaled there to the
        trace mu. Where they are columns, rho is the minimiser.
        """
        if self.free and len(self.hub.inputs):
            trace = float(np.diagonal(L) @ self.by_rho)
            theta = np.where(self.by_rho > 0, np.sqrt(self.mu / trace), 1.0)
            L = L * np.outer(theta, theta)
        elif self.free:
            rho = self._best_rho(L)
        return _Iterate(L, Z, rho)

    def _best_rho(self, L: Array) -> float:
        """The minimiser of g(Lambda, .) where the inputs are columns, by bisection."""
        part, scale = next(
            (part, scale[0])
            for part, scale in zip(self.hub.columns, self.scales, strict=True)
            if part.inputs
        )
        H = 2 * scale[:, None] * L[np.ix_(part.rows, part.rows)] * scale
        h, basis = np.linalg.eigh(H)
        h = np.maximum(h, 0.0)
        c = 0.5 * h * np.sum((part.target @ basis) ** 2, axis=0)
        low, high = 0.0, float(np.sqrt(c.sum() / self.mu))
        while low < (middle := 0.5 * (low + high)) < high:
            if float(np.sum(c / (middle + h) ** 2)) > self.mu:
                low = middle
            else:
                high = middle
        return max(high, np.finfo(float).tiny)

    def newton(self, at: _Iterate, point: _Point) -> tuple[_Iterate, _Point]:
        """One predictor-corrector step (Mehrotra)."""
        n = self.n
        root_l, root_z = np.linalg.cholesky(at.L), np.linalg.cholesky(at.Z)
        left, sigma, right = np.linalg.svd(root_z.T @ root_l)
        G = root_l @ (right.T / np.sqrt(sigma))
        G_inverse = (left / np.sqrt(sigma)).T @ root_z.T
        residual = G.T @ (at.Z - np.diag(self.E(at.rho)) + point.gram) @ G
        solve = self._system(point, G)
        mu = float(sigma @ sigma) / n
        cross = G.T @ (point.gram_by_rho - np.diag(self.by_rho)) @ G
        through = float(np.sum(at.L * point.input_gram)) / at.rho
        curvature = (through - float(np.sum(at.L * point.gram_by_rho))) / at.rho
        along = solve(cross) if self.free else np.zeros((n, n))
        bend = curvature + float(np.sum(cross * along))

        def direction(centre: Array) -> tuple[Array, Array, float]:
            dL = solve(centre + residual)
            d_rho = -float(np.sum(cross * dL)) / bend if self.free else 0.0
            dL = dL + d_rho * along
            return dL, centre - dL, d_rho

        D = np.diag(sigma)
        dL, dZ, _ = direction(-D)
        step_l, step_z = min(1.0, _longest_step(dL, sigma)), min(1.0, _longest_step(dZ, sigma))
        left_over = float(np.sum((D + step_l * dL) * (D + step_z * dZ))) / n
        centring = min(1.0, max(left_over / mu, 0.0)) ** 3
        second = (dL @ dZ + dZ @ dL) / (sigma[:, None] + sigma[None, :])
        dL, dZ, d_rho = direction(np.diag(centring * mu / sigma) - D - second)
        step_l = min(1.0, _DAMPING * _longest_step(dL, sigma))
        step_z = min(1.0, _DAMPING * _longest_step(dZ, sigma))
        if d_rho < 0:
            step_z = min(step_z, -0.9 * at.rho / d_rho)
        dL, dZ = G @ dL @ G.T, G_inverse.T @ dZ @ G_inverse
        for share in (1.0, 0.5):
            moved = self._settle(
                at.L + share * step_l * (dL + dL.T) / 2,
                at.Z + share * step_z * (dZ + dZ.T) / 2,
                at.rho + share * step_z * d_rho,
            )
            after = self.point(moved.L, moved.rho)
            # U is not linear in Lambda: a step that leaves more to do than before is halved once
            if self._merit(moved, after) < self._merit(at, point):
                break
        return moved, after

    def _merit(self, at: _Iterate, point: _Point) -> float:
        """What is left of the gap, with what the residual of Z can hide of it."""
        residual = at.Z - np.diag(self.E(at.rho)) + point.gram
        return float(np.sum(at.Z * at.L) + np.linalg.norm(residual) * np.linalg.norm(at.L))

    def _system(self, point: _Point, G: Array) -> Callable[[Array], Array]:
        """Solver of ``D - d2g/dLambda2 [D] = B`` for symmetric D, in the scaled coordinates.

        The second derivative is ``D -> 2 sum_j (N_j D A_j + A_j D N_j)`` with A_j = u_j u_j'.
        """
        n = self.n
        outer, inner = [], []
        for part, u, inverse in zip(self.hub.columns, point.columns, point.inverses, strict=True):
            g = G[part.rows]
            w = u @ g
            shared = len(inverse) == 1
            outer.append((w.T @ w)[None] if shared else w[:, :, None] * w[:, None, :])
            inner.append(g.T @ inverse @ g)
        left, right = np.concatenate(inner), np.concatenate(outer)
        Q = left.reshape(len(left), -1).T @ right.reshape(len(right), -1)
        Q = Q.reshape(n, n, n, n)  # N_ac A_bd at [a, c, b, d]
        a, b = (index[:, None] for index in self.upper)
        c, d = (index[None, :] for index in self.upper)
        K = Q[a, c, b, d] + Q[a, d, b, c] + Q[b, d, a, c] + Q[b, c, a, d]
        K *= np.outer(self.root2, self.root2)
        K[np.diag_indices_from(K)] += 1.0
        factor = cho_factor(K, overwrite_a=True, check_finite=False)

        def solve(B: Array) -> Array:
            x = cho_solve(factor, B[self.upper] * self.root2, check_finite=False) / self.root2
            D = np.empty((n, n))
            D[self.upper] = x
            D[self.upper[::-1]] = x
            return D

        return solve


def _longest_step(D: Array, sigma: Array) -> float:
    """The step to the boundary from diag(sigma) along D."""
    root = np.sqrt(sigma)
    least = float(np.linalg.eigvalsh(D / np.outer(root, root))[0])
    return np.inf if least >= 0 else -1.0 / least
