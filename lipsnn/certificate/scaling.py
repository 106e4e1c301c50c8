"""From a network to the chain that is solved, and from its solution back to certified values."""

from __future__ import annotations

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from lipsnn._checks import Array
from lipsnn.certificate.chain import Banded, Chain
from lipsnn.network import Network

# Rounding of the recursions behind a bound, relative and per layer.
ROUNDING = 1e-12
# Below this, what enters a unit and what leaves it, once balanced, moves no digit of the bound.
_FAINT = 1e-20


class ScaledChain:
    """The live part of a network, scaled so that t = 1 and rho = 1 is strictly feasible.

    The chain takes T = lambda_max(Q) I in each layer from the last to the first, Q what the
    layers after it ask for: the multipliers behind the product of the norms, roughly.

    Units that are all but switched off (alpha = 0) are left out of the chain that is solved: the
    dual may hold their response at zero. They count in every bound, with t = 1.
    """

    def __init__(self, layers: Network, live: list[Array]) -> None:
        every = [np.ones(layers.dim, dtype=bool), *live, np.ones(layers.outputs, dtype=bool)]
        weights = [
            weight[np.ix_(after, before)]
            for weight, before, after in zip(layers.weights, every[:-1], every[1:], strict=True)
        ]
        if weights[0].shape[1] > weights[0].shape[0]:  # the span of the first layer's rows
            weights[0] = np.linalg.qr(weights[0].T)[1].T
        # by powers of two, so that nothing overflows and nothing is lost
        self.exponents = [int(np.frexp(np.abs(weight).max())[1]) for weight in weights]
        weights = [np.ldexp(w, -e) for w, e in zip(weights, self.exponents, strict=True)]
        self.balances = _balance(weights)
        Q = weights[-1].T @ weights[-1]
        self.levels = np.ones(len(live))
        for i in range(len(live) - 1, -1, -1):
            alpha, beta = layers.sectors[i]
            level = float(np.linalg.eigvalsh(Q)[-1])
            self.levels[i] = level
            weights[i + 1] = weights[i + 1] / np.sqrt(level)
            weights[i] = weights[i] * np.sqrt(level)
            eye = np.eye(len(Q))
            core = (alpha + beta) ** 2 * np.linalg.inv(2 * eye - Q / level) - 2 * alpha * beta * eye
            Q = weights[i].T @ core @ weights[i]
        self.rho = 1.5 * float(np.linalg.eigvalsh(Q)[-1])
        weights[0] = weights[0] / np.sqrt(self.rho)
        self.whole = Chain(weights, layers.sectors)
        strong = [
            (np.abs(weights[i]).max(axis=1) > _FAINT) | (layers.sectors[i][0] != 0)
            for i in range(len(live))
        ]
        for i, units in enumerate(strong):
            units[np.abs(weights[i]).max(axis=1).argmax()] = True
        self.solved = np.concatenate(strong)
        inner = [np.ones(weights[0].shape[1], dtype=bool), *strong, every[-1]]
        self.chain = Chain(
            [w[np.ix_(b, a)] for w, a, b in zip(weights, inner[:-1], inner[1:], strict=True)],
            layers.sectors,
        )

    def _with_faint(self, t: Array) -> Array:
        """Multipliers of all live units."""
        every = np.ones(len(self.solved))
        every[self.solved] = t
        return every

    def unscale(self, rho: float) -> float:
        """L of the network for a rho of the chain."""
        return float(np.ldexp(np.sqrt(max(rho, 0.0) * self.rho), sum(self.exponents)))

    def multipliers(self, t: Array) -> list[Array]:
        """Multipliers of the network, layer by layer."""
        behind = np.cumsum(self.exponents[::-1])[::-1]
        t = self._with_faint(t)
        return [
            np.ldexp(t[place] * self.levels[i], 2 * (int(behind[i + 1]) + self.balances[i]))
            for i, place in enumerate(self.whole.of)
        ]

    def bound(self, t: Array) -> float:
        """The smallest L that multipliers of the chain certify, rounded up."""
        try:
            rho = float(np.linalg.eigvalsh(self.whole.backward(self._with_faint(t)))[-1])
        except np.linalg.LinAlgError:
            return np.inf
        return self.unscale(rho) * (1 + ROUNDING * (self.chain.depth + 1))


def _balance(weights: list[Array]) -> list[Array]:
    """Exponents of powers of two, one per unit: into what enters it, and out of what leaves it.

    A unit that training all but switched off has tiny weights on one side: its multiplier would be
    many orders of magnitude from the others'.
    """
    balances = []
    for i in range(len(weights) - 1):
        enters = np.frexp(np.abs(weights[i]).max(axis=1))[1]
        leaves = np.frexp(np.abs(weights[i + 1]).max(axis=0))[1]
        balance = (leaves - enters) // 2
        weights[i] = np.ldexp(weights[i], balance[:, None])
        weights[i + 1] = np.ldexp(weights[i + 1], -balance)
        balances.append(balance)
    return balances


def lower_value(chain: Chain, X: Banded) -> float:
    """A lower value of rho: the blocks of X made feasible for the dual, layer by layer.

    Given the covariance C of v_{i-1}, v_i = m u + r eta with eta linear in v_{i-1} plus noise as
    X says, scaled down unit by unit where E eta^2 > E u^2.
    """
    C = X.diagonal[0] / np.trace(X.diagonal[0])
    for i, (alpha, beta) in enumerate(chain.sectors):
        W, below = chain.weights[i], X.below[i]
        gain = cho_solve(cho_factor(X.diagonal[i]), below.T).T
        noise = X.diagonal[i + 1] - gain @ below.T
        linear = (alpha + beta) / 2 * W
        excess = gain - linear
        has = np.einsum("ij,ij->i", excess @ C, excess) + np.diag(noise)
        allowed = ((beta - alpha) / 2) ** 2 * np.einsum("ij,ij->i", W @ C, W)
        shrink = np.sqrt(np.minimum(allowed / np.maximum(has, np.finfo(float).tiny), 1.0))
        gain = linear + shrink[:, None] * excess
        C = gain @ C @ gain.T + shrink[:, None] * noise * shrink
    return float(np.vdot(chain.gram, C))
