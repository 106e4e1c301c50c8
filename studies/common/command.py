"""A study with several commands: the first argument names one, the rest is its own."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence

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
