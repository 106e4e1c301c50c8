"""The letter of Pauli et al. on images: accuracy, certified bound, and accuracy under noise.

    python -m studies.letter mnist [--data-dir FOLDER] [--output ...]

Two examples on MNIST: "14x14", pixels averaged in squares of four, a network 196-50-10; and
"28x28", a network 784-50-50-10; ReLU, cross-entropy and Adam, and otherwise as
`studies.letter.study` says. In `train_admm` the learning rate falls to zero over the rounds.
"8x8" and "8x8 deep" stand in where there is no MNIST: the 1,797 real digits of scikit-learn.

Grey values are in [0, 1]. Noise is added to each of them, and nothing is clipped; uniform noise
of width w is on [-w/2, w/2].
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from lipsnn import _checks
from lipsnn._checks import Array
from lipsnn.images import load_images
from lipsnn.train import AdmmResult, train_admm
from studies.common import provenance, runner
from studies.common.command import parse
from studies.letter import study as letter
from studies.letter.study import Setting

# Raised when a change of the code changes the numbers.
VERSION = "letter-mnist-1"
_SHALLOW = Setting((196, 50, 10), "ReLU", 0.01, 100, 5, 4, 5e-4, 0.25, 0.01, 6, 2, 0.5)
_DEEP = replace(_SHALLOW, widths=(784, 50, 50, 10), penalty=2.0, strength=8e-4)
EXAMPLES = {
    "14x14": _SHALLOW,
    "28x28": _DEEP,
    "8x8": replace(_SHALLOW, widths=(64, 50, 10)),
    "8x8 deep": replace(_DEEP, widths=(64, 50, 50, 10)),
}
LEVELS = {
    "Gaussian": (0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5),
    "uniform": (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0),
}


def load(example: str, data_dir: str | None = None) -> tuple[Array, Array, Array, Array]:
    """Images (n, d) in [0, 1] and classes (n,) of training and test; every fifth digit tests."""
    _checks.one_of(example, "example", tuple(EXAMPLES))
    if example.startswith("8x8"):
        from sklearn.datasets import load_digits

        digits = load_digits()
        test = np.arange(len(digits.target)) % 5 == 0
        pixels, classes = digits.data / 16, digits.target
        return pixels[~test], classes[~test], pixels[test], classes[test]
    data = load_images("mnist", data_dir)
    parts = []
    for images in (data.X_train, data.X_test):
        pixels = images / 255
        if example == "14x14":
            pixels = pixels.reshape(-1, 14, 2, 14, 2).mean(axis=(2, 4))
        parts.append(pixels.reshape(len(pixels), -1))
    return parts[0], data.y_train, parts[1], data.y_test


def descend(setting: Setting, X: Array, y: Array, seed: int, decay: float) -> nn.Sequential:
    """Adam on cross-entropy, with weight decay, until the loss has settled."""
    net = letter.network(setting, seed)
    inputs, classes = torch.as_tensor(X, dtype=torch.float32), torch.as_tensor(y)
    # Adam's `weight_decay` is the gradient of decay/2 |all|^2, added before its scaling
    steps = torch.optim.Adam(net.parameters(), lr=setting.learning_rate, weight_decay=decay)
    generator = torch.Generator().manual_seed(seed)
    before = np.inf
    for _ in range(setting.blocks):
        for _ in range(setting.block):
            order = torch.randperm(len(inputs), generator=generator)
            for batch in order.split(setting.batch_size or len(inputs)):
                steps.zero_grad()
                functional.cross_entropy(net(inputs[batch]), classes[batch]).backward()
                steps.step()
        loss = letter.cross_entropy(net, X, y) + decay / 2 * letter.squares(net)
        if letter.settled(before, loss):
            break
        before = loss
    return net


def train(setting: Setting, X: Array, y: Array, seed: int) -> letter.Trained:
    """The four networks of one example."""

    def admm(start: nn.Sequential, strength: float | None, enforce: float | None) -> AdmmResult:
        return train_admm(
            X,
            y,
            init=start,
            loss="cross_entropy",
            strength=strength,
            enforce=enforce,
            multipliers="updated",
            penalty=setting.penalty,
            iterations=setting.rounds,
            epochs=setting.block,
            batch_size=setting.batch_size,
            learning_rate=setting.learning_rate,
            seed=seed,
        )

    return letter.train(lambda decay: descend(setting, X, y, seed, decay), admm, setting)


def under_noise(net: nn.Sequential, X: Array, y: Array, seed: int = 0) -> list[dict[str, Any]]:
    """Accuracy at each level of both kinds of noise, the same draw at all levels."""
    rng = np.random.default_rng(seed)
    draws = {"Gaussian": rng.normal(size=X.shape), "uniform": rng.uniform(-0.5, 0.5, size=X.shape)}
    return [
        {"noise": noise, "level": level, "accuracy": letter.accuracy(net, X + level * draw, y)}
        for noise, draw in draws.items()
        for level in LEVELS[noise]
    ]


def run(task: Mapping[str, Any]) -> dict[str, Any]:
    """One example from one seed: ``rows``, ``history`` and ``noise``.

    Parameters
    ----------
    task : mapping
        ``example``, ``seed`` and ``rounds``; optional ``data_dir``, ``block``.
    """
    setting = EXAMPLES[task["example"]]
    setting = replace(setting, rounds=task["rounds"], block=task.get("block", setting.block))
    X, y, X_test, y_test = load(task["example"], task.get("data_dir"))
    done = train(setting, X, y, task["seed"])
    noise = [
        {"network": name, **line}
        for name, net in done.nets.items()
        for line in under_noise(net, X_test, y_test)
    ]
    return {
        "rows": letter.rows(setting, done, X, y, (X_test, y_test)),
        "history": done.history,
        "noise": noise,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m studies.letter mnist", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--examples", nargs="+", choices=EXAMPLES, default=["14x14", "28x28"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=_SHALLOW.rounds)
    parser.add_argument("--data-dir", help="where MNIST lies (see lipsnn.images)")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--cache", type=Path, default=Path(".cache/letter"))
    options = parse(parser, arguments, "letter_mnist.csv", seeds=1, rounds=1, examples=["14x14"])
    code = provenance.commit(Path.cwd())
    grid: list[dict[str, Any]] = [
        {"example": example, "seed": seed, "rounds": options.rounds, "data_dir": options.data_dir}
        for seed in range(options.seeds)
        for example in options.examples
    ]
    outcomes = runner.run(grid, run, cache=options.cache, version=VERSION, jobs=options.jobs)
    tables = {
        suffix: letter.collect(outcomes, part)
        for suffix, part in (("", "rows"), ("_history", "history"), ("_noise", "noise"))
    }
    print(tables[""].groupby(["example", "network"], sort=False).mean().to_string())
    return letter.write(
        options.output,
        tables,
        outcomes,
        code,
        settings_of={name: asdict(EXAMPLES[name]) for name in options.examples},
        seeds=options.seeds,
        rounds=options.rounds,
        sources="studies/letter/mnist.py",
        made_by=options.made_by,
    )
