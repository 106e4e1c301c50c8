"""A loss to which Pauli et al.'s convergence theory applies: a network's loss, linearised inside.

In both weight matrices of a network no loss is convex. Half the squared residuals of the output's
*tangent* at a given network are, and with a ridge strictly so; the LMI (7) is the real one. Both
steps of ADMM are then exact, and CVXPY finds the global minimum of (9) and of (12) in one program.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from lipsnn._checks import Array
from lipsnn.network import ShallowNet, with_bias
from lipsnn.solvers import Solution, solve
from lipsnn.train.admm.engine import run
from lipsnn.train.admm.step import FixedStep
from studies.pauli.reference import holds


@dataclass(frozen=True, eq=False)
class TangentLoss:
    """``1/2 |residual + J (w - centre)|^2 + ridge/2 |w - centre|^2``, w all weights but biases.

    Attributes
    ----------
    shapes : tuple of tuple
        Of W^0, (m, d), and W^1, (1, m): w holds their rows one after the other.
    centre : ndarray, (m d + m,)
    residual : ndarray, (n,)
        f(x_k) - y_k of the network at the centre.
    jacobian : ndarray, (n, m d + m)
    ridge : float
    """

    shapes: tuple[tuple[int, int], ...]
    centre: Array
    residual: Array
    jacobian: Array
    ridge: float

    def __call__(self, w: Array) -> float:
        """The loss at weights (m d + m,)."""
        error = self.residual + self.jacobian @ (w - self.centre)
        return 0.5 * float(error @ error + self.ridge * np.sum((w - self.centre) ** 2))

    def gradient(self, w: Array) -> Array:
        """Its gradient (m d + m,)."""
        error = self.residual + self.jacobian @ (w - self.centre)
        return self.jacobian.T @ error + self.ridge * (w - self.centre)

    def split(self, w: Array) -> list[Array]:
        """W^0 and W^1."""
        size = int(np.prod(self.shapes[0]))
        parts = (w[:size], w[size:])
        return [part.reshape(shape) for part, shape in zip(parts, self.shapes, strict=True)]


def tangent_loss(net: ShallowNet, X: Array, y: Array, ridge: float) -> TangentLoss:
    """The tangent of a ReLU network's loss (4) at its own weights."""
    inputs = with_bias(X)
    before = inputs @ net.weights.T
    on = (before >= 0) * net.outer
    by_hidden = on[:, :, None] * inputs[:, None, :-1]
    jacobian = np.hstack([by_hidden.reshape(len(X), -1), np.maximum(before, 0.0)])
    centre = np.concatenate([net.weights[:, :-1].ravel(), net.outer])
    shapes = (net.weights[:, :-1].shape, (1, net.width))
    return TangentLoss(shapes, centre, net(X) - y, jacobian, ridge)


@dataclass(frozen=True, eq=False)
class Path:
    """Every round of ADMM on a `TangentLoss`, a row each.

    Attributes
    ----------
    W, Wbar, Y : ndarray, (k, m d + m)
    objective : ndarray, (k,)
        Loss of Wbar plus mu rho; the loss alone with an enforced bound.
    """

    W: Array
    Wbar: Array
    Y: Array
    objective: Array


class _Fit:
    """The side W, (10a) solved exactly."""

    def __init__(self, loss: TangentLoss, start: Array, penalty: float) -> None:
        self.model, self.w, self.penalty = loss, start, penalty
        hessian = loss.jacobian.T @ loss.jacobian
        hessian[np.diag_indices_from(hessian)] += loss.ridge
        self.right = hessian @ loss.centre - loss.jacobian.T @ loss.residual
        hessian[np.diag_indices_from(hessian)] += penalty
        self.factor = cho_factor(hessian)
        self.visited: list[Array] = []

    @property
    def weights(self) -> list[Array]:
        return self.model.split(self.w)

    def descend(self, anchor: Sequence[Array]) -> None:
        self.w = cho_solve(self.factor, self.right + self.penalty * _flat(anchor))
        self.visited.append(self.w)

    def loss(self, weights: Sequence[Array]) -> float:
        return self.model(_flat(weights))

    def network(self, weights: Sequence[Array]) -> Any:
        return None  # a linearised loss has weights and no network


def admm(
    loss: TangentLoss,
    multipliers: Array,
    *,
    strength: float | None = None,
    enforce: float | None = None,
    penalty: float,
    iterations: int,
    start: Array,
) -> Path:
    """The scheme (10) on (9), with `strength` mu, or on (12), with L_des = `enforce`.

    From W = Wbar = `start` (m d + m,) and Y = 0, T fixed.
    """
    fit = _Fit(loss, start, penalty)
    rho = 1.0 if enforce is None else enforce**2
    step = FixedStep([multipliers], rho, mu=strength, penalty=penalty, tol=1e-12)
    feasible: list[Array] = []
    outcome = run(
        fit,
        step,
        strength=strength or 0.0,
        penalty=penalty,
        iterations=iterations,
        tol=1e-12,
        update=lambda weights: feasible.append(_flat(weights)),
    )
    W, bar = np.array(fit.visited), np.array(feasible)
    objective = np.array([entry.objective for entry in outcome.history])
    return Path(W, bar, penalty * np.cumsum(W - bar, axis=0), objective)


def global_minimum(
    loss: TangentLoss,
    multipliers: Array,
    *,
    strength: float | None = None,
    enforce: float | None = None,
    solver: str | None = None,
) -> tuple[Array, Solution]:
    """The minimiser of (9) or (12) and what the solver said, by CVXPY in one program."""
    import cvxpy as cp

    weights = [cp.Variable(shape) for shape in loss.shapes]
    w = cp.hstack([cp.vec(W, order="C") for W in weights])
    level = cp.Variable(nonneg=True)
    error = loss.residual + loss.jacobian @ (w - loss.centre)
    cost = 0.5 * (cp.sum_squares(error) + loss.ridge * cp.sum_squares(w - loss.centre))
    conditions = [holds(weights, level, [multipliers])]
    if enforce is None:
        cost = cost + strength * level
    else:
        conditions.append(level == enforce**2)
    solution = solve(cp.Problem(cp.Minimize(cost), conditions), solver)
    if not solution.has_point:
        return np.full(len(loss.centre), np.nan), solution
    return _flat([np.asarray(W.value) for W in weights]), solution


def descent_of(path: Path, penalty: float, minimiser: Array, multiplier: Array) -> Array:
    """V of the convergence proof, ``|Y - Y*|^2 / r + r |Wbar - W*|^2``, round by round."""
    from_dual = np.sum((path.Y - multiplier) ** 2, axis=1) / penalty
    return from_dual + penalty * np.sum((path.Wbar - minimiser) ** 2, axis=1)


def _flat(weights: Sequence[Array]) -> Array:
    return np.concatenate([np.ravel(W) for W in weights])
