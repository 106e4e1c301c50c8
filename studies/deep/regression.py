"""Regression by networks of one to three hidden layers, at equal CPU time: `deep_regression.csv`.

`python -m studies.deep regression`. What has finished is kept in the cache; the same command
after a kill computes only what is missing.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lipsnn.attack import adversarial_mse
from lipsnn.certificate import certify
from lipsnn.convex.refine import refine
from lipsnn.datasets import DATASETS, load_dataset
from lipsnn.network import Network
from studies.common import provenance, runner
from studies.common.command import parse
from studies.deep import networks

# Raised when a change of the code changes the numbers.
VERSION = "deep-regression-3"

# Each begins at the base, trained by weight decay, and has the same CPU time.
METHODS = ("base", "descent", "sweeps", "polish", "walk")
RADII = (0.1, 0.2, 0.4)


def widths(dim: int, depth: int, parameters: int) -> list[int]:
    """`depth` equal layers with, for one output, about so many weights and biases."""
    width = 1
    while (width + 1) * (dim + 2 + (depth - 1) * (width + 2)) + 1 <= parameters:
        width += 1
    return [width] * depth


def improved(
    task: Mapping[str, Any], base: Network, X: np.ndarray, y: np.ndarray
) -> tuple[Network, float]:
    """The network of a task's method from the base, and its CPU seconds."""
    strength, many = task["strength"], 1000
    methods = {"sweeps": "layers", "polish": "polish", "walk": "walk"}

    def steps() -> Any:
        if task["method"] == "descent":
            yield from networks.descent(base, X, y[:, None], "squared", strength)
        else:
            method = methods[task["method"]]
            yield refine(base, X, y, strength, method=method, rounds=many, progress=False).net

    def best() -> Any:
        return networks.within(task["seconds"], base, steps)

    return (base, 0.0) if task["method"] == "base" else networks.timed(best)


def run(task: Mapping[str, Any]) -> dict[str, Any]:
    """Train the base, improve it by one method, then certify and attack.

    Parameters
    ----------
    task : mapping
        ``dataset``, ``split``, ``depth``, ``method``, ``parameters``, ``strength``, ``seconds``,
        ``decay``, ``epochs``.

    Returns
    -------
    dict
        ``objective``, ``loss``, ``bound``, mean squared errors ``test`` and ``test_R`` under
        attacks of size R, ``cpu`` (seconds of the method).
    """
    data = load_dataset(task["dataset"], task["split"])
    X, y = data.X_train, data.y_train
    sizes = [X.shape[1], *widths(X.shape[1], task["depth"], task["parameters"]), 1]
    base = networks.trained(
        sizes, X, y[:, None], "squared", task["split"], task["decay"], task["epochs"]
    )
    net, cpu = improved(task, base, X, y)
    if not isinstance(net, Network):
        net = net.to_network()
    bound = certify(net).bound
    objective = networks.value(net, X, y[:, None], "squared", task["strength"])
    attacked = adversarial_mse(net, data.X_test, data.y_test, (0.0, *RADII), steps=50)
    names = ("test", *(f"test_{radius:g}" for radius in RADII))
    return {
        "widths": "-".join(map(str, sizes)),
        "objective": objective,
        "loss": objective - task["strength"] * bound**2,
        "bound": bound,
        **dict(zip(names, map(float, attacked), strict=True)),
        "cpu": cpu,
    }


def tasks(
    datasets: Sequence[str] = tuple(DATASETS),
    splits: int = 3,
    depths: Sequence[int] = (1, 2, 3),
    methods: Sequence[str] = METHODS,
    **common: Any,
) -> list[dict[str, Any]]:
    """The grid; the walk is for one hidden layer."""
    common = {
        "parameters": 500,
        "strength": 1.0,
        "seconds": 30.0,
        "decay": 0.1,
        "epochs": 500,
    } | common
    return [
        {"dataset": dataset, "split": split, "depth": depth, "method": method, **common}
        for split in range(splits)
        for dataset in datasets
        for depth in depths
        for method in methods
        if method != "walk" or depth == 1
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m studies.deep regression", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--datasets", nargs="+", default=list(DATASETS))
    parser.add_argument("--splits", type=int, default=3)
    parser.add_argument("--depths", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--seconds", type=float, default=30.0, help="CPU time of each method")
    parser.add_argument("--parameters", type=int, default=500)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--cache", type=Path, default=Path(".cache/deep"))
    options = parse(
        parser,
        arguments,
        "deep_regression.csv",
        datasets=["servo"],
        splits=1,
        seconds=2.0,
        parameters=200,
    )
    code = provenance.commit(Path.cwd())
    common = {"seconds": options.seconds, "parameters": options.parameters}
    grid = tasks(options.datasets, options.splits, options.depths, options.methods, **common)
    outcomes = runner.run(grid, run, cache=options.cache, version=VERSION, jobs=options.jobs)
    failed = runner.report_failed(outcomes, "dataset", "split", "depth", "method")
    rows = runner.table(outcomes, ("dataset", "split", "depth", "method"))
    provenance.write_table(
        options.output,
        rows,
        commit=code,
        seconds=sum(outcome.seconds for outcome in outcomes),
        splits=options.splits,
        failed=len(failed),
        made_by=options.made_by,
        **{name: grid[0][name] for name in ("strength", "decay", "epochs")},
        cpu_seconds=options.seconds,
        parameters=options.parameters,
    )
    shown = ["objective", "loss", "bound", "test", "test_0.2", "cpu"]
    print(rows.groupby(["dataset", "depth", "method"], sort=False)[shown].mean().to_string())
    return int(bool(failed))
