"""One layer's program (fact F): convex in its weights, the later biases and all multipliers.

A ReLU network v_0 = x, pre_i = W_{i-1} v_{i-1} + b_{i-1}, v_i = (pre_i)_+, f = W_l v_l + b_l, its
patterns D_i on the data. For a layer j, M_j is block-tridiagonal with the diagonal

    (rho I, 2 T_1, .., 2 T_j, 2 U_{j+1}, .., 2 U_l, I)

and the blocks below it -T_i W_{i-1} (i <= j), -W_j (i = j + 1), -W_{i-1} U_{i-1} (i > j + 1), the
outputs being the last row. It is linear in (rho, T_1 .. T_j, W_j, U_{j+1} .. U_l) together, and is
LipSDP-Neuron's LMI after a congruence by U = T^{-1}. So

    min loss(f) + lam rho   s.t.  (2 D_i - I) pre_i >= 0 for i = j + 1 .. l,  M_j >= 0

over W_j, b_j .. b_l and the multipliers is convex, and contains the network at its own bound.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lipsnn._checks import Array
from lipsnn._optional import cp
from lipsnn.convex.programs import priced, solution
from lipsnn.convex.result import ProgramSolution
from lipsnn.losses import SQUARED, expression


@dataclass(eq=False)
class LayerProgram:
    """The program of layer j at a network.

    Parameters
    ----------
    weights, biases : list of ndarray
        W_0 .. W_l and b_0 .. b_l.
    X : ndarray, (n, d)
    y : ndarray, (n, k), or (n,) class numbers for cross-entropy
    layer : int
        j, from 0; l is the output layer, whose program has no rows.
    strength : float or None
        lam, beside the loss summed over the samples; without meaning where there is a `bound`.
    loss : Separable or CrossEntropy
    bound : float, optional
        L, where the loss alone is minimised under ``rho <= L^2``.
    multipliers : ndarray, (n_1 + .. + n_l,), optional
        The diagonals of T_1 .. T_j, U_{j+1} .. U_l, where they are held.
    pattern : ndarray, (n, n_{j+1}), optional
        The diagonals of D_{j+1} where they are not the network's: it lies on their boundary too.
    """

    weights: list[Array]
    biases: list[Array]
    X: Array
    y: Array
    layer: int
    strength: float | None
    loss: Any = SQUARED
    bound: float | None = None
    multipliers: Array | None = None
    pattern: Array | None = None

    def __post_init__(self) -> None:
        v, pre = [self.X], []
        for W, b in zip(self.weights[:-1], self.biases, strict=False):
            pre.append(v[-1] @ W.T + b)
            v.append(np.maximum(pre[-1], 0.0))
        self.inputs, self.pre = v[self.layer], pre[self.layer :]  # v_j; pre_{j+1} .. pre_l
        self.gates = [(u >= 0).astype(np.float64) for u in self.pre]  # the diagonals of D_i
        if self.pattern is not None:
            self.gates[0] = self.pattern.astype(np.float64)
        self.signs = [2.0 * gate - 1.0 for gate in self.gates]

    def reference(self) -> tuple[Any, dict[str, Any]]:
        """The program in CVXPY as printed, and its variables by name.

        "W" is W_j, "b" the list b_j .. b_l, "t" the list of the diagonals of T_1 .. T_j, U_{j+1} ..
        U_l, and "rho".
        """
        j, weights = self.layer, self.weights
        W, rho = cp.Variable(weights[j].shape), cp.Variable()
        b = [cp.Variable(len(bias)) for bias in self.biases[j:]]
        t = [cp.Variable(len(w), nonneg=True) for w in weights[:-1]]
        sizes = [weights[0].shape[1], *map(len, weights)]
        diagonal = [rho * np.eye(sizes[0]), *(2 * cp.diag(x) for x in t), np.eye(sizes[-1])]
        below = [-cp.diag(x) @ w for x, w in zip(t[:j], weights[:j], strict=True)] + [-W]
        below += [-w @ cp.diag(x) for x, w in zip(t[j:], weights[j + 1 :], strict=True)]
        blocks: list[list[Any]] = [[np.zeros((r, c)) for c in sizes] for r in sizes]
        for i, block in enumerate(diagonal):
            blocks[i][i] = block
        for i, block in enumerate(below):
            blocks[i + 1][i], blocks[i][i + 1] = block, block.T
        M = cp.bmat(blocks)
        rows, u = [], self.inputs @ W.T + _row(b[0])
        for i, (gate, sign) in enumerate(zip(self.gates, self.signs, strict=True)):
            rows.append(cp.multiply(sign, u) >= 0)
            u = cp.multiply(gate, u) @ weights[j + i + 1].T + _row(b[i + 1])
        value, constraints = expression(self.loss, u, self.y), [*rows, (M + M.T) / 2 >> 0]
        if self.multipliers is not None:
            constraints.append(cp.hstack(t) == self.multipliers)
        problem = priced(value, constraints, rho, self.strength, self.bound)
        return problem, {"W": W, "b": b, "t": t, "rho": rho}

    def gains(self, solution: ProgramSolution) -> Array:
        """What the loss gains at most by crossing each active row of layer l, per length of a move.

        The rate -h of `lipsnn.convex.walk` for one row: its multiplier less what the unit then
        adds. With j = l - 1; 0 for rows that are not active.
        """
        assert solution.weights is not None
        assert solution.cone_duals is not None
        duals = solution.cone_duals.toarray().T
        u = self.inputs @ solution.weights.T + solution.biases[0]
        f = (self.gates[0] * u) @ self.weights[-1].T + solution.biases[1]
        slope = self.loss.gradient(f, self.y) @ self.weights[-1]
        # slack times multiplier is about the same for all rows
        active = np.abs(u) * np.abs(slope).max() < duals * np.abs(u).max()
        length = np.linalg.norm(self.inputs, axis=1, keepdims=True)
        return np.where(active, np.maximum(duals - slope, 0.0), 0.0) * length

    def solve_reference(self, solver: str) -> ProgramSolution:
        """Solve `reference` by a CVXPY solver."""
        problem, variables = self.reference()
        strength = None if self.bound else self.strength
        found = solution(problem, variables["W"], solver, variables["rho"], strength)
        biases = tuple(b.value for b in variables["b"])
        return replace(found, biases=biases, cone_duals=None)


def _row(b: Any) -> Any:
    return cp.reshape(b, (1, b.size), order="C")
