"""Classification at equal certified bound: `deep_classes.csv`.

`python -m studies.deep classes`. Four ways of training, each then refined under its own certified
bound: what the convex programs add to each. Kept in the cache as it finishes.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from lipsnn._checks import Array
from lipsnn.attack import pgd_attack
from lipsnn.certificate import certify
from lipsnn.convert import as_network
from lipsnn.convex.refine import refine
from lipsnn.images import load_images
from lipsnn.network import Network
from lipsnn.train import train_admm
from lipsnn.train.clip import LipschitzSet
from lipsnn.train.deep import descend
from studies.common import provenance, runner
from studies.common.command import parse
from studies.deep import networks

# Raised when a change of the code changes the numbers.
VERSION = "deep-classes-2"

DATASETS = ("iris", "wine", "digits", "mnist")
TRAININGS = ("weight decay", "CLIP", "ADMM", "direct")
RADII = (0.1, 0.2, 0.4)
# Inputs at most. More are reduced to their first principal components; as these are orthonormal,
# the projection folded into the first layer changes no bound, margin or attack in l2.
INPUTS = {"digits": 16, "mnist": 50}


def load(name: str, split: int, samples: int) -> tuple[Array, Array, Array, Array]:
    """Training inputs and classes, then those for the test; standardised on the former."""
    if name == "mnist":
        images = load_images("mnist")
        X = np.concatenate([images.X_train, images.X_test]).reshape(-1, 784)
        y = np.concatenate([images.y_train, images.y_test])
    else:
        import sklearn.datasets

        X, y = getattr(sklearn.datasets, f"load_{name}")(return_X_y=True)
    order = np.random.default_rng(split).permutation(len(X))
    X, y = np.asarray(X[order][:samples], dtype=np.float64), np.asarray(y[order][:samples])
    n = int(0.7 * len(X))
    centre, scale = X[:n].mean(axis=0), X[:n].std(axis=0)
    if name in INPUTS:  # pixels: one scale for all, and the main directions
        scale = np.full(X.shape[1], np.sqrt(np.mean(scale**2)))
    X = (X - centre) / np.where(scale > 0, scale, 1.0)
    if name in INPUTS:
        X = X @ np.linalg.svd(X[:n], full_matrices=False)[2][: INPUTS[name]].T
    return X[:n], y[:n], X[n:], y[n:]


def train(task: Mapping[str, Any], X: Array, y: Array) -> Network:
    """The network of a task before its refinement; the others start from weight decay."""
    sizes = [X.shape[1], *task["widths"], int(y.max()) + 1]
    seed, strength, epochs = task["split"], task["strength"], task["epochs"]
    base = networks.trained(sizes, X, y, "cross_entropy", seed, task["decay"], epochs)
    if task["training"] == "weight decay":
        return base
    if task["training"] == "direct":
        return descend(base, X, y, strength, "cross_entropy", epochs=epochs)
    if task["training"] == "ADMM":
        found = train_admm(
            X,
            y,
            strength=strength / len(X),
            seed=seed,
            init=base.to_torch(),
            loss="cross_entropy",
            epochs=max(1, epochs // 50),
        )
        return as_network(found.feasible)
    return clip(base, X, y, strength / len(X), seed, epochs)


def clip(base: Network, X: Array, y: Array, strength: float, seed: int, epochs: int) -> Network:
    """CLIP's regulariser beside the mean loss: its worst of 50 pairs, moved before each step."""
    torch.manual_seed(seed)
    net, inputs, classes = base.to_torch(), torch.tensor(X), torch.tensor(y)
    chosen = torch.randint(len(X), (50,))
    pairs = LipschitzSet(
        inputs[chosen], inputs[chosen] + 0.1 * torch.randn(50, X.shape[1]).double()
    )
    adam = torch.optim.Adam(net.parameters(), lr=3e-3)
    for _ in range(epochs):
        adam.zero_grad()
        loss = torch.nn.functional.cross_entropy(net(inputs), classes)
        (loss + strength * pairs.penalty(net, pairs.update(net))).backward()
        adam.step()
    return as_network(net)


def judged(net: Network, X: Array, y: Array) -> dict[str, float]:
    """Test accuracy: clean, certified by L and by each pair of classes, and under attack."""
    f = net(X)
    margins = f[np.arange(len(y)), y][:, None] - f
    bound, pairs = certify(net).bound, np.full(margins.shape[1:] * 2, np.inf)
    for i in range(len(pairs)):
        for j in range(i):
            last = net.weights[-1][[i]] - net.weights[-1][[j]]
            pairs[i, j] = pairs[j, i] = certify(Network([*net.weights[:-1], last])).bound
    own = np.eye(len(pairs), dtype=bool)[y]
    least = np.where(own, np.inf, margins).min(axis=1)
    # the radius within which no other class overtakes
    radius = np.where(own, np.inf, margins / pairs[y]).min(axis=1)
    found = {"accuracy": float((least > 0).mean())}
    for r in RADII:
        found[f"certified_{r:g}"] = float((least > np.sqrt(2) * bound * r).mean())
        found[f"pairs_{r:g}"] = float((radius > r).mean())
        attacked = net(pgd_attack(net, X, y, r)).argmax(axis=1)
        found[f"attacked_{r:g}"] = float((attacked == y).mean())
    return found


def run(task: Mapping[str, Any]) -> dict[str, Any]:
    """Train, refine under the network's own bound, and judge both.

    Parameters
    ----------
    task : mapping
        ``dataset``, ``split``, ``training``, ``widths``, ``samples``, ``strength``, ``decay``,
        ``epochs``, ``sweeps``.

    Returns
    -------
    dict
        ``before`` and ``after``: ``loss`` (mean cross-entropy on the training part), ``bound``, and
        what `judged` says; ``cpu``, seconds of the refinement.
    """
    X, y, X_test, y_test = load(task["dataset"], task["split"], task["samples"])
    net = train(task, X, y)

    def refined() -> Network:
        settings = {"bound": "own", "loss": "cross_entropy", "rounds": task["sweeps"]}
        return refine(net, X, y, method="layers", progress=False, **settings).net

    better, cpu = networks.timed(refined)
    both = {
        name: {
            "loss": networks.value(one, X, y, "cross_entropy", 0.0) / len(X),
            "bound": certify(one).bound,
            **judged(one, X_test, y_test),
        }
        for name, one in {"before": net, "after": better}.items()
    }
    return {**both, "cpu": cpu}


def tasks(
    datasets: Sequence[str] = DATASETS, splits: int = 10, **common: Any
) -> list[dict[str, Any]]:
    """The grid: each training on each split."""
    common = {
        "widths": [50],
        "samples": 5000,
        "strength": 0.3,
        "decay": 0.1,
        "epochs": 500,
        "sweeps": 2,
    } | common
    return [
        {"dataset": dataset, "split": split, "training": training, **common}
        for split in range(splits)
        for dataset in datasets
        for training in TRAININGS
    ]


def table(outcomes: Sequence[runner.Outcome]) -> pd.DataFrame:
    """Two rows for each task that was done, the network before and after its refinement."""

    def rows(value: Mapping[str, Any]) -> list[dict[str, Any]]:
        before = {"refined": False, "cpu": 0.0} | value["before"]
        return [before, {"refined": True, "cpu": value["cpu"]} | value["after"]]

    return runner.table(outcomes, ("dataset", "split", "training"), rows)


def paired(rows: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """Mean over the splits of after minus before, and its standard error, for each column."""
    wide = rows.set_index(["dataset", "training", "split", "refined"])[list(columns)]
    change = wide.xs(True, level="refined") - wide.xs(False, level="refined")
    return change.groupby(level=["dataset", "training"], sort=False).agg(["mean", "sem"])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m studies.deep classes", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--datasets", nargs="+", default=list(DATASETS))
    parser.add_argument("--splits", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=500)
    parser.add_argument("--widths", type=int, nargs="+", default=[50])
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--cache", type=Path, default=Path(".cache/deep"))
    options = parse(
        parser, arguments, "deep_classes.csv", datasets=["iris"], splits=1, epochs=200, widths=[8]
    )
    code = provenance.commit(Path.cwd())
    grid = tasks(options.datasets, options.splits, epochs=options.epochs, widths=options.widths)
    outcomes = runner.run(grid, run, cache=options.cache, version=VERSION, jobs=options.jobs)
    failed = runner.report_failed(outcomes, "dataset", "split", "training")
    rows = table(outcomes)
    provenance.write_table(
        options.output,
        rows,
        commit=code,
        seconds=sum(outcome.seconds for outcome in outcomes),
        splits=options.splits,
        failed=len(failed),
        made_by=options.made_by,
        **{name: grid[0][name] for name in ("widths", "strength", "decay", "epochs", "sweeps")},
    )
    print(rows.groupby(["dataset", "training", "refined"], sort=False).mean().to_string())
    return int(bool(failed))
