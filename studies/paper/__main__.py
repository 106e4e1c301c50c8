"""The main paper's experiments, from the command line: Table 1, Figure 1 and what they rest on."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lipsnn.datasets import DATASETS
from studies.common import freshness, provenance
from studies.common.runner import Outcome
from studies.paper import choose, grid, recover, tables, trial
from studies.paper.job import Facts, Failed, Job
from studies.paper.settings import (
    PROFILES,
    REGIMES,
    load_settings,
    settings_path,
    write_chosen,
)

COMMANDS = {
    "table1": "objectives before and after: trials.csv, table1.csv, cost.csv",
    "figure1": "errors under attack: figure1.csv, figure1-enclosed.csv, trials.csv, cost.csv",
    "sensitivity": "one setting moved at a time: sensitivity.csv, sensitivity-attacks.csv",
    "all": "these three",
    "choose": "pick the strengths on validation data and write them into the settings file",
    "recover": "infer the settings behind the paper's Table 1: recover_*.csv (add --help)",
}


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] == ["recover"]:
        return recover.main(arguments[1:])
    options = _parser().parse_args(arguments)
    try:
        job = Job(
            _settings(options),
            options,
            options.output or Path("results") / Path(options.profile).stem,
            provenance.commit(freshness.ROOT),
        )
        if options.command == "choose":
            _choose(job)
        else:
            _tables(job)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except Failed as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _tables(job: Job) -> None:
    command = job.options.command
    grids: dict[str, list[dict[str, Any]]] = {}
    for settings in job.settings.values():
        wanted = [name for name in grid.EXPERIMENTS if command in (name, "all")]
        if command == "all" and not {"sensitivity", "others"} & set(settings):
            wanted.remove("sensitivity")
        for name in wanted:
            grids[name] = grids.get(name, []) + grid.tasks(name, settings)
    # what a sensitivity trial is compared by is no part of what its numbers depend on
    labels = {name: [tables.pop_labels(task) for task in tasks] for name, tasks in grids.items()}
    begun = time.perf_counter()
    outcomes = job.run([task for tasks in grids.values() for task in tasks], trial.run)
    seconds = time.perf_counter() - begun
    parts, start = {}, 0
    for name, tasks in grids.items():
        parts[name] = outcomes[start : start + len(tasks)]
        start += len(tasks)
    main_trials = _distinct([*parts.get("table1", []), *parts.get("figure1", [])])
    if main_trials:
        facts = _facts(main_trials)
        rows = tables.trials_of(main_trials)
        job.write("trials.csv", rows, seconds, facts)
        job.write("cost.csv", tables.times_of(main_trials), seconds, facts)
    if "table1" in parts:
        table = tables.by(rows, ["regime"], tables.table1)
        job.write("table1.csv", table, seconds, _facts(parts["table1"]))
    if "figure1" in parts:
        attacks = tables.attacks_of(parts["figure1"])
        job.write("figure1.csv", attacks, seconds, _facts(parts["figure1"]))
        enclosed = tables.attacks_of(parts["figure1"], enclosed=True)
        job.write("figure1-enclosed.csv", enclosed, seconds, _facts(parts["figure1"]))
    if "sensitivity" in parts:
        moved, facts = parts["sensitivity"], _facts(parts["sensitivity"])
        for name, table_of in (
            ("sensitivity.csv", tables.trials_of),
            ("sensitivity-attacks.csv", tables.attacks_of),
        ):
            table = tables.labelled(table_of, labels["sensitivity"], moved)
            job.write(name, table, seconds, facts)


def _choose(job: Job) -> None:
    begun = time.perf_counter()
    settings = job.settings["validated"]

    def run(
        tasks: list[dict[str, Any]], function: Callable[..., dict[str, Any]]
    ) -> list[Mapping[str, Any]]:
        outcomes = job.run(tasks, function)
        return [outcome.value for outcome in outcomes if outcome.value is not None]

    choice, tried = choose.choose(settings, run)
    path = settings_path(job.options.profile)
    write_chosen(path, {**settings.get("chosen", {}), **choice})
    print(path)
    job.write("choice.csv", tried.assign(regime="validated"), time.perf_counter() - begun, {})


def _facts(outcomes: list[Outcome]) -> Facts:
    """What provenance says of the trials that a table rests on, by regime."""
    found = {}
    for regime in REGIMES:
        here = [each for each in outcomes if tables.regime_of(each)["regime"] == regime]
        steps = tables.times_of(here).groupby("step")["seconds"].sum()
        found[regime] = {
            "trials_done": sum(outcome.error is None for outcome in here),
            "trials_failed": sum(outcome.error is not None for outcome in here),
            "trials_done_before": sum(outcome.cached for outcome in here),
            "trials_seconds": round(sum(outcome.seconds for outcome in here), 1),
            "seconds_by_step": steps.sort_values(ascending=False).round(1).to_dict(),
        }
    return found


def _distinct(outcomes: list[Outcome]) -> list[Outcome]:
    """Without the second of two outcomes of the same task."""
    kept: list[Outcome] = []
    for outcome in outcomes:
        if all(outcome.task != other.task for other in kept):
            kept.append(outcome)
    return kept


def _settings(options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Of each regime that is asked for."""
    if options.trials is not None and options.trials < 1:
        raise ValueError(f"--trials must be at least 1, got {options.trials}")
    regimes = ["validated"] if options.command == "choose" else options.regime or REGIMES
    found = {}
    for regime in regimes:
        settings = load_settings(options.profile, regime)
        if options.datasets:
            settings["datasets"] = options.datasets
        if options.trials is not None:
            settings["trials"] = options.trials
        found[regime] = settings
    return found


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m studies.paper",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="commands:\n" + "\n".join(f"  {name:<13}{text}" for name, text in COMMANDS.items()),
    )
    parser.add_argument("command", choices=COMMANDS, metavar="command", help="see below")
    parser.add_argument(
        "--profile", default="quick", help=f"{' or '.join(PROFILES)}, or a TOML file like theirs"
    )
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count() or 1, help="worker processes (one per core)"
    )
    parser.add_argument("--dask", metavar="ADDRESS", help="of a Dask scheduler, to work there")
    parser.add_argument(
        "--regime",
        nargs="+",
        choices=REGIMES,
        help="only these; the tables keep their rows of the other (both)",
    )
    parser.add_argument("--datasets", nargs="+", choices=DATASETS, help="only these")
    parser.add_argument("--trials", type=int, metavar="N", help="only the first N")
    parser.add_argument("--output", type=Path, help="folder of the tables (results/PROFILE)")
    parser.add_argument(
        "--cache",
        type=Path,
        default=Path("_build/experiments"),
        help="folder of finished trials (%(default)s)",
    )
    parser.add_argument(
        "--code",
        metavar="VERSION",
        help="what to call this version of the code: finished trials of the same name are used "
        "(a hash of the source files, so that any change computes all of them anew)",
    )
    parser.add_argument(
        "--allow-failed",
        action="store_true",
        help="write tables although some trials failed; they say how many they rest on",
    )
    parser.add_argument("--quiet", action="store_true", help="show no progress")
    return parser


if __name__ == "__main__":
    sys.exit(main())
