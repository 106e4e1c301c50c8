"""From a network to the chain that is solved, and from its solution back to certified values."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from lipsnn._checks import Array
from lipsnn.activations import Sector
from lipsnn.certificate.chain import Banded, Chain
from lipsnn.certificate.form import Form, balance, lengths_of, outwards, root, scaled_by
from lipsnn.certificate.skipped import Skipped

# Below this, what enters a unit and what leaves it, once balanced, moves no digit of the bound.
_FAINT = 1e-20
# Room that a unit's response keeps to its sector's ends, relative: rounding must not leave it.
_INSIDE = 1e-13


class ScaledChain:
    """A network of live units, scaled so that t = 1 and rho = 1 is strictly feasible.

    The chain takes T = lambda_max(Q) I in each layer from the last to the first, Q what the
    layers after it ask for: the multipliers behind the product of the norms, roughly. Its
    increments are ``s_i v_i`` with ``s_i = size_i 2^exponents_i``.

    Units that are all but switched off (where 0 is a slope) are left out of the chain that is
    solved: the dual may hold their response at zero. They count in every bound, with t = 1.
    Units that `form` fixes are no variables of the chain (`Skipped`).
    """

    def __init__(self, form: Form) -> None:
        self.form, self.free = form, form.free
        self.exponents = balance(form.weights)
        weights = scaled_by(form.weights, self.exponents)
        self.basis: Array | None = None
        if weights[0].shape[1] > weights[0].shape[0]:  # the span of the first layer's rows
            self.basis, triangle = np.linalg.qr(weights[0].T)
            weights[0] = triangle.T
        Q = weights[-1].T @ weights[-1]
        self.sizes = np.ones(len(form.weights))
        for i in range(len(form.sectors) - 1, -1, -1):
            alpha, beta = form.sectors[i]
            level, eye = float(np.linalg.eigvalsh(Q)[-1]), np.eye(len(Q))
            size, m, r = level, np.nan_to_num(form.fixed[i]), form.gains[i].max()
            if form.bent and np.isfinite(form.fixed[i]).all() and r > 0:
                # |m u + r eta|^2 <= (1 + share) |m u|^2 + (1 + 1 / share) |r eta|^2
                share = r / max(np.abs(m).max(), r * 1e-9)
                size = level * (1 + 1 / share) * r * r
                core = np.diag((1 + share) * level / size * m * m + 2)
            else:
                core = np.linalg.inv(2 * eye - Q / level)
                core = (alpha + beta) ** 2 * core - 2 * alpha * beta * eye
            self.sizes[i + 1] = np.sqrt(size)
            weights[i + 1] = weights[i + 1] / self.sizes[i + 1]
            weights[i] = weights[i] * self.sizes[i + 1]
            Q = weights[i].T @ core @ weights[i]
        self.sizes[0] = np.sqrt(1.5 * float(np.linalg.eigvalsh(Q)[-1]))
        weights[0] = weights[0] / self.sizes[0]
        strong = [
            (np.abs(weights[i]).max(axis=1) > _FAINT)
            | (alpha * beta > 0)
            | np.isfinite(form.fixed[i])
            for i, (alpha, beta) in enumerate(form.sectors)
        ]
        for i, units in enumerate(strong):
            units[np.abs(weights[i]).max(axis=1).argmax()] = True
        every = [np.ones(n, bool) for n in form.widths]
        self.whole, self.chain = self._chain(weights, every), self._chain(weights, strong)
        self.solved = np.concatenate(strong)[np.concatenate(self.free)]

    def _chain(self, weights: list[Array], units: list[Array]) -> Chain:
        """The chain of some units of each layer."""
        part = replace(self.form, weights=tuple(weights)).part(units)
        return Chain(list(part.weights), part.sectors) if part.all_free else Skipped(part)

    def _with_faint(self, t: Array) -> Array:
        """Multipliers of all live units that are free."""
        every = np.ones(len(self.solved))
        every[self.solved] = t
        return every

    def unscale(self, rho: float) -> float:
        """L of the network for a rho of the chain; may overflow to infinity."""
        size = np.sqrt(max(rho, 0.0)) * self.sizes[0]
        with np.errstate(over="ignore", under="ignore"):
            return float(np.ldexp(size, -int(self.exponents[-1][0])))

    def multipliers(self, t: Array) -> list[Array]:
        """Multipliers of the network, layer by layer; 0 or infinite where float64 has none.

        Infinite for fixed units.
        """
        t, out, found = self._with_faint(t), self.exponents[-1][0], []
        for i, (place, free) in enumerate(zip(self.whole.of, self.free, strict=True)):
            found.append(np.full(len(free), np.inf))
            with np.errstate(over="ignore", under="ignore"):
                own = t[place] * self.sizes[i + 1] ** 2
                found[-1][free] = np.ldexp(own, 2 * (self.exponents[i + 1][free] - out))
        return found

    def bound(self, t: Array) -> float:
        """The smallest L that multipliers of the chain certify, rounded up."""
        try:
            rho = float(np.linalg.eigvalsh(self.whole.backward(self._with_faint(t)))[-1])
        except np.linalg.LinAlgError:
            return np.inf
        room = outwards(self.chain.sectors)
        if isinstance(self.whole, Skipped):
            if self.whole.error > 1e-8:
                return np.inf  # fixed slopes cancel: too few digits are left
            room += 4 * self.whole.depth * self.whole.error
        # upwards before the powers of two, too: what they leave may be subnormal
        found = self.unscale(rho * (1 + room) ** 2)
        return float(np.nextafter(found, np.inf)) if found else found

    def dual(self, X: Banded, t: Array, room: float) -> tuple[list[Array], float]:
        """Increments of the network that satisfy all sectors, and the L below which none proves.

        X are covariances of the chain's increments, t weights of its units. The blocks of X, layer
        by layer: given v_{i-1}, X says v_i = m u + r eta with eta linear in v_{i-1} plus noise,
        which is scaled down unit by unit where E eta^2 > E u^2. A share `room` of each layer's
        variance may be dropped, to have fewer columns. There are F_0 (d, K), of norm 1, .., F_l
        (n_l, K) with v_i = F_i xi, xi standard normal; the value is rounded down.
        """
        chain = self.chain
        if isinstance(chain, Skipped):
            return self._skipped_dual(chain, X, t, room)
        total = float(np.trace(X.diagonal[0]))
        start = root(X.diagonal[0], room * total)
        factors = [start / np.linalg.norm(start)]
        for i, (alpha, beta) in enumerate(chain.sectors):
            W, below = chain.weights[i], X.below[i]
            gain = cho_solve(cho_factor(X.diagonal[i]), below.T).T
            weight = np.sqrt(np.maximum(t[chain.of[i]], np.finfo(float).tiny))
            after = X.diagonal[i + 1] * np.outer(weight, weight)
            rest = (X.diagonal[i + 1] - gain @ below.T) * np.outer(weight, weight)
            noise = root(rest, room * float(np.trace(after))) / (np.sqrt(total) * weight[:, None])
            before = factors[-1]
            u = W @ before
            eta = np.hstack([gain @ before - (alpha + beta) / 2 * u, noise])
            wide = np.hstack([u, np.zeros_like(noise)])
            answer = _inside(wide, eta, np.abs(W) @ lengths_of(before), W.shape[1], (alpha, beta))
            factors = [np.hstack([F, np.zeros((len(F), noise.shape[1]))]) for F in factors]
            factors.append(answer)
        return self._valued(factors, chain.weights[-1] @ factors[-1])

    def _skipped_dual(
        self, chain: Skipped, X: Banded, t: Array, room: float
    ) -> tuple[list[Array], float]:
        """`dual` of the free units: X says all of their increments together."""
        increments = chain.increments(X, t, room)
        factors = [increments[0] / np.linalg.norm(increments[0])]
        before = factors[0]
        for i, (alpha, beta) in enumerate(chain.sectors):
            W, sizes = (x[chain.of[i], : len(before)] for x in (chain.rows, chain.sizes))
            lean = chain.lean[chain.of[i]]
            u = W @ before
            eta = increments[i + 1] / np.linalg.norm(increments[0]) - (alpha + beta) / 2 * u
            largest = (i + 1) * (sizes @ lengths_of(before))
            factors.append(_inside(u, eta, largest, W.shape[1], (alpha, beta), lean))
            before = np.vstack([before, factors[-1]])
        return self._valued(factors, chain.outer @ before)

    def _valued(self, factors: list[Array], outputs: Array) -> tuple[list[Array], float]:
        """Increments of the chain as those of the network, and the L that the outputs' show."""
        value = float(np.sum(outputs**2))
        lower = self.unscale(value * max(0.0, 1 - 2 * outwards(self.chain.sectors)))
        return self._of_network(factors), lower if lower > 1e-300 else 0.0

    def _of_network(self, factors: list[Array]) -> list[Array]:
        """The same increments before scaling, with the units that were left out."""
        first = factors[0] if self.basis is None else self.basis @ factors[0]
        found = [first]
        for i, (F, free) in enumerate(zip(factors[1:], self.free, strict=True)):
            place = self.whole.of[i]
            whole = np.zeros((place.stop - place.start, F.shape[1]))
            whole[self.solved[place]] = F
            size = self.sizes[0] / self.sizes[i + 1]
            rows = np.zeros((len(free), F.shape[1]))
            with np.errstate(over="ignore", under="ignore"):
                rows[free] = np.ldexp(size * whole, -self.exponents[i + 1][free, None])
            slopes = np.nan_to_num(self.form.fixed[i])
            on = slopes != 0
            rows *= self.form.gains[i][:, None]
            rows[on] += slopes[on, None] * (self.form.weights[i][on] @ found[-1])
            found.append(rows)
        return found


def _inside(
    u: Array, eta: Array, largest: Array, terms: int, sector: Sector, lean: Any = 0.0
) -> Array:
    """Responses ``m u + r eta`` of units, eta scaled down where it would leave the sector.

    `largest` is what u (n, K) comes to without cancellation, in sums of `terms`; `lean` is by how
    much a unit's middle slope outweighs the half width of its own sector.
    """
    alpha, beta = sector
    has, size = lengths_of(eta), lengths_of(u)
    # rounding of u, in the chain and once more in the network
    error = 1e-15 * np.sqrt(terms) * largest
    allowed = (beta - alpha) / 2 * (size * (1 - _INSIDE) - error)
    # of the answer: much, in a narrow sector
    allowed -= 1e-14 * (abs(alpha + beta) / 2 + lean) * size
    with np.errstate(divide="ignore"):
        shrink = np.clip(np.where(has > 0, allowed / has, 0.0), 0.0, 1.0)
    answer = (alpha + beta) / 2 * u + shrink[:, None] * eta
    answer[size <= 4 * error] = 0.0
    return answer
