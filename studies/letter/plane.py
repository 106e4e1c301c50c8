"""The letter of Pauli et al. in the plane: three classes, networks 2-10-10-3 with tanh.

    python -m studies.letter plane [--output results/full/letter_2d.csv]

Fifty points of the unit square; class 2 in a disc, 1 in a ring around it, 0 outside. Plain gradient
descent on all of them, also within ADMM, and otherwise as `studies.letter.study` says. Within
ADMM the letter's learning rate is constant; where that is too long a step for a steep network, a
rate that falls from it to zero along a cosine over the rounds, as in `train_admm`, shows what the
problem has. Both are run.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from lipsnn._checks import Array
from lipsnn.certificate import certify_layers
from lipsnn.network import Network
from lipsnn.train.admm import engine
from lipsnn.train.admm.step import FixedStep
from studies.common import provenance, runner
from studies.common.command import parse
from studies.letter import study as letter
from studies.letter.descent import Parameters, descend
from studies.letter.study import Setting

# Raised when a change of the code changes the numbers.
VERSION = "letter-plane-2"
SETTING = Setting((2, 10, 10, 3), "Tanh", 0.1, None, 10_000, 10, 5e-4, 0.25, 1e-5, 20, 5, 1.0)
RATES = ("constant", "falling")


def points(seed: int = 1612111977, n: int = 50) -> tuple[Array, Array]:
    """Uniform points of the unit square, (n, 2), and their classes, (n,)."""
    X = np.random.RandomState(seed).uniform(size=(n, 2))
    return X, classes(X)


def classes(X: Array) -> Array:
    """2 in the disc of radius 0.2 about the centre, 1 in the ring around it up to 0.4, else 0."""
    squared = ((X - 0.5) ** 2).sum(axis=1)
    return np.where(squared <= 0.04, 2, np.where(squared <= 0.16, 1, 0))


def initial(seed: int) -> Parameters:
    """As torch draws them."""
    net = letter.network(SETTING, seed)
    return [part.detach().double().numpy() for part in net.parameters()]


def to_torch(parts: Parameters) -> nn.Sequential:
    """The network of these parameters, in float64."""
    net = letter.network(SETTING, 0).double()
    with torch.no_grad():
        for parameter, part in zip(net.parameters(), parts, strict=True):
            parameter.copy_(torch.as_tensor(part))
    return net


class Fit:
    """The side W of ADMM's splitting (9), by the compiled descent."""

    def __init__(
        self, start: Parameters, X: Array, y: Array, setting: Setting, falling: bool
    ) -> None:
        self.parts, self.X, self.y, self.setting = start, X, y, setting
        self.falling, self.round = falling, 0

    @property
    def weights(self) -> list[Array]:
        return self.parts[::2]

    def descend(self, anchor: Sequence[Array]) -> None:
        setting, rate = self.setting, self.setting.learning_rate
        if self.falling:
            rate *= (1 + math.cos(math.pi * self.round / setting.rounds)) / 2
        self.parts = descend(
            self.parts,
            self.X,
            self.y,
            setting.block,
            learning_rate=rate,
            penalty=setting.penalty,
            anchor=anchor,
        )
        self.round += 1

    def loss(self, weights: Sequence[Array]) -> float:
        return letter.cross_entropy(self.network(weights), self.X, self.y)

    def network(self, weights: Sequence[Array]) -> nn.Sequential:
        biases = self.parts[1::2]
        return to_torch([part for pair in zip(weights, biases, strict=True) for part in pair])


def train(setting: Setting, X: Array, y: Array, seed: int, falling: bool = True) -> letter.Trained:
    """The four networks from one seed."""

    def by_descent(decay: float) -> nn.Sequential:
        parts, before = initial(seed), np.inf
        for _ in range(setting.blocks):
            parts = descend(
                parts, X, y, setting.block, learning_rate=setting.learning_rate, decay=decay
            )
            net = to_torch(parts)
            loss = letter.cross_entropy(net, X, y) + decay / 2 * letter.squares(net)
            if letter.settled(before, loss):
                break
            before = loss
        return net

    def admm(
        start: nn.Sequential, strength: float | None, enforce: float | None
    ) -> engine.AdmmResult:
        first = certify_layers(start)
        fit = Fit([part.detach().numpy() for part in start.parameters()], X, y, setting, falling)
        step = FixedStep(
            first.multipliers,
            first.bound**2 if enforce is None else enforce**2,
            mu=strength,
            penalty=setting.penalty,
        )

        def update(weights: list[Array]) -> None:
            step.multipliers = list(certify_layers(Network(weights)).multipliers)

        return engine.run(
            fit,
            step,
            strength=strength or 0.0,
            penalty=setting.penalty,
            iterations=setting.rounds,
            tol=1e-9,
            update=update,
        )

    return letter.train(by_descent, admm, setting)


def run(task: Mapping[str, Any]) -> dict[str, Any]:
    """All networks from one seed: ``rows``, ``history`` and ``networks``, their parameters.

    Parameters
    ----------
    task : mapping
        ``seed``, ``rate`` (of `RATES`), ``block`` and ``rounds``.
    """
    setting = replace(SETTING, block=task["block"], rounds=task["rounds"])
    X, y = points()
    done = train(setting, X, y, task["seed"], task["rate"] == "falling")
    return {
        "rows": letter.rows(setting, done, X, y, points(0, 5000)),
        "history": done.history,
        "networks": [
            {"network": name, "place": place, "value": value}
            for name, net in done.nets.items()
            for place, value in enumerate(nn.utils.parameters_to_vector(net.parameters()).tolist())
        ],
    }


def from_table(table: pd.DataFrame) -> nn.Sequential:
    """The network of one seed and name in the table of ``networks``."""
    net = letter.network(SETTING, 0).double()
    values = torch.tensor(table.sort_values("place")["value"].to_numpy(float))
    nn.utils.vector_to_parameters(values, net.parameters())
    return net


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m studies.letter plane", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=SETTING.rounds)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--cache", type=Path, default=Path(".cache/letter"))
    options = parse(parser, arguments, "letter_2d.csv", seeds=1, rounds=3)
    code = provenance.commit(Path.cwd())
    grid = [
        {"seed": seed, "rate": rate, "block": SETTING.block, "rounds": options.rounds}
        for seed in range(options.seeds)
        for rate in RATES
    ]
    outcomes = runner.run(grid, run, cache=options.cache, version=VERSION, jobs=options.jobs)
    tables = {
        suffix: letter.collect(outcomes, part)
        for suffix, part in (("", "rows"), ("_history", "history"), ("_networks", "networks"))
    }
    print(tables[""].groupby(["rate", "network"], sort=False).mean().to_string())
    return letter.write(
        options.output,
        tables,
        outcomes,
        code,
        setting_of=asdict(replace(SETTING, rounds=options.rounds)),
        seeds=options.seeds,
        sources="studies/letter/plane.py",
        made_by=options.made_by,
    )
