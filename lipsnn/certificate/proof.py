"""Proofs of `bound` and `lower` in exact arithmetic: no solver, no rounding to trust.

Weights and multipliers are taken as the exact numbers that their float64 are (`Dyadic`). What has
to be positive semidefinite is a block-tridiagonal matrix N: with a float64 Cholesky factor F of
N - delta I, and ``|N - delta I - F F'|_F <= delta`` without rounding, ``N >= F F' >= 0`` whatever
the rounding in F.

One hidden layer, one output a, sector [alpha, beta]. With ``sigma = 1/2 sum a_i^2 / t_i < 1`` and
``g = (alpha + beta) W'a`` the LMI is equivalent to

    rho I - (beta - alpha)^2/2 W'TW - c g g' >= 0,   c = 1 / (4 (1 - sigma))

(d x d), and, with the rows V = (w_i; g') and D = diag(2 / ((beta - alpha)^2 t_i), 1/c), to
rho D - V V' >= 0 (m + 1 rows); the smaller is N. Quotients are rounded to the side that makes
it harder. A unit whose slope is fixed at s enters g alone, by 2 s a_i w_i (fact I); one that is
``m u + r eta`` has r a_i for a_i, and enters g by 2 m a_i w_i. Other networks: the matrix N of
`chain`, scaled by powers of two.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from lipsnn._checks import Array
from lipsnn._optional import flint
from lipsnn.certificate.exact import Dyadic, Matrix, integers, positive, rounded, schur
from lipsnn.certificate.form import Form, outwards, reach
from lipsnn.certificate.slopes import chunks, exact_hub
from lipsnn.certificate.threads import one_blas_thread

# Bits of a quotient. The weights have 53, their products 106.
_BITS = 160
# A bound is raised by at most the last of these, relative, when its last digits do not suffice.
_REPAIRS = (0.0, 1e-13, 1e-12, 1e-11, 1e-10, 9e-10)
# A bound further than this above what its multipliers certify is not the bound they belong to.
_CONSISTENT = 1e-9
# And of a deep network with fixed units, whose paths cancel, further than this.
_CANCELLED = 1e-6
# What is lost among the subnormal numbers, where digits run out.
_LAST = 1e-322
# What a bound may be raised by beside, relative, for the rounding of layers that were multiplied.
LAST_DIGITS = 5e-10


class ProofError(ValueError):
    """A certificate that does not hold; the message is the reason."""


@one_blas_thread
def proved_bound(
    form: Form, multipliers: tuple[Array, ...], bound: float, consistent: bool = True
) -> float:
    """The smallest of `bound` and its repairs that the multipliers are proved to certify.

    At most 1e-9 above `bound`, or what `certify` rounds by where units are all but linear; a
    ProofError if there is no proof. Of units that see no input, or no output sees, any multipliers
    will do. If `consistent`, a bound above what the multipliers give is refused: it would hold, but
    it is not theirs.
    """
    live, _ = reach(form)
    moving = [units & free for units, free in zip(live, form.free, strict=True)]
    _check(form, multipliers, bound, moving)
    if not all(units.any() for units in live):
        return bound
    if form.small and not moving[0].any() and not any(exact_hub(form).integers.entries()):
        return bound
    if bound == 0.0:
        raise ProofError("bound 0, but an output depends on an input")
    form = form.part(live)
    t = [own[units] for own, units in zip(multipliers, live, strict=True)]
    if form.small:
        matrix = _shallow(form, t[0], bound)
    elif not form.all_free:
        matrix = _skipped(form, t, bound)
    else:
        matrix = _chain(form, t, bound)
    room = max(_CONSISTENT, 2 * outwards(form.sectors)) if consistent else 1.0
    cancels = not form.small and not form.all_free
    return _prove(matrix, bound, room, max(room, _CANCELLED) if cancels else room)


def _check(form: Form, t: tuple[Array, ...], bound: float, live: list[Array]) -> None:
    counts = [len(own) for own in t]
    if counts != list(form.widths):
        said = " + ".join(map(str, counts))
        widths = " + ".join(map(str, form.widths))
        raise ProofError(f"{said} multipliers for a network of {widths} units")
    acting = [own[units] for own, units in zip(t, live, strict=True)]
    numbers = all(np.isfinite(own).all() for own in acting)
    if not numbers or not np.isfinite(bound) or any(np.isnan(own).any() for own in t):
        raise ProofError("a multiplier or the bound is NaN or infinite")
    if bound < 0 or any((own < 0).any() for own in t):
        raise ProofError("a multiplier or the bound is negative")
    for own, units in zip(t, live, strict=True):
        if (own[units] == 0).any():
            unit = int(np.flatnonzero(units & (own == 0))[0])
            raise ProofError(
                f"multiplier {unit} is zero, its unit acts on an output: the LMI fails"
            )


def _shallow(form: Form, t: Array, bound: float) -> Matrix:
    (W, outer), (alpha, beta) = form.weights, form.sectors[0]
    low, high = Fraction(alpha), Fraction(beta)
    free = form.free[0]
    t = t[free]
    room = 1 - _shares_above(outer[0, free], form.gains[0][free], t)
    if room <= 0:
        raise ProofError("the multipliers leave no room: 1/2 sum a_i^2 / t_i is not below 1")
    square, g = (high - low) ** 2, exact_hub(form)
    hub = 1 / (4 * room) if any(g.integers.entries()) else Fraction(0)
    W = W[free]
    level = int(np.frexp(bound)[1])

    if form.dim <= len(W) + 1 or not len(W):
        gram = sum(
            (Dyadic.of(W[k]).T @ Dyadic.of(W[k], weights=t[k]) for k in chunks(W)),
            start=Dyadic.zero(form.dim, form.dim),
        ).times(square / 2)
        if hub:
            gram += (g.T @ g).times(rounded(hub, _BITS, up=True))
        gram = gram.times(Fraction(-1))
        gram.exponent -= 2 * level
        return Matrix([Fraction(1)] * form.dim, [gram], [], level)
    ends = [rounded(2 / (square * Fraction(s)), _BITS, up=False) for s in t.tolist()]
    shifts = [-_half_log(x) - level for x in ends]
    V = Dyadic.of(W, shifts)
    if hub:
        # the row g' beside the others, all scaled to a diagonal near 1
        last = rounded(1 / hub, _BITS, up=False)
        ends.append(last)
        shifts.append(-_half_log(last) - level)
        row = Dyadic(g.integers, g.exponent + shifts[-1])
        least = min(V.exponent, row.exponent)
        entries = [*V._at(least).entries(), *row._at(least).entries()]
        V = Dyadic(flint.fmpz_mat(len(shifts), form.dim, entries), least)
    gram = V @ V.T
    corner = [x * Fraction(2) ** (2 * (s + level)) for x, s in zip(ends, shifts, strict=True)]
    return Matrix(corner, [gram.times(Fraction(-1))], [], level)


def _shares_above(outer: Array, gains: Array, t: Array) -> Fraction:
    """``1/2 sum (r_i a_i)^2 / t_i``, rounded up."""
    (a, a_power), (r, r_power), (s, s_power) = map(integers, (outer, gains, t))
    shifts = _BITS - 1 + 2 * (a_power + r_power) - s_power
    total = 0
    for x, z, y, shift in zip(*(v.tolist() for v in (a, r, s, shifts)), strict=True):
        x *= z
        total -= -(x * x << shift) // y if shift >= 0 else -x * x // (y << -shift)
    return Fraction(total, 2**_BITS)


def _chain(form: Form, t: list[Array], bound: float) -> Matrix:
    level = int(np.frexp(bound)[1])
    # v_i = 2^shift v'_i brings the diagonal 2 T near 1, and the inputs' rho too
    shifts = [np.full(form.dim, -level)]
    shifts += [np.array([-_half_log(2 * Fraction(s)) for s in own.tolist()]) for own in t]

    diagonal = [Dyadic.zero(form.dim, form.dim)]
    below = []
    for i, (own, (alpha, beta)) in enumerate(zip(t, form.sectors, strict=True)):
        W, low, high = form.weights[i], Fraction(alpha), Fraction(beta)
        right = Dyadic.of(W, 0, shifts[i])
        both = Dyadic.of(W, 0, shifts[i], weights=own)
        if low * high:
            diagonal[i] += (right.T @ both).times(2 * low * high)
        below.append(Dyadic.of(W, shifts[i + 1], shifts[i], weights=own).times(-(low + high)))
        ends = [
            2 * Fraction(s) * Fraction(2) ** (2 * int(k))
            for s, k in zip(own.tolist(), shifts[i + 1], strict=True)
        ]
        diagonal.append(Dyadic.diagonal(ends))
    last = Dyadic.of(form.weights[-1], 0, shifts[-1])
    diagonal[-1] -= last.T @ last
    return Matrix([Fraction(1)] * form.dim, diagonal, below, level)


def _skipped(form: Form, t: list[Array], bound: float) -> Matrix:
    """The matrix of `skipped`: over the inputs and the free units."""
    level = int(np.frexp(bound)[1])
    order = form.dim + int(sum(map(np.sum, form.free)))
    V = Dyadic.of(np.eye(form.dim, order), -level)
    total, start = Dyadic.zero(order, order), form.dim
    for W, own, slopes, gain, (alpha, beta) in zip(
        form.weights, t, form.fixed, form.gains, form.sectors, strict=False
    ):
        units = gain > 0
        low, high, own = Fraction(alpha), Fraction(beta), own[units]
        shifts = [-_half_log(2 * Fraction(s)) for s in own.tolist()]
        u = Dyadic.of(W) @ V
        V = Dyadic.of(np.diag(np.nan_to_num(slopes))) @ u
        if not len(own):
            continue
        places = np.eye(len(own), order, start)
        chosen = np.eye(len(units))[units]
        v, mine = Dyadic.of(places, shifts), Dyadic.of(chosen) @ u
        both = Dyadic.of(np.diag(own)) @ mine
        mixed = v.T @ both.times(-(low + high))
        total += mixed + mixed.T
        total += (v.T @ Dyadic.of(places, shifts, weights=own)).times(Fraction(2))
        if low * high:
            total += (mine.T @ both).times(2 * low * high)
        V += Dyadic.of(gain[:, None] * chosen.T) @ v
        start += len(own)
    last = Dyadic.of(form.weights[-1]) @ V
    total -= last.T @ last
    rows, d = total.integers.tolist(), form.dim

    def block(rows: list[list[flint.fmpz]]) -> Dyadic:
        return Dyadic(flint.fmpz_mat(rows), total.exponent)

    diagonal, below = [block([row[:d] for row in rows[:d]])], []
    if order > d:
        diagonal.append(block([row[d:] for row in rows[d:]]))
        below.append(block([row[:d] for row in rows[d:]]))
    return Matrix([Fraction(1)] * d, diagonal, below, level)


def _prove(matrix: Matrix, bound: float, room: float, below: float) -> float:
    """The first repair of `bound`, `room` at most, for which the matrix is proved semidefinite.

    The multipliers must certify no less than a share `below` below it.
    """
    root = np.sqrt([float(matrix.rho(bound) * entry) for entry in matrix.corner])
    try:
        inner = -schur(matrix) / np.outer(root, root)
        certified = bound * max(float(np.linalg.eigvalsh(inner)[-1]), 0.0) ** 0.5
    except np.linalg.LinAlgError:
        raise ProofError(
            "the multipliers leave no room: a layer's 2T - Q is not positive"
        ) from None
    if certified + _LAST < bound * (1 - below):
        raise ProofError(
            f"the bound {bound!r} is not that of the multipliers: they certify {certified!r}"
        )
    for repair in (*_REPAIRS, *([room] if _CONSISTENT < room < 1 else [])):
        candidate = float(np.nextafter(bound * (1 + repair), np.inf)) if repair else bound
        if candidate >= certified * (1 - 1e-11) and positive(matrix, candidate):
            return candidate
    raise ProofError(
        f"the multipliers do not prove the bound {bound!r}: they certify {certified!r}"
    )


def _half_log(value: Fraction) -> int:
    """About half the binary logarithm."""
    return (value.numerator.bit_length() - value.denominator.bit_length()) // 2


@one_blas_thread
def proved_lower(form: Form, factors: tuple[Array, ...], lower: float) -> None:
    """Check that no diagonal multipliers prove less than `lower`, or a ProofError.

    Factors F_0 (d, K), .., F_l (n_l, K) stand for increments v_i = F_i xi, xi standard normal, of
    which each unit satisfies its sector: with u = W_{i-1} F_{i-1} the rows have
    ``<v - alpha u, v - beta u> <= 0``. Every (rho, T) of the LMI then has
    ``rho |F_0|^2 >= |W_l F_l|^2``. For one hidden layer and one output F_1 follows from F_0 = R,
    and the value is ``1/2 (|R'g| + (beta - alpha) sum_i |R'z_i|) / |R|``, g as above.
    """
    if lower == 0.0:
        return
    sizes = [form.dim, *form.widths]
    if len(factors) == 1 and len(sizes) == 2:
        sizes.pop()
    if not np.isfinite(lower) or lower < 0 or [len(F) for F in factors] != sizes:
        raise ProofError("lower is not a value that its factors give: their shapes do not fit")
    if not all(np.isfinite(F).all() for F in factors):
        raise ProofError("a factor is NaN or infinite")
    R = Dyadic.of(factors[0])
    size = R.square()
    if not size:
        raise ProofError(f"lower is {lower!r}, but its factors are zero")
    target = Fraction(lower) ** 2 * size
    if len(factors) == 1:
        (W, outer), (alpha, beta) = form.weights, form.sectors[0]
        W, outer = W[form.free[0]], (form.gains[0] * outer)[:, form.free[0]]
        if form.bent:  # a product that was rounded
            outer = np.nextafter(outer, 0.0)
        value = Fraction(0)
        for k in chunks(W):
            value += (Dyadic.of(W[k], weights=outer[0, k]) @ R).lengths_below()
        value *= Fraction(beta) - Fraction(alpha)
        value += (exact_hub(form) @ R).lengths_below()
        holds = value**2 / 4 >= target
    else:
        before = R
        for i, F in enumerate(factors[1:]):
            low, high = (Fraction(x) for x in form.sectors[i])
            gains, slopes = form.gains[i], np.nan_to_num(form.fixed[i])
            u, moves = Dyadic.of(form.weights[i]) @ before, gains > 0
            v = Dyadic.of(np.where(moves[:, None], F, 0.0))
            # <v - alpha u, v - beta u> = |v - m u|^2 - r^2 |u|^2
            off = v - u.times((low + high) / 2)
            if slopes.any():
                v += Dyadic.of(np.diag(np.where(moves, 0.0, slopes))) @ u
                off -= Dyadic.of(np.diag(slopes)) @ u
            most = ((high - low) / 2) ** 2
            kept = zip(off.rows_square(), u.rows_square(), gains.tolist(), strict=True)
            if any(r > 0 and x > most * Fraction(r) ** 2 * y for x, y, r in kept):
                raise ProofError(f"lower is not proved: a unit of layer {i + 1} leaves its sector")
            before = v
        holds = (Dyadic.of(form.weights[-1]) @ before).square() >= target
    if not holds:
        raise ProofError(f"lower is {lower!r}, but its factors give less")
