"""Proof of errors under attack: multipliers of the lifted form (fact J2), in exact arithmetic.

Around an input x every value of the last hidden layer is ``u = p + G e`` with ``|e_g| <= R_g`` for
each group g of entries of e. With one hidden layer e is the perturbation: one group in the l2 norm,
each entry its own in l-infinity. A unit of an earlier layer that may switch lies between its chord
and the parallel line through zero, and what is between is one more entry of e.

Of an output ``sum a_i (u_i)_+ + c`` a term is at most ``theta a_i u_i``, theta in [0, 1], where
a_i <= 0, and ``a_i / 2 (u_i + u_i^2 / (2 kappa) + kappa / 2)``, kappa > 0, where a_i > 0, whether
the unit can switch or not; kappa = 0 stands for a unit that keeps its side, so that its term is
linear. So are, for any mu >= 0, those of units on a chosen side, of which the other side is another
part: at most ``(a_i + mu) u_i`` above zero and ``-mu u_i`` below. With multipliers lam_g of the
groups, all is at most B if the quadratic form in (e, 1)
``B - c - sum lam_g (R_g^2 - |e_g|^2) - ..`` is positive semidefinite.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np

from lipsnn import _checks
from lipsnn._checks import Array
from lipsnn._optional import pd
from lipsnn.certificate.document import Document, array, or_no_proof
from lipsnn.certificate.exact import Dyadic, Matrix, positive, rounded
from lipsnn.certificate.proof import ProofError
from lipsnn.certificate.threads import one_blas_thread
from lipsnn.certificate.tree import cells
from lipsnn.convert import as_network
from lipsnn.network import Network

_EPS = float(np.finfo(float).eps)
_BITS = 160  # of a quotient


class Around:
    """The last hidden layer on the ball around x: ``u = p + G e``, ``|e_g| <= R_g``.

    `values` (m, k + 1) has G, and p last; `groups` (k,) the group of each entry of e; `R` their
    radii; `sides` (m,) 1 for a unit that is >= 0 on all of it, -1 if <= 0, else 0.
    """

    def __init__(self, net: Network, x: Array, radius: float, norm: float) -> None:
        d = net.dim
        self.groups = np.zeros(d, dtype=int) if norm == 2 else np.arange(d)
        self.R = np.full(self.groups[-1] + 1, radius)
        V = Dyadic.of(np.vstack([np.column_stack([np.eye(d), x]), np.eye(d + 1)[-1:]]))
        for k, phi in enumerate(net.activations):
            self.values = Dyadic.of(np.column_stack([net.weights[k], net.biases[k]])) @ V
            low, high, exponents = self._ends()
            self.sides = np.where(low >= 0, 1, np.where(high <= 0, -1, 0))
            if k + 1 < len(net.activations):
                V = self._through(phi, low, high, exponents)

    def rows(self) -> tuple[Array, Array]:
        """`values` in float64, each row over a power of two that makes it near one; the powers."""
        rows = self.values.integers.tolist()
        bits = np.array([max(abs(int(x)).bit_length() for x in row) for row in rows])
        exponents = np.where(bits > 0, bits + self.values.exponent, 0)
        near = self.values.weighted([Fraction(2) ** -e for e in exponents.tolist()])
        return near.floats(), exponents

    def _ends(self) -> tuple[Array, Array, Array]:
        """Bounds of the units, rounded outwards, over the powers of two of `rows`."""
        near, exponents = self.rows()
        G, p = near[:, :-1], near[:, -1]
        lengths = np.zeros((len(self.R), len(G)))
        for group, column in zip(self.groups, G.T, strict=True):
            lengths[group] = np.hypot(lengths[group], column)
        reach = self.R @ lengths
        # relative rounding, and what is lost below the least numbers
        reach += (G.shape[1] + 16) * _EPS * (np.abs(p) + reach) + 1e-290 * (1 + self.R.sum())
        reach[~near.any(axis=1)] = 0.0
        return p - reach, p + reach, exponents

    def _through(self, phi: Any, low: Array, high: Array, exponents: Array) -> Dyadic:
        """What comes out of a layer, a row (0, .., 0, 1) below, with new entries of e."""
        n, free = len(low), np.flatnonzero(self.sides == 0)
        below, above = phi.slope(-np.ones(n)), phi.slope(np.ones(n))
        slope = np.where(self.sides > 0, above, below)
        low, high = low[free], high[free]
        chord = (above[free] * high - below[free] * low) / (high - low)
        slope[free] = chord = np.clip(
            chord, np.minimum(below, above)[free], np.maximum(below, above)[free]
        )
        # phi(u) - slope u is zero at zero, and linear from there to both ends
        low = np.nextafter(np.ldexp(low, exponents[free]), -np.inf)
        high = np.nextafter(np.ldexp(high, exponents[free]), np.inf)
        ends = (below[free] - chord) * low, (above[free] - chord) * high
        most, least = np.maximum(np.maximum(*ends), 0.0), np.minimum(np.minimum(*ends), 0.0)
        size = (np.abs(below) + np.abs(above))[free] * (np.abs(low) + np.abs(high))
        k, new = len(self.groups), len(free)
        place, added = np.zeros((k + 1, k + new + 1)), np.zeros((n + 1, k + new + 1))
        place[range(k), range(k)] = place[-1, -1] = added[-1, -1] = 1.0
        added[free, k + np.arange(new)] = 1.0
        added[free, -1] = (most + least) / 2
        self.groups = np.append(self.groups, len(self.R) + np.arange(new))
        self.R = np.append(self.R, (most - least) / 2 + 8 * _EPS * size + 1e-150)
        passed = self.values.weighted([Fraction(s) for s in slope.tolist()]) @ Dyadic.of(place)
        return Dyadic.of(np.eye(n + 1, n)) @ passed + Dyadic.of(added)


@dataclass(frozen=True, eq=False)
class Errors(Document):
    """Proved errors under attack: what `certified_error` writes as a document.

    Attributes
    ----------
    net, X, y, radii, norm
        As they were given.
    trees : list
        For each sample, radius and row of `combinations` a bound and the parts that prove it.
    """

    SCHEMA: ClassVar[str] = "lipsnn-errors/1"

    net: Network
    X: Array
    y: Array
    radii: Array
    norm: float
    trees: list[list[list[dict[str, Any]]]]

    def columns(self, **values: Array) -> pd.DataFrame:
        """A table with a row for each sample and radius, of `values` (n, k)."""
        n, k = len(self.X), len(self.radii)
        index = {"sample": np.repeat(np.arange(n), k), "radius": np.tile(self.radii, n)}
        return pd.DataFrame(index | {name: own.ravel() for name, own in values.items()})

    @one_blas_thread
    def verify(self) -> pd.DataFrame:
        """Prove all bounds in exact arithmetic; a ProofError, with the reason, if that fails.

        Where `net` stands for layers that were multiplied with rounding, of these layers.

        Returns
        -------
        DataFrame
            Columns sample, radius and upper, as of `certified_error`.
        """
        with or_no_proof("the trees are malformed: "):
            for x, y, row in zip(self.X, self.y, self.trees, strict=True):
                signs, shifts = combinations(self.net.outputs, y)
                for radius, trees in zip(self.radii.tolist(), row, strict=True):
                    around = Around(self.net, x, radius, self.norm)
                    for C, shift, tree in zip(signs, shifts, trees, strict=True):
                        _prove(self.net, around, C, shift, tree)
            found = [[max(tree["bound"] for tree in own) for own in row] for row in self.trees]
            bounds = np.array(found) + moved(self.net, self.X, self.radii)
            with np.errstate(over="ignore"):
                upper = errors_of(bounds, self.radii, self.net.outputs > 1)
        if not np.isfinite(upper).all():
            raise ProofError("an error is beyond the range of float64")
        return self.columns(upper=upper)

    def _content(self) -> dict[str, Any]:
        said = {name: getattr(self, name) for name in ("X", "y", "radii", "trees")}
        return said | {"norm": 2 if self.norm == 2 else "inf"}

    @classmethod
    def _of(cls, content: dict[str, Any], net: Any) -> Errors:
        net = as_network(net)
        X, y = _checks.data_pair(array(content["X"], 2), array(content["y"], 1), net.dim)
        norm = {2: 2.0, "inf": np.inf}[content["norm"]]
        radii = array(content["radii"], 1)
        if not len(radii) or not (radii >= 0).all():
            raise ValueError("there is no radius, or a negative one")
        supported(net)
        classes(net, y)
        return cls(net, X, y, radii, norm, content["trees"])


def supported(net: Network) -> None:
    """A ValueError unless it is for `Around`."""
    if not (all(phi.homogeneous for phi in net.activations) and net.activations[-1].name == "relu"):
        raise ValueError(
            "errors are certified of networks with relu in the last hidden layer, and relu, "
            "leaky_relu, prelu or abs in the others"
        )


def classes(net: Network, y: Array) -> None:
    """A ValueError unless y has one of the outputs for each sample, if there are several."""
    if net.outputs > 1 and not np.isin(y, range(net.outputs)).all():
        raise ValueError(f"y must be classes, whole numbers below {net.outputs}")


def moved(net: Network, X: Array, radii: Array) -> Array:
    """What the rounding of multiplied layers can move a difference of outputs, (n, k)."""
    found = np.zeros((len(X), len(radii)))
    if any(net.rounding):
        for k, radius in enumerate(radii.tolist()):
            found[:, k] = 2.1 * sum(net.rounding) * net.sizes(X, radius).max(axis=1)
    return found


def combinations(outputs: int, y: float) -> tuple[Array, Array]:
    """C (q, outputs) and c (q,): what must be small is the largest of ``C f(x + e) + c``.

    ``f - y`` and ``y - f`` for one output; for several, of which y is one, their margins over it.
    """
    if outputs == 1:
        return np.array([[1.0], [-1.0]]), np.array([-y, y])
    C = np.delete(np.eye(outputs), int(y), axis=0)
    C[:, int(y)] = -1.0
    return C, np.zeros(outputs - 1)


def errors_of(bounds: Array, radii: Array, classes: bool) -> Array:
    """Upper errors (n, k) from bounds of what `combinations` names; those of larger balls hold."""
    if classes:
        upper = (bounds >= 0).astype(float)
    else:
        upper = np.maximum(bounds, 0.0) ** 2 * (1 + 4 * _EPS)
        upper = np.nextafter(upper, np.inf)
    order = np.argsort(radii)
    upper[:, order] = np.minimum.accumulate(upper[:, order[::-1]], axis=1)[:, ::-1]
    return upper


def _prove(net: Network, around: Around, C: Array, shift: float, tree: dict[str, Any]) -> None:
    """That no point of the ball has more than the bound of the tree."""
    row = Dyadic.of(C[None])
    outer = (row @ Dyadic.of(net.weights[-1])).fractions()
    (value,) = (
        row @ Dyadic.of(net.biases[-1][:, None]) + Dyadic.of(np.array([[shift]]))
    ).fractions()
    bound = tree["bound"]
    if type(bound) is not float or not np.isfinite(bound):
        raise ProofError("a bound is not a finite number")
    for part, chosen in cells(tree["parts"], np.zeros(len(outer), dtype=int), len(outer)):
        if "cut" not in part:
            _holds(around, outer, Fraction(bound) - value, chosen, part)


def _holds(
    around: Around, outer: list[Fraction], room: Fraction, chosen: Array, part: dict[str, Any]
) -> None:
    """That ``sum a_i (u_i)_+`` is at most `room` where units are on their `chosen` sides."""
    given, lam = array(part["multipliers"], 1), array(part["lam"], 1)
    m, k = len(outer), len(around.groups)
    if len(given) != m or len(lam) != len(around.R):
        raise ProofError("multipliers are missing, or there are too many")
    if not all(np.isfinite(own).all() and (own >= 0).all() for own in (given, lam)):
        raise ProofError("a multiplier is negative, NaN or infinite")
    linear, curved = [], np.zeros(m, dtype=bool)
    for i, (a, z, side) in enumerate(zip(outer, given.tolist(), around.sides, strict=True)):
        if chosen[i]:
            linear.append(a + Fraction(z) if chosen[i] > 0 else -Fraction(z))
        elif a <= 0:
            linear.append(a * min(Fraction(z), Fraction(1)))
        elif z:
            linear.append(a / 2)
            curved[i] = True
        elif side:
            linear.append(a if side > 0 else Fraction(0))
        else:
            raise ProofError("a multiplier is zero, its unit can switch")
    nu = [Fraction(0)] * m  # a_i / (4 kappa) to some digits, of which any prove
    for i in np.flatnonzero(curved).tolist():
        nu[i] = rounded(outer[i] / (4 * Fraction(given[i])), 64, up=True)
        room -= rounded(outer[i] ** 2 / (16 * nu[i]), _BITS, up=True)
    ends = [Fraction(w) for w in lam[around.groups].tolist()]
    for w, r in zip(lam.tolist(), around.R.tolist(), strict=True):
        room -= Fraction(w) * Fraction(r) ** 2
    V = around.values
    last, ones = Dyadic.of(np.eye(k + 1)[:, -1:]), Dyadic.of(np.ones((1, m)))
    half = (last @ (ones @ V.weighted(linear))).times(Fraction(1, 2))
    form = Dyadic.diagonal([*ends, room]) - V.T @ V.weighted(nu) - half - half.T
    # rows and columns to a diagonal near 1
    bits = [int(form.integers[j, j]).bit_length() + form.exponent for j in range(k + 1)]
    scale = Dyadic.diagonal([Fraction(2) ** (-b // 2) for b in bits])
    form = scale @ form @ scale
    if not positive(Matrix([Fraction(0)] * (k + 1), [form], [], 0), 0.0):
        raise ProofError("the multipliers do not prove the bound")
