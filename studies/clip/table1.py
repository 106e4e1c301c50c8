"""CLIP's Table 1: `python -m studies.clip table --profile paper --device cuda`.

Rows that have finished are kept in the cache, and each row's training goes on from its last epoch:
the same command after a kill computes only what is missing.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from studies.clip import images
from studies.clip.printed import PAPER, PAPER_COLUMNS
from studies.common import provenance, runner

# Raised when a change of the code changes the numbers.
VERSION = "clip-table-5"

# What every row of a profile has in common, and what differs between the image sets. `increments`
# are d lambda and d mu for the targets of 95, 90 and 85 %, which the source does not give: with
# these the strengths reach their ends within the moves that it allows. The lower targets are
# further away; but with the worst pair ("CLIP") a network that is pressed harder saturates, and
# does not recover, so that one increment must do for all. A strength starts at its increment and
# never falls below: a network that has trained without for some epochs is so steep that the next
# move would be a blow.
#
# "CLIP mean" is the rule that holds its targets. It penalises the mean of the squared quotients
# where "CLIP", as printed, has the worst pair's, and is an option of the authors' code. The
# criterion by which it was chosen, in short runs before the table was made, was that of the
# discrepancy principle alone: the accuracy on the training data, and no class lost.
_PAPER: dict[str, Any] = {
    "images": 60_000,
    "epochs": 100,
    "warmup": 5,
    "every": 2,
    "pairs": 500,
    "redraw": 2000,
    "judged": 6000,
    "judge_steps": 100,
    "judge_after": 0,
    "attacked": 10_000,
    "increments": {
        "Weights": (1e-4, 1e-3, 1e-3),
        "CLIP": (0.02, 0.02, 0.02),
        "CLIP mean": (0.02, 0.3, 1.0),
    },
}
PROFILES: dict[str, dict[str, dict[str, Any]]] = {
    # hours on two cores for MNIST, for Fashion-MNIST a GPU
    "paper": {"all": _PAPER},
    # what two cores can do in an hour or two: MNIST as in the paper, but the best epoch chosen on
    # a thousand images, and among the last quarter, when the strengths are near their ends;
    # Fashion-MNIST besides with few images, epochs and pairs
    "full": {
        "all": _PAPER | {"judged": 1000, "judge_after": 75},
        "fashion": {
            "images": 3000,
            "epochs": 40,
            "warmup": 10,
            "every": 1,
            "pairs": 20,
            "redraw": 42,
            "judged": 100,
            "judge_steps": 20,
            "judge_after": 30,
            "attacked": 200,
            "increments": {
                "Weights": (1e-4, 1e-3, 1e-3),
                "CLIP": (0.01, 0.01, 0.01),
                # with 0.05 for the last, a move to 0.25 turned the second layer off, for good
                "CLIP mean": (0.01, 0.02, 0.02),
            },
        },
    },
    # seconds: scikit-learn's digits
    "quick": {
        "all": {
            "images": 1437,
            "epochs": 40,
            "warmup": 10,
            "every": 1,
            "pairs": 30,
            "redraw": 50,
            "judged": 100,
            "judge_steps": 5,
            "judge_after": 25,
            "attacked": 150,
            "increments": {
                "Weights": (1e-4, 1e-3, 1e-3),
                "CLIP": (0.02, 0.02, 0.02),
                "CLIP mean": (0.02, 0.15, 0.4),
            },
        }
    },
}
SETS = {"paper": ("mnist", "fashion"), "full": ("mnist", "fashion"), "quick": ("digits",)}

TARGETS = ("95", "90", "85")
# Kinds of models, and what `train_clip` takes for them.
KINDS: dict[str, dict[str, str]] = {
    "Standard": {"regularizer": "none"},
    "Weights": {"regularizer": "weights"},
    "CLIP": {"regularizer": "lipschitz"},
    "CLIP mean": {"regularizer": "lipschitz", "pooling": "mean"},
}
MODELS = (*PAPER["mnist"], *(f"CLIP mean {target}" for target in TARGETS))


def parts(model: str) -> tuple[str, str]:
    """Kind of a model and its target in per cent, which is empty for the standard one."""
    kind, _, target = model.rpartition(" ")
    return (kind, target) if kind else (target, "")


def tasks(
    profile: str,
    *,
    seed: int = 0,
    sets: tuple[str, ...] = (),
    models: tuple[str, ...] = MODELS,
    **where: str | None,
) -> list[dict[str, Any]]:
    """A task of `images.run` for each row.

    Parameters
    ----------
    profile : {"paper", "full", "quick"}
    seed : int
    sets : tuple of str
        Image sets; those of the profile if empty.
    models : tuple of str
        Of `MODELS`.
    **where
        ``data_dir`` and ``device``; they change no number worth the name, and are left out
        where None.
    """
    rows = []
    for data in sets or SETS[profile]:
        common = PROFILES[profile]["all"] | PROFILES[profile].get(data, {})
        for model in models:
            kind, target = parts(model)
            steps = dict(zip(TARGETS, common["increments"].get(kind, ()), strict=False))
            rows.append(
                {name: value for name, value in common.items() if name != "increments"}
                | {name: value for name, value in where.items() if value is not None}
                | {
                    "data": data,
                    "model": model,
                    "target": float(target) / 100 if target else None,
                    "increment": steps.get(target, 0.0),
                    "seed": seed,
                }
                | KINDS[kind]
            )
    return rows


_PER_CENT = ("train", "test", "noise", "pgd", "ball_noise", "worst_class", "last_accuracy")


def table(outcomes: list[runner.Outcome]) -> pd.DataFrame:
    """The rows of `results/full/clip_table1.csv`: per cent, one row for each model and unit.

    ``noise_beats_attack`` of the attacked images are changed by noise from the attack's ball
    (``ball_noise``: right under all of ten draws) and not by the attack.
    "CLIP mean" has beside it what the paper prints for CLIP with the same target.
    ``last_accuracy``, by which the strength is steered, is the mean of the last ten epochs.
    ``largest_quotient`` is that of the Lipschitz set over all epochs, ``seconds`` what training
    and judging took.
    """
    rows = []
    for outcome in outcomes:
        task, value = outcome.task, outcome.value
        if value is None:
            continue
        printed = PAPER.get(task["data"], {}).get(
            task["model"].replace("CLIP mean", "CLIP"), (float("nan"),) * 5
        )
        history = pd.DataFrame(value["history"])
        for units in images.UNITS:
            rows.append(
                {
                    "dataset": task["data"],
                    "model": task["model"],
                    "units": units,
                    "train": 100 * value["train"],
                    "test": 100 * value["test"],
                    "noise": 100 * value[units]["noise"],
                    "pgd": 100 * value[units]["pgd"],
                    "ball_noise": 100 * value[units]["ball_noise"],
                    "noise_beats_attack": value[units]["noise_beats_attack"],
                    "strength": value["strength"],
                    **dict(zip(PAPER_COLUMNS, printed, strict=True)),
                    "best_epoch": value["epoch"],
                    "epochs": task["epochs"],
                    "images": task["images"],
                    "pairs": task["pairs"],
                    "attacked": task["attacked"],
                    "worst_class": 100 * value["worst_class"],
                    "first_norm": value["first_norm"],
                    "last_accuracy": 100 * history["accuracy"].tail(10).mean(),
                    "last_strength": value["last_strength"],
                    "largest_quotient": history["quotient"].max(),
                    "seconds": history["seconds"].sum(),
                }
            )
    return pd.DataFrame(rows).round(dict.fromkeys((*_PER_CENT, "seconds"), 2))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m studies.clip table", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--profile", choices=tuple(PROFILES), default="full")
    parser.add_argument("--sets", nargs="*", default=[], choices=tuple(images.IMAGES))
    parser.add_argument(
        "--models", nargs="*", default=list(MODELS), choices=MODELS, metavar="MODEL"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data-dir", help="where the images are (see lipsnn.images)")
    parser.add_argument("--device", help="such as cuda (cpu)")
    parser.add_argument("--cache", type=Path, default=Path(".cache/clip"))
    parser.add_argument("--output", type=Path, help="results/PROFILE/clip_table1.csv")
    options = parser.parse_args(arguments)
    code, start = provenance.commit(Path.cwd()), time.perf_counter()
    rows = tasks(
        options.profile,
        seed=options.seed,
        sets=tuple(options.sets),
        models=tuple(options.models),
        data_dir=options.data_dir,
        device=options.device,
    )
    for row in rows:
        name = f"{row['data']}-{row['model']}-{options.profile}-{row['seed']}".replace(" ", "")
        row["checkpoint"] = str((options.cache / f"{name}.pt").resolve())
    outcomes = runner.run(rows, images.run, cache=options.cache, version=VERSION)
    failed = runner.report_failed(outcomes, "data", "model")
    found = table(outcomes)
    provenance.write_table(
        options.output or Path("results") / options.profile / "clip_table1.csv",
        found,
        commit=code,
        seconds=time.perf_counter() - start,
        compute_seconds=round(found.drop_duplicates(["dataset", "model"])["seconds"].sum(), 1),
        profile=options.profile,
        settings=PROFILES[options.profile],
        seed=options.seed,
        device=options.device or "cpu",
        sources="studies/clip/table1.py",
        made_by=f"python -m studies.clip table --profile {options.profile}",
    )
    print(found.to_string())
    return int(bool(failed))
