"""Command lines of the studies: what they have in common."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

Main = Callable[[Sequence[str]], int]


def dispatch(
    study: str, commands: Mapping[str, Main], arguments: Sequence[str] | None = None
) -> int:
    """Run the command of `study` that the first argument names; its exit code."""
    parser = argparse.ArgumentParser(prog=f"python -m studies.{study}")
    parser.add_argument("command", choices=commands)
    parser.add_argument("options", nargs=argparse.REMAINDER, help="of the command: add --help")
    options = parser.parse_args(arguments)
    return commands[options.command](options.options)


def parse(
    parser: argparse.ArgumentParser, arguments: Sequence[str] | None, table: str, **quick: Any
) -> argparse.Namespace:
    """The options of a command with two profiles, each with a folder of results of its own.

    Parameters
    ----------
    parser : ArgumentParser
        With the other options; their defaults are those of the profile "full".
    arguments : sequence of str, or None
    table : str
        Name of the table that the command writes into results/PROFILE, unless --output says
        otherwise; empty for several, so that --output is a folder.
    **quick
        Defaults of the profile "quick".

    Returns
    -------
    Namespace
        With ``output``, and ``made_by``, the command without its other options.
    """
    parser.add_argument("--profile", choices=("quick", "full"), default="full")
    parser.add_argument("--output", type=Path, help=f"results/PROFILE/{table}")
    profile = parser.parse_known_args(arguments)[0].profile
    if profile == "quick":
        parser.set_defaults(**quick)
    options = parser.parse_args(arguments)
    options.output = options.output or Path("results") / profile / table
    options.made_by = parser.prog + (" --profile quick" if profile == "quick" else "")
    return options
