"""The one entry to training by ADMM."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from lipsnn import _checks
from lipsnn._checks import Array
from lipsnn.certificate import certify
from lipsnn.convert import as_shallow
from lipsnn.losses import SQUARED, Loss, as_loss
from lipsnn.train.admm.engine import AdmmResult, run
from lipsnn.train.admm.fits import ModuleFit, ShallowFit
from lipsnn.train.admm.step import FixedStep
from lipsnn.train.descent import Steps
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
    its state between them. Residuals that become small under a falling rate do not say that W is
    stationary.

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
        As in `train_sgd`.
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
    multipliers : {"fixed", "updated"} or array_like, (m,), or a sequence of them
        T: the optimum of program (2) for the initial network, or these numbers, held throughout;
        "updated" solves (2) for Wbar anew after each iteration, as the letter does.
    penalty : float
        r, beside the mean over the samples: with "squared" it counts n times in the objective.
    iterations : int
        Rounds of (10), at most.
    epochs, batch_size, learning_rate, optimizer, schedule
        Of the gradient steps in each (10a), as in `train_sgd`.
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
    if (strength is None) == (enforce is None):
        raise ValueError(
            "give either strength (the bound is penalised) or enforce (the bound is a constraint)"
        )
    chosen = as_loss(loss)
    mean = _checks.one_of(reduction, "reduction", ("sum", "mean")) == "mean"
    if strength is not None:
        strength = _checks.positive(strength, "strength")
        strength *= len(X) if mean and chosen.summed else 1
    else:
        enforce = _checks.positive(enforce, "enforce (L_des)")
    given = not isinstance(multipliers, str)
    if not given:
        _checks.one_of(multipliers, "multipliers", ("fixed", "updated"))
    penalty, tol = _checks.positive(penalty, "penalty"), _checks.positive(tol, "tol")
    iterations, epochs = _checks.count(iterations, "iterations"), _checks.count(epochs, "epochs")
    total = iterations * epochs
    steps = Steps(seed, total, batch_size, learning_rate, optimizer, schedule)

    deep = hasattr(init, "state_dict")
    fit: ShallowFit | ModuleFit
    if deep:
        if width is not None:
            raise ValueError("width is that of init: leave it out")
        fit = ModuleFit(init, X, y, penalty, epochs, steps, chosen)
    else:
        if chosen is not SQUARED:
            raise ValueError(
                f'loss={loss!r} is for torch networks: hand in init.to_torch() or use "squared"'
            )
        if init is None:
            if width is None:
                raise ValueError("give width, the number of hidden units, or an init network")
            init = train_sgd(X, y, width, _checks.nonnegative(decay, "decay"), steps.seed)
        elif width not in (None, (init := as_shallow(init)).width):
            raise ValueError(f"width is {width}, but init has {init.width} units: leave width out")
        fit = ShallowFit(init, X, y, penalty, epochs, steps)

    certificate = certify(init)
    first = list(certificate.layers)
    if given:
        first = list(multipliers) if deep else [_checks.finite_array(multipliers, "multipliers", 1)]
    # without L_des a guess of rho, which is needed even where the network is constant
    rho = certificate.bound**2 or 1.0 if enforce is None else enforce**2
    penalty *= fit.scale
    step = FixedStep(first, rho, mu=strength, penalty=penalty, slopes=fit.slopes)

    def update(weights: list[Array]) -> None:
        step.multipliers = list(certify(fit.network(weights)).layers)

    result = run(
        fit,
        step,
        strength=strength or 0.0,
        penalty=penalty,
        iterations=iterations,
        tol=tol,
        update=update if not given and multipliers == "updated" else None,
        callback=callback,
    )
    t = result.multipliers if deep else result.multipliers[0]
    return replace(result, multipliers=t, seconds=time.perf_counter() - begun)
