"""The search for the settings behind Table 1, by the rule of `recover_rule`.

``python -m studies.paper recover`` runs it and writes every setting tried into
``recover_l2.csv`` and ``recover_lipschitz.csv``, and what each draw chose into
``recover_choice.csv``. ``recover_curve.csv`` follows the choice of draw 0 from few epochs to many,
``recover_nearby.csv`` varies what the search holds (``--nearby`` makes it alone).
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from studies.common import provenance, runner
from studies.paper import recover_rule as rule
from studies.paper.recover_distance import SETTING, distances, reductions
from studies.paper.recover_trial import search_l2, search_lipschitz

Task = dict[str, Any]
_VERSION = "recovery 1"  # another one computes all anew
# Tasks and the function that does one, to what each gave, in the same order.
Run = Callable[[list[Task], Callable[[Mapping[str, Any]], dict[str, Any]]], list[dict[str, Any]]]

WIDTH = 100
CURVE = (30, 60, 100, 200, 300, 500, 700, 1000, 1500, 2000, 3000)
TABLES = ("recover_l2", "recover_lipschitz", "recover_choice", "recover_curve", "recover_nearby")
_SEARCH = {"l2": search_l2, "lipschitz": search_lipschitz}
_ROW = ["dataset", "dimension", "trial", "method", "initial_objective", "objective", "status"]


def recover(run: Run) -> dict[str, pd.DataFrame]:
    """Do the whole search.

    Returns
    -------
    dict of str to DataFrame
        "recover_l2" and "recover_lipschitz": a row per setting, data set, trial and method, with
        the stage (1 or 2) that it was for. "recover_choice": what each draw chose in each half,
        see `choices`. "recover_curve" and "recover_nearby": see `curve` and `nearby`.
    """
    left = _search("l2", rule.left_runs(), run)
    first = choices("l2", left).iloc[0].to_dict()
    base = _run_of(first)
    right = _search("lipschitz", [r | {"base": base} for r in rule.right_runs()], run)
    chosen = pd.concat([choices("l2", left), choices("lipschitz", right)], ignore_index=True)
    return {
        "recover_l2": left,
        "recover_lipschitz": right,
        "recover_choice": chosen,
        "recover_curve": curve(run, first),
        "recover_nearby": nearby(run, chosen),
    }


def curve(run: Run, choice: Mapping[Any, Any]) -> pd.DataFrame:
    """The left half under a choice, followed over the epochs, on all five data sets.

    Returns
    -------
    DataFrame
        As "recover_l2", without a stage.
    """
    base = _run_of(choice)
    del base["epochs"]
    tasks = [
        _task("l2", base, name, trial, CURVE, choice["dimension"] if name == rule.DRAWN else 0)
        for name in rule.DATASETS
        for trial in range(rule.TRIALS["l2"])
    ]
    return _table("l2", tasks, run(tasks, search_l2))


def nearby(run: Run, chosen: pd.DataFrame) -> pd.DataFrame:
    """Draw 0's choices, and from each what the search holds varied one at a time (`NEARBY`).

    Returns
    -------
    DataFrame
        problem, varied ("choice" for the choice itself), value (0 for the full batch), and the
        columns of "recover_l2" that are no settings.
    """
    records = chosen[chosen["draw"] == 0].to_dict("records")
    left, right = (next(r for r in records if r["problem"] == half) for half in SETTING)
    base = _run_of(left)
    alone = {key: value for key, value in base.items() if key != "epochs"}
    admm = {name: right[name] for name in ("penalty", "learning_rate")}
    admm["iterations"] = int(right["iterations"])
    after = {"loss": right["loss"], "strength": right["strength"], "admm": admm, "base": base}
    runs: dict[str, tuple[Task, int, int]] = {
        "l2": (alone, int(left["epochs"]), int(left["dimension"])),
        "lipschitz": (after, int(right["rounds"]), int(right["dimension"])),
    }
    parts = []
    for problem, (each, station, of_drawn) in runs.items():
        held: list[tuple[str, int | None]] = [("choice", 0)]
        held += [(name, value) for name, values in rule.NEARBY[problem].items() for value in values]
        asked: list[tuple[str, int | None, Task]] = []
        for varied, value in held:
            for name in (rule.DRAWN,) if varied == "size" else rule.DATASETS:
                dimension = of_drawn if name == rule.DRAWN else 0
                for trial in range(rule.TRIALS[problem]):
                    task = _task(problem, each, name, trial, [station], dimension)
                    if varied != "choice":
                        task["data" if varied == "size" else "admm"][varied] = value
                    asked.append((varied, value, task))
        found = run([task for _, _, task in asked], _SEARCH[problem])
        for (varied, value, task), rows in zip(asked, found, strict=True):
            part = _table(problem, [task], [rows])[_ROW]
            parts.append(part.assign(problem=problem, varied=varied, value=value or 0))
    return pd.concat(parts, ignore_index=True)[["problem", "varied", "value", *_ROW]]


def shortlist(table: pd.DataFrame, problem: str, draw: int) -> pd.DataFrame:
    """The settings that a draw looks at again: its nearest after the first stage."""
    first = table[table["stage"] == 1]
    near = distances(first, problem, rule.draw(draw), 1)
    return near.head(rule.SHORTLIST[problem])


def choices(problem: str, table: pd.DataFrame) -> pd.DataFrame:
    """What each draw chooses: the nearest of its shortlist with all trials.

    Returns
    -------
    DataFrame
        problem, draw, the columns of `SETTING`, distance, dimension.
    """
    rows = []
    for number in range(rule.DRAWS):
        own = shortlist(table, problem, number)[SETTING[problem]]
        near = distances(table, problem, rule.draw(number), rule.TRIALS[problem])
        best = near.merge(own, on=SETTING[problem]).iloc[:1]
        rows.append(best.assign(problem=problem, draw=number))
    found = pd.concat(rows, ignore_index=True)
    return found[["problem", "draw", *SETTING[problem], "distance", "dimension"]]


def _search(problem: str, runs: list[Task], run: Run) -> pd.DataFrame:
    """Both stages of one half."""
    stations = rule.LEFT["epochs"] if problem == "l2" else rule.RIGHT["rounds"]
    tasks = [_task(problem, each, name, 0, stations) for each in runs for name in rule.MEASURED]
    first = _table(problem, tasks, run(tasks, _SEARCH[problem])).assign(stage=1)
    listed = pd.concat([shortlist(first, problem, d) for d in range(rule.DRAWS)])
    again: list[Task] = []
    for each in runs:
        named = _named(problem, each)
        here = listed
        for column, value in named.items():
            here = here[here[column] == value]
        if here.empty:
            continue
        at = sorted({int(station) for station in here[SETTING[problem][-1]]})
        for trial in range(1, rule.TRIALS[problem]):
            again += [_task(problem, each, name, trial, at) for name in rule.MEASURED]
        again += [_task(problem, each, rule.DRAWN, 0, at, d) for d in rule.DIMENSIONS]
    second = _table(problem, again, run(again, _SEARCH[problem])).assign(stage=2)
    return pd.concat([first, second], ignore_index=True)


def _task(
    problem: str,
    run: Mapping[str, Any],
    dataset: str,
    trial: int,
    stations: Sequence[int],
    dimension: int = 0,
) -> Task:
    data: dict[str, Any] = {"name": dataset, "split": trial}
    if dimension:
        data |= {"dimension": dimension, "size": rule.SIZE}
    task = {**run, "data": data, "trial": trial, "width": WIDTH, "stations": list(stations)}
    if problem == "lipschitz":
        task["admm"] = {"epochs": rule.ADMM_EPOCHS, "batch_size": rule.ADMM_BATCH, **run["admm"]}
    return task


def _named(problem: str, run: Mapping[str, Any]) -> dict[str, Any]:
    """A run's settings as the columns of `SETTING`, without the station."""
    part = run["training"] if problem == "l2" else run["admm"]
    flat = {**part, "loss": run["loss"], "strength": run["strength"]}
    if "batch_size" in flat:
        flat["batch_size"] = flat["batch_size"] or 0  # the full batch
    return {column: flat[column] for column in SETTING[problem][:-1]}


def _run_of(row: Mapping[Any, Any]) -> dict[str, Any]:
    """The run of the left half that a row of a table describes, with its epochs."""
    training = {
        "optimizer": str(row["optimizer"]),
        "learning_rate": float(row["learning_rate"]),
        "batch_size": int(row["batch_size"]) or None,
    }
    return {
        "training": training,
        "loss": str(row["loss"]),
        "strength": float(row["strength"]),
        "epochs": int(row["epochs"]),
    }


def _table(problem: str, tasks: list[Task], values: Iterable[dict[str, Any]]) -> pd.DataFrame:
    station = SETTING[problem][-1]
    rows = []
    for task, value in zip(tasks, values, strict=True):
        where = {"dataset": task["data"]["name"], "trial": task["trial"]}
        where["dimension"] = task["data"].get("dimension", 0)
        named = _named(problem, task)
        rows += [named | where | row | {station: row["station"]} for row in value["rows"]]
    return pd.DataFrame(rows, columns=[*SETTING[problem], *_ROW])


def run_here(
    tasks: list[Task], function: Callable[[Mapping[str, Any]], dict[str, Any]]
) -> list[dict[str, Any]]:
    """Do the tasks in this process, keeping nothing."""
    return [function(task) for task in tasks]


def coarse(run: Run, dataset: str = "servo", trial: int = 0) -> pd.DataFrame:
    """A small search of the left half, on one data set and with the method that draw 0 uses.

    Returns
    -------
    DataFrame
        strength (beside the mean loss), epochs, method, percent, printed, distance.
    """
    training = {"optimizer": "adam", "learning_rate": 1e-3, "batch_size": 256}
    strengths = [s for kind, s in rule.LEFT["strengths"] if kind == "mean"]
    runs = [{"training": training, "loss": "mean", "strength": s} for s in strengths]
    tasks = [_task("l2", each, dataset, trial, rule.LEFT["epochs"]) for each in runs]
    found = reductions(_table("l2", tasks, run(tasks, search_l2)), "l2")
    found = found[[(dataset, m) in rule.draw(0) for m in found["method"]]]
    printed = [rule.table1(dataset, method, "mean") or np.nan for method in found["method"]]
    found = found[["strength", "epochs", "method", "percent"]].assign(printed=printed)
    gaps = found["percent"].map(rule.signed_log) - found["printed"].map(rule.signed_log)
    return found.assign(distance=gaps.abs()).sort_values("distance", ignore_index=True)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m studies.paper recover", description=__doc__)
    parser.add_argument(
        "--profile",
        choices=("quick", "full"),
        default="quick",
        help="quick: one data set and a coarse grid, shown and not written",
    )
    parser.add_argument(
        "--nearby", action="store_true", help="only vary what the search holds (full)"
    )
    parser.add_argument("--jobs", type=int, default=1, help="worker processes")
    parser.add_argument("--cache", type=Path, default=Path("_build/experiments"))
    parser.add_argument("--output", type=Path, default=Path("results/full"))
    options = parser.parse_args(arguments)
    seconds: list[float] = []

    def run(tasks: list[Task], function: Any) -> list[dict[str, Any]]:
        done = runner.run(tasks, function, cache=options.cache, version=_VERSION, jobs=options.jobs)
        seconds.extend(outcome.seconds for outcome in done)
        for outcome in done:
            if outcome.value is None:
                raise RuntimeError(f"a run failed: {outcome.error}\n{outcome.traceback}")
        return [outcome.value for outcome in done if outcome.value is not None]

    if options.profile == "quick":
        print(coarse(run).round(2).to_string(index=False))
        return 0
    began, commit = time.perf_counter(), provenance.commit(Path(__file__).parent)
    if options.nearby:
        chosen = pd.read_csv(options.output / "recover_choice.csv")
        tables = {"recover_nearby": nearby(run, chosen)}
    else:
        tables = recover(run)
    for name, table in tables.items():
        provenance.write_table(
            options.output / f"{name}.csv",
            table,
            commit=commit,
            seconds=time.perf_counter() - began,
            made_by="python -m studies.paper recover --profile full" + " --nearby" * options.nearby,
            rule="studies/paper/recover_rule.py",
            runs=len(seconds),
            runs_seconds=round(sum(seconds), 1),
            jobs=options.jobs,
        )
        print(options.output / f"{name}.csv")
    return 0


if __name__ == "__main__":
    sys.exit(main())
