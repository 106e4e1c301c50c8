"""ADMM of Pauli et al. for the shallow ReLU network and problem (4)."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from lipsnn import _checks
from lipsnn._checks import Array
from lipsnn.certificate import certify
from lipsnn.network import ShallowNet, with_bias
from lipsnn.train.admm.engine import Iteration, run
from lipsnn.train.admm.step import FixedStep
from lipsnn.train.descent import Descent, Training, squared_loss_gradient
from lipsnn.train.sgd import train_sgd

MULTIPLIERS = ("fixed", "updated")


@dataclass(frozen=True, eq=False)
class AdmmResult:
    """What ADMM arrived at.

    Attributes
    ----------
    net : ShallowNet
        W, the side that fits the data: what the authors report.
    feasible : ShallowNet
        Wbar with the biases of W: its bound is proved by `multipliers`.
    multipliers : ndarray, (m,)
        t of the last Lipschitz step; if T is updated, the optimum of (2) for `feasible`.
    history : tuple of Iteration
        Objective, loss, bound, residuals and seconds of each iteration, in the scale of (4).
    status : str
        "converged", "iteration limit" or "interrupted" (by Ctrl-C: the last complete iteration).
    seconds : float
        Wall time, with the training of the initial network if it was not given.
    """

    net: ShallowNet
    feasible: ShallowNet
    multipliers: Array
    history: tuple[Iteration, ...]
    status: str
    seconds: float


def train_admm(
    X: Any,
    y: Any,
    width: int | None = None,
    strength: float | None = None,
    seed: int = 0,
    *,
    enforce: float | None = None,
    init: ShallowNet | None = None,
    decay: float = 0.1,
    multipliers: Any = "fixed",
    penalty: float = 0.01,
    iterations: int = 50,
    epochs: int = 10,
    batch_size: int | None = 32,
    learning_rate: float = 1e-2,
    optimizer: str = "adam",
    tol: float = 1e-4,
) -> AdmmResult:
    """Train on problem (4) with lam_reg = 0 by ADMM, Pauli et al.'s equations (9) and (10).

    Minimises ``1/2 sum_k (f(x_k) - y_k)^2 + strength rho`` with T held fixed: W fits the data,
    Wbar satisfies the LMI, the multiplier Y and the penalty r draw them together. (10a) is
    `epochs` epochs of gradient steps, (10b) is solved to certified accuracy through its hub of
    order d + 1 (`lipsnn.train.admm.step`). With `enforce` the bound is a constraint instead,
    equation (12): Wbar satisfies it after every iteration. The biases belong to the fit alone.

    As in `train_sgd` the steps are on the objective divided by n, and the learning rate falls to
    zero along a cosine over all iterations; the optimiser keeps its state between them.

    Parameters
    ----------
    X : array_like, (n, d)
    y : array_like, (n,)
    width : int, optional
        Number m of hidden units; that of `init` if None.
    strength : float, optional
        lam_lip, positive; mu of (9). Either this or `enforce`.
    seed : int
        Fixes the initial weights and the order of the mini-batches; torch's global state is
        neither read nor changed.
    enforce : float, optional
        L_des, positive.
    init : ShallowNet, optional
        Where W and Wbar start; by default `train_sgd` with its defaults and strength `decay`. Its
        offset is kept and not trained.
    decay : float
        lam_reg of that first training.
    multipliers : {"fixed", "updated"} or array_like, (m,)
        T: the optimum of program (2) for the initial network, or these numbers, held throughout;
        "updated" solves (2) for Wbar anew after each iteration, as the letter does.
    penalty : float
        r, for the objective divided by n.
    iterations : int
        Rounds of (10), at most.
    epochs, batch_size, learning_rate, optimizer
        Of the gradient steps in each (10a), as in `train_sgd`; `batch_size` None is the full
        batch.
    tol : float
        Residuals, relative to Wbar, at which to stop.

    Returns
    -------
    AdmmResult

    Raises
    ------
    ValueError
        For bad input.
    RuntimeError
        If the weights or the residuals diverge; the message says what to change.
    """
    begun = time.perf_counter()
    if (strength is None) == (enforce is None):
        raise ValueError(
            "give either strength (the bound is penalised) or enforce (the bound is a constraint)"
        )
    if enforce is not None:
        enforce = _checks.positive(enforce, "enforce (L_des)")
    strength = None if strength is None else _checks.positive(strength, "strength")
    penalty = _checks.positive(penalty, "penalty")
    iterations = _checks.count(iterations, "iterations")
    epochs = _checks.count(epochs, "epochs")
    tol = _checks.positive(tol, "tol")
    if width is None:
        if init is None:
            raise ValueError("give width, the number of hidden units, or an init network")
        width = init.width
    if init is None:
        _checks.nonnegative(decay, "decay")
    total = iterations * epochs
    descent = Descent(X, y, width, seed, total, batch_size, learning_rate, optimizer, init)
    fixed = _multipliers(multipliers, width)
    if init is None:
        init = train_sgd(X, y, width, decay, seed)
        descent = Descent(X, y, width, seed, total, batch_size, learning_rate, optimizer, init)
    fit = _ShallowFit(descent, penalty, epochs)
    certificate = certify(init)
    step = FixedStep(
        [certificate.multipliers if fixed is None else fixed],
        # a guess of rho is needed even where the initial network is constant
        enforce**2 if enforce is not None else certificate.bound**2 or 1.0,
        mu=strength,
        penalty=len(descent.X) * penalty,
    )

    def update(weights: list[Array]) -> None:
        step.multipliers = [certify(fit.network(weights)).multipliers]

    outcome = run(
        fit,
        step,
        strength=0.0 if strength is None else strength,
        penalty=len(descent.X) * penalty,
        iterations=iterations,
        tol=tol,
        retune=update if isinstance(multipliers, str) and multipliers == "updated" else None,
    )
    return AdmmResult(
        net=outcome.net,
        feasible=outcome.feasible,
        multipliers=step.multipliers[0],
        history=outcome.history,
        status=outcome.status,
        seconds=time.perf_counter() - begun,
    )


class _ShallowFit:
    """The side W: ``1/2 sum_k (f(x_k) - y_k)^2`` by the loop of `train_sgd`."""

    def __init__(self, descent: Descent, penalty: float, epochs: int) -> None:
        self.training, self.penalty, self.epochs = Training(descent), penalty, epochs
        self.inputs, self.targets = with_bias(descent.X), descent.y

    @property
    def weights(self) -> list[Array]:
        return [self.training.weights[:, :-1].copy(), self.training.outer[None].copy()]

    def descend(self, anchor: Sequence[Array]) -> None:
        hidden, outer_anchor = anchor[0], anchor[1][0]

        def gradient(weights: Array, outer: Array, batch: torch.Tensor) -> tuple[Array, Array]:
            rows = batch.numpy()
            by_weights, by_outer = squared_loss_gradient(
                weights, outer, self.inputs[rows], self.targets[rows]
            )
            by_weights[:, :-1] += self.penalty * (weights[:, :-1] - hidden)
            return by_weights, by_outer + self.penalty * (outer - outer_anchor)

        self.training.advance(gradient, self.epochs)

    def loss(self, weights: Sequence[Array]) -> float:
        net = self.network(weights)
        output = np.maximum(self.inputs @ net.weights.T, 0.0) @ net.outer
        return 0.5 * float(np.sum((output - self.targets) ** 2))

    def network(self, weights: Sequence[Array]) -> ShallowNet:
        """The network with these matrices and the present biases."""
        biases = self.training.weights[:, -1]
        return ShallowNet(
            np.column_stack([weights[0], biases]), weights[1][0], self.training.offset
        )


def _multipliers(multipliers: Any, width: int) -> Array | None:
    """The user's numbers, checked; None if T is to come from program (2)."""
    if isinstance(multipliers, str):
        _checks.one_of(multipliers, "multipliers", MULTIPLIERS)
        return None
    t = _checks.finite_array(multipliers, "multipliers", 1)
    if len(t) != width or (t < 0).any():
        raise ValueError(f"multipliers must be {width} numbers, none negative, one per hidden unit")
    return t
