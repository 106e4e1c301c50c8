"""Walking over cells: past the optimum of one restriction into a neighbouring one (fact E).

At a joint optimum some units lie on the boundary of their cell: rows of (5) hold with equality.
Such a unit also lies in the cell behind those rows, and the joint program there contains it, so
that its optimum is no worse. Which rows to flip is told by their multipliers: with u_i = s_i z_i,
residuals r_k = f(x_k) - y_k (the derivatives of another loss), cone multipliers y_ik >= 0 and
margins ``m_k(v) = (2 D_ik - 1) x_k' v``, moving unit i by a small v changes the objective at the
rate (exact where L has a derivative in zbar_i, else at least that)

    h_i(v) = sum over active k of  y_ik max(m_k, 0) + (s_i r_k - y_ik) max(-m_k, 0),

so a direction with h_i(v) < 0 crosses rows with y_ik > s_i r_k into a cell that has a strictly
lower optimum. A unit that is zero lies on the boundary of every cell and may take any pattern and
either sign; there h also counts what the unit would add to L^2.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
import scipy
from scipy.linalg import cho_factor, cho_solve

from lipsnn._checks import Array
from lipsnn.convex.mapping import fitted
from lipsnn.convex.result import ProgramSolution
from lipsnn.convex.samples import Patterns, Samples, unpacked
from lipsnn.convex.search import Cells, Search
from lipsnn.convex.structured.merge import Units
from lipsnn.status import Status

# Interior-point solutions leave zero units at about 1e-8 of the largest.
_ZERO = 1e-6
# A rate this small, relative to the largest one possible, is the solver's noise.
_NOISE = 1e-6
# Single changes of side that are tried for one unit.
_CHOICES = 20
# Of the shortest sum of rows: gap and residual, relative, and most steps.
_EXACT, _STEPS = 1e-12, 60
# A row is also taken as active if its margin is this small, relative to the largest possible one:
# the first value for which the cell behind the crossed rows has an interior.
_MARGINS = (1e-7, 1e-5, 1e-4, 1e-3)
# Inradius, in rows of length one, below which a cell counts as flat.
_FLAT = 1e-6


def walk(search: Search, steps: int, tol: float) -> Iterator[None]:
    """The joint program, then again in neighbouring cells while that lowers the objective."""
    _, solution = search.solve_joint()
    yield

    def turn() -> Iterator[None]:
        nonlocal solution
        if (neighbour := neighbouring_cells(search, solution)) is None:
            return
        here, search.cells = search.cells, neighbour
        accepted, solution = search.solve_joint("walk")
        yield
        if not accepted:
            search.cells = here

    if search.status == Status.OPTIMAL and solution.cone_duals is not None:
        yield from search.repeated(turn, steps, tol, strict=True)


def neighbouring_cells(search: Search, solution: ProgramSolution) -> Cells | None:
    """Cells that hold the same point and a strictly lower optimum.

    None if no unit has a descent direction that crosses its boundary.
    """
    assert solution.weights is not None
    assert solution.cone_duals is not None
    samples, duals = search.samples, solution.cone_duals
    patterns, signs = search.cells.patterns, search.cells.signs.copy()
    # the same function with equal units (same pattern and sign) added up in the first of them:
    # neither the loss nor L, a sum of seminorms, grows, and the others are free for new cells
    same = Units(patterns, signs, np.ones(len(signs)))
    units = np.zeros_like(solution.weights)
    np.add.at(units, same.first[same.group], signs[:, None] * solution.weights)
    size = np.linalg.norm(units, axis=1)
    zero = size <= _ZERO * size.max()
    residual = search.residual(fitted(samples, patterns, units, signs))
    # margin times multiplier is about the same for all rows: the smaller one tells which it is
    pull = max(float(np.abs(residual).max()), np.finfo(float).tiny)
    inside = np.where(zero[:, None], search.cells.inside, units)
    moved: dict[int, Array] = {}
    for i, (rows, outward, margins) in _near(samples, units, patterns, size.max()).items():
        if zero[i]:
            continue
        reach = np.linalg.norm(outward, axis=1) * size.max()
        dual = duals[[i]].toarray()[0, rows]
        slopes = signs[i] * residual[rows]
        held = margins * pull < dual * reach
        pattern = patterns.column(i)
        for width in _MARGINS:
            active = np.flatnonzero(held | (margins < width * reach))
            if not (dual[active] > slopes[active]).any():
                break
            crossed = _descent(outward[active], dual[active], (slopes - dual)[active])
            if crossed is None:
                break
            side = np.ones(rows.size)
            side[active[crossed]] = -1.0
            # the rows far from the boundary hold around the point anyway
            if _has_interior(side[:, None] * outward):
                pattern[rows[active[crossed]]] ^= True
                moved[i] = pattern
                break
    useful = _useful_units(search, units, signs, residual) if zero.any() else []
    for k, (direction, pattern, sign) in zip(np.flatnonzero(zero), useful, strict=False):
        moved[int(k)], signs[k], inside[k] = pattern, sign, direction
    return Cells(patterns.replaced(moved), signs, inside) if moved else None


def _near(
    samples: Samples, units: Array, patterns: Patterns, size: float
) -> dict[int, tuple[Array, Array, Array]]:
    """By unit: the rows near its boundary, as sample indices, (2 D - 1) x_k, and their margins."""

    def near(X1: Array, chunk: range, bits: Array) -> tuple[Array, Array, Array, Array]:
        side = np.where(unpacked(bits, len(units)), 1.0, -1.0)
        margins = np.maximum(side * (X1 @ units.T), 0.0)
        cut = _MARGINS[-1] * size * np.linalg.norm(X1, axis=1)
        row, unit = np.nonzero(margins < cut[:, None])
        return unit, row + chunk.start, X1[row] * side[row, unit, None], margins[row, unit]

    found = [one for _, one in samples.map(near, range(samples.n), patterns.bits)]
    unit, index, outward, margins = (np.concatenate(part) for part in zip(*found, strict=True))
    order = np.argsort(unit, kind="stable")
    ends = np.cumsum(np.bincount(unit, minlength=len(units)))
    parts = np.split(order, ends[:-1])
    return {i: (index[k], outward[k], margins[k]) for i, k in enumerate(parts) if k.size}


def _descent(outward: Array, inside: Array, outside: Array) -> Array | None:
    """Rows crossed by a direction v with h(v) < 0, where margins are ``outward @ v``.

    ``h(v) = sum_k inside_k max(m_k, 0) + outside_k max(-m_k, 0)``. Once the side of the rows
    where h is concave (inside_k + outside_k < 0) is chosen, h is convex, and its steepest descent
    is minus the shortest ``sum_k c_k outward_k`` with c_k between -outside_k and inside_k, one
    end being open on a concave row. Choices of sides: the one with the lower rate first, then
    that one with a single row changed.
    """
    scale = (np.abs(inside) + np.abs(outside)) * np.linalg.norm(outward, axis=1)
    noise = _NOISE * float(scale.sum())
    concave = inside + outside < 0
    lower_side = concave & (outside < inside)
    others = np.flatnonzero(concave)[:_CHOICES]
    choices = [lower_side] + [lower_side ^ (np.arange(len(inside)) == k) for k in others]
    for crossed in choices:
        low = np.where(concave & ~crossed, -np.inf, -outside)
        high = np.where(concave & crossed, np.inf, inside)
        # equal ends are no interval
        high = np.where(high > low, high, low + noise)
        direction = -_shortest(outward, low, high)
        length = float(np.linalg.norm(direction))
        if length <= noise:
            continue
        margins = outward @ (direction / length)
        margins[np.abs(margins) < _NOISE * np.linalg.norm(outward, axis=1)] = 0.0
        rate = inside @ np.maximum(margins, 0) + outside @ np.maximum(-margins, 0)
        if rate < -noise:
            return margins < 0
    return None


def _shortest(rows: Array, low: Array, high: Array) -> Array:
    """The shortest ``sum_k c_k rows_k`` with low <= c <= high; one of two ends may be infinite.

    A primal-dual interior-point method whose steps cost as much as the rows: these may be all of a
    small unit's, thousands.
    """
    size, below, above = float(np.abs(rows).max()), np.isfinite(low), np.isfinite(high)
    ends = np.abs(np.where([below, above], [low, high], 0.0)).max()
    if not (size > 0 and ends > 0):
        return np.zeros(rows.shape[1])
    A, low, high = rows / size, low / ends, high / ends
    c = (np.where(below, low, high - 1.0) + np.where(above, high, low + 1.0)) / 2
    level = max(float(np.abs(A @ (A.T @ c)).max()), np.finfo(float).tiny)
    slack = np.where([below, above], [c - low, high - c], 1.0)
    z = np.stack([below, above]) * level
    for _ in range(_STEPS):
        v = A.T @ c
        residual = A @ v - z[0] + z[1]
        gap = float(np.sum(z * slack))
        if gap <= _EXACT * float(v @ v) and np.abs(residual).max() <= _EXACT * level:
            break
        weight = (z / slack).sum(axis=0) + _EXACT
        spread = A / weight[:, None]
        try:
            small = cho_factor(np.eye(A.shape[1]) + A.T @ spread)
        except np.linalg.LinAlgError:  # no digit is left to gain
            break
        target, second = 0.0, np.zeros_like(z)
        for corrected in (False, True):  # Mehrotra's predictor and corrector
            toward = (z > 0) * (target - second) / slack
            side = -residual - z[0] + z[1] + toward[0] - toward[1]
            move = side / weight - spread @ cho_solve(small, spread.T @ side)
            apart = np.stack([move, -move]) * (z > 0)
            change = toward - z - z / slack * apart
            ratio = np.where(z > 0, np.maximum(-apart / slack, -change / np.where(z > 0, z, 1)), 0)
            step = min(1.0, 0.99 / max(float(ratio.max()), 1e-300))
            if not corrected:
                after = float(np.sum((z + step * change) * (slack + step * apart)))
                target = gap / (z > 0).sum() * min(1.0, max(after, 0.0) / gap) ** 3
                second = change * apart
        c, z, slack = c + step * move, z + step * change, slack + step * apart
    return size * ends * (A.T @ c)


def _has_interior(rows: Array) -> bool:
    """Whether some weights meet every row ``rows @ w >= 0`` strictly.

    Rows that a solution at finite accuracy cannot tell from active ones may ask for the opposite
    of those crossed; the cell is then flat, and no interior-point method solves its program well.
    """
    if not len(rows):
        return True
    rows = -rows
    rows = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), np.finfo(float).tiny)
    count, p = rows.shape
    found = scipy.optimize.linprog(
        np.append(np.zeros(p), -1.0),
        A_ub=np.column_stack([rows, np.ones(count)]),
        b_ub=np.zeros(count),
        bounds=[(-1.0, 1.0)] * p + [(None, 1.0)],
    )
    return bool(found.status == 0 and -found.fun > _FLAT)


def _useful_units(
    search: Search, units: Array, signs: Array, residual: Array, starts: int = 64
) -> Iterator[tuple[Array, Array, float]]:
    """New units whose first small step lowers the objective: direction, pattern, sign; best first.

    The rate of a unit ``s v`` at v is ``s sum_k r_k max(x_k'v, 0)`` from the loss and
    ``strength L (|R'v| + s (R'g)'R'v / |R'g|)`` from L^2 = rho, with P = RR' of the certificate.
    """
    certificate, samples = search.certificate, search.samples
    assert certificate is not None
    root = certificate.factor
    total = root.T @ (signs[:, None] * units)[:, :-1].sum(axis=0)
    total /= max(float(np.linalg.norm(total)), np.finfo(float).tiny)
    price = search.price * certificate.bound
    lengths = samples.map(lambda X1, r: np.abs(r) @ np.linalg.norm(X1, axis=1), residual)
    noise = _NOISE * float(sum(most for _, most in lengths))
    rng = np.random.default_rng(0)
    found = []
    for sign in (1.0, -1.0):
        gradient = -rng.standard_normal((starts, samples.p))
        for _ in range(30):
            V = -gradient
            V /= np.maximum(np.linalg.norm(V, axis=1, keepdims=True), np.finfo(float).tiny)
            hidden = V[:, :-1] @ root
            length = np.linalg.norm(hidden, axis=1, keepdims=True)
            pull = hidden / np.maximum(length, np.finfo(float).tiny) + sign * total
            gradient = sign * samples.fold(partial(_pulled, V), residual)
            gradient[:, :-1] += price * pull @ root.T
            rate = np.sum(gradient * V, axis=1)
        found += [(float(rate[k]), V[k], sign) for k in np.flatnonzero(rate < -noise)]
    if not found:
        return
    found.sort(key=lambda entry: entry[0])
    directions = np.array([direction for _, direction, _ in found])
    patterns = Patterns.of(samples, directions)
    near = _near(samples, directions, patterns, 1.0)
    first = {key: k for k, key in reversed(list(enumerate(patterns.keys)))}
    for k in sorted(first.values()):
        _, outward, _ = near.get(k, (None, np.empty((0, samples.p)), None))
        if _has_interior(outward):
            yield directions[k], patterns.column(k), found[k][2]


def _pulled(V: Array, total: Array | None, X1: Array, residual: Array) -> Array:
    """Adds ``sum_k r_k x_k`` over the samples of a chunk on which each row of V is active."""
    part = ((X1 @ V.T >= 0) * residual[:, None]).T @ X1
    return part if total is None else total + part
