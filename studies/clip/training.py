"""CLIP's Algorithm 2: stochastic gradient descent-ascent on loss and Lipschitz estimate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import nn
from tqdm import tqdm

from lipsnn import _checks
from lipsnn.losses import Loss, as_loss
from lipsnn.status import Status
from lipsnn.train.clip import LipschitzSet
from lipsnn.train.descent import Steps
from studies.clip.regularizers import Lipschitz, Weights
from studies.clip.run import Run


@dataclass(frozen=True, eq=False)
class ClipResult:
    """A network trained by `train_clip`.

    Attributes
    ----------
    net : torch.nn.Module
        Of the epoch with the best score, in evaluation mode; of the last one without a score.
    epoch : int
        That epoch, counted from 1; 0 is the network that was given.
    strength : float
        With which that epoch was trained.
    history : DataFrame
        A row per epoch: ``loss`` (mean over its mini-batches, without regularisation),
        ``accuracy`` (likewise, where there is one), ``quotient`` (the largest of the Lipschitz
        set in it), ``strength``, ``score`` (of candidates) and ``seconds``.
    pairs : LipschitzSet or None
        As it stood at the end.
    status : Status
        "done", or "interrupted" (by Ctrl-C, after whole epochs).
    """

    net: nn.Module
    epoch: int
    strength: float
    history: pd.DataFrame
    pairs: LipschitzSet | None
    status: str


def train_clip(
    net: nn.Module,
    X: Any,
    y: Any,
    regularizer: Lipschitz | Weights | str | None = None,
    *,
    loss: str | Loss = "cross_entropy",
    score: Callable[[nn.Module], float] | None = None,
    score_after: int = 0,
    epochs: int = 100,
    batch_size: int | None = 128,
    learning_rate: float = 0.1,
    optimizer: str = "sgd",
    seed: int = 0,
    checkpoint: str | Path | None = None,
    device: str | torch.device = "cpu",
    progress: bool | None = None,
) -> ClipResult:
    """Train any torch network with its estimated Lipschitz constant as regulariser.

    For each mini-batch the pairs of the Lipschitz set are moved uphill (Algorithm 1), then one
    step is taken on the mean loss plus the regulariser (Algorithm 2).

    Parameters
    ----------
    net : torch.nn.Module
        Where to start; it is copied. Its dtype is that of the data too.
    X : array_like, (n, ...)
    y : array_like, (n,) or (n, k)
        Classes for the cross-entropy, whole numbers of any type; targets otherwise.
    regularizer : Lipschitz or Weights, optional
        With its strength, which may be steered towards a target accuracy. None, or "none":
        the loss alone.
    loss : {"cross_entropy", "squared", "mse"} or Loss
        See `lipsnn.losses`.
    score : callable, optional
        A network's score after each epoch, such as its accuracy under `pgd_inputs`; the best
        network is returned.
    score_after : int
        Only later epochs are candidates: networks that have learnt little yet can be robust.
    epochs, batch_size, learning_rate, optimizer
        As in `train_sgd`; the rate is constant.
    seed : int
        Fixes the order of the mini-batches and the pairs. A network with dropout draws from
        torch's global generator besides.
    checkpoint : path, optional
        Written after each epoch; a run that finds it goes on from there to the same result, also
        to more epochs than before.
    device : str or torch.device
        Such as "cuda".
    progress : bool, optional
        Show a progress bar; on a terminal only, if None.

    Returns
    -------
    ClipResult

    Raises
    ------
    ValueError
        For bad input, or a checkpoint of another run.
    RuntimeError
        If the loss is no longer finite.
    """
    if regularizer == "none":
        regularizer = None
    if not isinstance(regularizer, (Lipschitz, Weights, type(None))):
        raise ValueError(
            f'regularizer must be Lipschitz(...), Weights(...) or "none", got {regularizer!r}'
        )
    chosen = as_loss(loss)
    after = _checks.count(score_after, "score_after", least=0)
    steps = Steps(seed, epochs, batch_size, learning_rate, optimizer, "constant")
    if regularizer is not None and regularizer.rule is not None and not chosen.classifies:
        raise ValueError("the regulariser's rule needs an accuracy, which only classes have")
    run = Run(net, X, y, regularizer, chosen, steps, score, after, torch.device(device))
    path = None if checkpoint is None else Path(checkpoint)
    if path is not None:
        run.resume(path)
    status = Status.DONE
    bar = tqdm(
        total=steps.epochs,
        initial=run.epoch,
        desc="clip",
        unit=" epochs",
        leave=False,
        disable=None if progress is None else not progress,
    )
    with bar:
        try:
            while run.epoch < steps.epochs:
                bar.set_postfix(run.one_epoch())
                bar.update()
                if path is not None:
                    run.save(path)
        except KeyboardInterrupt:
            status = Status.INTERRUPTED
    best, history = run.best, pd.DataFrame(run.history)
    run.net.load_state_dict(best["net"])
    return ClipResult(run.net.eval(), best["epoch"], best["strength"], history, run.pairs, status)
