"""The rule for what the paper leaves open: strengths and ADMM's penalty, on validation data.

Stated before any table was made, and never moved by one:

1. A validation part is drawn from the training part of the first few trials; the test part is
   not read.
2. lam_reg is the strength whose SGD base has the lowest median validation error.
3. ADMM runs from that base. For every lam_lip, its penalty is the one that reaches the lowest
   median objective (4) on the data it was trained on.
4. lam_lip is the strength for which ADMM, so tuned, has the lowest median over the trials of the
   adversarial validation error, averaged over the attack sizes.

Both strengths are so chosen for the baselines, not for what is compared with them. Ties go to the
larger strength. Where lam_lip is the largest strength of the grid, ten times as much is tried too:
it stands in the table for the reader, and the grid is not moved by it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from sklearn.model_selection import train_test_split

from lipsnn.attack import adversarial_mse
from lipsnn.convex.objective import objective
from lipsnn.datasets import Dataset, load_dataset
from studies.paper import trial
from studies.paper.settings import Settings

Results = list[Mapping[str, Any]]
# Tasks and the function that does one, to their results in the same order.
Run = Callable[[list[dict[str, Any]], Callable[[Mapping[str, Any]], dict[str, Any]]], Results]


def choose(settings: Settings, run: Run) -> tuple[dict[str, dict[str, float]], pd.DataFrame]:
    """Apply the rule.

    Parameters
    ----------
    settings : mapping
        Of a profile, see `load_settings`; what it holds under "chosen" is not read.
    run : callable
        Does a list of tasks.

    Returns
    -------
    choice : dict
        Per data set: "l2", "lipschitz" and "penalty".
    table : DataFrame
        Everything tried: dataset, trial, problem, strength, penalty, objective, validation.
    """
    names = settings["datasets"]
    first = _table(run([_task(settings, name, k) for name, k in _cells(settings)], try_l2))
    l2 = {name: _best(first[first.dataset == name], "strength") for name in names}
    cells = [_task(settings, name, k) | {"l2": l2[name]} for name, k in _cells(settings)]
    second = _table(run(cells, try_lipschitz))
    choice = {}
    for name in names:
        here = second[second.dataset == name]
        tuned = [_tuned(part) for _, part in here.groupby("strength")]
        strength = _best(pd.concat(tuned), "strength")
        penalty = next(part.penalty.iloc[0] for part in tuned if part.strength.iloc[0] == strength)
        choice[name] = {"l2": l2[name], "lipschitz": strength, "penalty": float(penalty)}
    beyond = [_beyond(task, choice[task["dataset"]]["lipschitz"]) for task in cells]
    third = _table(run([task for task in beyond if task["strengths"]], try_lipschitz))
    return choice, pd.concat([first, second, third], ignore_index=True)


def _beyond(task: dict[str, Any], chosen: float) -> dict[str, Any]:
    """The task with ten times the largest strength, if that one was chosen, and nothing else."""
    largest = max(task["strengths"])
    return task | {"strengths": [10 * largest] if chosen == largest else []}


def try_l2(task: Mapping[str, Any]) -> dict[str, Any]:
    """The validation error of the SGD base at every strength."""
    data = _held_out(task)
    rows = []
    for strength in task["strengths"]:
        net = trial.train_base({**task, "base": "sgd", "l2": strength}, data)
        error = float(np.mean((net(data.X_test) - data.y_test) ** 2))
        value = objective(net, data.X_train, data.y_train, strength, "l2")
        rows.append(_row(task, "l2", strength, float("nan"), value, error))
    return {"rows": rows}


def try_lipschitz(task: Mapping[str, Any]) -> dict[str, Any]:
    """Objective and adversarial validation error of ADMM at every strength and penalty."""
    data = _held_out(task)
    base = trial.train_base({**task, "base": "sgd"}, data)
    attack, rows = task["attack"], []
    for strength in task["strengths"]:
        for penalty in task["penalties"]:
            settings = {**task["admm"], "penalty": penalty}
            net = trial.admm({**task, "lipschitz": strength, "admm": settings}, data, base)
            errors = adversarial_mse(
                net,
                data.X_test,
                data.y_test,
                attack["radii"],
                steps=attack["steps"],
                restarts=attack["restarts"],
            )
            value = objective(net, data.X_train, data.y_train, strength, "lipschitz")
            rows.append(_row(task, "lipschitz", strength, penalty, value, float(errors.mean())))
    return {"rows": rows}


def _cells(settings: Settings) -> list[tuple[str, int]]:
    trials = range(min(settings["choice"]["trials"], settings["trials"]))
    return [(name, k) for name in settings["datasets"] for k in trials]


def _task(settings: Settings, dataset: str, split: int) -> dict[str, Any]:
    rule = settings["choice"]
    return {
        "dataset": dataset,
        "trial": split,
        "problem": "choice",
        "data": {"name": dataset, "split": split, "variant": settings["variant"]}
        | (settings["rastrigin"] if dataset == "rastrigin" else {}),
        "width": settings["width"],
        "training": dict(settings["training"]),
        "admm": dict(settings["admm"]),
        "attack": dict(settings["attack"]),
        "strengths": list(rule["strengths"]),
        "penalties": list(rule["penalties"]),
        "validation": rule["validation"],
    }


def _held_out(task: Mapping[str, Any]) -> Dataset:
    """The trial's data with a part of its training part in the place of the test part."""
    data = load_dataset(**task["data"])
    X, X_held, y, y_held = train_test_split(
        data.X_train, data.y_train, test_size=task["validation"], random_state=task["trial"]
    )
    return replace(data, X_train=X, y_train=y, X_test=X_held, y_test=y_held)


def _row(
    task: Mapping[str, Any],
    problem: str,
    strength: float,
    penalty: float,
    value: float,
    validation: float,
) -> dict[str, Any]:
    return {
        "dataset": task["dataset"],
        "trial": task["trial"],
        "problem": problem,
        "strength": strength,
        "penalty": penalty,
        "objective": value,
        "validation": validation,
    }


def _table(results: Results) -> pd.DataFrame:
    return pd.DataFrame([row for result in results for row in result["rows"]])


def _best(table: pd.DataFrame, column: str) -> float:
    """The value of `column` with the lowest median validation error; of equals the larger."""
    medians = table.groupby(column)["validation"].median()
    return float(medians.index[medians == medians.min()].max())


def _tuned(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of the penalty with the lowest median training objective."""
    medians = table.groupby("penalty")["objective"].median()
    return table[table["penalty"] == medians.idxmin()]
