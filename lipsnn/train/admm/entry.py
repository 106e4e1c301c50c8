"""The one entry to training by ADMM."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from lipsnn import _checks
from lipsnn._checks import Array
from lipsnn.losses import LOSSES, Loss, as_loss
from lipsnn.network import ShallowNet
from lipsnn.train.admm.engine import AdmmResult, run
from lipsnn.train.admm.free import FreeStep
from lipsnn.train.admm.options import AdmmOptions
from lipsnn.train.admm.shallow import ShallowFit
from lipsnn.train.admm.step import FixedStep
from lipsnn.train.sgd import train_sgd


def train_admm(
    X: Any,
    y: Any,
    width: int | None = None,
    strength: float | None = None,
    seed: int = 0,
    *,
    enforce: float | None = None,
    init: Any = None,
    loss: str | Loss = "squared",
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
    callback: Callable[[Any], None] | None = None,
    reduction: str = "sum",
) -> AdmmResult:
    """Train on problem (4) with lam_reg = 0 by ADMM, Pauli et al.'s equations (9) and (10).

    Minimises ``loss + strength rho``, by default with T held fixed: W fits the data, Wbar
    satisfies the LMI, the multiplier Y and the penalty r draw them together. (10a) is `epochs`
    epochs of gradient steps, (10b) is solved to certified accuracy over a matrix of order d + 1
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
    loss : {"squared", "mse", "cross_entropy"} or Loss
        ``1/2 sum_k |f(x_k) - y_k|^2`` as in (4); or means, as Pauli et al. have it, for torch
        networks. See `lipsnn.losses`.
    decay : float
        lam_reg of that first training.
    multipliers : {"fixed", "updated", "free"} or array_like, (m,), or a sequence of them
        T: the optimum of program (2) for the initial network, or these numbers, held throughout;
        "updated" solves (2) for Wbar anew after each iteration, as the letter does. "free", for a
        `ShallowNet`, makes T a variable of (10b) and holds the outer weights of `init`, with which
        that step is convex (`lipsnn.train.admm.free`): problem (8) of Yin and Lesage-Landry with
        T free. Let hidden and outer weights be of one size then (`ShallowNet.rescale`).
    penalty : float
        r, beside the mean over the samples: with "squared" it counts n times in the objective.
    iterations : int
        Rounds of (10), at most.
    epochs, batch_size, learning_rate, optimizer, schedule
        Of the gradient steps in each (10a), as in `train_sgd`; `batch_size` None is the full
        batch.
    tol : float
        Residuals, relative to Wbar, at which to stop.
    callback : callable, optional
        Called with the network of Wbar, the later `feasible`, after every iteration.
    reduction : {"sum", "mean"}
        "mean" divides the loss "squared" by n, so that a strength means the same at every n: it is
        "sum" at n times the strength, which the history shows.

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
    chosen = as_loss(loss)
    mean = _checks.one_of(reduction, "reduction", ("sum", "mean")) == "mean"
    if mean and chosen.summed and strength is not None:
        strength = _checks.positive(strength, "strength") * len(X)
    options = AdmmOptions(
        strength=strength,
        enforce=enforce,
        multipliers=multipliers,
        penalty=penalty,
        iterations=iterations,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        optimizer=optimizer,
        schedule=schedule,
        tol=tol,
        seed=seed,
    )
    fit: Any  # of either kind
    if hasattr(init, "state_dict"):
        if width is not None:
            raise ValueError("width is that of init: leave it out")
        from lipsnn.train.admm.module import ModuleFit

        fit = ModuleFit(init, X, y, chosen, options)
    else:
        if chosen is not LOSSES["squared"]:
            raise ValueError(
                f'loss={loss!r} is for torch networks: hand in init.to_torch() or use "squared"'
            )
        init = _start(X, y, width, init, decay, options.seed)
        fit = ShallowFit(init, X, y, options)
    first, bound = fit.certified(init)
    if options.given is not None:
        first = fit.multipliers(options.given)
    how: dict[str, Any] = {"mu": options.strength, "penalty": fit.scale * options.penalty}
    step: FixedStep | FreeStep
    if options.free:
        step = FreeStep(init.outer, options.rho(bound), **how)
    else:
        step = FixedStep(first, options.rho(bound), slopes=fit.slopes, **how)

    def update(weights: list[Array]) -> None:
        step.multipliers = fit.certified(fit.network(weights))[0]

    result = run(
        fit,
        step,
        strength=0.0 if options.strength is None else options.strength,
        penalty=fit.scale * options.penalty,
        iterations=options.iterations,
        tol=options.tol,
        update=update if options.updated else None,
        callback=callback,
    )
    t = result.multipliers if hasattr(init, "state_dict") else result.multipliers[0]
    return replace(result, multipliers=t, seconds=time.perf_counter() - begun)


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
