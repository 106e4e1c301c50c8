"""One run of CLIP's Algorithm 2, epoch by epoch, as it is written to a checkpoint."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lipsnn._modules import data
from lipsnn._optional import nn, torch
from lipsnn.losses import Loss
from lipsnn.train.clip import checkpoint as checkpoints
from lipsnn.train.clip.pairs import LipschitzSet
from lipsnn.train.clip.regularizers import Lipschitz, Weights
from lipsnn.train.descent import torch_optimizer


class Run:
    """A training run between two epochs: all that its next epoch depends on."""

    def __init__(
        self,
        net: nn.Module,
        X: Any,
        y: Any,
        settings: dict[str, Any],
        loss: Loss,
        regularizer: Lipschitz | Weights | None,
        score: Callable[[nn.Module], float] | None,
        device: torch.device,
    ) -> None:
        self.net = copy.deepcopy(net).to(device)
        trained = [parameter for parameter in self.net.parameters() if parameter.requires_grad]
        if not trained:
            raise ValueError("net has no parameters to train: each has requires_grad=False, if any")
        self.X, self.y = data(self.net, X, y, loss)
        self.settings, self.loss, self.score = settings, loss, score
        self.regularizer = regularizer
        self.steps = torch_optimizer(settings["optimizer"], trained, settings["learning_rate"])
        self.generator = torch.Generator().manual_seed(settings["seed"])
        self.pairs: LipschitzSet | None = None
        self.strength = 0.0 if regularizer is None else float(regularizer.strength)
        self.epoch = self.batches = 0
        self.history: list[dict[str, float]] = []
        self._keep(-float("inf"))

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
        for batch in torch.randperm(len(self.X), generator=self.generator).split(
            self.settings["batch_size"]
        ):
            inputs, targets = self.X[batch], self.y[batch]
            self.steps.zero_grad()
            penalty, largest = self._penalty()
            outputs = self.net(inputs)
            loss = self.loss.mean(outputs, targets)
            value = float(loss.detach())
            if not value < float("inf"):
                raise RuntimeError(
                    f"training diverged in epoch {self.epoch + 1} (learning_rate "
                    f"{self.settings['learning_rate']:g}, strength {self.strength:g}): choose "
                    "smaller ones"
                )
            (loss if penalty is None else loss + self.strength * penalty).backward()
            self.steps.step()
            self.batches += 1
            quotient = max(quotient, largest)
            share = len(batch) / len(self.X)
            total += share * value
            if self.loss.classifies:
                hits = outputs.detach().argmax(dim=1) == targets
                right += share * float(hits.double().mean())
        self.epoch += 1
        score = float("nan") if self.score is None else float(self.score(self.net))
        row = {
            "epoch": self.epoch,
            "loss": total,
            "accuracy": right if self.loss.classifies else float("nan"),
            "quotient": quotient if isinstance(self.regularizer, Lipschitz) else float("nan"),
            "strength": self.strength,
            "score": score,
            "seconds": time.perf_counter() - start,
        }
        self.history.append(row)
        early = self.epoch <= self.settings["score_after"]
        if self.score is None or early or score > self.best["score"]:
            self._keep(-float("inf") if early else score)
        if self.regularizer is not None and self.regularizer.rule is not None:
            self.strength = self.regularizer.rule.next(self.strength, row["accuracy"], self.epoch)
        shown = {"loss": row["loss"], "accuracy": row["accuracy"], "strength": self.strength}
        return {name: f"{number:.3g}" for name, number in shown.items() if number == number}

    def _penalty(self) -> tuple[torch.Tensor | None, float]:
        """The regulariser of this mini-batch without its strength, and the largest quotient."""
        regularizer = self.regularizer
        if regularizer is None:
            return None, 0.0
        if isinstance(regularizer, Weights):
            squares = [(parameter**2).sum() for parameter in self.net.parameters()]
            return torch.stack(squares).sum(), 0.0
        if self.pairs is None or self.batches % regularizer.pairs.redraw == 0:
            self.pairs = self._drawn(regularizer.pairs.draw(self.generator))
        for _ in range(regularizer.pairs.updates):
            values = self.pairs.update(self.net)
        largest = float(values.max())
        if self.strength == 0:
            return None, largest
        return self.pairs.penalty(self.net, values, regularizer.power, regularizer.pooling), largest

    def _drawn(self, halves: tuple[torch.Tensor, torch.Tensor]) -> LipschitzSet:
        assert isinstance(self.regularizer, Lipschitz)
        how = self.regularizer.pairs
        return LipschitzSet(
            *(half.to(self.X) for half in halves),
            step=how.step,
            factor=how.factor,
            input_norm=how.input_norm,
            output_norm=how.output_norm,
        )

    def state(self) -> dict[str, Any]:
        """What `resume` needs to go on from here."""
        return {
            "settings": self.settings,
            "samples": len(self.X),
            "epoch": self.epoch,
            "batches": self.batches,
            "strength": self.strength,
            "history": self.history,
            "best": self.best,
            "net": self.net.state_dict(),
            "steps": self.steps.state_dict(),
            "generator": self.generator.get_state(),
            "pairs": None if self.pairs is None else self.pairs.state(),
        }

    def resume(self, path: Path) -> None:
        """Go on from the checkpoint, if there is one."""
        state = checkpoints.load(path, self.settings)
        if state is None:
            return
        if state["samples"] != len(self.X):
            raise ValueError(
                f"{path} is of a run on {state['samples']} samples, not {len(self.X)}: delete it "
                "or name another"
            )
        self.net.load_state_dict(state["net"])
        self.steps.load_state_dict(state["steps"])
        self.generator.set_state(state["generator"])
        for name in ("epoch", "batches", "strength", "history", "best"):
            setattr(self, name, state[name])
        if state["pairs"] is not None:
            self.pairs = self._drawn((state["pairs"]["first"], state["pairs"]["second"]))
            self.pairs.steps = state["pairs"]["steps"].to(self.X)
