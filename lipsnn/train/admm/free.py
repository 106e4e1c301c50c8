"""The Lipschitz step (10b) with T free, where that is convex: the outer weights held.

The LMI has products of T with the weights, so that over both it is not convex. For one hidden layer
and a scalar output, hold the outer weights a. With z_i = a_i wbar_i, z_0 = sum_i z_i and
``q_i = a_i^2 / (2 t_i)`` the LMI says that ``sum_i q_i <= 1`` and, with q_0 = 1 - sum_i q_i,

    rho I >= 1/4 sum_{i=0..m} z_i z_i' / q_i,

which is jointly convex in (z, q, rho). Since ReLU units can be rescaled, holding |a| costs nothing
but the units with a_i = 0, and the signs of the others. With outer directions held instead,
vector outputs have such a form too; between two hidden layers products of T with weights remain,
and no change of variables is known that removes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from lipsnn import _checks
from lipsnn._checks import Array
from lipsnn.certificate.interior import svec
from lipsnn.train.admm.step import StepSolution

# The weight of the objective grows by this factor between two centrings.
_GROWTH = 15.0
# A point this close to the centre, in the Newton decrement, is followed by the next weight.
_CENTRED = 0.1
_MAX_NEWTON = 60


@dataclass(frozen=True, eq=False)
class _Point:
    """z (m, d), q (m,) and rho inside the cone, with the z_0, q_0 and factor that follow."""

    z: Array
    q: Array
    rho: float
    total: Array
    rest: float
    chol: Array  # of S = rho I - 1/4 sum z z'/q


class FreeStep:
    """``min mu rho + r/2 |Wbar - V|^2`` over hidden weights, T and rho such that M <= 0.

    A barrier method; Newton's equations are the blocks of the units and, through d inputs, a
    coupling of rank ``(d + 1)(d + 2)/2``: meant for few inputs. Every result is strictly feasible.

    Parameters
    ----------
    outer : array_like, (m,)
        a, held.
    rho : float
        L_des^2 if `mu` is None; else it is not used.
    mu : float or None
        Weight of rho; None holds it fixed.
    penalty : float
        r.
    tol : float
        ``value - lower`` at which to stop, relative to ``r/2 |V|^2``.

    Attributes
    ----------
    multipliers : list of ndarray
        t (m,) of the last step; zeros before the first, and where a_i = 0.
    """

    def __init__(
        self, outer: Array, rho: float, *, mu: float | None, penalty: float, tol: float = 1e-8
    ) -> None:
        self.outer = _checks.finite_array(outer, "outer", 1)
        self.rho = _checks.positive(rho, "rho")
        self.mu = None if mu is None else _checks.positive(mu, "mu")
        self.penalty = _checks.positive(penalty, "penalty")
        self.tol = _checks.positive(tol, "tol")
        self.multipliers = [np.zeros(len(self.outer))]

    def solve(self, target: Sequence[Array]) -> StepSolution:
        """The step from V = `target`, W^0 (m, d) and W^1 (1, m), which must be `outer`.

        Raises
        ------
        ValueError
            If the matrices do not fit the outer weights, or others are asked for.
        """
        hidden, outer = target
        m = len(self.outer)
        if hidden.shape[0] != m or outer.shape != (1, m) or (outer[0] != self.outer).any():
            raise ValueError(
                f"the step holds {m} outer weights of one output: V must have these, and a row "
                "of hidden weights for each"
            )
        live = np.flatnonzero(self.outer)
        a = self.outer[live]
        weights = hidden.copy()
        t = np.zeros(m)
        size = 0.5 * self.penalty * float(np.sum(hidden[live] ** 2))
        if size == 0:
            self.multipliers = [t]
            rho = 0.0 if self.mu is not None else self.rho
            return StepSolution([weights, outer.copy()], rho, 0.0, 0.0, 0)
        problem = _Barrier(a[:, None] * hidden[live], self.penalty / a**2, self.mu, self.rho)
        point, gap, iterations = problem.minimise(self.tol * size)
        weights[live] = point.z / a[:, None]
        t[live] = a**2 / (2 * point.q)
        self.multipliers = [t]
        value = problem.objective(point)
        return StepSolution([weights, outer.copy()], point.rho, value, value - gap, iterations)


class _Barrier:
    """``min mu rho + 1/2 sum_i c_i |z_i - u_i|^2`` over the cone, u (m, d) and c (m,) given."""

    def __init__(self, u: Array, c: Array, mu: float | None, rho: float) -> None:
        self.u, self.c, self.mu, self.fixed = u, c, mu, rho
        self.m, self.d = u.shape
        self.degree = self.d + self.m + 1  # of the barrier: the order of the LMI
        self.upper, self.root2 = svec(self.d)

    def objective(self, at: _Point) -> float:
        """The function to minimise, without its barrier."""
        distance = 0.5 * float(self.c @ np.sum((at.z - self.u) ** 2, axis=1))
        return distance + (self.mu or 0.0) * at.rho

    def begin(self) -> _Point:
        """A point inside the cone: u, if need be shrunk."""
        z = self.u
        norms = np.linalg.norm(z, axis=1)
        shares = norms + norms.mean()
        q = shares / (shares.sum() + np.linalg.norm(z.sum(axis=0)) + norms.mean())
        total = z.sum(axis=0)
        gram = (z.T / q) @ z + np.outer(total, total) / (1 - q.sum())
        level = 0.25 * float(np.linalg.eigvalsh(gram)[-1])
        rho = 2 * level if self.mu is not None else self.fixed
        point = self.point(z * min(1.0, np.sqrt(0.5 * rho / level)), q, rho)
        assert point is not None
        return point

    def point(self, z: Array, q: Array, rho: float) -> _Point | None:
        """The point, or None if it is not inside the cone."""
        rest = 1 - float(q.sum())
        if rest <= 0 or q.min() <= 0:
            return None
        total = z.sum(axis=0)
        S = rho * np.eye(self.d) - 0.25 * ((z.T / q) @ z + np.outer(total, total) / rest)
        try:
            return _Point(z, q, rho, total, rest, np.linalg.cholesky(S))
        except np.linalg.LinAlgError:
            return None

    def barriered(self, at: _Point, weight: float) -> float:
        """weight times the objective, plus the barrier."""
        barrier = 2 * float(np.log(np.diagonal(at.chol)).sum()) + float(np.log(at.q).sum())
        return weight * self.objective(at) - barrier - float(np.log(at.rest))

    def minimise(self, gap: float) -> tuple[_Point, float, int]:
        """A point within `gap` of optimal, what is certain of that, and the Newton steps taken."""
        at = self.begin()
        weight = self.degree / max(self.objective(at), gap)
        iterations = 0
        while True:
            decrement = np.inf
            for _ in range(_MAX_NEWTON):
                step, decrement = self.newton(at, weight)
                if decrement <= _CENTRED:
                    break
                moved = self.search(at, step, decrement, weight)
                if moved is None:  # rounding allows no more
                    break
                at, iterations = moved, iterations + 1
            # of a self-concordant barrier, near its centre (Nesterov 2004, Theorem 4.2.7)
            root, near = np.sqrt(self.degree), min(decrement, 0.9)
            left = (self.degree + (near + root) * near / (1 - near)) / weight
            if left <= gap or decrement > _CENTRED:
                return at, left if decrement <= _CENTRED else np.inf, iterations
            weight *= _GROWTH

    def search(
        self, at: _Point, step: tuple[Array, Array, float], decrement: float, weight: float
    ) -> _Point | None:
        """The first of 1, 1/2, 1/4, .. steps that stays inside and lowers the function enough."""
        before, share = self.barriered(at, weight), 1.0
        dz, dq, drho = step
        while share > 1e-12:
            moved = self.point(at.z + share * dz, at.q + share * dq, at.rho + share * drho)
            wanted = before - 0.1 * share * decrement**2
            if moved is not None and self.barriered(moved, weight) <= wanted:
                return moved
            share /= 2
        return None

    def newton(self, at: _Point, weight: float) -> tuple[tuple[Array, Array, float], float]:
        """Newton's step (dz, dq, drho) and its decrement.

        The second derivative is ``B + A'A``: B has a block of order d + 1 per unit, and the rows
        of A are the change of S and the share of z_0 and q_0, in the metric of S^{-1}.
        """
        m, d = self.m, self.d
        z, q, total, rest = at.z, at.q, at.total, at.rest
        R = np.linalg.inv(at.chol).T  # S^{-1} = R R'
        Q = R @ R.T
        Qz, Q0 = z @ Q, Q @ total
        gradient = np.empty((m, d + 1))
        gradient[:, :d] = 0.5 * (Qz / q[:, None] + Q0 / rest)
        gradient[:, :d] += weight * self.c[:, None] * (z - self.u)
        own, common = np.sum(Qz * z, axis=1), float(Q0 @ total)
        gradient[:, d] = -0.25 * (own / q**2 - common / rest**2) - 1 / q + 1 / rest

        B = np.empty((m, d + 1, d + 1))
        B[:, :d, :d] = Q / (2 * q)[:, None, None]
        B[:, :d, :d] += (weight * self.c)[:, None, None] * np.eye(d)
        B[:, :d, d] = B[:, d, :d] = -Qz / (2 * q**2)[:, None]
        B[:, d, d] = own / (2 * q**3) + 1 / q**2

        zR, tR = z @ R, total @ R
        mixed = zR / q[:, None] + tR / rest
        change = np.empty((m, d + 1, d, d))  # of R' S R
        change[:, :d] = R[None, :, :, None] * mixed[:, None, None, :]
        change[:, :d] = -0.25 * (change[:, :d] + change[:, :d].swapaxes(2, 3))
        change[:, d] = 0.25 * (zR[:, :, None] * zR[:, None, :] / (q**2)[:, None, None])
        change[:, d] -= 0.25 * np.outer(tR, tR) / rest**2
        A = np.zeros((m, d + 1, len(self.root2) + d + 1))
        A[..., : len(self.root2)] = change[:, :, *self.upper] * self.root2
        A[:, :d, -d - 1 : -1] = R / np.sqrt(2 * rest)
        A[:, d, -d - 1 : -1] = tR / (rest * np.sqrt(2 * rest))
        A[:, d, -1] = -1 / rest

        small = np.linalg.solve(B, A)
        factor = cho_factor(
            np.eye(A.shape[2]) + np.tensordot(A, small, ((0, 1), (0, 1))), check_finite=False
        )

        def solve(right: Array) -> Array:
            x = np.linalg.solve(B, right[:, :, None])[:, :, 0]
            inner = cho_solve(factor, np.tensordot(A, x, ((0, 1), (0, 1))), check_finite=False)
            return np.asarray(x - small @ inner)

        x, drho = solve(-gradient), 0.0
        decrement2 = -float(np.sum(gradient * x))
        if self.mu is not None:
            # the border of rho, which changes S by I
            row = np.zeros(A.shape[2])
            row[: len(self.root2)] = (R.T @ R)[self.upper] * self.root2
            border = A @ row
            along = solve(border)
            by_rho = weight * self.mu - float(np.trace(Q))
            bend = float(row @ row - np.sum(border * along))
            drho = -(by_rho + float(np.sum(border * x))) / bend
            x = x - drho * along
            decrement2 = -float(np.sum(gradient * x)) - by_rho * drho
        return (x[:, :d], x[:, d], drho), float(np.sqrt(max(decrement2, 0.0)))
