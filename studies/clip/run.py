"""One run of CLIP's Algorithm 2, epoch by epoch, as it is written to a checkpoint."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lipsnn._modules import data
from lipsnn.losses import Loss
from lipsnn.train.clip import LipschitzSet
from lipsnn.train.descent import Steps, torch_optimizer
from studies.clip.regularizers import Lipschitz, Weights
from studies.common.files import whole

_STATE = ("settings", "samples", "epoch", "batches", "strength", "history", "best")


class Run:
    """A training run between two epochs: all that its next epoch depends on.

    Parameters
    ----------
    net, X, y, regularizer, score, score_after, device
        As in `train_clip`.
    loss : Loss
    steps : Steps
        Its number of epochs is of no account here.
    """

    def __init__(
        self,
        net: nn.Module,
        X: Any,
        y: Any,
        regularizer: Lipschitz | Weights | None,
        loss: Loss,
        steps: Steps,
        score: Callable[[nn.Module], float] | None,
        score_after: int,
        device: torch.device,
    ) -> None:
        self.net = copy.deepcopy(net).to(device)
        trained = [parameter for parameter in self.net.parameters() if parameter.requires_grad]
        if not trained:
            raise ValueError("net has no parameters to train: each has requires_grad=False, if any")
        self.X, self.y = data(self.net, X, y, loss)
        self.regularizer, self.loss, self.steps = regularizer, loss, steps
        self.score, self.score_after = score, score_after
        self.optimizer = torch_optimizer(steps.optimizer, trained, steps.learning_rate)
        self.generator = torch.Generator().manual_seed(steps.seed)
        self.settings = {
            "regularizer": repr(regularizer),
            "loss": type(loss).__name__,
            "score_after": score_after,
            "batch_size": steps.batch_size,
            "learning_rate": steps.learning_rate,
            "optimizer": steps.optimizer,
            "seed": steps.seed,
        }
        self.pairs: LipschitzSet | None = None
        self.strength = 0.0 if regularizer is None else float(regularizer.strength)
        self.samples, self.epoch, self.batches = len(self.X), 0, 0
        self.history: list[dict[str, float]] = []
        self._keep(-math.inf)

    def _keep(self, score: float) -> None:
        self.best: dict[str, Any] = {
            "epoch": self.epoch,
            "strength": self.strength,
            "score": score,
            "net": copy.deepcopy(self.net.state_dict()),
        }

    def one_epoch(self) -> dict[str, str]:
        """Train one epoch, judge it, steer the strength; what to show of it."""
        start = time.perf_counter()
        self.net.train()
        total = right = quotient = 0.0
        for batch in self.steps.batches(self.samples, self.generator):
            self.optimizer.zero_grad()
            penalty, largest = self._penalty()
            outputs, targets = self.net(self.X[batch]), self.y[batch]
            loss = self.loss.mean(outputs, targets)
            value = float(loss.detach())
            if not value < math.inf:
                raise RuntimeError(
                    f"training diverged in epoch {self.epoch + 1} (learning_rate "
                    f"{self.steps.learning_rate:g}, strength {self.strength:g}): choose smaller "
                    "ones"
                )
            (loss if penalty is None else loss + self.strength * penalty).backward()
            self.optimizer.step()
            self.batches += 1
            quotient = max(quotient, largest)
            share = len(batch) / self.samples
            total += share * value
            if self.loss.classifies:
                hits = outputs.detach().argmax(dim=1) == targets
                right += share * float(hits.double().mean())
        self.epoch += 1
        # an attack takes longer than an epoch: only candidates are judged
        judge = None if self.epoch <= self.score_after else self.score
        score = math.nan if judge is None else float(judge(self.net))
        row = {
            "epoch": self.epoch,
            "loss": total,
            "accuracy": right if self.loss.classifies else math.nan,
            "quotient": quotient if isinstance(self.regularizer, Lipschitz) else math.nan,
            "strength": self.strength,
            "score": score,
            "seconds": time.perf_counter() - start,
        }
        self.history.append(row)
        if judge is None or score > self.best["score"]:
            self._keep(-math.inf if judge is None else score)
        if self.regularizer is not None and self.regularizer.rule is not None:
            self.strength = self.regularizer.rule.next(self.strength, row["accuracy"], self.epoch)
        shown = {"loss": total, "accuracy": row["accuracy"], "strength": self.strength}
        return {name: f"{number:.3g}" for name, number in shown.items() if number == number}

    def _penalty(self) -> tuple[torch.Tensor | None, float]:
        """The regulariser of this mini-batch without its strength, and the largest quotient."""
        regularizer = self.regularizer
        if regularizer is None:
            return None, 0.0
        if isinstance(regularizer, Weights):
            squares = [(parameter**2).sum() for parameter in self.net.parameters()]
            return torch.stack(squares).sum(), 0.0
        how = regularizer.pairs
        if self.pairs is None or self.batches % how.redraw == 0:
            self.pairs = how.moved(half.to(self.X) for half in how.draw(self.generator))
        for _ in range(how.updates):
            values = self.pairs.update(self.net)
        largest = float(values.max())
        if self.strength == 0:
            return None, largest
        return self.pairs.penalty(self.net, values, regularizer.power, regularizer.pooling), largest

    def save(self, path: Path) -> None:
        """Write what `resume` needs: a kill at any time leaves the old file or the new one."""
        pairs = self.pairs
        state = {name: getattr(self, name) for name in _STATE} | {
            "net": self.net.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
            "pairs": None if pairs is None else (pairs.first, pairs.second, pairs.steps),
        }
        with whole(path) as file:
            torch.save(state, file)

    def resume(self, path: Path) -> None:
        """Go on from the checkpoint, if there is one.

        Raises
        ------
        ValueError
            If the file is no checkpoint or of another run.
        """
        if not path.exists():
            return
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
            written = state["settings"]
        except Exception as error:  # whatever torch raises for bytes that it cannot read
            raise ValueError(
                f"{path} is no checkpoint of train_clip ({error}): name another"
            ) from None
        changed = {key for key, value in self.settings.items() if written.get(key) != value}
        why = f"with other settings ({', '.join(sorted(changed))})"
        if not changed and state["samples"] != self.samples:
            why = f"on {state['samples']} samples, not {self.samples}"
        if changed or state["samples"] != self.samples:
            raise ValueError(f"{path} is of a run {why}: delete it or name another")
        for name in _STATE:
            setattr(self, name, state[name])
        self.net.load_state_dict(state["net"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.generator.set_state(state["generator"])
        if state["pairs"] is not None:
            assert isinstance(self.regularizer, Lipschitz)
            first, second, steps = (part.to(self.X) for part in state["pairs"])
            self.pairs = self.regularizer.pairs.moved((first, second))
            self.pairs.steps = steps
