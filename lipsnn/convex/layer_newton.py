"""An interior-point method for one layer's program (see `layer_program`).

Primal-dual, with Nesterov and Todd's scaling of M_j and Mehrotra's corrector. It starts at the
network itself; rows that it meets with too little slack are shifted, and the shifts vanish with the
residual of the dual. Rows that are not carried enter when they are about to be violated.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from lipsnn._checks import Array
from lipsnn.certificate.threads import one_blas_thread
from lipsnn.convex.layer_forms import Forms
from lipsnn.convex.layer_program import LayerProgram, StepSolution
from lipsnn.losses import SQUARED
from lipsnn.status import Status

TOL = 1e-5  # gap and residuals at the end, relative to the value
_STEPS = 60  # most Newton steps
_WIDE = 100.0  # gap at the start, relative to the value: the dual is far off there
_SHORT = 0.98  # of the way to the boundary
_REACH = 5.0  # most that a step moves an output of a loss that is not quadratic
_PROXIMAL = 1e-9  # of each diagonal entry: biases that nothing holds


def solve_layer(program: LayerProgram, tol: float = TOL) -> StepSolution:
    """Solve one layer's program by the interior-point method."""
    return _Interior(program).solve(tol)


class _Interior(Forms):
    """The method's state is local to `solve`."""

    @one_blas_thread
    def solve(self, tol: float) -> StepSolution:
        """Predictor and corrector until gap and residuals are below `tol`."""
        program, fit, x = self.program, self.fit, self.x
        loss, lam, order = program.loss, program.strength, self.at[-1].stop
        if not self._raise_rho(x):
            return StepSolution(None, [], float("nan"), Status.NUMERICAL_ERROR)
        rows, f = self.forward(x)
        shift = [
            np.where(k, np.maximum(least - r, 0.0), 0.0)
            for r, k, least in zip(rows, self.carried, self.least, strict=True)
        ]
        value = float(loss.value(f, program.y).sum()) + lam * x[-1]
        mu = _WIDE * value / (order + sum(int(k.sum()) for k in self.carried))
        M = self.matrix(x)
        Z = mu * np.linalg.inv(M)
        z = [
            np.where(k, mu / np.where(k, r + e, 1.0), 0.0)
            for r, e, k in zip(rows, shift, self.carried, strict=True)
        ]
        gram = self.gram() if loss is SQUARED else None
        status, gap, iteration = Status.ITERATION_LIMIT, np.inf, 0
        while iteration < _STEPS:
            iteration += 1
            s = [np.where(k, r + e, 1.0) for r, e, k in zip(rows, shift, self.carried, strict=True)]
            gap = float(sum(np.vdot(a, b) for a, b in zip(s, z, strict=True)) + np.vdot(M, Z))
            mu = gap / (order + sum(int(k.sum()) for k in self.carried))
            by = loss.gradient(f, program.y)
            gradient = self.pull(None, by)
            gradient[-1] += lam
            residual = gradient - self.pull(z, np.zeros_like(f)) - self.pull_matrix(Z)
            moved = [float((e / a).max()) for e, a in zip(shift, self.least, strict=True)]
            off = np.linalg.norm(residual * (np.abs(x) + 1e-3)) / value
            if gap <= tol * value and max(moved, default=0.0) <= tol and off <= tol:
                status = Status.OPTIMAL
                break
            try:
                scaling = _Scaling(M, Z)
                H = np.zeros((self.total, self.total))
                H[:fit, :fit] = self.gram(loss.roots(f)) if gram is None else gram
                self.add_rows([b / a for a, b in zip(s, z, strict=True)], H)
                self.add_cone(scaling.inverse.T @ scaling.inverse, H)
                newton = _factor(H)
                target, crossed, corner = 0.0, [np.zeros_like(a) for a in s], 0.0
                for corrected in (False, True):
                    eta = 1 - target
                    C = scaling.middle(target * mu, corner)
                    toward = [
                        np.where(k, (target * mu - c + b * eta * e) / a, 0.0)
                        for k, c, a, b, e in zip(self.carried, crossed, s, z, shift, strict=True)
                    ]
                    rhs = self.pull(toward, -by) + self.pull_matrix(scaling.back(scaling.D + C))
                    rhs[-1] -= lam
                    dx = newton(rhs)
                    drows, df = self.forward(dx)
                    ds = [
                        np.where(k, d - eta * e, 0.0)
                        for k, d, e in zip(self.carried, drows, shift, strict=True)
                    ]
                    dz = [
                        np.where(k, (target * mu - c - b * d) / a - b, 0.0)
                        for k, c, a, b, d in zip(self.carried, crossed, s, z, ds, strict=True)
                    ]
                    dM = scaling.inverse @ self.matrix(dx, False) @ scaling.inverse.T
                    dZ = C - dM
                    least = min(
                        scaling.least(dM),
                        scaling.least(dZ),
                        *(float((d / a).min()) for d, a in zip(ds, s, strict=True)),
                        *(
                            float((d[k] / b[k]).min(initial=0.0))
                            for d, b, k in zip(dz, z, self.carried, strict=True)
                        ),
                    )
                    step = min(1.0, _SHORT / max(-least, 1e-9))
                    if loss is not SQUARED:
                        step = min(step, _REACH / max(float(np.abs(df).max()), 1e-9))
                    if not corrected:
                        after = sum(
                            float(np.vdot(a + step * d, np.where(k, b + step * q, 0.0)))
                            for a, d, b, q, k in zip(s, ds, z, dz, self.carried, strict=True)
                        ) + float(np.vdot(scaling.D + step * dM, scaling.D + step * dZ))
                        target = float(np.clip(after / gap, 0.0, 1.0)) ** 3
                        target = max(target, 1e-4)
                        crossed = [a * b for a, b in zip(ds, dz, strict=True)]
                        corner = dM @ dZ
            except np.linalg.LinAlgError:
                status = Status.NUMERICAL_ERROR
                break
            ahead = x + step * dx
            rows, f = self.forward(ahead)
            reached = float(loss.value(f, program.y).sum()) + lam * ahead[-1]
            if not np.isfinite(reached):
                status = Status.NUMERICAL_ERROR
                break
            x, value = ahead, reached
            Z += step * scaling.back(dZ)
            z = [b + step * d for b, d in zip(z, dz, strict=True)]
            shift = [(1 - step * eta) * e for e in shift]
            M = self.matrix(x)
            for i, (row, drow) in enumerate(zip(rows, drows, strict=True)):
                new = ~self.carried[i] & (row + step * drow < 0)
                if new.any():
                    slack = np.maximum(row, self.least[i])
                    shift[i] = np.where(new, slack - row, shift[i])
                    z[i] = np.where(new, mu / slack, z[i])
                    self.carried[i] |= new
        weight = x[: self.p1].reshape(self.inner, -1)
        ends = np.cumsum([self.p1, *self.sizes])
        biases = [weight[:, -1], *(x[a:b] for a, b in pairwise(ends))]
        return StepSolution(weight[:, :-1], biases, value, status, gap, iteration)

    def _raise_rho(self, x: Array) -> bool:
        """Raise rho until M_j is positive definite; whether it is."""
        for x[-1] in (1.1, 1.5, 4.0):
            try:
                np.linalg.cholesky(self.matrix(x))
            except np.linalg.LinAlgError:
                continue
            return True
        return False


class _Scaling:
    """Nesterov and Todd's: ``inverse M inverse' = D = inverse^-T Z inverse^-1``, D diagonal."""

    def __init__(self, M: Array, Z: Array) -> None:
        L, R = np.linalg.cholesky(M), np.linalg.cholesky(Z)
        U, self.d, _ = np.linalg.svd(R.T @ L)
        self.inverse = (U / np.sqrt(self.d)).T @ R.T
        self.D = np.diag(self.d)

    def middle(self, target: float, corner: Any) -> Array:
        """What dM + dZ are to be together, scaled: the rest of ``M Z = target I``."""
        right = (
            target * np.eye(len(self.d)) - np.diag(self.d**2) - (corner + np.transpose(corner)) / 2
        )
        return 2 * right / (self.d[:, None] + self.d)

    def back(self, Q: Array) -> Array:
        """A scaled part of Z as it is."""
        found = self.inverse.T @ Q @ self.inverse
        return (found + found.T) / 2

    def least(self, Q: Array) -> float:
        """The least eigenvalue of a scaled step relative to where it starts."""
        root = np.sqrt(self.d)
        Q = (Q + Q.T) / 2 / root[:, None] / root
        return float(np.linalg.eigvalsh(Q)[0])


def _factor(H: Array) -> Any:
    """A function that solves by H, from its Cholesky factor after scaling the diagonal to 1."""
    scale = 1 / np.sqrt(np.maximum(np.diag(H), 1e-300))
    H *= scale[:, None]
    H *= scale
    H[np.diag_indices_from(H)] += _PROXIMAL
    factor = cho_factor(H, lower=True, overwrite_a=True, check_finite=False)

    def newton(rhs: Array) -> Array:
        found = scale * cho_solve(factor, scale * rhs, check_finite=False)
        if not np.isfinite(found).all():
            raise np.linalg.LinAlgError("the Newton step overflows")
        return found

    return newton
