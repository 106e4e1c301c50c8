"""The scheme (10) of Pauli et al., for any fit and any Lipschitz step."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from lipsnn._checks import Array
from lipsnn.status import Status
from lipsnn.train.admm.interior import StepSolution

# Residuals beyond this many times the size of the first weights are no start of convergence.
_RUNAWAY = 100.0


class Fit(Protocol):
    """The side of the splitting (9) that knows the data."""

    @property
    def weights(self) -> list[Array]:
        """W: the penalised matrices, one per layer; biases are the fit's own."""

    def descend(self, anchor: Sequence[Array]) -> None:
        """(10a): gradient steps on the loss plus ``r/2 |W - anchor|^2``."""

    def loss(self, weights: Sequence[Array]) -> float:
        """The loss with these matrices and the present biases."""

    def network(self, weights: Sequence[Array]) -> Any:
        """A copy of the network with these matrices and the present biases."""


class Step(Protocol):
    """The side of the splitting (9) that knows the LMI."""

    multipliers: list[Array]

    def solve(self, target: Sequence[Array]) -> StepSolution:
        """(10b): ``argmin mu rho + r/2 |Wbar - V|^2`` such that M <= 0, V = `target`."""


@dataclass(frozen=True)
class Iteration:
    """One round of (10a), (10b), (10c).

    Attributes
    ----------
    objective : float
        Loss plus strength rho of the feasible side Wbar: a value that problem (9) attains. The
        loss alone with an enforced bound.
    loss : float
        Loss of W.
    bound : float
        sqrt(rho): proved for Wbar by T.
    primal : float
        ``|W - Wbar|`` over all layers.
    dual : float
        ``r |Wbar - Wbar before|``.
    step_gap : float
        Certified gap of (10b), in the scale of the objective.
    seconds : float
        Since the start.
    """

    objective: float
    loss: float
    bound: float
    primal: float
    dual: float
    step_gap: float
    seconds: float


@dataclass(frozen=True, eq=False)
class AdmmResult:
    """What ADMM arrived at: its last complete iteration.

    Attributes
    ----------
    net : ShallowNet or torch.nn.Sequential
        W, the side that fits the data: what the authors report. Of the kind of `init`.
    feasible : ShallowNet or torch.nn.Sequential
        Wbar with the biases of W: its bound is proved by `multipliers`.
    multipliers : ndarray, (m,), or tuple of ndarray
        t of the last Lipschitz step, for a torch network layer by layer; if T is updated, the
        optimum of (2) for `feasible`.
    history : tuple of Iteration
        Objective, loss, bound, residuals and seconds of each iteration.
    status : Status
        "converged", "iteration_limit" or "interrupted" (by Ctrl-C: the last complete iteration).
    seconds : float
        Wall time, with the training of the initial network if it was not given.
    """

    net: Any
    feasible: Any
    multipliers: Any
    history: tuple[Iteration, ...]
    status: str
    seconds: float


def run(
    fit: Fit,
    step: Step,
    *,
    strength: float,
    penalty: float,
    iterations: int,
    tol: float,
    update: Callable[[list[Array]], None] | None = None,
    callback: Callable[[Any], None] | None = None,
) -> AdmmResult:
    """Alternate (10a), (10b) and (10c) from W = Wbar, Y = 0.

    Parameters
    ----------
    fit, step : Fit, Step
    strength : float
        mu, for the history; 0 with an enforced bound.
    penalty : float
        r, as in `fit` and `step`.
    iterations : int
    tol : float
        Stop once both residuals, relative to ``|Wbar|`` and ``r |Wbar|``, are below it.
    update : callable, optional
        Called with Wbar after each iteration, to give the step another T.
    callback : callable, optional
        Called with the network of Wbar after each iteration.

    Raises
    ------
    RuntimeError
        If the residuals or the loss run away.
    """
    begun = time.perf_counter()
    history: list[Iteration] = []
    feasible = fit.weights
    multiplier = [np.zeros_like(matrix) for matrix in feasible]  # Y / r
    size = norm(feasible)
    networks = fit.network(feasible), fit.network(feasible)
    status = Status.ITERATION_LIMIT
    try:
        for _ in range(iterations):
            fit.descend([W - U for W, U in zip(feasible, multiplier, strict=True)])
            W = fit.weights
            found = step.solve([w + u for w, u in zip(W, multiplier, strict=True)])
            apart = [w - bar for w, bar in zip(W, found.weights, strict=True)]
            moved = [bar - old for bar, old in zip(found.weights, feasible, strict=True)]
            primal, dual = norm(apart), penalty * norm(moved)
            loss = fit.loss(W)
            if not np.isfinite(loss) or primal > _RUNAWAY * size:
                raise RuntimeError(
                    f"ADMM runs away (|W - Wbar| = {primal:g} with penalty {penalty:g}): choose a "
                    "larger penalty, or a smaller learning_rate"
                )
            # from here on the iteration is complete, or it has not happened
            latest = Iteration(
                objective=fit.loss(found.weights) + strength * found.rho,
                loss=loss,
                bound=float(np.sqrt(found.rho)),
                primal=primal,
                dual=dual,
                step_gap=found.gap,
                seconds=time.perf_counter() - begun,
            )
            if update is not None:
                update(found.weights)
            feasible = found.weights
            multiplier = [u + gap for u, gap in zip(multiplier, apart, strict=True)]
            networks = fit.network(W), fit.network(feasible)
            history.append(latest)
            if callback is not None:
                callback(networks[1])
            scale = tol * norm(feasible)
            if primal <= scale and dual <= penalty * scale:
                status = Status.CONVERGED
                break
    except KeyboardInterrupt:
        status = Status.INTERRUPTED
    return AdmmResult(
        *networks,
        multipliers=tuple(step.multipliers),
        history=tuple(history),
        status=status,
        seconds=time.perf_counter() - begun,
    )


def norm(matrices: Sequence[Array]) -> float:
    """Euclidean norm over all matrices."""
    return float(np.sqrt(sum(np.sum(matrix**2) for matrix in matrices)))
