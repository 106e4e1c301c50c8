"""One run of CLIP's Algorithm 2, epoch by epoch, as it is written to a checkpoint."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lipsnn._optional import nn, torch
from lipsnn.train.clip import checkpoint as checkpoints
from lipsnn.train.clip.discrepancy import Discrepancy
from lipsnn.train.clip.pairs import LipschitzSet, Pairs

OPTIMIZERS = ("sgd", "adam")
Loss = Callable[["torch.Tensor", "torch.Tensor"], "torch.Tensor"]


class Run:
    """A training run between two epochs: all that its next epoch depends on."""

    def __init__(
        self,
        net: nn.Module,
        X: Any,
        y: Any,
        settings: dict[str, Any],
        criterion: Loss,
        accuracy: Loss | None,
        discrepancy: Discrepancy | None,
        pairs: Pairs | None,
        score: Callable[[nn.Module], float] | None,
        device: torch.device,
    ) -> None:
        parameters = list(net.parameters())
        if not parameters:
            raise ValueError("net has no parameters to train")
        self.dtype, self.device = parameters[0].dtype, device
        self.X = torch.as_tensor(X).to(device, self.dtype)
        self.y = torch.as_tensor(y).to(device)
        if self.y.is_floating_point():
            self.y = self.y.to(self.dtype)
        if len(self.X) == 0 or len(self.X) != len(self.y):
            raise ValueError(
                f"X and y must have equally many rows and at least one, got {len(self.X)} and "
                f"{len(self.y)}"
            )
        if not torch.isfinite(self.X).all():
            raise ValueError("X has NaN or infinite entries: remove or impute them")
        self.net = copy.deepcopy(net).to(device)
        self.settings, self.criterion, self.accuracy = settings, criterion, accuracy
        self.discrepancy, self.source, self.score = discrepancy, pairs, score
        rate = settings["learning_rate"]
        self.steps: torch.optim.Optimizer = (
            torch.optim.Adam(self.net.parameters(), lr=rate)
            if settings["optimizer"] == "adam"
            else torch.optim.SGD(self.net.parameters(), lr=rate, momentum=settings["momentum"])
        )
        self.generator = torch.Generator().manual_seed(settings["seed"])
        self.pairs: LipschitzSet | None = None
        self.strength: float = settings["strength"]
        self.epoch = self.batches = 0
        self.history: list[dict[str, float]] = []
        self.best = {
            "epoch": 0,
            "strength": self.strength,
            "score": -float("inf"),
            "net": copy.deepcopy(self.net.state_dict()),
        }

    def one_epoch(self, path: Path | None) -> dict[str, str]:
        """Train one epoch, judge it, steer the strength, write the checkpoint."""
        start = time.perf_counter()
        self.net.train()
        size = self.settings["batch_size"]
        sums = {"loss": 0.0, "accuracy": 0.0}
        quotient = 0.0
        for batch in torch.randperm(len(self.X), generator=self.generator).split(size):
            inputs, targets = self.X[batch], self.y[batch]
            self.steps.zero_grad()
            penalty, largest = self._penalty()
            outputs = self.net(inputs)
            loss = self.criterion(outputs, targets)
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
            sums["loss"] += share * value
            if self.accuracy is not None:
                sums["accuracy"] += share * float(self.accuracy(outputs.detach(), targets))
        self.epoch += 1
        score = float("nan") if self.score is None else float(self.score(self.net))
        row = {
            "epoch": self.epoch,
            "loss": sums["loss"],
            "accuracy": sums["accuracy"] if self.accuracy is not None else float("nan"),
            "quotient": quotient if self.source is not None else float("nan"),
            "strength": self.strength,
            "score": score,
            "seconds": time.perf_counter() - start,
        }
        self.history.append(row)
        early = self.epoch <= self.settings["score_after"]
        if self.score is None or early or score > self.best["score"]:
            self.best = {
                "epoch": self.epoch,
                "strength": self.strength,
                "score": -float("inf") if early else score,
                "net": copy.deepcopy(self.net.state_dict()),
            }
        if self.discrepancy is not None:
            self.strength = self.discrepancy.next(self.strength, row["accuracy"], self.epoch)
        if path is not None:
            checkpoints.save(path, self._state())
        shown = {"loss": row["loss"], "accuracy": row["accuracy"], "strength": self.strength}
        return {name: f"{number:.3g}" for name, number in shown.items() if number == number}

    def _penalty(self) -> tuple[torch.Tensor | None, float]:
        """The regulariser of this mini-batch without its strength, and the largest quotient."""
        if self.settings["regularizer"] == "weights":
            squares = [(parameter**2).sum() for parameter in self.net.parameters()]
            return torch.stack(squares).sum(), 0.0
        if self.settings["regularizer"] == "none" or self.source is None:
            return None, 0.0
        if self.pairs is None or self.batches % self.source.redraw == 0:
            self.pairs = self._drawn(self.source.draw(self.generator))
        for _ in range(self.source.updates):
            values = self.pairs.update(self.net)
        largest = float(values.max())
        if self.strength == 0:
            return None, largest
        penalty = self.pairs.penalty(
            self.net, values, self.settings["power"], self.settings["pooling"]
        )
        return penalty, largest

    def _drawn(self, halves: tuple[torch.Tensor, torch.Tensor]) -> LipschitzSet:
        assert self.source is not None
        first, second = (half.to(self.device, self.dtype) for half in halves)
        input_norm, output_norm = (float(norm) for norm in self.settings["norms"])
        return LipschitzSet(
            first,
            second,
            step=self.source.step,
            factor=self.source.factor,
            input_norm=input_norm,
            output_norm=output_norm,
        )

    def _state(self) -> dict[str, Any]:
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
            halves = (state["pairs"]["first"], state["pairs"]["second"])
            self.pairs = self._drawn(halves)
            self.pairs.restore(
                {name: tensor.to(self.device) for name, tensor in state["pairs"].items()}
            )
