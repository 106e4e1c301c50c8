"""The grids of the main paper's experiments.

A task is a plain mapping that holds everything its result depends on, so that its hash names the
result.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from studies.paper.printed import BASES, LOWEST_THROUGHOUT
from studies.paper.settings import Settings, chosen

EXPERIMENTS = ("table1", "figure1", "sensitivity")
# Rough seconds of a Lipschitz task at width 100, to start the longest first.
_SECONDS = {"wine": 120.0, "solar": 40.0, "rastrigin": 15.0, "machine": 10.0, "servo": 6.0}

Task = dict[str, Any]


def tasks(experiment: str, settings: Settings) -> list[Task]:
    """The grid of an experiment: one task per data set, trial, problem and base.

    Table 1 is the l2 problem from SGD and the Lipschitz problem from ADMM; Figure 1 the Lipschitz
    problem from all three bases, so that the two share the tasks of ADMM. "sensitivity" moves one
    choice at a time.

    Raises
    ------
    ValueError
        For an experiment that does not exist, or strengths not yet chosen.
    """
    trials = range(settings["trials"])
    names = settings["datasets"]
    if experiment == "table1":
        return [
            task(settings, name, trial, problem, base)
            for name in names
            for trial in trials
            for problem, base in (("l2", "sgd"), ("lipschitz", "admm"))
        ]
    if experiment == "figure1":
        return [
            task(settings, name, trial, "lipschitz", base)
            for name in names
            for trial in trials
            for base in BASES
        ]
    if experiment == "sensitivity":
        return list(_others(settings) if "others" in settings else _sensitivity(settings))
    raise ValueError(f"experiment must be one of {', '.join(EXPERIMENTS)}, got {experiment!r}")


def task(
    settings: Settings,
    dataset: str,
    trial: int,
    problem: str,
    base: str,
    *,
    choice: str = "",
    factor: float = 1.0,
    variant: str | None = None,
    dimension: int | None = None,
) -> Task:
    """One cell of the grid; `factor` multiplies the setting named by `choice`."""
    picked = chosen(settings, dataset)
    training = dict(settings["training"])
    strength = factor if choice == "strength" else 1.0
    if choice == "epochs":
        training["epochs"] = max(1, round(training["epochs"] * factor))
    penalty = picked["penalty"] * (factor if choice == "penalty" else 1.0)
    data = {"name": dataset, "split": trial, "variant": variant or settings["variant"]}
    if dataset == "rastrigin":
        drawn = dict(settings["rastrigin"])
        of_half = drawn.pop("dimensions", {})  # the regime "paper" has one for each half
        data |= drawn | ({"dimension": of_half[problem]} if of_half else {})
        data["dimension"] = dimension or data["dimension"]
    made: Task = {
        "dataset": dataset,
        "trial": trial,
        "problem": problem,
        "base": base,
        "data": data,
        "width": settings["width"],
        "training": training,
        "l2": picked["l2"] * strength,
        "refine": dict(settings["refine"]),
    }
    if problem == "lipschitz":
        made |= {
            "lipschitz": picked["lipschitz"] * strength,
            "admm": {**settings["admm"], "penalty": penalty},
            "attack": dict(settings["attack"]),
        }
    if "loss" in picked:
        made["loss"] = picked["loss"]
    if "regime" in settings:
        made["regime"] = settings["regime"]
    if base == "pgd":
        made["adversarial"] = dict(settings["adversarial"])
    return made


def estimate(task: Mapping[str, Any]) -> float:
    """About how long a task takes next to others, in seconds."""
    share = 0.1 if task["problem"] == "l2" else 1.0
    return _SECONDS[task["dataset"]] * share * (task["width"] / 100) ** 2


def _others(settings: Settings) -> Iterator[Task]:
    """The regime `paper` under what other draws chose, on the rows of the statement on Figure 1."""
    for draw, other in settings["others"].items():
        shared = settings["chosen"]["all"]
        # the base keeps its strength, which may stand beside the other form of the loss
        for dataset, base in LOWEST_THROUGHOUT:
            if dataset not in settings["datasets"]:
                continue
            for trial in range(settings["trials"]):
                made = task(settings, dataset, trial, "lipschitz", base)
                made["lipschitz"] = other["lipschitz"]
                made["loss"] = {"l2": shared["loss"], "lipschitz": other["loss"]}
                made["admm"] |= {"penalty": other["penalty"], "iterations": other["iterations"]}
                made["refine"] |= {"rounds": other["rounds"], "methods": ["C-lip"]}
                yield made | {"choice": "draw", "factor": float(draw)}


def _sensitivity(settings: Settings) -> Iterator[Task]:
    """One choice moved at a time, from what was chosen; the first few trials."""
    plan = settings["sensitivity"]
    moves = [{"choice": "", "factor": 1.0}] + [
        {"choice": choice, "factor": factor}
        for choice in ("strength", "epochs", "penalty")
        for factor in plan[choice]
    ]
    for name in plan.get("datasets", settings["datasets"]):
        here = [dict(move) for move in moves]
        if name in ("machine", "wine"):
            here.append({"choice": "variant", "variant": "clean"})
        if name == "rastrigin":
            here.append({"choice": "dimension", "dimension": plan["dimension"]})
        for move in here:
            for trial in range(plan["trials"]):
                for problem, base in (("l2", "sgd"), ("lipschitz", "sgd"), ("lipschitz", "admm")):
                    if move["choice"] == "penalty" and problem == "l2":
                        continue
                    made = task(settings, name, trial, problem, base, **move)
                    yield made | {"choice": move["choice"], "factor": move.get("factor", 1.0)}
