"""A command of the paper's study at work: trials done, tables written beside what they held."""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from studies.common import freshness, provenance, runner
from studies.common.runner import Outcome
from studies.paper import grid, trial
from studies.paper.settings import REGIMES, regime_path, settings_path

# What the numbers of a trial depend on: these, what they reach, and the data.
SOURCES = ("studies/paper/trial.py", "studies/paper/choose.py")


Facts = dict[str, dict[str, Any]]


class Failed(Exception):
    """Some trials failed, and nobody said to go on without them."""


@dataclass(frozen=True)
class Job:
    """A command: its settings by regime, and how to do and where to put what it asks for."""

    settings: dict[str, dict[str, Any]]
    options: argparse.Namespace
    output: Path
    commit: str

    def run(
        self, tasks: list[dict[str, Any]], function: Callable[..., dict[str, Any]]
    ) -> list[Outcome]:
        """Do the tasks.

        Raises
        ------
        Failed
            If one fails and that is not allowed.
        """
        options = self.options
        outcomes = runner.run(
            tasks,
            function,
            cache=options.cache,
            version=options.code or code_version(),
            jobs=options.jobs,
            dask=options.dask,
            cost=grid.estimate if function is trial.run else None,
            progress=False if options.quiet else None,
        )
        failed = runner.report_failed(outcomes, "dataset", "trial", "problem", "base")
        if failed and not options.allow_failed:
            raise Failed(
                f"{len(failed)} of {len(outcomes)} trials failed, so that no table was written. "
                "The others are kept, and the same command tries the failed ones again; with "
                "--allow-failed it writes the tables from those that succeeded."
            )
        return outcomes

    def write(self, name: str, table: pd.DataFrame, seconds: float, facts: Facts) -> None:
        """Write a table and its provenance, both with what they hold of regimes not run now.

        Parameters
        ----------
        facts : dict
            By regime, what provenance says of the trials behind its rows.
        """
        path = self.output / name
        kept, records = _kept(path, [r for r in REGIMES if r not in self.settings])
        now: Facts = {}
        for regime, settings in self.settings.items():
            now[regime] = {
                "commit": self.commit,
                "seconds": round(seconds, 1),
                "made_by": f"python -m studies.paper {self.options.command} "
                f"--profile {Path(self.options.profile).name} --regime {regime}",
                "settings": [_shown(path) for path in _settings_files(self.options, regime)],
                "settings_sha256": [
                    hashlib.sha256(path.read_bytes()).hexdigest()
                    for path in _settings_files(self.options, regime)
                ],
                "datasets": settings["datasets"],
                "trials": settings["trials"],
                "jobs": "dask" if self.options.dask else self.options.jobs,
                "versions": provenance.versions(),
                "machine": provenance.machine(),
                **facts.get(regime, {}),
            }
        parts = {**{r: kept[kept["regime"] == r] for r in records}}
        parts |= {r: table[table["regime"] == r] for r in self.settings}
        provenance.write_table(
            path,
            pd.concat([parts[r] for r in REGIMES if r in parts], ignore_index=True),
            commit=self.commit,
            seconds=seconds,
            made_by=f"python -m studies.paper {self.options.command} "
            f"--profile {Path(self.options.profile).name}",
            reads=sorted({str(f) for each in now.values() for f in each["settings"]}),
            solver="structured",
            regimes={r: {**records, **now}[r] for r in REGIMES if r in {**records, **now}},
        )
        print(path)


def code_version() -> str:
    """A hash of the definitions and data that the numbers of a trial depend on."""
    data = sorted((freshness.ROOT / "lipsnn" / "data").iterdir())
    files = [path.relative_to(freshness.ROOT).as_posix() for path in data]
    found = freshness.hashes(SOURCES, files)
    return hashlib.sha256(json.dumps(found).encode()).hexdigest()[:16]


def _kept(path: Path, regimes: list[str]) -> tuple[pd.DataFrame, Facts]:
    """What a table holds already of `regimes`, as it stands, and how that was made."""
    if not regimes or not path.exists():
        return pd.DataFrame(columns=["regime"]), {}
    # as text: the numbers of rows that are kept are not to be rounded anew
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    record = json.loads(path.with_suffix(".json").read_text(encoding="utf8"))
    made_from = {"sources": record["sources"]} if "sources" in record else {}
    return table, {r: made_from | record["regimes"][r] for r in regimes if r in record["regimes"]}


def _settings_files(options: argparse.Namespace, regime: str) -> list[Path]:
    own = settings_path(options.profile)
    return [own] if regime == "validated" else [own, regime_path(regime)]


def _shown(path: Path) -> str:
    """A settings file by its place in the repository, or by its name if it is none of ours."""
    root = freshness.ROOT
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name
