"""What a bound sees of a network: its weights and sectors, their scale, and who is connected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lipsnn._checks import Array
from lipsnn.activations import Activation, Sector
from lipsnn.network import Layers

# More than two roundings, relative: of an entry of layers that were multiplied, and of a rescaling.
_ONCE = 2.0**-51
# Rounding of the recursions behind a bound, relative and per layer.
_ROUNDING = 1e-12


@dataclass(frozen=True, eq=False)
class Form(Layers):
    """W_0 (n_1, d), .., W_l (k, n_l) and the sectors (alpha, beta) between them."""

    weights: tuple[Array, ...]
    sectors: tuple[Sector, ...]
    # of a local bound by layer the slopes of units that have one only, NaN for the free ones; a
    # unit that bends on the region is ``m u + r eta`` with the sector (-1, 1) for eta, and has m
    fixed: tuple[Array, ...] = ()
    # r, 1 for a free unit and 0 for one that has one slope only
    gains: tuple[Array, ...] = ()
    # of a whole network its hidden biases b_0 (n_1,), .. and what stands between its layers
    biases: tuple[Array, ...] = ()
    activations: tuple[Activation, ...] = ()

    def __post_init__(self) -> None:
        if not self.fixed:
            free = tuple(np.full(n, np.nan) for n in self.widths)
            object.__setattr__(self, "fixed", free)
        if not self.gains:
            gains = tuple(np.isnan(own) * 1.0 for own in self.fixed)
            object.__setattr__(self, "gains", gains)

    @classmethod
    def of(cls, net: Any) -> Form:
        """That of a `ShallowNet` or `Network`."""
        if hasattr(net, "outer"):
            weights, biases = (net.weights[:, :-1], net.outer[None, :]), (net.weights[:, -1],)
            return cls(weights, ((0.0, 1.0),), (), (), biases, (Activation("relu"),))
        return cls(net.weights, net.sectors, (), (), net.biases, net.activations)

    @property
    def small(self) -> bool:
        """Whether it has one hidden layer and one output: program (2) is then small (fact A)."""
        return len(self.sectors) == 1 and self.outputs == 1

    @property
    def free(self) -> list[Array]:
        """The units, by layer, that may take any slope of their sector."""
        return [own > 0 for own in self.gains]

    @property
    def all_free(self) -> bool:
        """Whether every unit may take any slope of the sector of its activation."""
        return all(np.isnan(own).all() for own in self.fixed)

    @property
    def bent(self) -> bool:
        """Whether a unit has a sector of its own."""
        pairs = zip(self.fixed, self.gains, strict=True)
        return any((np.isfinite(m) & (r > 0)).any() for m, r in pairs)

    @property
    def moving(self) -> list[Array]:
        """The units, by layer, that have a slope other than zero."""
        return [(m != 0) | (r > 0) for m, r in zip(self.fixed, self.gains, strict=True)]

    @property
    def steepest(self) -> list[float]:
        """The largest slope of each layer, rounded up."""
        found = []
        for (alpha, beta), m, r in zip(self.sectors, self.fixed, self.gains, strict=True):
            own = float(np.nextafter(np.max(np.abs(m) + r), np.inf)) if len(m) else np.nan
            found.append(max(abs(alpha), abs(beta)) if np.isnan(own) else own)
        return found

    def fixing(self, known: list[Array]) -> Form:
        """With what is known of each unit on a region, by layer.

        Its side (n,): 1 for u >= 0, -1 for u <= 0, 0 for a free one. Or its sector (2, n).
        """
        fixed, gains, sectors = [], [], []
        for phi, own, sector in zip(self.activations, known, self.sectors, strict=True):
            if own.ndim == 2:
                middle = own[0] / 2 + own[1] / 2
                reach = np.maximum(own[1] - middle, middle - own[0])
                gains.append(np.where(own[0] == own[1], 0.0, np.nextafter(reach, np.inf)))
                fixed.append(np.where(own[0] == own[1], own[0], middle))
                sectors.append((-1.0, 1.0))
                continue
            own = own * phi.homogeneous
            above, below = phi.slope(np.ones(len(own))), phi.slope(-np.ones(len(own)))
            fixed.append(np.select([own > 0, own < 0], [above, below], np.nan))
            gains.append(1.0 * (own == 0))
            sectors.append(sector)
        return Form(self.weights, tuple(sectors), tuple(fixed), tuple(gains))

    def part(self, live: list[Array]) -> Form:
        """The network of the units in `live` alone."""
        every = [np.ones(self.dim, dtype=bool), *live, np.ones(self.outputs, dtype=bool)]
        return Form(
            tuple(
                weight if after.all() and before.all() else weight[np.ix_(after, before)]
                for weight, before, after in zip(self.weights, every[:-1], every[1:], strict=True)
            ),
            self.sectors,
            tuple(own[units] for own, units in zip(self.fixed, live, strict=True)),
            tuple(own[units] for own, units in zip(self.gains, live, strict=True)),
        )


def reach(form: Form) -> tuple[list[Array], list[Array]]:
    """Units that see an input and act on an output, and those that see an input, by layer."""
    linked = [weight != 0 for weight in form.weights]
    moves = form.moving
    seen, ahead = [], np.ones(form.dim, dtype=bool)
    for links, own in zip(linked[:-1], moves, strict=True):
        seen.append(links[:, ahead].any(axis=1))
        ahead = seen[-1] & own
    used, behind = [], np.ones(form.outputs, dtype=bool)
    for links, own in zip(reversed(linked[1:]), reversed(moves), strict=True):
        behind = links[behind].any(axis=0) & own
        used.append(behind)
    return [a & b for a, b in zip(seen, used[::-1], strict=True)], seen


def outwards(sectors: Sequence[Sector]) -> float:
    """The share by which values of a chain are rounded outwards.

    Units that are all but linear magnify rounding: by their sector's size over its width.
    """
    spread = max((abs(alpha) + abs(beta)) / (beta - alpha) for alpha, beta in sectors)
    return _ROUNDING * (len(sectors) + 1) * spread


def balance(weights: tuple[Array, ...]) -> list[Array]:
    """Exponents k_0 = 0, k_1 (n_1,), .., k_l, k_(l+1) of powers of two, one per unit.

    ``2^k_i`` at the rows of W_(i-1) and ``2^-k_i`` at the columns of W_i bring the largest entry
    that enters a unit and the largest that leaves it together, and the largest of each layer
    near 1: nothing overflows, and no unit is forgotten because its weights are tiny on one side.
    k_(l+1), the same for all outputs, is what the bound is off by.
    """
    exponents = [
        np.where(weight != 0, np.frexp(weight)[1], -(10**6)).astype(np.int64) for weight in weights
    ]
    found = [np.zeros(weights[0].shape[1], dtype=np.int64)]
    for i in range(len(weights) - 1):
        enters, leaves = exponents[i].max(axis=1), exponents[i + 1].max(axis=0)
        known = (enters > -(10**5)) & (leaves > -(10**5))
        move = np.where(known, (leaves - enters) // 2, 0)
        exponents[i] += move[:, None]
        exponents[i + 1] -= move
        found.append(move)
    shift = 0
    for i, own in enumerate(exponents):
        largest = int(own.max())
        shift -= largest if largest > -(10**5) else 0
        if i < len(weights) - 1:
            found[i + 1] = found[i + 1] + shift
    return [*found, np.full(weights[-1].shape[0], shift)]


def scaled(weight: Array, rows: Array, columns: Array) -> Array:
    """``2^rows weight 2^columns``; what underflows is below 1e-300 of the largest entry."""
    power = rows[:, None] + columns
    if np.abs(power).max(initial=0) < 900:
        return np.ldexp(weight, power)
    mantissa, exponents = np.frexp(weight)
    return np.ldexp(mantissa, np.clip(exponents + power, -1100, 1100))


def scaled_by(weights: Sequence[Array], exponents: list[Array]) -> list[Array]:
    """All weights, scaled by exponents such as `balance` gives."""
    layers = zip(weights, exponents[1:], exponents, strict=False)
    return [scaled(weight, after, -before) for weight, after, before in layers]


def moved_by(form: Form, rounding: tuple[float, ...]) -> float:
    """What relative errors of the entries of W_0 .., W_l can add to a slope of given patterns.

    The weights are those of multiplied layers, made larger and rounded (`lipsnn.convert.affine`):
    ``sum_k rounding_k |W_k|_F`` times the norms of all other layers, without units of slope 0.
    """
    parts = form.part(form.moving).weights
    if not any(rounding) or not all(part.size for part in parts):
        return 0.0
    # what all entries of a hidden layer have in common only makes its slopes larger
    shares = [*(min(e, _ONCE) for e in rounding[:-1]), rounding[-1]]
    # powers of two apart: a product of layers may be of order one where they are not
    powers = np.frexp([np.abs(part).max() for part in parts])[1]
    near = [np.ldexp(part, -power) for part, power in zip(parts, powers, strict=True)]
    errors = [e * float(np.linalg.norm(part)) for e, part in zip(shares, near, strict=True)]
    norms = np.array([np.linalg.norm(part, 2) for part in near]) + errors
    total = sum(e * float(np.delete(norms, k).prod()) for k, e in enumerate(errors))
    total *= (1 + 1e-9) * float(np.prod(form.steepest))
    with np.errstate(over="ignore", under="ignore"):
        return float(np.nextafter(np.ldexp(total, powers.sum()), np.inf)) if total else 0.0


def lengths_of(rows: Array) -> Array:
    """The l2 norms of rows."""
    return np.sqrt(np.einsum("...ij,...ij->...i", rows, rows))


def root(C: Array, room: float = 0.0) -> Array:
    """F (n, K) with FF' about C, of as few columns as leave out at most `room` of its trace."""
    values, vectors = np.linalg.eigh((C + C.T) / 2)
    values = np.maximum(values, 0.0)
    kept = np.cumsum(values) > room
    return vectors[:, kept] * np.sqrt(values[kept])
