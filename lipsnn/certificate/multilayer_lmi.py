"""LipSDP-Neuron as printed, one LMI for the whole network: the reference of the chordal method."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from lipsnn._checks import Array
from lipsnn._optional import cp
from lipsnn.certificate.chain import Chain
from lipsnn.solvers import Solution, solve


@dataclass(frozen=True, eq=False)
class LayersLmiSolution:
    """What a solver found: rho, t (units,), the dual matrix X (order, order), and its status."""

    rho: float
    t: Array
    X: Array
    solution: Solution


def layers_matrix(weights: Any, sectors: Any, rho: Any, t: Any) -> Any:
    """The LMI's matrix, negative semidefinite for a certificate, of order sum of all widths.

    ``[A; B]'[[-2 alpha beta T, (alpha + beta) T], [(alpha + beta) T, -2 T]][A; B]
    + blkdiag(-rho I, 0, W_l'W_l)`` with ``A = [blkdiag(W_0 .. W_{l-1}) 0]``, ``B = [0 I]``: Fazlyab
    et al. (2019), Theorem 2, with a sector per layer. Affine in rho and t.

    Parameters
    ----------
    weights : sequence of ndarray
        W_0 .. W_l.
    sectors : sequence of (alpha, beta)
    rho : float or CVXPY scalar
    t : ndarray or CVXPY vector, (n_1 + .. + n_l,)
    """

    inner = weights[:-1]
    units, order = sum(len(w) for w in inner), sum(w.shape[1] for w in weights)
    A, B = np.zeros((units, order)), np.eye(order)[order - units :]
    row = column = 0
    for w in inner:
        A[row : row + w.shape[0], column : column + w.shape[1]] = w
        row, column = row + w.shape[0], column + w.shape[1]
    alpha = np.concatenate([np.full(len(w), s[0]) for w, s in zip(inner, sectors, strict=True)])
    beta = np.concatenate([np.full(len(w), s[1]) for w, s in zip(inner, sectors, strict=True)])
    # the rows of b and of r w: A_j = 2 (b b' - r^2 w w')
    low, high = B - alpha[:, None] * A, B - beta[:, None] * A
    T = cp.diag(t)
    form = low.T @ T @ high
    ends = np.zeros((order, order))
    ends[-weights[-1].shape[1] :, -weights[-1].shape[1] :] = weights[-1].T @ weights[-1]
    start = np.zeros((order, order))
    start[: weights[0].shape[1], : weights[0].shape[1]] = np.eye(weights[0].shape[1])
    return -(form + form.T) - rho * start + ends


def solve_layers_lmi(chain: Chain, solver: str | None = None) -> LayersLmiSolution:
    """min rho over rho and t >= 0 such that the matrix is negative semidefinite."""

    rho, t = cp.Variable(), cp.Variable(chain.units, nonneg=True)
    lmi = layers_matrix(chain.weights, chain.sectors, rho, t) << 0
    solution = solve(cp.Problem(cp.Minimize(rho), [lmi]), solver)
    if not solution.has_point:
        nothing = np.full(chain.units, np.nan)
        return LayersLmiSolution(
            float("nan"), nothing, np.full((chain.order, chain.order), np.nan), solution
        )
    X = lmi.dual_value
    # a solver's dual matrix is positive to its accuracy only
    X = (X + X.T) / 2 + 1e-12 * np.trace(X) * np.eye(chain.order)
    return LayersLmiSolution(solution.value, np.asarray(t.value), X, solution)
