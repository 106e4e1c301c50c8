"""The runs of the recovery's search: reductions of the objective under given settings.

Nothing here knows what the paper printed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lipsnn.convex.objective import objective
from lipsnn.convex.refine import refine
from lipsnn.convex.result import Refinement
from lipsnn.datasets import Dataset, load_dataset
from lipsnn.network import ShallowNet
from lipsnn.train import train_admm, train_sgd
from lipsnn.train.descent import Descent, Steps, decayed

Row = dict[str, Any]


def strength_of(loss: str, value: float, samples: int) -> float:
    """The strength of problem (4), whose loss is a sum, for one beside the mean or the sum."""
    return value * samples if loss == "mean" else value


def search_l2(task: Mapping[str, Any]) -> dict[str, Any]:
    """C-l2 and samp-l2 from an SGD base at each of the epochs in ``task["stations"]``.

    Returns
    -------
    dict
        "rows": a row per station and method: station, method, initial_objective, objective,
        status. A run that diverges has no rows from there on.
    """
    data = load_dataset(**task["data"])
    X, y = data.X_train, data.y_train
    strength = strength_of(task["loss"], task["strength"], len(X))
    rows: list[Row] = []
    for epochs, base in _stations(task, data, strength):
        before = objective(base, X, y, strength, "l2")
        for method, sample in (("C-l2", None), ("samp-l2", task["trial"])):
            found = refine(base, X, y, strength, "l2", sample=sample, progress=False)
            rows.append(_row(epochs, method, before, found.objective, found.status))
    return {"rows": rows}


def search_lipschitz(task: Mapping[str, Any]) -> dict[str, Any]:
    """C-lip and samp-lip from ADMM, after each number of rounds in ``task["stations"]``."""
    data = load_dataset(**task["data"])
    X, y = data.X_train, data.y_train
    base, admm = task["base"], task["admm"]
    l2 = strength_of(base["loss"], base["strength"], len(X))
    strength = strength_of(task["loss"], task["strength"], len(X))
    try:
        start = train_sgd(
            X,
            y,
            task["width"],
            l2,
            task["trial"],
            epochs=base["epochs"],
            schedule="constant",
            **base["training"],
        )
        net = train_admm(
            X, y, strength=strength, seed=task["trial"], init=start, schedule="constant", **admm
        ).net
    except RuntimeError as error:  # diverged
        return {"rows": [], "error": str(error)}
    rows: list[Row] = []
    for method, sample in (("C-lip", None), ("samp-lip", task["trial"])):
        rounds = max(task["stations"])
        found = refine(
            net,
            X,
            y,
            strength,
            method="alternating",
            rounds=rounds,
            tol=0.0,
            sample=sample,
            progress=False,
        )
        for station in task["stations"]:
            after = _after(found, station)
            rows.append(_row(station, method, found.initial_objective, after, found.status))
    return {"rows": rows}


def _stations(
    task: Mapping[str, Any], data: Dataset, strength: float
) -> list[tuple[int, ShallowNet]]:
    """The network of one training run after each number of epochs, as `train_sgd` has it."""
    steps = Steps(task["trial"], max(task["stations"]), schedule="constant", **task["training"])
    descent, found = Descent(data.X_train, data.y_train, task["width"], steps), []
    gradient = decayed(strength / len(data.X_train))
    for epochs in sorted(task["stations"]):
        try:
            found.append((epochs, descent.advance(gradient, epochs - descent.epoch)))
        except RuntimeError:  # diverged
            break
    return found


def _after(found: Refinement, rounds: int) -> float:
    """The best objective of the first `rounds` programs, and where there were fewer of all."""
    history = found.history[: rounds + 1]
    return min(entry.objective for entry in history if entry.accepted)


def _row(station: int, method: str, before: float, after: float, status: str) -> Row:
    return {
        "station": station,
        "method": method,
        "initial_objective": before,
        "objective": after,
        "status": status,
    }
