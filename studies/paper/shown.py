"""What a page of the book shows of the experiments: the committed tables, and a small live run."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from studies.common.runner import Outcome, run
from studies.paper import grid, tables, trial
from studies.paper.settings import load_settings


def live(
    experiment: str,
    profile: str,
    datasets: Sequence[str],
    trials: int,
    width: int | None = None,
    regime: str = "validated",
) -> tuple[list[Outcome], list[dict[str, Any]]]:
    """A part of an experiment done now, in this process, from nothing.

    Parameters
    ----------
    experiment : {"table1", "figure1", "sensitivity"}
    profile : str
        Name of the settings, or of a file with such.
    datasets : sequence of str
    trials : int
    width : int, optional
        Hidden units, if not the profile's.
    regime : {"validated", "paper"}

    Returns
    -------
    outcomes : list of Outcome
    labels : list of dict
        Of each, what a sensitivity task moves: ``choice`` and ``factor``.

    Raises
    ------
    RuntimeError
        If a trial fails.
    """
    settings = load_settings(profile, regime) | {"datasets": list(datasets), "trials": trials}
    if width is not None:
        settings["width"] = width
    if experiment == "sensitivity":
        moves = settings.get("sensitivity") or load_settings("full")["sensitivity"]
        settings["sensitivity"] = moves | {"datasets": list(datasets), "trials": trials}
    tasks = grid.tasks(experiment, settings)
    labels = [tables.pop_labels(task) for task in tasks]
    with tempfile.TemporaryDirectory() as folder:
        outcomes = run(tasks, trial.run, cache=Path(folder), progress=False)
    for outcome in outcomes:
        if outcome.error is not None:
            raise RuntimeError(f"a trial failed: {outcome.error}\n{outcome.traceback}")
    return outcomes, labels


def made(record: dict[str, Any], command: str) -> str:
    """In one paragraph, how a committed table was made; or, without one, which command makes it."""
    if not record:
        return (
            "There is no committed table of this yet, and only what was computed now is shown; "
            f"`python -m studies.paper {command} --profile full` makes it."
        )
    lines = []
    for regime, each in record["regimes"].items():
        rest, machine = each["trials_failed"], each["machine"]
        lines.append(
            f"Regime `{regime}`: made by `{each['made_by']}` at commit `{each['commit']}` on "
            f"{machine['processor']}, {machine['cores']} cores: {each['trials_done']} trials, "
            f"{each['trials_seconds'] / 60:.0f} minutes of one core in all"
            + (f"; {rest} more failed and are left out." if rest else ".")
        )
    return " ".join(lines)
