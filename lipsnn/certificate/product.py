"""The product of the norms of all layers: the bound that always holds, and what proves it."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np

from lipsnn._checks import Array
from lipsnn.certificate.chain import Chain
from lipsnn.certificate.exact import Dyadic, Matrix, float_above, positive
from lipsnn.certificate.form import Form, balance, outwards, reach, scaled, scaled_by
from lipsnn.certificate.proof import ProofError
from lipsnn.certificate.threads import one_blas_thread

# Multipliers are squares: below this they have lost digits.
SMALLEST = 1e-290


@one_blas_thread
def spectral_products(form: Form) -> list[tuple[Fraction, list[Fraction], list[Array]]]:
    """Products of the spectral norms and of the largest slopes: as given, and balanced.

    Each not below the true one, with the norms' upper bounds and the exponents of `balance`.
    """
    slopes = [Fraction(steepest) for steepest in form.steepest]
    plain = [np.zeros(n, dtype=np.int64) for n in (form.dim, *form.widths, form.outputs)]
    found = []
    for exponents in (plain, balance(form.weights)):
        norms = []
        for weight, before, after in zip(form.weights, exponents, exponents[1:], strict=False):
            powers = np.frexp(weight)[1] + after[:, None] - before
            largest = int(powers[weight != 0].max()) if weight.any() else 0  # of an entry
            matrix = scaled(weight, after - largest, -before)
            gram = matrix @ matrix.T if len(matrix) < matrix.shape[1] else matrix.T @ matrix
            top = float(np.sqrt(np.linalg.eigvalsh(gram)[-1].clip(min=0.0)))
            # what the eigenvalue may be off by, and the last digits that a proof needs
            norms.append(Fraction(top * (1 + 1e-12)) * Fraction(2) ** largest)
        product = Fraction(1)
        for factor in (*norms, *slopes):
            product *= factor
        found.append((product / Fraction(2) ** int(exponents[-1][0]), norms, exponents))
    return found


def norm_product(net: Any) -> float:
    """The product of the spectral norms and of the largest slopes, rounded up.

    Of the weights as they are given or of the rescaled network, whichever is less: they differ
    where single units are scaled unevenly. Infinite if it overflows.
    """
    form = Form.of(net)
    return min(float_above(product) for product, _, _ in spectral_products(form))


def proved_product(form: Form, bound: float) -> float:
    """`bound`, if the product of norms is proved to be at most that, layer by layer."""
    if not 0 <= bound < np.inf:
        raise ProofError(f"the bound is {bound!r}: it says nothing")
    live, _ = reach(form)
    if not all(units.any() for units in live):
        return bound
    form = form.part(live)
    for product, norms, exponents in spectral_products(form):
        if product > Fraction(bound):
            continue
        for weight, norm, rows, columns in zip(
            form.weights, norms, exponents[1:], exponents[:-1], strict=True
        ):
            shift = norm.numerator.bit_length() - norm.denominator.bit_length()
            W = Dyadic.of(weight, rows, -columns)
            gram = W.T @ W if weight.shape[0] >= weight.shape[1] else W @ W.T
            gram = gram.times(Fraction(-1))
            gram.exponent -= 2 * shift
            ones = [Fraction(1)] * gram.integers.nrows()
            if not positive(Matrix(ones, [gram], [], shift), norm):
                raise ProofError("a spectral norm is not proved")
        return bound
    raise ProofError(f"the product of norms is not below the bound {bound!r}")


def product_multipliers(
    form: Form, norms: list[Any], exponents: list[Array]
) -> tuple[list[Array], float]:
    """Multipliers that certify the product of norms, and their bound; infinite if they are none.

    T_l = c |W_l|^2 I and T_i = c (beta |W_i|)^2 T_{i+1}, with c = 1 for ReLU.
    """
    levels, level = [], 1.0
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        for (alpha, beta), norm in zip(form.sectors[::-1], norms[:0:-1], strict=True):
            level *= np.square(float_above(norm))
            steepest = max(abs(alpha), abs(beta))
            levels.append(level * steepest / (beta - alpha))
            level *= steepest**2
        chain = Chain(scaled_by(form.weights, exponents), form.sectors)
        t = np.concatenate([np.full(n, x) for n, x in zip(form.widths, levels[::-1], strict=True)])
        out = int(exponents[-1][0])
        try:
            rho = float(np.linalg.eigvalsh(chain.backward(t))[-1])
        except np.linalg.LinAlgError:
            rho = np.inf
        bound = float(np.ldexp(np.sqrt(max(rho, 0.0)), -out)) * (1 + outwards(chain.sectors))
        own = [
            np.ldexp(t[place], 2 * (k - out))
            for place, k in zip(chain.of, exponents[1:], strict=False)
        ]
    held = all(np.isfinite(x).all() and (x > SMALLEST).all() for x in own)
    return own, bound if held and 1e-145 < bound < 1e145 else np.inf
