"""One trial of the main paper's experiments: train a base, refine it, attack what comes out.

A task is a plain mapping that holds everything its result depends on, so that its hash names the
result. `tasks` makes the grid, `run` does one cell of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from lipsnn.attack import adversarial_mse
from lipsnn.certificate import certify
from lipsnn.convex.objective import loss, objective
from lipsnn.convex.refine import refine
from lipsnn.datasets import Dataset, load_dataset
from lipsnn.experiments.settings import Settings, chosen
from lipsnn.network import ShallowNet
from lipsnn.train import train_admm, train_pgd, train_sgd

BASES = ("sgd", "pgd", "admm")
EXPERIMENTS = ("table1", "figure1", "sensitivity")
# Rough seconds of a Lipschitz task at width 100, to start the longest first.
_SECONDS = {"wine": 120.0, "solar": 40.0, "rastrigin": 15.0, "machine": 10.0, "servo": 6.0}

Task = dict[str, Any]
Row = dict[str, Any]


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
        return list(_sensitivity(settings))
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
        data |= settings["rastrigin"]
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
    if base == "pgd":
        made["adversarial"] = dict(settings["adversarial"])
    return made


def run(task: Mapping[str, Any]) -> dict[str, Any]:
    """Do one task.

    Returns
    -------
    dict
        "trials": a row per method (dataset, trial, problem, base, method, objective,
        initial_objective, loss, bound, seconds, status); "attacks": a row per model and radius
        (dataset, base, model, trial, radius, mse), for the Lipschitz problem; "seconds": where
        the time went.
    """
    data = load_dataset(**task["data"])
    timer: dict[str, float] = {}
    base = _timed(timer, "base", lambda: train_base(task, data))
    if task["problem"] == "l2":
        models = _l2_models(task, data, base, timer)
    else:
        models = _lipschitz_models(task, data, base, timer)
    rows = [_row(task, data, base, *entry, seconds=timer[entry[0]]) for entry in models]
    attacks: list[Row] = []
    if "attack" in task:
        attacks = _timed(timer, "attack", lambda: list(_attacked(task, data, models)))
    return {"trials": rows, "attacks": attacks, "seconds": timer}


def estimate(task: Mapping[str, Any]) -> float:
    """About how long a task takes next to others, in seconds."""
    share = 0.1 if task["problem"] == "l2" else 1.0
    return _SECONDS[task["dataset"]] * share * (task["width"] / 100) ** 2


def train_base(task: Mapping[str, Any], data: Dataset) -> ShallowNet:
    """The base model of a task: SGD with l2 regularisation, PGD training, or ADMM from SGD."""
    X, y = data.X_train, data.y_train
    common = (X, y, task["width"], task["l2"], task["trial"])
    if task["base"] == "pgd":
        adversarial = task["adversarial"]
        return train_pgd(
            *common,
            radius=adversarial["radius"],
            attack_steps=adversarial["steps"],
            **task["training"],
        )
    net = train_sgd(*common, **task["training"])
    return net if task["base"] == "sgd" else admm(task, data, net)


def admm(task: Mapping[str, Any], data: Dataset, init: ShallowNet) -> ShallowNet:
    """Pauli et al.'s ADMM on the Lipschitz problem from `init`, T fixed at its certificate's."""
    return train_admm(
        data.X_train,
        data.y_train,
        strength=task["lipschitz"],
        seed=task["trial"],
        init=init,
        **task["admm"],
    ).net


def balance(net: ShallowNet) -> ShallowNet:
    """The same function at the least l2 penalty that rescaling allows: |w_i| = |a_i|."""
    size, outer = np.linalg.norm(net.weights, axis=1), np.abs(net.outer)
    used = (size > 0) & (outer > 0)
    return net.rescale(np.sqrt(np.divide(outer, size, out=np.ones_like(size), where=used)))


def _l2_models(
    task: Mapping[str, Any], data: Dataset, base: ShallowNet, timer: dict[str, float]
) -> list[tuple[str, ShallowNet, str]]:
    """Table 1, left: C-l2 and samp-l2."""

    def refined(**how: Any) -> Callable[[], Any]:
        return lambda: refine(
            base, data.X_train, data.y_train, task["l2"], "l2", progress=False, **how
        )

    # what rescaling alone would give: (7) leaves every unit with |w_i| = |a_i|
    balanced = _timed(timer, "balanced", lambda: balance(base))
    convex = _timed(timer, "C-l2", refined())
    sampled = _timed(timer, "samp-l2", refined(sample=task["trial"]))
    return [
        ("base", base, "trained"),
        ("balanced", balanced, "rescaled"),
        ("C-l2", convex.net, convex.status),
        ("samp-l2", sampled.net, sampled.status),
    ]


def _lipschitz_models(
    task: Mapping[str, Any], data: Dataset, base: ShallowNet, timer: dict[str, float]
) -> list[tuple[str, ShallowNet, str]]:
    """Table 1, right, and Figure 1: the base, ADMM from it, Algorithm 1, and what is ours."""
    settings = task["refine"]

    def refined(method: str, rounds: int, **how: Any) -> Callable[[], Any]:
        return lambda: refine(
            base,
            data.X_train,
            data.y_train,
            task["lipschitz"],
            method=method,
            rounds=rounds,
            tol=settings["tol"],
            progress=False,
            **how,
        )

    models = [("base", base, "trained")]
    models.append(("ADMM", _timed(timer, "ADMM", lambda: admm(task, data, base)), "trained"))
    wanted = {
        "C-lip": refined("alternating", settings["rounds"]),
        "joint": refined("joint", settings["rounds"]),
        "walk": refined("walk", settings["walk"]),
    }
    if task["base"] == "admm":
        wanted["samp-lip"] = refined("alternating", settings["rounds"], sample=task["trial"])
    for name, compute in wanted.items():
        result = _timed(timer, name, compute)
        models.append((name, result.net, result.status))
    return models


def _row(
    task: Mapping[str, Any],
    data: Dataset,
    base: ShallowNet,
    method: str,
    net: ShallowNet,
    status: str,
    *,
    seconds: float,
) -> Row:
    """What problem (4) says of a model, always by forward pass and certificate."""
    X, y = data.X_train, data.y_train
    problem = task["problem"]
    strength = task[problem]
    return {
        "dataset": task["dataset"],
        "trial": task["trial"],
        "problem": problem,
        "base": task["base"],
        "method": method,
        "objective": objective(net, X, y, strength, problem),
        "initial_objective": objective(base, X, y, strength, problem),
        "loss": loss(net, X, y),
        "bound": certify(net).bound,
        "seconds": seconds,
        "status": status,
    }


def _attacked(
    task: Mapping[str, Any], data: Dataset, models: list[tuple[str, ShallowNet, str]]
) -> Iterator[Row]:
    settings = task["attack"]
    for name, net, _ in models:
        errors = adversarial_mse(
            net,
            data.X_test,
            data.y_test,
            settings["radii"],
            steps=settings["steps"],
            restarts=settings["restarts"],
            seed=task["trial"],
        )
        for radius, mse in zip(settings["radii"], errors, strict=True):
            yield {
                "dataset": task["dataset"],
                "base": task["base"],
                "model": name,
                "trial": task["trial"],
                "radius": radius,
                "mse": float(mse),
            }


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


def _timed(timer: dict[str, float], name: str, compute: Callable[[], Any]) -> Any:
    begun = time.perf_counter()
    result = compute()
    timer[name] = time.perf_counter() - begun
    return result
