"""`python -m book.run notebooks/X.md -p width 50`: one notebook, with other parameters."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from book import parameters as params
from book.execute import TIME_LIMIT_HELP, Job, run, time_limit
from book.layout import REPOSITORY, Layout
from studies.common import provenance


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m book.run", description=__doc__)
    parser.add_argument("notebook", type=Path, help="the source, notebooks/NAME.md")
    parser.add_argument(
        "-p",
        dest="parameters",
        nargs=2,
        action="append",
        default=[],
        metavar=("NAME", "VALUE"),
        help="set a parameter of the notebook; may be repeated",
    )
    parser.add_argument("--profile", default="quick", help="where the others come from (quick)")
    parser.add_argument(
        "--output", type=Path, help="the executed .ipynb (book/executed/NAME-with-VALUES.ipynb)"
    )
    parser.add_argument("--time-limit", type=int, metavar="SECONDS", help=TIME_LIMIT_HELP)
    options = parser.parse_args(arguments)
    source = options.notebook.resolve()
    given = {name: params.literal(value) for name, value in options.parameters}
    layout = Layout(source.parent.parent if source.parent.name == "notebooks" else REPOSITORY)
    output = options.output or layout.executed / f"{variant(source.stem, options.parameters)}.ipynb"
    try:
        if source.suffix != ".md" or not source.is_file():
            raise ValueError(f"{options.notebook} is no notebook source: give notebooks/NAME.md")
        if output.suffix != ".ipynb":
            raise ValueError(f"--output must end in .ipynb, got {output}")
        values = params.load_profile(layout, options.profile).get(source.stem, {}) | given
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    commit = provenance.commit(layout.root)
    limit = options.time_limit or time_limit(options.profile)
    job = Job(layout, source, output.resolve(), options.profile, values, commit, limit)
    outcome = run(job)
    if outcome.error is not None:
        print(f"FAILED: {outcome.error}\n  log: {outcome.log}", file=sys.stderr)
        return 1
    print(f"{output} ({outcome.seconds:.1f} s)")
    return 0


def variant(stem: str, given: list[list[str]]) -> str:
    """A file name that tells a run with other parameters from the book's own page."""
    words = [stem, *(f"{name}-{value}" for name, value in given)]
    return "".join(c if c.isalnum() or c in "-._" else "_" for c in "-".join(words))


if __name__ == "__main__":
    sys.exit(main())
