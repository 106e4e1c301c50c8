"""Walking over cells: past the optimum of one restriction into a neighbouring one (fact E).

At a joint optimum some units lie on the boundary of their cell: rows of (5) hold with equality.
Such a unit also lies in the cell behind those rows, and the joint program there contains it, so
that its optimum is no worse. Which rows to flip is told by their multipliers: with u_i = s_i z_i,
residuals r_k = f(x_k) - y_k, cone multipliers y_ik >= 0 and margins
``m_k(v) = (2 D_ik - 1) x_k' v``, moving unit i by a small v changes the objective at the rate
(exact where L has a derivative in zbar_i, else at least that)

    h_i(v) = sum over active k of  y_ik max(m_k, 0) + (s_i r_k - y_ik) max(-m_k, 0),

so a direction with h_i(v) < 0 crosses rows with y_ik > s_i r_k into a cell that has a strictly
lower optimum. A unit that is zero lies on the boundary of every cell and may take any pattern and
either sign; there h also counts what the unit would add to L^2.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import scipy

from lipsnn._checks import Array
from lipsnn.convex.search import Search
from lipsnn.convex.solution import ProgramSolution

# Interior-point solutions leave zero units at about 1e-8 of the largest.
_ZERO = 1e-6
# A rate this small, relative to the largest one possible, is the solver's noise.
_NOISE = 1e-6
# Single changes of side that are tried for one unit.
_CHOICES = 20
# A row is also taken as active if its margin is this small, relative to the largest possible one:
# the first value for which the cell behind the crossed rows has an interior.
_MARGINS = (1e-7, 1e-5, 1e-4, 1e-3)
# Inradius, in rows of length one, below which a cell counts as flat.
_FLAT = 1e-6


def walk(search: Search, steps: int, tol: float) -> Iterator[None]:
    """The joint program, then again in neighbouring cells while that lowers the objective."""
    _, solution = search.solve_joint()
    yield
    for _ in range(steps):
        if search.status != "optimal" or solution.cone_duals is None:
            return
        neighbour = neighbouring_cells(search, solution)
        if neighbour is None:
            search.status = "converged"
            return
        here, before = (search.patterns, search.signs), search.objective
        search.patterns, search.signs = neighbour
        accepted, solution = search.solve_joint("walk")
        yield
        if not accepted:
            search.patterns, search.signs = here
        if search.status == "optimal" and before - search.objective <= tol * before:
            search.status = "converged"
            return
    search.status = "round_limit"


def neighbouring_cells(search: Search, solution: ProgramSolution) -> tuple[Array, Array] | None:
    """Patterns and signs of cells that hold the same point and a strictly lower optimum.

    None if no unit has a descent direction that crosses its boundary.
    """
    assert solution.weights is not None
    assert solution.cone_duals is not None
    X1, duals = search.X1, solution.cone_duals
    patterns, signs = search.patterns.copy(), search.signs.copy()
    units = _merged(signs[:, None] * solution.weights, patterns, signs)
    size = np.linalg.norm(units, axis=1)
    residual = np.sum(patterns * (X1 @ units.T) * signs, axis=1) - search.target
    sides = np.where(patterns, 1.0, -1.0)
    margins = np.maximum(sides * (X1 @ units.T), 0.0).T
    reach = np.linalg.norm(X1, axis=1) * size.max()
    # margin times multiplier is about the same for all rows: the smaller one tells which it is
    pull = max(float(np.abs(residual).max()), np.finfo(float).tiny)
    held = margins * pull < duals * reach
    zero = size <= _ZERO * size.max()
    changed = False
    for i in np.flatnonzero(~zero):
        slopes = signs[i] * residual
        for width in _MARGINS:
            active = held[i] | (margins[i] < width * reach)
            if not (active & (duals[i] > slopes)).any():
                break
            rows = np.flatnonzero(active)
            outward = sides[rows, i, None] * X1[rows]
            crossed = _descent(outward, duals[i, rows], slopes[rows] - duals[i, rows])
            if crossed is None:
                break
            pattern = patterns[:, i].copy()
            pattern[rows[crossed]] ^= True
            # the rows far from the boundary hold around the point anyway
            near = active | (margins[i] < _MARGINS[-1] * reach)
            if _has_interior(X1[near], pattern[near]):
                patterns[:, i] = pattern
                changed = True
                break
    useful = (
        (pattern, sign)
        for pattern, sign in _useful_units(search, units, signs, residual)
        if _has_interior(X1, pattern)
    )
    for i, (pattern, sign) in zip(np.flatnonzero(zero), useful, strict=False):
        patterns[:, i], signs[i] = pattern, sign
        changed = True
    return (patterns, signs) if changed else None


def _merged(units: Array, patterns: Array, signs: Array) -> Array:
    """The same function with equal units (same pattern and sign) added up in the first of them.

    Neither the loss nor L, a sum of seminorms, grows by it, and the others are free for new cells.
    """
    key = np.vstack([patterns, signs > 0])
    _, first, group = np.unique(key, axis=1, return_index=True, return_inverse=True)
    merged = np.zeros_like(units)
    np.add.at(merged, first[group], units)
    return merged


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
    choices = [lower_side] + [
        lower_side ^ (np.arange(len(inside)) == k) for k in np.flatnonzero(concave)[:_CHOICES]
    ]
    for crossed in choices:
        low = np.where(concave & ~crossed, -np.inf, -outside)
        high = np.where(concave & crossed, np.inf, inside)
        width = np.maximum(high - low, 0)  # equal ends are no interval to the solver
        high = np.where(width > 0, high, low + noise)
        with np.errstate(invalid="ignore"):  # it multiplies open ends by zero on its way
            shares = scipy.optimize.lsq_linear(outward.T, np.zeros(outward.shape[1]), (low, high)).x
        direction = -outward.T @ shares
        length = float(np.linalg.norm(direction))
        if length <= noise:
            continue
        margins = outward @ (direction / length)
        margins[np.abs(margins) < _NOISE * np.linalg.norm(outward, axis=1)] = 0.0
        rate = inside @ np.maximum(margins, 0) + outside @ np.maximum(-margins, 0)
        if rate < -noise:
            return margins < 0
    return None


def _has_interior(X1: Array, pattern: Array) -> bool:
    """Whether some weights meet every row of (5) strictly.

    Rows that a solution at finite accuracy cannot tell from active ones may ask for the opposite
    of those crossed; the cell is then flat, and no interior-point method solves its program well.
    """
    rows = np.where(pattern[:, None], -1.0, 1.0) * X1
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
) -> list[tuple[Array, float]]:
    """Patterns and signs of new units whose first small step lowers the objective, best first.

    The rate of a unit ``s v`` at v is ``s sum_k r_k max(x_k'v, 0)`` from the loss and
    ``strength L (|R'v| + s (R'g)'R'v / |R'g|)`` from L^2 = rho, with P = RR' of the certificate.
    """
    certificate = search.certificate
    assert certificate is not None
    X1, root = search.X1, certificate.factor
    total = root.T @ (signs[:, None] * units)[:, :-1].sum(axis=0)
    total /= max(float(np.linalg.norm(total)), np.finfo(float).tiny)
    price = search.strength * certificate.bound
    rng = np.random.default_rng(0)
    found: dict[bytes, tuple[float, Array, float]] = {}
    for sign in (1.0, -1.0):
        V = rng.standard_normal((starts, X1.shape[1]))
        for _ in range(30):
            V /= np.maximum(np.linalg.norm(V, axis=1, keepdims=True), np.finfo(float).tiny)
            on = X1 @ V.T >= 0
            hidden = V[:, :-1] @ root
            length = np.linalg.norm(hidden, axis=1, keepdims=True)
            pull = hidden / np.maximum(length, np.finfo(float).tiny) + sign * total
            gradient = sign * (on * residual[:, None]).T @ X1
            gradient[:, :-1] += price * pull @ root.T
            rate = np.sum(gradient * V, axis=1)
            V = -gradient
        noise = _NOISE * float(np.abs(residual) @ np.linalg.norm(X1, axis=1))
        for k in np.flatnonzero(rate < -noise):
            pattern = on[:, k]
            entry = found.get(pattern.tobytes())
            if entry is None or rate[k] < entry[0]:
                found[pattern.tobytes()] = (float(rate[k]), pattern, sign)
    return [(pattern, sign) for _, pattern, sign in sorted(found.values(), key=lambda e: e[0])]
