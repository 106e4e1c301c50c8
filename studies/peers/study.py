"""Errors at equal certified bound, method by method: `equal-bound.csv`.

`python -m studies.peers`. What has finished is kept in the cache; the same command after a kill
computes only what is missing, and `--finished` writes the table of what there is.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.model_selection import train_test_split

from lipsnn._checks import Array
from lipsnn.attack import adversarial_mse
from lipsnn.certificate import certify
from lipsnn.enclosure import certified_error
from lipsnn.network import ShallowNet
from lipsnn.train import train_sgd
from studies.common import provenance, runner
from studies.common.cache import Cache
from studies.peers import packages
from studies.peers.data import load
from studies.peers.grid import PROFILES, shared, tasks
from studies.peers.methods import CANDIDATES, PACKAGED, Trained, Trainer

# Raised when a change of the code changes the numbers.
VERSION = "peers-2"
# Attack size on standardised inputs; and most test samples that are attacked.
RADIUS, ATTACKED = 0.2, 500
# Part of the training part on which candidates are compared.
_VALIDATION = 0.2
# They are compared after one step in so many of those that the chosen one takes.
SHORTER = 3


def free_bound(task: Mapping[str, Any]) -> dict[str, Any]:
    """The certified bound of the unconstrained network: no penalty, the study's own steps."""
    data = load(task["dataset"], 0)
    trainer = Trainer(data.X_train, data.y_train, task)
    net = train_sgd(
        trainer.X, trainer.y, trainer.width, 0.0, 0, epochs=trainer.epochs, batch_size=trainer.batch
    )
    return {"bound": certify(net).bound}


def run(task: Mapping[str, Any]) -> dict[str, Any]:
    """One method on one split, at all bounds.

    At each bound every candidate is trained on four fifths of the training part, for a third of
    the steps. The one with the smallest error on the rest, of the network that was held to the
    bound, is trained on all of it.
    Where a candidate has one hidden layer, the best of those is refined under the same bound, too.

    Parameters
    ----------
    task : mapping
        ``dataset``, ``split``, ``method``, ``bounds``, ``trials``, ``steps``, ``batch``,
        ``width``, ``seed``.

    Returns
    -------
    dict
        ``rows``: a dict for each bound and variant; see `judged`.
    """
    data = load(task["dataset"], task["split"])
    X, y = data.X_train, data.y_train
    parts = train_test_split(X, y, test_size=_VALIDATION, random_state=task["split"])
    short = {**task, "steps": -(-task["steps"] // SHORTER)}
    tried, final = Trainer(parts[0], parts[2], short), Trainer(X, y, task)
    method, rows = task["method"], []
    for bound in task["bounds"]:
        scores = []
        for candidate in CANDIDATES[method][: task["trials"]]:
            net = tried.train(method, candidate, bound).net
            scores.append((_error(net, parts[1], parts[3]), candidate))
        chosen = min(scores, key=lambda pair: pair[0])[1]
        trained = final.train(method, chosen, bound)
        rows.append({"method": method, **_named(bound, chosen), **judged(trained, data)})
        shallow = [pair for pair in scores if pair[1].get("depth", 1) == 1]
        if method in ("refine", "walk"):
            continue
        best = min(shallow, key=lambda pair: pair[0])[1]
        first = trained if best == chosen else final.train(method, best, bound)
        assert first.start is not None
        refined = final.refined(first.start, bound, first.seconds)
        rows.append(
            {"method": f"{method}, refined", **_named(bound, best), **judged(refined, data)}
        )
    return {"rows": rows}


def _named(bound: float, candidate: Mapping[str, float]) -> dict[str, Any]:
    return {"asked": bound, "candidate": json.dumps(candidate)}


def judged(trained: Trained, data: Any) -> dict[str, Any]:
    """What a network does and what is known of it.

    Returns
    -------
    dict
        Mean squared errors ``train``, ``test``, ``attacked`` and ``certified`` (both of at most
        `ATTACKED` test samples at radius `RADIUS`; the second none can exceed), the ``bound`` that
        is certified, ``certificate`` (by `certify`), ``own`` (by construction), ``above`` (the
        certified bound before it was held, over the one asked for), ``attained`` (the steepest
        slope found), ``hidden``, ``parameters``, ``seconds``.
    """
    net = trained.net
    X, y = data.X_test[:ATTACKED], data.y_test[:ATTACKED]
    if isinstance(net, ShallowNet):
        both = certified_error(net, X, y, RADIUS)
        attacked, certified = both["lower"].mean(), both["upper"].mean()
    else:
        attacked = adversarial_mse(net, X, y, [RADIUS], steps=50, restarts=1)[0]
        certified = np.mean((abs(net(X).reshape(-1) - y) + RADIUS * trained.bound) ** 2)
    return {
        "train": _error(net, data.X_train, data.y_train),
        "test": _error(net, data.X_test, data.y_test),
        "attacked": float(attacked),
        "certified": float(certified),
        "bound": trained.bound,
        "certificate": _known(trained.certificate),
        "own": _known(trained.own),
        "above": trained.above,
        "attained": certify(trained.whole).ladder(data.X_train).sampled,
        "hidden": trained.hidden,
        "parameters": trained.parameters,
        "seconds": trained.seconds,
    }


def _known(value: float) -> float | None:
    return None if np.isnan(value) else value


def _error(net: Any, X: Array, y: Array) -> float:
    return float(np.mean((net(X).reshape(-1) - y) ** 2))


def table(outcomes: Sequence[runner.Outcome]) -> pd.DataFrame:
    """A row for each data set, split, method and bound that is done."""
    return runner.table(outcomes, ("dataset", "split"), lambda value: value["rows"])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m studies.peers", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--profile", choices=PROFILES, default="full")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--cache", type=Path, default=Path(".cache/peers"))
    parser.add_argument("--output", type=Path, help="results/PROFILE/equal-bound.csv")
    parser.add_argument("--finished", action="store_true", help="run nothing more")
    options = parser.parse_args(arguments)
    output = options.output or Path("results") / options.profile / "equal-bound.csv"
    profile = PROFILES[options.profile]
    needed = set(profile["methods"]) & set(PACKAGED) or "visits" in profile["datasets"]
    if needed and (missing := packages.missing()):
        print(
            f'error: {", ".join(missing)} not installed: pip install "{packages.INSTALL}"',
            file=sys.stderr,
        )
        return 2
    code = provenance.commit(Path.cwd())
    how: dict[str, Any] = {"cache": options.cache, "version": VERSION, "jobs": options.jobs}
    sets = [shared(profile, name) for name in profile["datasets"]]
    found = runner.run(sets, free_bound, **how)
    if runner.report_failed(found, "dataset"):
        return 1
    free = {o.task["dataset"]: o.value["bound"] for o in found if o.value is not None}
    grid = tasks(profile, free)
    if options.finished:
        store = Cache(options.cache.resolve(), f"{VERSION} {run.__module__}.{run.__qualname__}")
        grid = [task for task in grid if (kept := store.read(task)) and not kept["error"]]
    outcomes = runner.run(grid, run, **how)
    failed = runner.report_failed(outcomes, "dataset", "split", "method")
    rows = table(outcomes)
    provenance.write_table(
        output,
        rows,
        commit=code,
        seconds=sum(outcome.seconds for outcome in outcomes),
        made_by=f"{parser.prog} --profile {options.profile}",
        profile=options.profile,
        **{k: profile[k] for k in ("datasets", "splits", "trials", "steps", "batch", "width")},
        free_bounds=free,
        done=len(outcomes) - len(failed),
        planned=len(tasks(profile, free)),
        failed=len(failed),
        packages=packages.DISTRIBUTIONS,
    )
    print(rows.groupby(["dataset", "asked", "method"], sort=False)["test"].mean().to_string())
    return int(bool(failed))
