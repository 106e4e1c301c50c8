"""Many balls at once, of a network with one hidden layer and one output: fact I side by side.

The slopes are those of the network; each ball says which of them are fixed, and so what the hub is.
Balls with about as many free units are one batch of small programs of one shape. A ball whose
result is not plainly optimal, in the middle of the range of float64, is left to `certify` alone.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from lipsnn._checks import Array
from lipsnn.certificate import slopes as sl
from lipsnn.certificate.form import Form, lengths_of
from lipsnn.certificate.interior import interior_point, work_of
from lipsnn.certificate.region import clear_sides
from lipsnn.certificate.result import Certificate
from lipsnn.certificate.threads import one_blas_thread
from lipsnn.network import ShallowNet
from lipsnn.status import Status

_NUMBERS = 2**20  # of the largest array of a batch
_LOOSEST = 1e-6  # tolerance up to which a bound cannot be above the product of norms
_SMALL, _LARGE = 1e-100, 1e100  # of bounds and multipliers
_FAINT = 1e-14  # of a slope, relative to all of them: its multiplier takes more care


@one_blas_thread
def certify_balls(net: Any, balls: Sequence[Any], tol: float) -> list[Certificate | None]:
    """The certificate on each `Ball`, or None where it is left to `certify`."""
    form, found = Form.of(net), list[Certificate | None]([None] * len(balls))
    (alpha, beta), phi = form.sectors[0], form.activations[0]
    if not (form.small and phi.homogeneous and tol <= _LOOSEST):
        return found
    slopes = sl.slopes(form)
    if (lengths_of(slopes.scaled)[slopes.outer != 0] <= _FAINT * slopes.total).any():
        return found
    centers = np.array([ball.center for ball in balls])
    radii = np.array([ball.radius for ball in balls])
    sides = clear_sides(form.weights[0], form.biases[0], centers, np.zeros_like(centers), radii)
    both = 2 * phi.slope(np.ones(form.widths[0])), 2 * phi.slope(-np.ones(form.widths[0]))
    shares = np.select([sides > 0, sides < 0], both, alpha + beta) / (beta - alpha)
    free = (sides == 0) & (slopes.outer != 0)
    count = free.sum(axis=1)
    order = np.argsort(count, kind="stable")
    while len(order):
        most = count[order[0]] + count[order[0]] // 4 + 4
        size = max(1, _NUMBERS // (most * form.dim**2))
        some = order[:size][count[order[:size]] <= most]
        order, begun = order[len(some) :], time.perf_counter()
        try:
            solved = _together(slopes, shares[some], free[some], tol)
        except np.linalg.LinAlgError:  # of one of them, or of slopes beyond float64
            continue
        good, t, factors, bound, lower, iterations = solved
        t = np.select([sides[some] > 0, sides[some] < 0], [np.inf, 0.0], t)
        for i in np.flatnonzero(good):
            found[some[i]] = Certificate(
                net=net,
                bound=float(bound[i]),
                lower=float(lower[i]),
                multipliers=t[i] if isinstance(net, ShallowNet) else (t[i],),
                factors=(factors[i],),
                status=Status.OPTIMAL,
                seconds=(time.perf_counter() - begun) / len(some),
                iterations=int(iterations[i]),
                method="P",
                solver="lipsnn",
                tol=tol,
                region=balls[some[i]],
                sectors=None,
            )
    return found


@np.errstate(divide="ignore", over="ignore", under="ignore", invalid="ignore")
def _together(slopes: sl.Slopes, shares: Array, free: Array, tol: float) -> tuple[Array, ...]:
    """Which of some balls are solved, and their multipliers, factors, bounds and iterations.

    From the units that are free (k, m), and by how much each slope enters the hub (k, m).
    """
    (k, m), d = free.shape, slopes.scaled.shape[1]
    summed = shares[:, None] * slopes.scaled.T
    hub, size = summed.sum(axis=-1), np.abs(summed).sum(axis=-1)  # pairwise, along rows
    n = int(free.sum(axis=1).max())
    units = np.argsort(~free, axis=1, kind="stable")[:, :n]
    own = np.take_along_axis(free, units, axis=1)
    rows = np.concatenate([hub[:, None], slopes.scaled[units] * own[..., None]], axis=1)
    norms = lengths_of(rows)
    total = norms.sum(axis=1)
    largest = np.abs(rows).max(axis=(1, 2))
    directions = rows / norms[..., None]
    directions[norms == 0] = np.eye(d)[0]
    P, q, iterations = interior_point(
        norms / total[:, None],
        directions,
        0.9 * tol,
        min(("P", "q"), key=lambda name: work_of(name, n + 1, d)),
    )
    outer = slopes.outer[units]
    q = q[:, 1:] / q.sum(axis=1)[:, None] * (1 - 2 * sl.SHARE)
    t = np.where(own, outer * (outer / (2 * q)), 1.0)
    q = np.where(own, outer / t * (outer / 2), 0.0)
    rest = 1 - q.sum(axis=1)
    values, vectors = np.linalg.eigh(P)
    factors = vectors * np.sqrt(np.maximum(values, 0.0))[:, None]
    q = np.column_stack([rest, np.where(own, q, 1.0)])
    bound, lower = sl.certified(rows, q, m), sl.attained(rows, factors, m)
    bound, lower = np.ldexp(bound, slopes.exponent), np.ldexp(lower, slopes.exponent)
    # a hub of fixed slopes that cancel is for exact sums
    good = free.sum(axis=1) == (slopes.outer != 0).sum()
    good |= 2 * sl._SUMMED * size.max(axis=1) <= sl.ROUNDING / 8 * largest
    good &= (q > 0).all(axis=1) & (lower <= bound) & (bound - lower <= tol * bound)
    for numbers in (bound[:, None], t):
        good &= ((numbers > _SMALL) & (numbers < _LARGE)).all(axis=1)
    whole = np.zeros((k, m))
    np.put_along_axis(whole, units, np.where(own, t, 0.0), axis=1)
    return good, whole, factors, bound, lower, iterations
