"""Many balls at once, of a network with one hidden layer and one output: fact I side by side.

The slopes are those of the network; each ball says which of them are fixed, and so what the hub is.
Balls with about as many free units are one stack of small programs of one shape. `certify` takes
those alone whose program is large, so that nothing is gained, or whose result is not plainly
optimal in the middle of the range of float64.
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

_NUMBERS = 2**20  # of the largest array of a stack, and of the sides of some balls
_LARGEST = 4e6  # operations of an iteration; in larger programs they outweigh the calls
_LOOSEST = 1e-6  # tolerance up to which a bound cannot be above the product of norms
_SMALL, _LARGE = 1e-100, 1e100  # of bounds and multipliers
_FAINT = 1e-14  # of a slope, relative to all of them: its multiplier takes more care


@one_blas_thread
def certify_balls(net: Any, balls: Sequence[Any], tol: float) -> list[Certificate | None]:
    """The certificate on each `Ball`, or None where it is left to `certify`."""
    form, found = Form.of(net), list[Certificate | None]()
    if not (form.small and form.activations[0].homogeneous and tol <= _LOOSEST):
        return [None] * len(balls)
    slopes = sl.slopes(form)
    if (lengths_of(slopes.scaled)[slopes.outer != 0] <= _FAINT * slopes.total).any():
        return [None] * len(balls)
    step = max(1, _NUMBERS // form.widths[0])
    for first in range(0, len(balls), step):
        found += _some(net, form, slopes, balls[first : first + step], tol)
    return found


def _some(
    net: Any, form: Form, slopes: sl.Slopes, balls: Sequence[Any], tol: float
) -> list[Certificate | None]:
    """Those of some balls, by stacks."""
    (alpha, beta), phi, found = form.sectors[0], form.activations[0], {}
    centers = np.array([ball.center for ball in balls])
    radii = np.array([ball.radius for ball in balls])
    sides = clear_sides(form.weights[0], form.biases[0], centers, np.zeros_like(centers), radii)
    both = 2 * phi.slope(np.ones(form.widths[0])), 2 * phi.slope(-np.ones(form.widths[0]))
    shares = np.select([sides > 0, sides < 0], both, alpha + beta) / (beta - alpha)
    hub, error = _hubs(slopes.scaled, shares)
    free = (sides == 0) & (slopes.outer != 0)
    count = free.sum(axis=1)
    total = lengths_of(hub) + free @ lengths_of(slopes.scaled)
    # a hub of fixed slopes that cancel is for exact sums, as a constant is
    fit = (error <= sl.ROUNDING / 8 * total / form.dim) & (total > 0) & np.isfinite(total)
    order = np.argsort(count, kind="stable")
    order = order[fit[order]]
    while len(order):
        most = count[order[0]] + count[order[0]] // 4 + 4
        size = max(1, _NUMBERS // (most * form.dim**2))
        some = order[:size][count[order[:size]] <= most]
        order, begun = order[len(some) :], time.perf_counter()
        shape = int(count[some[-1]]) + 1, form.dim
        method = min(("P", "q"), key=lambda name: work_of(name, *shape))
        if work_of(method, *shape) > _LARGEST:  # the others are no smaller
            break
        try:
            solved = _together(slopes, hub[some], error[some], free[some], tol, method)
        except np.linalg.LinAlgError:  # of one of them
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
                method=method,
                solver="lipsnn",
                tol=tol,
                region=balls[some[i]],
                sectors=None,
            )
    return [found.get(k) for k in range(len(balls))]


def _hubs(scaled: Array, shares: Array) -> tuple[Array, Array]:
    """``sum_i shares_i zbar_i`` (k, d), and how far off its entries may be, (k,).

    In long doubles: what is off is the entries, by two roundings, unless these are no longer.
    """
    long = np.longdouble
    columns = [(shares * column).sum(axis=1, dtype=long).astype(float) for column in scaled.T]
    size = (np.abs(shares) @ np.abs(scaled)).max(axis=1)
    rounding = 3 * np.finfo(float).eps + scaled.shape[0] * float(np.finfo(long).eps)
    return np.stack(columns, axis=1), rounding * size


@np.errstate(divide="ignore", over="ignore", under="ignore", invalid="ignore")
def _together(
    slopes: sl.Slopes, hub: Array, error: Array, free: Array, tol: float, method: str
) -> tuple[Array, ...]:
    """Which of some balls are solved; their multipliers, factors, bounds and iterations.

    From the hubs (k, d), scaled, their errors (k,) and the units that are free (k, m).
    """
    k, m = free.shape
    n = int(free.sum(axis=1).max())
    units = np.argsort(~free, axis=1, kind="stable")[:, :n]
    own = np.take_along_axis(free, units, axis=1)
    rows = np.concatenate([hub[:, None], slopes.scaled[units] * own[..., None]], axis=1)
    norms = lengths_of(rows)
    directions = rows / norms[..., None]
    directions[norms == 0] = np.eye(hub.shape[1])[0]
    shares = norms / norms.sum(axis=1, keepdims=True)
    P, q, iterations = interior_point(shares, directions, 0.9 * tol, method)
    outer = slopes.outer[units]
    q = q[:, 1:] / q.sum(axis=1, keepdims=True) * (1 - 2 * sl.SHARE)
    t = np.where(own, outer * (outer / (2 * q)), 1.0)
    q = np.where(own, outer / t * (outer / 2), 0.0)
    q = np.column_stack([1 - q.sum(axis=1), np.where(own, q, 1.0)])
    values, vectors = np.linalg.eigh(P)
    factors = vectors * np.sqrt(np.maximum(values, 0.0))[:, None]
    bound, lower = sl.certified(rows, q, m), sl.attained(rows, factors, m)
    # what the hub is off by counts over the root of its share
    good = error * np.sqrt(hub.shape[1]) <= sl.ROUNDING / 2 * np.sqrt(q[:, 0]) * bound
    good &= (q > 0).all(axis=1) & (lower <= bound) & (bound - lower <= tol * bound)
    bound, lower = np.ldexp(bound, slopes.exponent), np.ldexp(lower, slopes.exponent)
    for numbers in (bound[:, None], t):
        good &= ((numbers > _SMALL) & (numbers < _LARGE)).all(axis=1)
    whole = np.zeros((k, m))
    np.put_along_axis(whole, units, np.where(own, t, 0.0), axis=1)
    return good, whole, factors, bound, lower, iterations
