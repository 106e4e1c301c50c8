"""CLIP's Algorithm 2: stochastic gradient descent-ascent on loss and Lipschitz estimate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lipsnn import _checks
from lipsnn._optional import nn, pd, torch, tqdm
from lipsnn.train.clip.discrepancy import Discrepancy
from lipsnn.train.clip.pairs import NORMS, POOLINGS, LipschitzSet, Pairs
from lipsnn.train.clip.run import OPTIMIZERS, Loss, Run

REGULARIZERS = ("none", "weights", "lipschitz")


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
        set in it), ``strength``, ``score`` and ``seconds``.
    pairs : LipschitzSet or None
        As it stood at the end.
    status : str
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
    *,
    regularizer: str = "lipschitz",
    strength: float = 0.0,
    discrepancy: Discrepancy | None = None,
    pairs: Pairs | None = None,
    loss: str | Loss = "cross-entropy",
    accuracy: Loss | None = None,
    power: int = 2,
    pooling: str = "max",
    input_norm: float = 2,
    output_norm: float = 2,
    score: Callable[[nn.Module], float] | None = None,
    score_after: int = 0,
    epochs: int = 100,
    batch_size: int = 128,
    learning_rate: float = 0.1,
    momentum: float = 0.9,
    optimizer: str = "sgd",
    seed: int = 0,
    checkpoint: str | Path | None = None,
    device: str | torch.device = "cpu",
    progress: bool | None = None,
) -> ClipResult:
    """Train any torch network with its estimated Lipschitz constant as regulariser.

    For each mini-batch the pairs of the Lipschitz set are moved uphill (Algorithm 1), then one
    step is taken on the mean loss plus ``strength`` times the largest quotient of the set to the
    given power (Algorithm 2). With regularizer "weights" the second term is the sum of the
    squared parameters instead: the source's baseline, under the same rule for its strength.

    Parameters
    ----------
    net : torch.nn.Module
        Where to start; it is copied. Its dtype is that of the data too.
    X : array_like, (n, ...)
    y : array_like, (n,) or (n, k)
        Classes for the cross-entropy, targets otherwise.
    regularizer : {"lipschitz", "weights", "none"}
    strength : float
        lambda (or mu), at the start, and throughout without `discrepancy`.
    discrepancy : Discrepancy, optional
        How the strength is steered towards a target accuracy.
    pairs : Pairs
        The Lipschitz set; needed for regularizer "lipschitz" and used for no other.
    loss : {"cross-entropy", "mse"} or callable
        The mean over a mini-batch, from outputs and targets.
    accuracy : callable, optional
        The mean over a mini-batch, from outputs and targets; for the cross-entropy the share of
        right classes if None. The mean over an epoch's mini-batches, taken as they come, is what
        `discrepancy` goes by.
    power : {1, 2}
        1 is CLIP's (2) as printed; with 2 the authors computed their table.
    pooling : {"max", "mean"}
        Of the quotients to that power: the worst pair, CLIP's (5), or their mean, which the
        authors' code offers too. Take "mean" where `discrepancy` has a low target: the worst
        pair's gradient is several times as long and turns whenever another pair is the worst.
        At the default learning rate a sigmoid network saturates under it, and loses classes that
        it does not get back when the strength falls again.
    input_norm, output_norm : {2, inf}
        Of the quotients.
    score : callable, optional
        A network's score after each epoch, such as `PgdAccuracy`; the best network is returned.
    score_after : int
        Only later epochs are candidates: networks that have learnt little yet can be robust.
    epochs, batch_size : int
    learning_rate, momentum : float
    optimizer : {"sgd", "adam"}
        "adam" has no use for `momentum`.
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
    _checks.one_of(regularizer, "regularizer", REGULARIZERS)
    _checks.one_of(optimizer, "optimizer", OPTIMIZERS)
    if regularizer == "lipschitz" and pairs is None:
        raise ValueError('regularizer "lipschitz" needs pairs: see Pairs and noisy_copies')
    if regularizer == "none" and (strength != 0 or discrepancy is not None):
        raise ValueError('regularizer "none" has no strength to set or steer')
    settings = {
        "regularizer": regularizer,
        "strength": _checks.nonnegative(strength, "strength"),
        "discrepancy": None if discrepancy is None else asdict(discrepancy),
        "loss": loss if isinstance(loss, str) else getattr(loss, "__name__", "callable"),
        "power": _checks.one_of(power, "power", (1, 2)),
        "pooling": _checks.one_of(pooling, "pooling", POOLINGS),
        "norms": [
            str(_checks.one_of(input_norm, "input_norm", NORMS)),
            str(_checks.one_of(output_norm, "output_norm", NORMS)),
        ],
        "pairs": pairs and [pairs.redraw, pairs.step, pairs.factor, pairs.updates],
        "score_after": _checks.count(score_after, "score_after", least=0),
        "batch_size": _checks.count(batch_size, "batch_size"),
        "learning_rate": _checks.positive(learning_rate, "learning_rate"),
        "momentum": _checks.nonnegative(momentum, "momentum"),
        "optimizer": optimizer,
        "seed": int(seed),
    }
    epochs = _checks.count(epochs, "epochs", least=0)
    criterion, accuracy = criterion_of(loss, accuracy)
    if discrepancy is not None and accuracy is None:
        raise ValueError("discrepancy needs an accuracy: give one as a function")
    run = Run(
        net, X, y, settings, criterion, accuracy, discrepancy, pairs, score, torch.device(device)
    )
    path = None if checkpoint is None else Path(checkpoint)
    if path is not None:
        run.resume(path)
    hidden = None if progress is None else not progress
    status = "done"
    bar = tqdm.tqdm(
        total=epochs, initial=run.epoch, desc="clip", unit=" epochs", leave=False, disable=hidden
    )
    with bar:
        try:
            while run.epoch < epochs:
                bar.set_postfix(run.one_epoch(path))
                bar.update()
        except KeyboardInterrupt:
            status = "interrupted"
    return _result(run, status)


def criterion_of(loss: str | Loss, accuracy: Loss | None) -> tuple[Loss, Loss | None]:
    """The loss as a function, and the accuracy that goes with it."""
    if callable(loss):
        return loss, accuracy
    _checks.one_of(loss, "loss", ("cross-entropy", "mse"))
    if loss == "cross-entropy":
        return nn.functional.cross_entropy, accuracy or _share_right
    return _mean_squared_error, accuracy


def _share_right(outputs: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    return (outputs.argmax(dim=1) == classes).double().mean()


def _mean_squared_error(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    if outputs.numel() != targets.numel():
        raise ValueError(
            f"the network's outputs have shape {tuple(outputs.shape)}, the targets "
            f"{tuple(targets.shape)}: they must hold equally many numbers"
        )
    return nn.functional.mse_loss(outputs, targets.reshape(outputs.shape))


def _result(run: Run, status: str) -> ClipResult:
    run.net.load_state_dict(run.best["net"])
    return ClipResult(
        net=run.net.eval(),
        epoch=run.best["epoch"],
        strength=run.best["strength"],
        history=pd.DataFrame(run.history),
        pairs=run.pairs,
        status=status,
    )
