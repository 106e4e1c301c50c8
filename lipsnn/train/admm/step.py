"""The Lipschitz step (10b) at fixed T, for a network of any depth.

With D = diag(rho I, 2 T_1, .., 2 T_l, I) the LMI of a network at fixed T is ``D - F >= 0``, where
the off-diagonal F has blocks beta_p T_p W between neighbouring layers. It holds just when
D^{-1/2} F D^{-1/2} has no eigenvalue above one. That matrix connects even layers with odd ones
only, so its eigenvalues are plus and minus the singular values of one block of it, G:

    |G| <= 1,  entries of G: beta sqrt(t_k/2) W_ki / sqrt(2 t_i),  from unit i into unit k,

with ``1/sqrt(rho)`` for ``1/sqrt(2 t_i)`` at the inputs and 1 for ``beta sqrt(t_k/2)`` at the
outputs. For one hidden layer and a scalar output this is ``K'K <= diag(rho I_d, 1)`` with rows
``k_i = (sqrt(t_i/2) wbar_i, a_i / sqrt(2 t_i))``. The step is solved over the side of
G with fewer units (`lipsnn.train.admm.saddle`).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from lipsnn import _checks
from lipsnn._checks import Array
from lipsnn.train.admm.interior import StepSolution, interior_point
from lipsnn.train.admm.saddle import Columns, Saddle


class FixedStep:
    """``min mu rho + r/2 |Wbar - V|^2`` such that M(rho, Wbar) <= 0 at fixed T.

    With V = W + Y/r this is (10b) of Pauli et al.; with rho = L_des^2 fixed that of (12). Each
    solve starts from the multiplier of the last.

    What the LMI says of a unit with t_i = 0: its incoming weights are free, so Wbar = V there, and
    those that leave it, towards any unit with t > 0, are zero. At t_i = inf, the multiplier of a
    unit that sees no input, it is the other way round.

    Parameters
    ----------
    multipliers : sequence of array_like
        t of each hidden layer, not negative.
    rho : float
        L_des^2 if `mu` is None, else a guess, such as that of the network that T is from.
    mu : float or None
        Weight of rho; None holds it fixed.
    penalty : float
        r.
    slopes : sequence of float, optional
        The largest slope beta of each hidden layer's activation: 1 for ReLU and tanh, the default.
    tol : float
        ``value - lower`` at which to stop, relative to ``r/2 |V|^2``: the weights are then within
        ``sqrt(tol) |V|`` of the optimal ones.
    """

    def __init__(
        self,
        multipliers: Sequence[Array],
        rho: float,
        *,
        mu: float | None,
        penalty: float,
        slopes: Sequence[float] | None = None,
        tol: float = 1e-10,
    ) -> None:
        self.multipliers = [np.array(t, dtype=np.float64) for t in multipliers]
        for k, t in enumerate(self.multipliers, start=1):
            if t.ndim != 1 or not (t >= 0).all():
                raise ValueError(
                    f"the multipliers of hidden layer {k} must be a number per unit, none negative"
                )
        self.slopes = [1.0] * len(self.multipliers) if slopes is None else list(slopes)
        self.mu = None if mu is None else _checks.positive(mu, "mu")
        self.rho, self.tol = _checks.positive(rho, "rho"), _checks.positive(tol, "tol")
        self.penalty = _checks.positive(penalty, "penalty")
        self._start: Array | None = None

    def solve(self, target: Sequence[Array]) -> StepSolution:
        """The step from V = `target`, a matrix (units out, units in) per layer.

        Raises
        ------
        ValueError
            If the matrices do not chain or do not fit the multipliers.
        """
        for before, after in itertools.pairwise(target):
            if after.shape[1] != before.shape[0]:
                raise ValueError(
                    f"layers do not chain: one of shape {before.shape} is followed by {after.shape}"
                )
        hidden, given = [len(W) for W in target[:-1]], [len(t) for t in self.multipliers]
        if hidden != given:
            raise ValueError(
                f"the network has hidden layers of {hidden} units, the multipliers are for {given}"
            )
        live = [np.flatnonzero((t > 0) & np.isfinite(t)) for t in self.multipliers]
        # by symmetry an input that V does not use is not used by Wbar
        live.insert(0, np.flatnonzero(target[0][live[0]].any(axis=0)))
        live.append(np.arange(len(target[-1])))
        problem, blocks = self._problem(target, live)
        if problem.n == 0:
            solution = StepSolution([], problem.rho, 0.0, 0.0, 0)
        else:
            warm = self._start is not None and len(self._start) == problem.n
            start = self._start if warm else None
            solution, self._start = interior_point(problem, self.tol, start)
        # without inputs that are used the output is constant
        rho = solution.rho if len(live[0]) or self.mu is None else 0.0
        # what the LMI lets be nothing else
        weights = [np.array(matrix) for matrix in target]
        following = [*self.multipliers[1:], np.ones(len(weights[-1]))]
        for k, (t, later) in enumerate(zip(self.multipliers, following, strict=True)):
            weights[k][np.isinf(t)] = 0.0
            weights[k + 1][np.ix_(later > 0, t == 0)] = 0.0
        moved = sum(float(np.sum((W - V) ** 2)) for W, V in zip(weights, target, strict=True))
        for (layer, incoming), x in zip(blocks, solution.weights, strict=True):
            split = len(live[layer - 1]) if incoming else 0
            if incoming:
                weights[layer - 1][np.ix_(live[layer], live[layer - 1])] = x[:, :split]
            if layer < len(target):
                weights[layer][np.ix_(live[layer + 1], live[layer])] = x[:, split:].T
        value, lower = (
            self.penalty * (part + 0.5 * moved) for part in (solution.value, solution.lower)
        )
        return StepSolution(weights, rho, value, lower, solution.iterations)

    def _problem(
        self, target: Sequence[Array], live: list[Array]
    ) -> tuple[Saddle, list[tuple[int, bool]]]:
        """The step over the live units, and each column group's layer and whether it has inputs."""
        last = len(target)
        counts = [len(units) for units in live]
        into = [np.ones(counts[0])]  # beta sqrt(t/2)
        out = [np.ones(counts[0])]  # 1/sqrt(2t); the inputs' 1/sqrt(rho) comes later
        for t, beta, units in zip(self.multipliers, self.slopes, live[1:-1], strict=True):
            into.append(beta * np.sqrt(t[units] / 2))
            out.append(1 / np.sqrt(2 * t[units]))
        into.append(np.ones(counts[-1]))
        # the parity of the layers that are rows of G
        side = int(sum(counts[1::2]) < sum(counts[0::2]))
        begin = np.cumsum([0] + [n if p % 2 == side else 0 for p, n in enumerate(counts)])
        columns, blocks = [], []
        for layer in range(1 - side, last + 1, 2):
            rows, targets, scales = [], [], []
            if layer > 0:
                rows.append(begin[layer - 1] + np.arange(counts[layer - 1]))
                targets.append(target[layer - 1][np.ix_(live[layer], live[layer - 1])])
                scales.append(into[layer][:, None] * out[layer - 1])
            if layer < last:
                rows.append(begin[layer + 1] + np.arange(counts[layer + 1]))
                targets.append(target[layer][np.ix_(live[layer + 1], live[layer])].T)
                scales.append(out[layer][:, None] * into[layer + 1])
            scale = np.hstack(scales)
            if not scale.size:
                continue
            scale = scale[:1] if layer in (0, last) else scale  # which all columns share
            group = Columns(np.concatenate(rows), np.hstack(targets), scale, inputs=layer == 0)
            columns.append(group)
            blocks.append((layer, layer > 0))
        inputs = np.arange(counts[0]) if side == 0 else np.arange(0)
        order = sum(counts[side::2]) if columns else 0
        mu = None if self.mu is None or not counts[0] else self.mu / self.penalty
        return Saddle(order, tuple(columns), inputs, mu, self.rho), blocks
