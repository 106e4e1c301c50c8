"""Proof in exact arithmetic that no diagonal multipliers give less than a certificate's `lower`."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from lipsnn._checks import Array
from lipsnn.certificate.exact import Dyadic
from lipsnn.certificate.form import Form
from lipsnn.certificate.proof import ProofError
from lipsnn.certificate.slopes import chunks, exact_hub
from lipsnn.certificate.threads import one_blas_thread


@one_blas_thread
def proved_lower(form: Form, factors: tuple[Array, ...], lower: float) -> None:
    """Check that no diagonal multipliers prove less than `lower`, or a ProofError.

    Factors F_0 (d, K), .., F_l (n_l, K) stand for increments v_i = F_i xi, xi standard normal, of
    which each unit satisfies its sector: with u = W_{i-1} F_{i-1} the rows have
    ``<v - alpha u, v - beta u> <= 0``. Every (rho, T) of the LMI then has
    ``rho |F_0|^2 >= |W_l F_l|^2``. For one hidden layer and one output F_1 follows from F_0 = R,
    and the value is ``1/2 (|R'g| + (beta - alpha) sum_i |R'z_i|) / |R|``, g as in `proof`.
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
    target = Fraction(lower) ** 2 * size * (1 - Fraction(1, 10**12)) ** 2
    if len(factors) == 1:
        (W, outer), (alpha, beta) = form.weights, form.sectors[0]
        W, outer = W[form.free[0]], outer[:, form.free[0]]
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
            free = form.free[i]
            u, v = Dyadic.of(form.weights[i]) @ before, Dyadic.of(np.where(free[:, None], F, 0.0))
            if not free.all():
                v += Dyadic.of(np.diag(np.where(free, 0.0, form.fixed[i]))) @ u
            # <v - alpha u, v - beta u> = |v - m u|^2 - r^2 |u|^2
            off = (v - u.times((low + high) / 2)).rows_square()
            most = ((high - low) / 2) ** 2
            kept = zip(off, u.rows_square(), free, strict=True)
            if any(x > most * y for x, y, moves in kept if moves):
                raise ProofError(f"lower is not proved: a unit of layer {i + 1} leaves its sector")
            before = v
        holds = (Dyadic.of(form.weights[-1]) @ before).square() >= target
    if not holds:
        raise ProofError(f"lower is {lower!r}, but its factors give less")
