"""From a network to an evaluated certificate: the solve, what it proves, and the safe product."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from lipsnn._checks import Array
from lipsnn.certificate import slopes as sl
from lipsnn.certificate.chordal import solve_chain
from lipsnn.certificate.exact import float_above
from lipsnn.certificate.form import Form, reach, root
from lipsnn.certificate.interior import interior_point, work_of
from lipsnn.certificate.linear import sides_of
from lipsnn.certificate.lmi import solve_lmi
from lipsnn.certificate.lowrank import low_rank
from lipsnn.certificate.product import SMALLEST, product_multipliers, spectral_products
from lipsnn.certificate.region import Region
from lipsnn.certificate.result import Certificate
from lipsnn.certificate.scaling import ScaledChain
from lipsnn.certificate.threads import one_blas_thread
from lipsnn.network import ShallowNet
from lipsnn.status import Status

# A CVXPY solver answers to about 1e-8: its gap is called optimal up to this.
_REFERENCE_TOL = 1e-6
# Up to here a bound and the product of norms differ by their rounding.
_LAST_DIGITS = 1e-11


@dataclass
class _Found:
    """A solve, evaluated: multipliers by layer, increments F_0 .., and what they certify."""

    multipliers: list[Array]
    factors: list[Array]
    bound: float
    lower: float
    iterations: int | None
    method: str
    solver: str = "lipsnn"
    failure: str | None = None  # of a solver that left no point


@one_blas_thread
def solved(
    net: Any,
    form: Form,
    method: str,
    solver: str | None,
    tol: float,
    start: Array | None,
    region: Region | None,
    rounding: tuple[float, ...],
) -> Certificate:
    begun = time.perf_counter()
    sides = None if region is None else sides_of(form, region, rounding=rounding)
    form = form if sides is None else form.fixing(sides)
    live, seen = reach(form)
    alive = all(units.any() for units in live)
    if region is not None and form.small and sl.slopes(form).constant:  # fixed slopes may cancel
        alive = False
    if not alive:
        # no output depends on an input: any multipliers prove the bound 0
        t = [np.zeros(n) for n in form.widths]
        if form.small:
            t = [sl.multipliers(sl.slopes(form), np.empty(0))]
        method = "P" if form.small else "chordal"
        found = _Found(t, [np.eye(form.dim, 1)], 0.0, 0.0, 0, method)
    elif form.small and method != "chordal" and solver is None:
        found = _small(form, method, tol, start)
    else:
        found = _widened(_deep(form.part(live), solver, tol), live, seen)
    proved = _within_product(form, live, found) if alive else True
    # increments that float64 cannot hold, or of fixed units that nothing says are fixed
    held = all(
        np.isfinite(F).all() and np.abs(F).max(initial=0.0) > SMALLEST for F in found.factors
    )
    if not held or not (proved or sides is None):
        found.factors, found.lower = [np.eye(form.dim, 1)], 0.0
    sectors = None
    if sides is not None and proved:
        found.multipliers = [
            np.select([own > 0, own < 0], [np.inf, 0.0], t) if own.ndim == 1 else t
            for own, t in zip(sides, found.multipliers, strict=True)
        ]
        if any(own.ndim == 2 for own in sides):
            sectors = tuple(own if own.ndim == 2 else None for own in sides)
    tol = tol if solver is None else max(tol, _REFERENCE_TOL)
    closed = found.bound - found.lower <= tol * found.bound < np.inf
    status = found.failure or (Status.OPTIMAL if closed else Status.INACCURATE)
    return Certificate(
        net=net,
        bound=found.bound,
        lower=min(found.lower, found.bound, np.finfo(float).max),
        multipliers=(
            found.multipliers[0] if isinstance(net, ShallowNet) else tuple(found.multipliers)
        ),
        factors=tuple(found.factors),
        status=status if proved else Status.PRODUCT,
        seconds=time.perf_counter() - begun,
        iterations=found.iterations,
        method=found.method,
        solver=found.solver,
        tol=tol,
        region=region,
        sectors=sectors,
    )


def _small(form: Form, method: str, tol: float, start: Array | None) -> _Found:
    """One hidden layer, one output: fact A."""
    problem = sl.slopes(form)
    n, d = problem.units.shape
    basis, units = None, problem.units
    if n < d:  # the span of the slopes
        basis, triangle = np.linalg.qr(units.T)
        units = triangle.T
    if method == "auto":
        work = {form: work_of(form, *units.shape) for form in ("P", "q")}
        method = min(work, key=work.__getitem__)
        if units.shape[1] > 40 and work[method] > 5e8:
            method = "lowrank"
    if start is not None and basis is not None:
        start = basis.T @ start
        start = start if start.any() else None
    # the last tenth is for SHARE and ROUNDING
    if method == "lowrank":
        q, factor, iterations = low_rank(problem.norms, units, 0.9 * tol, start)
    else:
        if start is not None:  # RR' moved away from the boundary, where it cannot start
            P, r = start @ start.T, len(start)
            start = P / max(float(np.trace(P)), np.finfo(float).tiny) + 0.1 * np.eye(r) / r
        P, q, iterations = interior_point(problem.norms, units, 0.9 * tol, method, start)
        factor = root(P)
    t = sl.multipliers(problem, q)
    factor = factor if basis is None else basis @ factor
    bound, lower = sl.bound(problem, t), sl.lower_value(problem, factor)
    return _Found([t], [factor], bound, lower, iterations, method)


@np.errstate(over="ignore", divide="ignore", invalid="ignore")
def _deep(form: Form, solver: str | None, tol: float) -> _Found:
    """The chain of all layers; where digits run out, what was reached until then."""
    nothing = [np.full(n, np.nan) for n in form.widths]
    found = _Found(nothing, [np.eye(form.dim, 1)], np.inf, 0.0, 0, "chordal")
    try:
        scaled = ScaledChain(form)
        chain = scaled.chain
        if solver is None:
            t, X, found.iterations = solve_chain(chain, 0.9 * tol)
        else:
            t, dual, said = solve_lmi(chain.weights, chain.sectors, solver)
            found.iterations, found.method, found.solver = said.iterations, "lmi", said.solver
            if not said.has_point:  # the product of norms will be the bound
                found.failure = said.status
                return found
            # a solver's dual matrix is positive to its accuracy only
            dual = dual[: chain.order, : chain.order]
            short = max(-float(np.linalg.eigvalsh(dual)[0]), 1e-13 * float(np.trace(dual)))
            X = chain.part(dual + 2 * short * np.eye(chain.order))
        t, found.bound = _feasible(scaled, t)
        found.multipliers = scaled.multipliers(t)
        # few columns, or all of them where that costs the tolerance
        for room in (0.01 * tol / len(form.sectors), 0.0):
            found.factors, found.lower = scaled.dual(X, t, room)
            if found.bound - found.lower <= tol * found.bound:
                break
    except np.linalg.LinAlgError:
        pass
    return found


def _feasible(scaled: ScaledChain, t: Array) -> tuple[Array, float]:
    """Multipliers near t that certify the least, and that bound: rounding may cost t its own."""
    best, bound = t, np.inf
    # each layer gives the one after it a growing share
    for share in (0.0, 1e-13, 1e-12, 1e-11, 1e-10, 1e-9, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4):
        moved = np.maximum(t, share)
        for i, place in enumerate(scaled.chain.of):
            moved[place] *= 1 + share * (i + 1)
        value = scaled.bound(moved)
        if value < bound:
            best, bound = moved, value
        elif np.isfinite(bound):
            break
    return best, bound


def _widened(found: _Found, live: list[Array], seen: list[Array]) -> _Found:
    """The same for the whole network: a unit that acts on no output has t = 0, one that sees no
    input t = inf, and neither moves."""
    multipliers, factors = [], list(found.factors[:1])
    for t, units, sees in zip(found.multipliers, live, seen, strict=True):
        full = np.where(sees, 0.0, np.inf)
        full[units] = t
        multipliers.append(full)
    for F, units in zip(found.factors[1:], live, strict=False):
        whole = np.zeros((len(units), F.shape[1]))
        whole[units] = F
        factors.append(whole)
    found.multipliers, found.factors = multipliers, factors
    return found


def _within_product(form: Form, live: list[Array], found: _Found) -> bool:
    """The product of norms in place of a bound above it, or of one that float64 cannot prove.

    Whether the multipliers prove the bound.
    """
    held = all(
        np.isfinite(t[units & free]).all() and (t[units & free] > SMALLEST).all()
        for t, units, free in zip(found.multipliers, live, form.free, strict=True)
    )
    if not form.small:  # multipliers that are none fix no unit
        live, _ = reach(Form(form.weights, form.sectors))
    part = form.part(live)
    product, norms, exponents = min(spectral_products(part), key=lambda entry: entry[0])
    most = float_above(product)
    limit = float(min(most * (1 + _LAST_DIGITS), np.finfo(float).max))
    # on a region nothing else proves the product: what it is but for rounding will do
    near = limit if form.all_free else limit * (1 + 1e-6)
    if held and 0 < found.bound <= near and np.isfinite(found.bound):
        return True
    t, bound = product_multipliers(part, norms, exponents)
    if not form.all_free or not 0 < bound <= limit:
        found.multipliers, found.bound = [np.full(n, np.nan) for n in form.widths], most
        return False
    for full, own, units in zip(found.multipliers, t, live, strict=True):
        full *= 2.0**20  # of units that act on no output, or see no input: any larger ones will do
        full[units] = own
    found.bound = bound
    return True
