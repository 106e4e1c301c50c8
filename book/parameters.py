"""Parameters of a notebook: its own, a profile's, and the ones given on the command line."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import papermill
import yaml

from book.layout import Layout

Parameters = dict[str, Any]


def literal(text: str) -> Any:
    """The Python literal that `text` spells ("50", "1e-3", "True", "[1, 2]"), else the text."""
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError):
        return text


def defaults(notebook: Path) -> Parameters:
    """The parameters that the cell tagged `parameters` of an .ipynb file sets, with values."""
    found = papermill.inspect_notebook(str(notebook))
    return {name: literal(entry["default"]) for name, entry in found.items()}


def profile_names(layout: Layout) -> list[str]:
    return sorted(path.stem for path in layout.profiles.glob("*.yml"))


def load_profile(layout: Layout, name: str) -> dict[str, Parameters]:
    """Parameter values per notebook (by the stem of its file) from `book/profiles/NAME.yml`.

    Raises
    ------
    ValueError
        For an unknown profile, or one that names a notebook which does not exist.
    """
    if name not in profile_names(layout):
        known = ", ".join(profile_names(layout)) or "none"
        raise ValueError(f"unknown profile {name!r}: known are {known}")
    text = (layout.profiles / f"{name}.yml").read_text(encoding="utf8")
    profile = {stem: values or {} for stem, values in (yaml.safe_load(text) or {}).items()}
    stems = [source.stem for source in layout.sources()]
    if unknown := sorted(set(profile) - set(stems)):
        raise ValueError(
            f"profile {name!r} names notebooks that do not exist: {', '.join(unknown)}; "
            f"known are {', '.join(stems) or 'none'}"
        )
    return profile


def check(notebook: str, given: Parameters, known: Parameters) -> None:
    """Refuse what papermill would only warn of.

    Raises
    ------
    ValueError
        For a name that the notebook does not have, with those it has; for a text where the
        notebook has a number (YAML reads 1e-3 as a text, it wants 1.0e-3).
    """
    if unknown := sorted(set(given) - set(known)):
        listing = ", ".join(known) or "none: it has no cell tagged `parameters`"
        raise ValueError(
            f"{notebook} has no parameter {', '.join(unknown)}; its parameters are {listing}"
        )
    for name, value in given.items():
        if isinstance(value, str) and isinstance(known[name], int | float):
            raise ValueError(
                f"{notebook}: parameter {name} is a number (default {known[name]}), "
                f"got the text {value!r}; in YAML write 1.0e-3 for 1e-3"
            )
