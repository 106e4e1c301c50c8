"""Proof of a bound from its multipliers in ball arithmetic: no solver, no trust in rounding.

Weights and multipliers are taken as the exact numbers that their float64 are. With
``sigma = 1/2 sum a_i^2 / t_i < 1`` and ``g = Wbar'a``, the LMI (2b) is equivalent to

    rho I - 1/2 Wbar'T Wbar - g g' / (4 (1 - sigma)) >= 0                           (d x d)

and, with the rows V = (wbar_i; g') and D = diag(2 / t_i, 4 (1 - sigma)), to rho D - V V' >= 0
(m + 1 rows). The smaller is K. With a float64 Cholesky factor F of K - delta I and the enclosure
``|K - delta I - F F'|_F <= delta`` in balls, ``K >= F F' + delta I - delta I >= 0`` whatever the
rounding in F.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lipsnn._checks import Array
from lipsnn._optional import flint
from lipsnn.certificate.threads import one_blas_thread
from lipsnn.network import ShallowNet

# Bits of the balls. The weights have 53, their products 106.
_PRECISION = 160
# A bound is raised by at most the last of these, relative, when its last digits do not suffice.
_REPAIRS = (0.0, 1e-13, 1e-12, 1e-11, 1e-10, 9e-10)
# A bound further than this above what its multipliers certify is not the bound they belong to.
_CONSISTENT = 1e-9


class ProofError(ValueError):
    """A certificate that does not hold; the message is the reason."""


@one_blas_thread
def proved_bound(net: ShallowNet, t: Array, bound: float, consistent: bool = True) -> float:
    """The smallest of `bound` and its repairs that multipliers t (m,) are proved to certify.

    Parameters
    ----------
    net : ShallowNet
    t : ndarray, (m,)
        Multipliers of the LMI (2b).
    bound : float
        The bound L = sqrt(rho) that is claimed.
    consistent : bool
        Also refuse a bound above what the multipliers give (by 1e-9): it would hold, but it
        is not theirs.

    Returns
    -------
    float
        A proved upper bound on the Lipschitz constant, at most 1e-9 above `bound`.

    Raises
    ------
    ProofError
        If there is no proof, with the reason.
    """

    live = net.outer != 0
    if t.shape != (net.width,):
        raise ProofError(f"{len(t)} multipliers for a network of {net.width} units")
    if not (np.isfinite(t).all() and np.isfinite(bound)):
        raise ProofError("a multiplier or the bound is NaN or infinite")
    if (t < 0).any() or bound < 0:
        raise ProofError("a multiplier or the bound is negative")
    if (t[live] == 0).any():
        unit = int(np.flatnonzero(live & (t == 0))[0])
        raise ProofError(f"multiplier {unit} is zero, its outer weight is not: the LMI fails")
    with flint.ctx.workprec(_PRECISION):
        sigma = flint.arb(0)
        for a, s in zip(net.outer[live].tolist(), t[live].tolist(), strict=True):
            sigma += flint.arb(a) ** 2 / flint.arb(s) / 2
        room = 1 - sigma
        if not room > 0:
            raise ProofError("the multipliers leave no room: 1/2 sum a_i^2 / t_i is not below 1")
        used = (t > 0) & net.weights[:, :-1].any(axis=1)
        if bound == 0.0:
            if used.any():
                raise ProofError("bound 0, but a unit with a nonzero multiplier has a slope")
            return 0.0
        diagonal, gram = _pencil(net, t, used, room, bound)
        return _prove(diagonal, gram, bound, consistent)


def _pencil(
    net: ShallowNet, t: Array, used: Array, room: flint.arb, bound: float
) -> tuple[list[flint.arb], flint.arb_mat]:
    """Diagonal E and Gram matrix N such that M(f^2 bound^2, T) <= 0 iff f^2 E - N >= 0."""

    d, k = net.dim, int(used.sum())
    wbar = flint.arb_mat(k, d, net.weights[used, :-1].ravel().tolist())
    outer = flint.arb_mat(1, k, net.outer[used].tolist())
    g = outer * wbar
    rho = flint.arb(bound) ** 2
    if d <= k + 1:
        weighted = [flint.arb(s) / (2 * rho) for s in t[used].tolist()]
        rows = wbar.tolist()
        scaled = flint.arb_mat(
            [[w * x for x in row] for w, row in zip(weighted, rows, strict=True)]
        )
        return [flint.arb(1)] * d, wbar.transpose() * scaled + g.transpose() * g / (4 * room * rho)
    # the congruence by `scale`, any positive numbers, brings the diagonal near 1
    ends = [flint.arb(2) / flint.arb(s) for s in t[used].tolist()] + [4 * room]
    scale = [(1 / x).sqrt().mid() for x in ends]
    rows = wbar.tolist() + g.tolist()
    V = flint.arb_mat([[s * x for x in row] for s, row in zip(scale, rows, strict=True)])
    return [s * s * x for s, x in zip(scale, ends, strict=True)], V * V.transpose() / rho


def _prove(diagonal: list[flint.arb], gram: flint.arb_mat, bound: float, consistent: bool) -> float:
    """The first repair f of `bound` for which f^2 E - N is proved positive semidefinite."""

    n = len(diagonal)
    middle = _middle(gram)
    ends = np.array([float(x) for x in diagonal])
    root = np.sqrt(ends)
    certified = float(np.linalg.eigvalsh(middle / np.outer(root, root))[-1]) ** 0.5
    if consistent and certified < 1 - _CONSISTENT:
        raise ProofError(
            f"the bound {bound!r} is not that of the multipliers: "
            f"they certify {bound * certified!r}"
        )
    for repair in _REPAIRS:
        candidate = bound * (1 + repair)
        square = (flint.arb(candidate) / flint.arb(bound)) ** 2
        K = float(square) * np.diag(ends) - middle
        delta = 0.5 * float(np.linalg.eigvalsh(K)[0])
        if delta <= 0:
            continue
        try:
            factor = np.linalg.cholesky(K - delta * np.eye(n))
        except np.linalg.LinAlgError:
            continue
        F = flint.arb_mat(n, n, factor.ravel().tolist())
        error = F * F.transpose() + gram
        for i in range(n):
            error[i, i] += flint.arb(delta) - square * diagonal[i]
        if (error * error.transpose()).trace() <= flint.arb(delta) ** 2:
            return candidate
    raise ProofError(
        f"the multipliers do not prove the bound {bound!r}: they certify {bound * certified!r}"
    )


def _middle(matrix: Any) -> Array:
    """Midpoints of a ball matrix, symmetric, in float64."""
    n = matrix.nrows()
    values = np.array([float(x) for x in matrix.entries()]).reshape(n, n)
    return (values + values.T) / 2
