"""One trial of the main paper's experiments: train a base, refine it, attack what comes out.

`run` does one task of a grid (see `grid`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from itertools import product
from typing import Any

import numpy as np

from lipsnn.attack import adversarial_mse
from lipsnn.certificate import certify
from lipsnn.convex.objective import loss, objective
from lipsnn.convex.refine import refine
from lipsnn.datasets import Dataset, load_dataset
from lipsnn.enclosure import certified_error
from lipsnn.network import ShallowNet
from lipsnn.train import train_admm, train_pgd, train_sgd

Row = dict[str, Any]
_NORMS = {"l2": 2, "linf": np.inf}


def run(task: Mapping[str, Any]) -> dict[str, Any]:
    """Do one task.

    Returns
    -------
    dict
        "trials": a row per method (dataset, trial, problem, base, method, objective,
        initial_objective, loss, bound, seconds, status); "attacks": a row per model, norm and
        radius (dataset, base, model, trial, norm, radius, mse), for the Lipschitz problem;
        "enclosed": the same in the l2 norm beside what is found and proved (mse, reached,
        certified); "seconds": where the time went.
    """
    data = load_dataset(**task["data"])
    task = beside_the_sum(task, len(data.X_train))
    timer: dict[str, float] = {}
    base = _timed(timer, "base", lambda: train_base(task, data))
    if task["problem"] == "l2":
        models = _l2_models(task, data, base, timer)
    else:
        models = _lipschitz_models(task, data, base, timer)
    rows = [_row(task, data, base, *entry, seconds=timer[entry[0]]) for entry in models]
    attacks: list[Row] = []
    enclosed: list[Row] = []
    if "attack" in task:
        attacks = _timed(timer, "attack", lambda: list(_attacked(task, data, models)))
        enclosed = _timed(timer, "certified", lambda: list(_enclosed(data, models, attacks)))
    return {"trials": rows, "attacks": attacks, "enclosed": enclosed, "seconds": timer}


def beside_the_sum(task: Mapping[str, Any], samples: int) -> dict[str, Any]:
    """The task with its strengths as problem (4) has them, beside a sum over the samples.

    Those of a task whose ``loss`` is "mean" stand beside the mean; it may say so of each.
    """
    loss = task.get("loss", "sum")
    loss = loss if isinstance(loss, Mapping) else dict.fromkeys(("l2", "lipschitz"), loss)
    beside = {k: samples if kind == "mean" else 1 for k, kind in loss.items()}
    return {**task, **{k: factor * task[k] for k, factor in beside.items() if k in task}}


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
    }
    if settings["walk"]:
        wanted["walk"] = refined("walk", settings["walk"])
    if task["base"] == "admm":
        wanted["samp-lip"] = refined("alternating", settings["rounds"], sample=task["trial"])
    for name in settings.get("methods", wanted):
        compute = wanted[name]
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
    sizes = {"l2": settings["radii"], "linf": settings.get("radii_inf", [])}
    for (name, net, _), (norm, radii) in product(models, sizes.items()):
        errors = adversarial_mse(
            net,
            data.X_test,
            data.y_test,
            radii,
            norm=_NORMS[norm],
            steps=settings["steps"],
            restarts=settings["restarts"],
            seed=task["trial"],
        )
        for radius, mse in zip(radii, errors, strict=True):
            yield {
                "dataset": task["dataset"],
                "base": task["base"],
                "model": name,
                "trial": task["trial"],
                "norm": norm,
                "radius": radius,
                "mse": float(mse),
            }


def _enclosed(
    data: Dataset, models: list[tuple[str, ShallowNet, str]], attacks: list[Row]
) -> Iterator[Row]:
    """Each error in the l2 norm, the worst one found by any means, and what no attack exceeds."""
    for name, net, _ in models:
        rows = [row for row in attacks if row["model"] == name and row["norm"] == "l2"]
        radii = [row["radius"] for row in rows]
        both = certified_error(net, data.X_test, data.y_test, radii)
        shape = len(data.X_test), len(radii)
        sides = (both[side].to_numpy().reshape(shape).mean(axis=0) for side in ("lower", "upper"))
        for row, lower, upper in zip(rows, *sides, strict=True):
            kept = {key: value for key, value in row.items() if key != "norm"}
            # a mean of attained errors too, whichever points are the worse ones
            yield kept | {"reached": max(float(lower), row["mse"]), "certified": float(upper)}


def _timed(timer: dict[str, float], name: str, compute: Callable[[], Any]) -> Any:
    begun = time.perf_counter()
    result = compute()
    timer[name] = time.perf_counter() - begun
    return result
