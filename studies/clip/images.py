"""One row of CLIP's Table 1: a classifier trained, then tried under noise and PGD."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from lipsnn import _checks
from lipsnn.attack import accuracy, pgd_inputs
from lipsnn.images import load_images
from lipsnn.train.clip import noisy_copies
from studies.clip.regularizers import Discrepancy, Lipschitz, Pairs, Weights
from studies.clip.training import train_clip


@dataclass(frozen=True)
class Images:
    """Where a set's networks live: the units of their inputs.

    Attributes
    ----------
    mean, spread : float
        Of the training pixels, which run from 0 to 1. "Normalised" units are
        ``(pixel - mean) / spread``.
    normalised : bool
        Whether networks are trained on normalised inputs. The authors' code does so for MNIST only.
    """

    mean: float
    spread: float
    normalised: bool

    def unit(self, name: str) -> float:
        """Length of a unit, "pixel" or "normalised", in the units of the networks' inputs."""
        pixel = 1 / self.spread if self.normalised else 1.0
        return {"pixel": pixel, "normalised": self.spread * pixel}[name]


# The two numbers of MNIST are those that everybody uses; the rest is computed likewise.
IMAGES = {
    "mnist": Images(0.1307, 0.3081, True),
    "fashion": Images(0.2860, 0.3530, False),
    "digits": Images(0.3053, 0.3761, True),
}
UNITS = ("pixel", "normalised")


def network(name: str, seed: int) -> nn.Sequential:
    """The source's network for an image set, with torch's default initial weights.

    MNIST: 784-64-64-10, sigmoid. Fashion-MNIST: two convolutions 5x5 of 32 and 64 channels with
    ReLU, each with max-pooling by 2, and dense layers of 1024 and 10 (Madry et al.). Digits, which
    the source has not: 64-32-32-10, sigmoid. torch's global generator is left as it was.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if name == "fashion":
            return nn.Sequential(
                nn.Conv2d(1, 32, 5, padding=2),
                nn.ReLU(),
                nn.MaxPool2d(2),
                nn.Conv2d(32, 64, 5, padding=2),
                nn.ReLU(),
                nn.MaxPool2d(2),
                nn.Flatten(),
                nn.Linear(64 * 7 * 7, 1024),
                nn.ReLU(),
                nn.Linear(1024, 10),
            )
        inputs, hidden = (784, 64) if name == "mnist" else (64, 32)
        return nn.Sequential(
            nn.Flatten(),
            nn.Linear(inputs, hidden),
            nn.Sigmoid(),
            nn.Linear(hidden, hidden),
            nn.Sigmoid(),
            nn.Linear(hidden, 10),
        )


def load(name: str, data_dir: str | None = None) -> tuple[torch.Tensor, ...]:
    """Inputs in the networks' units (n, 1, h, w) and classes (n,), of training and of test.

    "digits" are the 1,797 real 8x8 digits that come with scikit-learn; every fifth is a test image.
    """
    _checks.one_of(name, "name", tuple(IMAGES))
    if name == "digits":
        from sklearn.datasets import load_digits

        table = load_digits()
        test = np.arange(len(table.target)) % 5 == 0
        pixels = [table.images[part] / 16 for part in (~test, test)]
        classes = [table.target[part] for part in (~test, test)]
    else:
        data = load_images(name, data_dir)
        pixels = [part / np.float32(255) for part in (data.X_train, data.X_test)]
        classes = [data.y_train, data.y_test]
    facts = IMAGES[name]
    if facts.normalised:
        pixels = [(part - facts.mean) / facts.spread for part in pixels]
    X_train, X_test = (torch.tensor(part, dtype=torch.float32)[:, None] for part in pixels)
    y_train, y_test = (torch.tensor(part, dtype=torch.int64) for part in classes)
    return X_train, y_train, X_test, y_test


def worst_class(net: nn.Module, X: torch.Tensor, y: torch.Tensor) -> float:
    """Least share, over the classes, of a class's inputs that `net` gets right."""
    return min(accuracy(net, X[y == each], y[y == each]) for each in y.unique())


def first_norm(net: nn.Module) -> float:
    """Spectral norm of the first layer's weights, as a matrix with a row for each of its units."""
    weights = next(net.parameters())
    return float(torch.linalg.matrix_norm(weights.detach().flatten(1), 2))


def attacked(
    net: nn.Module, X: torch.Tensor, y: torch.Tensor, radius: float, **settings: Any
) -> torch.Tensor:
    """Which inputs `net` still gets right under `pgd_inputs`, with these settings."""
    found = pgd_inputs(net, X, y, radius, **settings)
    with torch.no_grad():
        return torch.cat([net(part).argmax(dim=1) for part in found.split(1000)]) == y


def run(task: Mapping[str, Any]) -> dict[str, Any]:
    """Train one model and try it.

    A tenth of the training images is set aside: with noisy copies it is the Lipschitz set, and
    its first images are those under whose PGD accuracy the best epoch is chosen, as in the
    authors' code. Noise and PGD are tried in pixel and in normalised units. The attack is
    `pgd_inputs`, which is stronger than the source's (14), and checked: ten draws from its ball
    should not fool a network where it fails.

    Parameters
    ----------
    task : mapping
        ``data``, ``regularizer``, ``target`` (or None), ``increment`` of the strength (where it
        starts, and its least), ``seed``, and what `clip_table.PROFILES` holds; optional
        ``pooling``, ``data_dir``, ``device`` and ``checkpoint``.

    Returns
    -------
    dict
        ``train``, ``test`` and, for each unit, accuracies under ``noise``, under ``pgd`` and under
        ``ball_noise``, all of ten draws from the attack's ball, and ``noise_beats_attack``, the
        number of inputs that those draws change and the attack does not; ``strength``
        and ``epoch`` of the best network, ``worst_class`` (the least share of a class's test
        images that are right) and ``first_norm`` (spectral norm of its first weights, a row for
        each unit); ``last_strength`` and the history.
    """
    X, y, X_test, y_test = load(task["data"], task.get("data_dir"))
    generator = torch.Generator().manual_seed(task["seed"])
    order = torch.randperm(len(X), generator=generator)[: task["images"]]
    aside, used = order[: len(order) // 10], order[len(order) // 10 :]
    device = torch.device(task.get("device", "cpu"))
    target, step = task["target"], task["increment"]
    rule = (
        None
        if target is None
        else Discrepancy(target, step, task["warmup"], task["every"], least=step)
    )
    regularizer: Lipschitz | Weights | None = None
    if task["regularizer"] == "weights":
        regularizer = Weights(step, rule)
    elif task["regularizer"] == "lipschitz":
        pairs = Pairs(noisy_copies(X[aside], task["pairs"]), task["redraw"])
        regularizer = Lipschitz(pairs, step, rule, pooling=task.get("pooling", "max"))
    judged = aside[: task["judged"]]
    judged_X, judged_y = X[judged].to(device), y[judged].to(device)

    def score(net: nn.Module) -> float:
        right = attacked(
            net.eval(),
            judged_X,
            judged_y,
            2.0,
            step=0.25,
            iterations=task["judge_steps"],
            restarts=0,
        )
        return float(right.double().mean())

    result = train_clip(
        network(task["data"], task["seed"]),
        X[used],
        y[used],
        regularizer,
        score=score,
        score_after=task["judge_after"],
        epochs=task["epochs"],
        seed=task["seed"],
        checkpoint=None if task.get("checkpoint") is None else Path(task["checkpoint"]),
        device=device,
    )
    net = result.net
    X, y, X_test, y_test = (part.to(device) for part in (X[used], y[used], X_test, y_test))
    found: dict[str, Any] = {
        "train": accuracy(net, X, y),
        "test": accuracy(net, X_test, y_test),
        "worst_class": worst_class(net, X_test, y_test),
        "first_norm": first_norm(net),
        "strength": result.strength,
        "last_strength": float(result.history["strength"].iloc[-1]),
        "epoch": result.epoch,
        "history": result.history.to_dict("list"),
    }
    noise = torch.randn(X_test.shape, generator=generator).to(device)
    few = slice(task["attacked"])
    for name in UNITS:
        unit = IMAGES[task["data"]].unit(name)
        tried, classes = X_test[few], y_test[few]
        held = attacked(net, tried, classes, 2 * unit, step=0.25 * unit)
        # no steps: ten draws of noise
        calm = attacked(net, tried, classes, 2 * unit, iterations=0, restarts=1, seed=1)
        found[name] = {
            "noise": accuracy(net, X_test + unit * noise, y_test),
            "pgd": float(held.double().mean()),
            "ball_noise": float(calm.double().mean()),
            "noise_beats_attack": int((held & ~calm).sum()),
        }
    return found
