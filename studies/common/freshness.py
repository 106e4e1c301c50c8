"""Is a result still what the code would make? `python -m studies` tells, per table.

A result records a hash of what made it, by file: the definitions that its script may use
(`studies.common.sources`), and the settings and tables that it reads. Comments, docstrings and
layout do not count, nor does code that the script cannot reach.

A record with `moved` was made before the studies left `lipsnn/`. At that commit ("from") all its
hashes were those of the code. They were taken anew in the new layout ("to") after each definition
had been compared with its old text: they are the same but for names of modules and paths, except
those that "reworded" names, which were read: command lines, reports of failures, writing of files.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import json
import sys
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

from studies.common.sources import Reader, reached

ROOT = Path(__file__).resolve().parents[2]


def hashes(
    entry: str | Iterable[str], others: Iterable[str] = (), read: Reader | None = None
) -> dict[str, str]:
    """A hash of each source of a result, by its path below the root.

    Parameters
    ----------
    entry : str, or iterable of str
        The script that makes it, or several, notebooks (.md) among them.
    others : iterable of str
        Further files, such as settings.
    read : callable, optional
        Where the files are read; those of this checkout by default.
    """
    entries = (entry,) if isinstance(entry, str) else tuple(entry)
    code = reached(entries, read) if read else _reached_now(entries)
    read = read or _NOW
    found = {path: _short(text.encode()) for path, text in code.items()}
    for path in others:
        if (content := read(path)) is not None:
            found[path] = _short(content)
    return dict(sorted(found.items()))


def running_script() -> str | None:
    """The script that runs, by its path below the root; None if it is none of this project."""
    file = getattr(sys.modules["__main__"], "__file__", None)
    path = Path(file).resolve() if file else None
    return path.relative_to(ROOT).as_posix() if path and path.is_relative_to(ROOT) else None


def changed(record: dict[str, Any], read: Reader | None = None) -> list[str] | None:
    """Sources that differ from those of a result; None if its provenance does not name them.

    Where rows of another run were kept, under "regimes", theirs count too.
    """
    parts = [record, *record.get("regimes", {}).values()]
    found: set[str] = set()
    for part in parts:
        if not (sources := part.get("sources")):
            if part is record:
                return None
            continue
        now = hashes(sources["entry"], files_read(record), read)
        then = sources["files"]
        found |= {path for path in {*now, *then} if now.get(path) != then.get(path)}
    return sorted(found)


def files_read(record: dict[str, Any]) -> list[str]:
    """The settings file and the tables that a provenance names as read."""
    settings = [record["settings"]] if isinstance(record.get("settings"), str) else []
    return settings + list(record.get("reads", []))


def verdict(record: dict[str, Any]) -> str:
    """In words: "current", what changed, or that nothing is known."""
    different = changed(record)
    if different is None:
        return "sources not recorded"
    if not different:
        return "current"
    more = f" and {len(different) - 2} more" if len(different) > 2 else ""
    return f"older than {', '.join(different[:2])}{more}"


def main(arguments: list[str] | None = None) -> int:
    """Run the command line: 0 if every table is current, else 1."""
    parser = argparse.ArgumentParser(prog="python -m studies", description=__doc__)
    parser.add_argument("tables", nargs="*", type=Path, help="results (all that are committed)")
    options = parser.parse_args(arguments)
    tables = options.tables or sorted((ROOT / "results").rglob("*.csv"))
    all_current = True
    for table in tables:
        path = table.with_suffix(".json")
        if not path.exists():
            print(f"{table}: not there")
            all_current = False
            continue
        record = json.loads(path.read_text(encoding="utf8"))
        said = verdict(record)
        all_current &= said == "current"
        name = table.relative_to(ROOT) if table.is_relative_to(ROOT) else table
        print(f"{name}: {said}")
    return 0 if all_current else 1


def _short(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def _on_disk(root: Path, path: str) -> bytes | None:
    file = root / path
    return file.read_bytes() if file.is_file() else None


_NOW = partial(_on_disk, ROOT)


@functools.cache
def _reached_now(entries: tuple[str, ...]) -> dict[str, str]:
    return reached(entries, _NOW)
