"""The sources' systems on the same shallow ReLU network and data: `meeting.csv`.

`python -m studies.meeting`. What has finished is kept in the cache; the same command
after a kill computes only what is missing.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from lipsnn._checks import Array
from lipsnn.attack import adversarial_mse
from lipsnn.certificate import certify
from lipsnn.convex.objective import loss
from lipsnn.convex.refine import refine
from lipsnn.datasets import load_dataset
from lipsnn.network import ShallowNet
from lipsnn.train import train_admm, train_lipschitz, train_pgd, train_sgd
from lipsnn.train.descent import initial_network
from studies.clip import regression
from studies.clip.regularizers import Lipschitz
from studies.common import provenance, runner
from studies.common.command import parse

# Raised when a change of the code changes the numbers.
VERSION = "meeting-1"

# lam_lip of problem (4), for those who know it.
STRENGTHS = (0.1, 0.3, 1.0, 10.0)
# What each method's setting is, and its values.
SETTINGS: dict[str, tuple[str, tuple[float, ...]]] = {
    "SGD": ("none", (0.0,)),
    "weight decay": ("lam_reg", STRENGTHS),
    "PGD training": ("radius", (0.05, 0.1, 0.2, 0.4)),
    "ADMM": ("lam_lip", STRENGTHS),
    "CLIP": ("lam_lip", STRENGTHS),
    "direct": ("lam_lip", STRENGTHS),
    "alternating": ("lam_lip", STRENGTHS),
    "joint": ("lam_lip", STRENGTHS),
    "walk": ("lam_lip", STRENGTHS),
}
RADII = (0.1, 0.2, 0.4)


def clip(
    X: Array, y: Array, width: int, strength: float, seed: int = 0, *, epochs: int = 500
) -> ShallowNet:
    """Problem (4) with CLIP's estimate in place of the bound, from `train_sgd`'s initial weights.

    The Lipschitz set: 20 uniform pairs in the data's box, redrawn every tenth epoch; the squared
    quotient of the worst pair stands for rho. Adam at 3e-3, without a schedule.
    """
    net = initial_network(X.shape[1], width, torch.Generator().manual_seed(seed)).to_torch()
    net[2].bias.requires_grad_(False)  # the others have no output bias to train
    pairs = regression.box_pairs(X, 20)
    result = regression.trained(
        net, X, y, Lipschitz(pairs, strength / len(X)), "squared", epochs, seed
    )
    return ShallowNet.from_torch(result.net)


def train(task: Mapping[str, Any], X: Array, y: Array) -> ShallowNet:
    """The network of a task; for refinements, the training that they start from included."""
    width, value, seed, epochs = (task[name] for name in ("width", "setting", "seed", "epochs"))
    sgd: Callable[..., ShallowNet] = train_sgd
    if task["method"] in ("SGD", "weight decay"):
        return sgd(X, y, width, value, seed, epochs=epochs)
    if task["method"] == "PGD training":
        return train_pgd(X, y, width, 0.0, seed, radius=value, epochs=epochs)
    if task["method"] == "CLIP":
        return clip(X, y, width, value, seed, epochs=epochs)
    if task["method"] == "direct":
        return train_lipschitz(X, y, width, value, seed, epochs=epochs, batch_size=32)
    base = sgd(X, y, width, task["decay"], seed, epochs=epochs)
    if task["method"] == "ADMM":
        return train_admm(
            X, y, width, value, seed, init=base, epochs=max(1, epochs // 50), iterations=50
        ).net
    return refine(
        base, X, y, value, method=task["method"], rounds=task["rounds"], progress=False
    ).net


def run(task: Mapping[str, Any]) -> dict[str, Any]:
    """Train by one method, then certify and attack.

    Parameters
    ----------
    task : mapping
        ``dataset``, ``split``, ``method``, ``setting``, ``width``, ``seed``, ``epochs``, ``decay``
        (lam_reg of the training that ADMM and the refinements start from) and ``rounds``.

    Returns
    -------
    dict
        ``loss`` (half the sum of squares on the training part), ``bound``, mean squared errors
        ``train``, ``test`` and ``test_R`` under attacks of size R, ``seconds`` of training.
    """
    data = load_dataset(task["dataset"], task["split"])
    start = time.perf_counter()
    net = train(task, data.X_train, data.y_train)
    seconds = time.perf_counter() - start
    attacked = adversarial_mse(net, data.X_test, data.y_test, RADII, steps=50, restarts=2)
    return {
        "loss": loss(net, data.X_train, data.y_train),
        "bound": certify(net).bound,
        "train": float(np.mean((net(data.X_train) - data.y_train) ** 2)),
        "test": float(np.mean((net(data.X_test) - data.y_test) ** 2)),
        **{f"test_{radius:g}": float(error) for radius, error in zip(RADII, attacked, strict=True)},
        "seconds": seconds,
    }


def tasks(
    datasets: tuple[str, ...] = ("servo", "machine"),
    splits: int = 10,
    *,
    width: int = 50,
    epochs: int = 300,
    decay: float = 0.1,
    rounds: int = 10,
    methods: tuple[str, ...] = tuple(SETTINGS),
) -> list[dict[str, Any]]:
    """The grid: each method at each of its settings on each split; split k has seed k."""
    return [
        {
            "dataset": dataset,
            "split": split,
            "seed": split,
            "method": method,
            "setting": setting,
            "width": width,
            "epochs": epochs,
            "decay": decay,
            "rounds": rounds,
        }
        for split in range(splits)
        for dataset in datasets
        for method in methods
        for setting in SETTINGS[method][1]
    ]


def at_strength(rows: pd.DataFrame, strength: float) -> pd.DataFrame:
    """The rows that stand for each method in problem (4) at this lam_lip, with its ``objective``.

    A method that knows lam_lip is there with that setting; another with the setting whose mean
    objective over the splits is the smallest, so that it is shown at its best.
    """
    rows = rows.assign(objective=rows["loss"] + strength * rows["bound"] ** 2)
    picked = []
    for (_, method), part in rows.groupby(["dataset", "method"], sort=False):
        if SETTINGS[str(method)][0] == "lam_lip":
            picked.append(part[part["setting"] == strength])
        else:
            best = part.groupby("setting")["objective"].mean().idxmin()
            picked.append(part[part["setting"] == best])
    return pd.concat(picked)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m studies.meeting", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--datasets", nargs="+", default=["servo", "machine"])
    parser.add_argument("--splits", type=int, default=10)
    parser.add_argument("--width", type=int, default=50)
    parser.add_argument("--epochs", type=int, default=300)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--cache", type=Path, default=Path(".cache/meeting"))
    options = parse(parser, arguments, "meeting.csv", splits=1, epochs=30)
    code = provenance.commit(Path.cwd())
    grid = tasks(
        tuple(options.datasets), options.splits, width=options.width, epochs=options.epochs
    )
    outcomes = runner.run(grid, run, cache=options.cache, version=VERSION, jobs=options.jobs)
    failed = runner.report_failed(outcomes, "dataset", "split", "method", "setting")
    rows = runner.table(outcomes, ("dataset", "split", "method", "setting"))
    common = {name: grid[0][name] for name in ("width", "epochs", "decay", "rounds")}
    provenance.write_table(
        options.output,
        rows,
        commit=code,
        seconds=sum(outcome.seconds for outcome in outcomes),
        splits=options.splits,
        failed=len(failed),
        made_by=options.made_by,
        **common,
    )
    print(at_strength(rows, 1.0).groupby(["dataset", "method"], sort=False).mean().to_string())
    return int(bool(failed))
