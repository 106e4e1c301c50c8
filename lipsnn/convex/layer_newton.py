"""An interior-point method for one layer's program (see `layer_program`).

Primal-dual, with Nesterov and Todd's scaling of M_j and Mehrotra's corrector. It starts at zero
weights, near the central path: at the network itself the slack and multipliers of a weak unit may
be many orders from those of a strong one. Rows are shifted to have slack, and the shifts vanish
with the residual of the dual. Rows that are not carried enter when they are about to be violated.
"""

from __future__ import annotations

import time

import numpy as np
from scipy import sparse

from lipsnn._checks import Array
from lipsnn.certificate.symmetric import Scaling, scaled_solver
from lipsnn.certificate.threads import one_blas_thread
from lipsnn.convex.layer_forms import Forms
from lipsnn.convex.layer_program import LayerProgram
from lipsnn.convex.result import ProgramSolution
from lipsnn.losses import SQUARED
from lipsnn.status import Status

TOL = 1e-5  # gap and residuals at the end, relative to the value
_STEPS = 100  # most Newton steps
_WIDE = 10.0  # gap at the start, relative to the value: the dual is far off there
_FLOOR = 1e-6  # of the value at the start, which later ones count as at least
_LAST = 0.1  # of the gap at the end, below which it waits for the residuals: else slacks round to 0
_SHORT = 0.9  # of the way to the boundary
_REACH = 5.0  # most that a step moves an output of a loss that is not quadratic
_PROXIMAL = 1e-9  # of each diagonal entry: biases that nothing holds


@one_blas_thread
def solve_layer(program: LayerProgram, tol: float = TOL) -> ProgramSolution:
    """Solve one layer's program by the interior-point method.

    Predictor and corrector until gap and residuals are below `tol`, relative to the value.
    """
    forms, began = Forms(program), time.perf_counter()
    fit, x, held = forms.fit, forms.start(), forms.carried
    loss, order, free = program.loss, forms.at[-1].stop, program.bound is None
    fixed = np.arange(forms.total if free else forms.total - 1, forms.total)
    if program.multipliers is not None:
        fixed = np.concatenate([np.arange(forms.fit, forms.total - 1), fixed])
    lam = float(program.strength or 0.0) if free else 0.0
    M = forms.matrix(x)
    rows, f = forms.forward(x)
    shift = np.where(held, forms.least - rows, 0.0)
    value = float(loss.value(f, program.y).sum()) + lam * x[-1]
    floor = max(_FLOOR * value, np.finfo(float).tiny)
    try:
        Z = np.linalg.inv(M)
    except np.linalg.LinAlgError:  # multipliers that are held may have no interior
        return ProgramSolution(np.nan, Status.NUMERICAL_ERROR, "structured", 0, 0.0)
    # at least the level at which the cone meets the price of rho: far below it many rows drive the
    # weights, and rho with them, out of all proportion
    mu = max(
        _WIDE * max(value, floor) / (order + held.sum()), lam / float(forms.pull_matrix(Z)[-1])
    )
    Z *= mu
    z = np.where(held, mu / np.where(held, rows + shift, 1.0), 0.0)
    gram = forms.gram() if loss is SQUARED else None
    status, gap, iteration = Status.ITERATION_LIMIT, np.inf, 0
    while iteration < _STEPS:
        iteration += 1
        s = np.where(held, rows + shift, 1.0)
        gap = float(np.vdot(s, z) + np.vdot(M, Z))
        mu = gap / (order + held.sum())
        by = loss.gradient(f, program.y)
        residual = forms.pull(-z, by) - forms.pull_matrix(Z)
        price = -residual[-1]  # of rho, where it is held
        residual[-1] += lam
        residual[fixed] = 0.0
        size = max(value, floor)
        off = np.linalg.norm(residual * (np.abs(x) + 1e-3)) / size
        if gap <= tol * size and off <= tol and (shift <= tol * forms.least).all():
            status = Status.OPTIMAL
            break
        try:
            scaling = Scaling(M, Z)
            D, inverse = np.diag(scaling.sigma), scaling.inverse
            H = np.zeros((forms.total, forms.total))
            H[:fit, :fit] = forms.gram(loss.roots(f, program.y)) if gram is None else gram
            forms.add_rows(z / s, H)
            forms.add_cone(inverse.T @ inverse, H)
            H[fixed], H[:, fixed] = 0.0, 0.0
            H[fixed, fixed] = 1.0
            newton = scaled_solver(H, (_PROXIMAL,))
            target, eta, crossed, second = 0.0, 1.0, np.zeros_like(s), tuple[Array, ...]()
            for corrected in (False, True):
                C = scaling.centre(target * mu, *second)
                toward = np.where(held, (target * mu - crossed + z * eta * shift) / s, 0.0)
                rhs = forms.pull(toward, -by) + forms.pull_matrix(scaling.back(D + C))
                rhs[-1] -= lam
                rhs[fixed] = 0.0
                if not np.isfinite(dx := newton(rhs)).all():
                    raise np.linalg.LinAlgError("the Newton step overflows")
                drows, df = forms.forward(dx)
                ds = np.where(held, drows - eta * shift, 0.0)
                dz = np.where(held, (target * mu - crossed - z * ds) / s - z, 0.0)
                dM = inverse @ forms.matrix(dx, False) @ inverse.T
                dZ = C - dM
                least = min(np.min(ds / s, initial=0.0), np.min(dz[held] / z[held], initial=0.0))
                room = min(scaling.longest(dM), scaling.longest(dZ), -1 / min(least, -1e-9))
                step = min(1.0, _SHORT * room)
                if loss is not SQUARED:
                    step = min(step, _REACH / max(float(np.abs(df).max()), 1e-9))
                    # nor past the loss's own minimum along the way: its model may be flat
                    fall = float(np.vdot(by, df))
                    while (
                        fall < 0
                        and np.vdot(loss.gradient(f + step * df, program.y), df) > -fall / 2
                    ):
                        step /= 2
                if not corrected:
                    after = float(np.vdot(s + step * ds, z + step * dz))
                    after += float(np.vdot(D + step * dM, D + step * dZ))
                    target = max(float(np.clip(after / gap, 0.0, 1.0)) ** 3, 1e-4)
                    eta, target = 1 - target, max(target, _LAST * tol * size / gap)
                    crossed, second = ds * dz, (dM, dZ)
        except np.linalg.LinAlgError:
            status = Status.NUMERICAL_ERROR
            break
        ahead = x + step * dx
        rows, f = forms.forward(ahead)
        reached = float(loss.value(f, program.y).sum()) + lam * ahead[-1]
        if not np.isfinite(reached):
            status = Status.NUMERICAL_ERROR
            break
        x, value = ahead, reached
        Z += step * scaling.back(dZ)
        z, shift = z + step * dz, (1 - step * eta) * shift
        M = forms.matrix(x)
        new = ~held & (rows + step * drows < 0)
        slack = np.maximum(rows, forms.least)
        shift[new], z[new] = (slack - rows)[new], (mu / slack)[new]
        held |= new
    weight = x[: forms.p1].reshape(forms.inner, -1)
    return ProgramSolution(
        value,
        status,
        "structured",
        iteration,
        time.perf_counter() - began,
        weights=weight[:, :-1],
        biases=(weight[:, -1], *(x[tail] for tail in forms.tails)),
        strength=lam if free else price,
        gap=gap / max(value, floor),
        cone_duals=sparse.csr_array(z.T),
    )
