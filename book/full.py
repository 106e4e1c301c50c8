"""`python -m book.full`: make every result that is not current, then the book at the paper's scale.

`results/makers.toml` says which command makes which table. A command runs if one of its tables is
missing or not what the present code would make. Interrupted, the same line goes on: tables made
before are current by then, and the experiments keep their finished trials.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

from book.layout import REPOSITORY
from studies.common import freshness

# They are made again in any case, as the book's last step.
CLAIMS = "full/claims.csv"


@dataclass(frozen=True)
class Maker:
    """A command, and the tables that it makes, by their paths below `results/`."""

    command: str
    tables: tuple[str, ...]

    @property
    def arguments(self) -> list[str]:
        """The command for this interpreter."""
        return [sys.executable, *shlex.split(self.command)[1:]]


def makers(root: Path = REPOSITORY) -> list[Maker]:
    """All of `results/makers.toml`, in its order.

    Raises
    ------
    ValueError
        If two commands make the same table, or one does not begin with `python`.
    """
    text = (root / "results" / "makers.toml").read_text(encoding="utf8")
    found = [Maker(m["command"], tuple(m["tables"])) for m in tomllib.loads(text)["maker"]]
    tables = [table for maker in found for table in maker.tables]
    if twice := sorted({table for table in tables if tables.count(table) > 1}):
        raise ValueError(f"results/makers.toml: two commands make {', '.join(twice)}")
    for maker in found:
        if not maker.command.startswith("python "):
            raise ValueError(f"results/makers.toml: not a command of Python: {maker.command}")
    return found


def verdicts(maker: Maker, root: Path = REPOSITORY) -> dict[str, str]:
    """Of each table of a command: "current", "not there", or why it is not current."""
    found = {}
    for table in maker.tables:
        path = (root / "results" / table).with_suffix(".json")
        there = path.exists() and path.with_suffix(".csv").exists()
        record = json.loads(path.read_text(encoding="utf8")) if there else {}
        found[table] = freshness.verdict(record) if there else "not there"
    return found


def main(arguments: list[str] | None = None, root: Path = REPOSITORY) -> int:
    """Run the command line; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m book.full", description=__doc__)
    parser.add_argument("--dry-run", action="store_true", help="only say what would run, and why")
    options = parser.parse_args(arguments)
    last = None
    for maker in makers(root):
        if CLAIMS in maker.tables:
            last = maker
        elif not _done(maker, root, dry=options.dry_run):
            return 1
    if last is None:
        return 0
    print(f"{last.command}: builds the book", flush=True)
    return 0 if options.dry_run else _run(last, root)


def _done(maker: Maker, root: Path, *, dry: bool) -> bool:
    """Run a command if that is due; whether all is well."""
    said = verdicts(maker, root)
    due = {table: why for table, why in said.items() if why != "current"}
    if not due:
        print(f"{maker.command}: current")
        return True
    print(f"{maker.command}:", *(f"  {table}: {why}" for table, why in due.items()), sep="\n")
    sys.stdout.flush()
    if dry:
        return True
    if code := _run(maker, root):
        print(f"error: {maker.command} failed with {code}", file=sys.stderr)
        return False
    said = verdicts(maker, root)
    if left := [f"{table} is {why}" for table, why in said.items() if why != "current"]:
        print(f"error: after {maker.command}, {'; '.join(left)}", file=sys.stderr)
        return False
    return True


def _run(maker: Maker, root: Path) -> int:
    return subprocess.run(maker.arguments, cwd=root, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
