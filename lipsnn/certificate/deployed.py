"""What the arithmetic of float32 and its like adds to a certificate.

Computed values obey ``fl(a op b) = (a op b)(1 + delta) + eta`` with ``|delta| <= u``, and eta = 0
but for results below the least normal number omega, where ``|eta| <= omega``: rounded or flushed to
zero, as they are written or as they are read. In a sum of n products and a bias, in any order, a
term meets at most n + 2 roundings: of its product, of n additions and, out of a wider accumulator,
into the type; a fused multiply-add saves one. So, with ``gamma = (1 + u)^(n + 2) - 1`` (at most
gamma_{n+2} of Higham, *Accuracy and Stability of Numerical Algorithms*, section 3.1, and finite for
every n), D and d the moves of W and b into the type, and hats on what is computed,

    |fl(z) - z| <= |W| |v^ - v| + own,
    own = D |v^| + d + gamma ((|W| + D) |v^| + |b| + d) + 2 n (1 + gamma) omega,

where |x| is at most `radius` and, read as zero below omega, x moves by at most omega. Of v^ and
v^ - v there are bounds entry by entry and in l2; of ``|W| |v^|`` the lesser of ``|W| bound`` and
``|w_i|_2 |v^|_2`` is taken. Roundings seldom conspire: on ordinary networks E is some hundred times
what is observed, and there are networks that attain it within a half.

All numbers here are nonnegative, so that each sum and product in float64 is the true one but for
the same roundings: sizes and errors are raised by more than all of them, once a layer.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from lipsnn._checks import Array
from lipsnn.activations import Activation
from lipsnn.certificate.exact import float_above
from lipsnn.certificate.region import Region
from lipsnn.network import ShallowNet

# A number's last digit in float64, four times the rounding of one operation; its omega.
_LAST, _OMEGA = 2.0**-51, 2.0**-1022
# Squarings of a matrix: its Frobenius norm is then n^(1/128) times the spectral one at most.
_SQUARINGS = 6


@dataclass(frozen=True)
class Deployed:
    """``|fl(f)(x) - fl(f)(x')| <= L |x - x'| + 2 E`` for inputs of norm at most `radius`.

    Attributes
    ----------
    bound : float
        L, the certificate's.
    error : float
        ``E >= |fl(f)(x) - f(x)|`` in l2, rounded up: fl(f) as evaluated in `dtype`, f the network
        of real numbers. Infinite if `status` is "overflow".
    dtype : str
        The type of weights, inputs and values.
    radius : float
        The inputs are numbers of `dtype` with ``|x| <= radius``.
    status : Status
        "done", or "overflow": a value may exceed the largest number of `dtype`.
    region : Region or None
        Where L holds, if not everywhere.
    """

    bound: float
    error: float
    dtype: str
    radius: float
    status: str
    region: Region | None = None

    def __repr__(self) -> str:
        return (
            f"Deployed({self.bound:.6g} |x - x'| + 2 * {self.error:.3g} in {self.dtype} for "
            f"|x| <= {self.radius:g}{f' on {self.region}' if self.region else ''}, {self.status})"
        )


class Format(NamedTuple):
    """A type: half its last digit, relative, its least normal number and its largest."""

    u: float
    omega: float
    largest: float

    def moves(self, w: Array) -> Array:
        """How far w moves, at most, on its way into the type, and where it is read as zero.

        u |w| also for a number rounded twice (torch: float64 -> float32 -> float16).
        """
        w = np.abs(w)
        scaled = np.frexp(w)[0] / self.u
        return np.where(w < self.omega, w, np.where(scaled == np.rint(scaled), 0.0, w * self.u))


# From binary digits, and powers of two of the least normal number and past the largest.
FORMATS = {
    name: Format(2.0**-digits, 2.0**least, float((1 - Fraction(2) ** -digits) * 2**past))
    for name, digits, least, past in (
        ("float64", 53, -1022, 1024),
        ("float32", 24, -126, 128),
        ("float16", 11, -14, 16),
        ("bfloat16", 8, -126, 128),
    )
}
# Piecewise linear, evaluated exactly or with one rounding.
COVERED = ("relu", "leaky_relu", "prelu", "abs", "hardtanh", "relu6", "softshrink")


class _Values(NamedTuple):
    """Bounds of |v^| and of |v^ - v|, entry by entry and in l2."""

    size: Array
    length: float
    error: Array
    off: float


@np.errstate(over="ignore", invalid="ignore")
def evaluation_error(net: Any, dtype: str, radius: float) -> float:
    """E of `Deployed` for a ShallowNet or Network; infinite where a value may overflow."""
    net = net.to_network() if isinstance(net, ShallowNet) else net
    for phi in net.activations:
        if phi.name not in COVERED:
            raise ValueError(
                f"the rounding of {phi.name} differs between libraries and devices, so that "
                f"nothing is proved for it: take a network of {', '.join(COVERED)}"
            )
    kind = FORMATS[dtype]
    inputs = np.ones(net.dim)
    v = _Values(radius * inputs, radius, kind.omega * inputs, kind.omega * net.dim)
    for i, (W, b) in enumerate(zip(net.weights, net.biases, strict=True)):
        v = _affine(W, b, v, kind)
        largest = [v.size.max(), np.abs(W).max(), np.abs(b).max()]
        for phi in net.activations[i : i + 1]:
            v = _activated(phi, v, kind)
            largest += [v.size.max(), *np.abs(phi.parameters)]
        if not (np.array(largest) <= kind.largest).all():
            return float("inf")
    return v.off


def _affine(W: Array, b: Array, v: _Values, kind: Format) -> _Values:
    """Of ``W v + b``."""
    A, c, n = np.abs(W), np.abs(b), W.shape[1]
    D, d = kind.moves(A), kind.moves(c)
    gamma = float_above((1 + Fraction(kind.u)) ** (n + 2) - 1)
    rows, norm = np.hypot.reduce(A, axis=1), spectral_norm(W)
    sums = np.minimum(A @ v.size, rows * v.length)
    shift = np.minimum(D @ v.size, np.hypot.reduce(D, axis=1) * v.length) + d
    own = shift + gamma * (sums + c + shift) + 2 * n * (1 + gamma) * (kind.omega + 8 * _OMEGA)
    raised = 1 + (n + len(W) + 64) * _LAST
    size = (sums + c + own) * raised
    error = (np.minimum(A @ v.error, rows * v.off) + own) * raised
    length = min(norm * v.length + _l2(c) + _l2(own), _l2(size)) * raised
    return _Values(size, length, error, min(norm * v.off + _l2(own), _l2(error)) * raised)


def _activated(phi: Activation, v: _Values, kind: Format) -> _Values:
    """Of ``phi(v)``, whose own rounding is at most ``share |v^| + fixed``."""
    size, length, ones = v.size, v.length, np.ones(len(v.size))
    steepest, share, fixed = ones, 0 * ones, 0.0
    if phi.homogeneous:
        slopes = np.abs(phi.slope(np.outer([1.0, -1.0], ones)))
        steepest = slopes.max(axis=0)
        moved = kind.moves(slopes)
        rounds = ~np.isin(slopes, (0.0, 1.0))
        share = np.where(rounds, moved + kind.u * (slopes + moved), 0.0).max(axis=0)
        fixed = (kind.omega + 8 * _OMEGA) * rounds.any()
    elif phi.name == "softshrink":
        share, fixed = kind.u * ones, kind.omega + kind.moves(np.array(phi.parameters))[0]
    else:
        low, high = ends = np.array(phi.parameters or (0.0, 6.0))
        fixed, top = kind.moves(ends).max(), np.abs(ends).max()
        size = np.minimum(size, top)
        if not low <= 0 <= high:  # 0 is moved as well
            size, length = top * ones, np.inf
    own, most = share * size + fixed, steepest.max()
    raised = 1 + (len(ones) + 64) * _LAST
    size, error = (steepest * size + own) * raised, (steepest * v.error + own) * raised
    length = min(most * length + _l2(own), _l2(size)) * raised
    return _Values(size, length, error, min(most * v.off + _l2(own), _l2(error)) * raised)


def spectral_norm(W: Array, squarings: int = _SQUARINGS) -> float:
    """|W|, rounded up: ``|W|^2 = |W'W|`` again and again, and the Frobenius norm at the end."""
    frobenius = float(_l2(np.ravel(W)) * (1 + W.size * _LAST))
    if squarings == 0 or not 0 < frobenius < np.inf:
        return frobenius
    exponent = int(np.frexp(frobenius)[1])
    A = np.ldexp(W, -exponent)  # of norm below 1, so that a product is off by its length in digits
    gram = A @ A.T if len(A) < A.shape[1] else A.T @ A
    off = (max(A.shape) + 64) * _LAST
    norm = np.sqrt(spectral_norm(gram, squarings - 1) + off) * (1 + 4 * _LAST)
    return float(np.ldexp(norm, exponent))


def _l2(x: Array) -> float:
    return float(np.hypot.reduce(x))
