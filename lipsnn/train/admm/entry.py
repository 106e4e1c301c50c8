"""The one entry to training by ADMM."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lipsnn import _checks
from lipsnn.network import ShallowNet
from lipsnn.train.admm.engine import Iteration
from lipsnn.train.admm.layered import LOSSES, train_layered
from lipsnn.train.admm.options import Options
from lipsnn.train.admm.shallow import train_shallow
from lipsnn.train.sgd import train_sgd


@dataclass(frozen=True, eq=False)
class AdmmResult:
    """What ADMM arrived at.

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
    status : str
        "converged", "iteration limit" or "interrupted" (by Ctrl-C: the last complete iteration).
    seconds : float
        Wall time, with the training of the initial network if it was not given.
    """

    net: Any
    feasible: Any
    multipliers: Any
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
    init: Any = None,
    loss: str = "squares",
    decay: float = 0.1,
    multipliers: Any = "fixed",
    penalty: float = 0.01,
    iterations: int = 50,
    epochs: int = 10,
    batch_size: int | None = 32,
    learning_rate: float = 1e-2,
    optimizer: str = "adam",
    schedule: str = "cosine",
    tol: float = 1e-4,
    watch: Callable[[Any], None] | None = None,
) -> AdmmResult:
    """Train on problem (4) with lam_reg = 0 by ADMM, Pauli et al.'s equations (9) and (10).

    Minimises ``loss + strength rho``, by default with T held fixed: W fits the data, Wbar
    satisfies the LMI, the multiplier Y and the penalty r draw them together. (10a) is `epochs`
    epochs of gradient steps, (10b) is solved to certified accuracy through its hub, of order d + 1
    for a network (1) (`lipsnn.train.admm.step`). With `enforce` the bound is a constraint
    instead, equation (12): Wbar satisfies it after every iteration. The biases belong to the fit
    alone.

    As in `train_sgd` the steps are on the mean over the samples, and the learning rate falls to
    zero along a cosine over all iterations, unless `schedule` is "constant"; the optimiser keeps
    its state between them. Residuals
    that become small under a falling rate do not say that W is stationary.

    Parameters
    ----------
    X : array_like, (n, d)
    y : array_like, (n,), or (n, k) for several outputs
        Whole class numbers (n,) for "cross_entropy".
    width : int, optional
        Number m of hidden units; that of `init` if None.
    strength : float, optional
        lam_lip, positive; mu of (9). Either this or `enforce`.
    seed : int
        Fixes the initial weights and the order of the mini-batches; torch's global state is
        neither read nor changed.
    enforce : float, optional
        L_des, positive.
    init : ShallowNet or torch.nn.Sequential, optional
        Where W and Wbar start; by default `train_sgd` with its defaults and strength `decay`. A
        `ShallowNet` keeps its offset, and that is not trained. A torch network of any depth, of
        Linear layers with ReLU, Tanh or Sigmoid between them, is copied, and trained in its
        own dtype with all its biases.
    loss : {"squares", "mse", "cross_entropy"}
        ``1/2 sum_k |f(x_k) - y_k|^2`` as in (4); or torch's means, as Pauli et al. have it, for
        torch networks.
    decay : float
        lam_reg of that first training.
    multipliers : {"fixed", "updated", "free"} or array_like, (m,), or a sequence of them
        T: the optimum of program (2) for the initial network, or these numbers, held throughout;
        "updated" solves (2) for Wbar anew after each iteration, as the letter does. "free", for a
        `ShallowNet`, makes T a variable of (10b) and holds the outer weights of `init`, with which
        that step is convex (`lipsnn.train.admm.free`): problem (8) of Yin and Lesage-Landry with
        T free. Let hidden and outer weights be of one size then (`ShallowNet.rescale`).
    penalty : float
        r, beside the mean over the samples: with "squares" it counts n times in the objective.
    iterations : int
        Rounds of (10), at most.
    epochs, batch_size, learning_rate, optimizer, schedule
        Of the gradient steps in each (10a), as in `train_sgd`; `batch_size` None is the full
        batch.
    tol : float
        Residuals, relative to Wbar, at which to stop.
    watch : callable, optional
        Called with the network of Wbar, the later `feasible`, after every iteration.

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
    options = Options(
        strength,
        enforce,
        multipliers,
        penalty,
        iterations,
        epochs,
        batch_size,
        learning_rate,
        optimizer,
        tol,
        seed,
        schedule,
    )
    t: Any
    _checks.one_of(loss, "loss", tuple(LOSSES))
    if hasattr(init, "state_dict"):
        if width is not None:
            raise ValueError("width is that of init: leave it out")
        outcome, t = train_layered(init, X, y, loss, options, watch)
    else:
        if loss != "squares":
            raise ValueError(
                f'loss={loss!r} is for torch networks: hand in init.to_torch() or use "squares"'
            )
        init = _start(X, y, width, init, decay, seed)
        outcome, t = train_shallow(X, y, init, options, watch)
    return AdmmResult(
        net=outcome.net,
        feasible=outcome.feasible,
        multipliers=t,
        history=outcome.history,
        status=outcome.status,
        seconds=time.perf_counter() - begun,
    )


def _start(
    X: Any, y: Any, width: int | None, init: ShallowNet | None, decay: float, seed: int
) -> ShallowNet:
    """`init`, if it has the width asked for, or a network trained with weight decay."""
    if init is None:
        if width is None:
            raise ValueError("give width, the number of hidden units, or an init network")
        return train_sgd(X, y, width, _checks.nonnegative(decay, "decay"), seed)
    if width not in (None, init.width):
        raise ValueError(f"width is {width}, but init has {init.width} units: leave width out")
    return init
