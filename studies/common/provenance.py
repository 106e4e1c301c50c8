"""Results on disk: a table and, beside it, what it was made with."""

from __future__ import annotations

import functools
import importlib.metadata
import json
import os
import platform
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studies.common import freshness
from studies.common.files import whole

if TYPE_CHECKING:
    import pandas as pd

PACKAGES = ("lipsnn", "numpy", "scipy", "torch", "cvxpy", "clarabel", "mosek")


@functools.cache
def versions(*others: str) -> dict[str, str]:
    """Version of Python and of each package that a result depends on; absent ones left out."""
    found = {"python": platform.python_version()}
    for package in (*PACKAGES, *others):
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def commit(root: str | Path) -> str:
    """The commit checked out in `root`, "+dirty" if files differ from it, or "unknown"."""

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        return git("rev-parse", "--short=12", "HEAD") + (
            "+dirty" if git("status", "--porcelain") else ""
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


@functools.cache
def machine() -> dict[str, str | int]:
    """System, processor and number of cores; nothing that names the machine."""
    processor = platform.processor()
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                processor = line.partition(":")[2].strip()
                break
    except OSError:
        pass  # not Linux
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": processor,
        "cores": os.cpu_count() or 1,
    }


def write_table(
    path: str | Path,
    table: pd.DataFrame,
    *,
    commit: str,
    seconds: float,
    sources: str | list[str] | None = None,
    packages: tuple[str, ...] = (),
    **facts: Any,
) -> None:
    """Write `table` to `path`, a .csv, and its provenance to the .json beside it.

    Parameters
    ----------
    path : path
        Both files appear whole or not at all; the folder is made.
    table : pandas.DataFrame
        Tidy; its index is not written.
    commit : str
        Of the code that made it, taken before it ran (see `commit`).
    seconds : float
        Wall time that making it took.
    sources : str or list of str, optional
        The script that made it, by its path in the repository, or several; by default the one
        that runs. Hashes of what it may use, and of the files that `settings` and `reads` name,
        are recorded, from which `studies.common.freshness` knows whether the table is current.
    packages : tuple of str
        Those, beside `PACKAGES`, whose versions are recorded: the peers of a comparison.
    **facts
        What else it was made with, as JSON: solver, settings file, parameters.

    Raises
    ------
    ValueError
        If `path` does not end in .csv.
    """
    path = Path(path)
    if path.suffix != ".csv":
        raise ValueError(f"a result is a .csv file, got {path}")
    record = {
        "table": path.name,
        "rows": len(table),
        "commit": commit,
        "seconds": round(seconds, 1),
        **facts,
        "versions": versions(*packages),
        "machine": machine(),
    }
    if entry := sources or freshness.running_script():
        files = freshness.hashes(entry, freshness.files_read(record))
        record["sources"] = {"entry": entry, "files": files}
    text = json.dumps(record, indent=1, ensure_ascii=False) + "\n"
    with whole(path) as file:
        file.write(table.to_csv(index=False, lineterminator="\n").encode())
    with whole(path.with_suffix(".json")) as file:
        file.write(text.encode())
