"""An executed notebook as it reads outside the book, in Colab, Binder or plain Jupyter.

What only Sphinx understands is replaced by its text: glued values, citations, boxes, captions.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pybtex.database import parse_file

from book import captions

_GLUED = re.compile(r"\{glue:(?:\w+)\}`([^`]+)`")
_CITED = re.compile(r"\{cite(:\w+)?\}`([^`]+)`")
_MATHS = re.compile(r"\{math\}`([^`]+)`")
_BOX = re.compile(r"^(:{3,})\{admonition\} ([^\n]*)\n((?::\w[^\n]*\n)*)(.*?)^\1$", re.S | re.M)
_TABLE = re.compile(r"^```\{table\} ([^\n]*)\n(.*?)^```$", re.S | re.M)
_TARGET = re.compile(r"^\([\w-]+\)=\n", re.M)


def plain(notebook: dict[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """The same notebook in plain Markdown; `names` are author and year of each source."""
    values = glued(notebook)
    cells = []
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            text = rewritten("".join(cell["source"]), values, names)
            cells.append({**cell, "source": text})
            continue
        captions.add(cell)
        cells.append(cell)
        if caption := cell["metadata"].get("mystnb", {}).get("figure", {}).get("caption"):
            text = rewritten(" ".join(caption.split()), values, names)
            below = {"cell_type": "markdown", "metadata": {}, "source": f"*{text}*"}
            cells.append(below | ({"id": f"{cell['id']}-c"} if "id" in cell else {}))
    return {**notebook, "cells": cells}


def glued(notebook: dict[str, Any]) -> dict[str, str]:
    """The text of each glued value, by its name."""
    values = {}
    for cell in notebook["cells"]:
        for output in cell.get("outputs", []):
            name = output.get("metadata", {}).get("scrapbook", {}).get("name")
            text = next((v for k, v in output.get("data", {}).items() if "text/plain" in k), None)
            if name and text is not None:
                values[name] = _text("".join(text))
    return values


def rewritten(text: str, values: Mapping[str, str], names: Mapping[str, str]) -> str:
    """Markdown of the book as plain Markdown."""
    text = _GLUED.sub(lambda m: values[m[1].partition(":")[0]], text)
    text = _CITED.sub(lambda m: _citation(m[1] or "", m[2], names), text)
    text = _MATHS.sub(r"$\1$", text)
    text = _BOX.sub(lambda m: _quoted(f"**{m[2]}**\n\n{m[4].strip()}"), text)
    text = _TABLE.sub(lambda m: f"*{m[1]}*\n\n{m[2].rstrip()}", text)
    return _TARGET.sub("", text)


def sources(bibliography: Path) -> dict[str, str]:
    """Author and year of each entry of a BibTeX file."""
    found = {}
    for key, entry in parse_file(str(bibliography)).entries.items():
        last = [" ".join(person.last_names) for person in entry.persons.get("author", [])]
        who = f"{last[0]} et al." if len(last) > 2 else " and ".join(last)
        found[key] = f"{who}, {entry.fields.get('year', '')}".strip(", ")
    return found


def _citation(kind: str, keys: str, names: Mapping[str, str]) -> str:
    found = [names[key.strip()] for key in keys.split(",")]
    if kind == ":t":
        return ", ".join(re.sub(r", (\d{4})$", r" (\1)", name) for name in found)
    return f"({'; '.join(found)})"


def _quoted(text: str) -> str:
    return "\n".join(f"> {line}".rstrip() for line in text.splitlines())


def _text(shown: str) -> str:
    """A value as `{glue:text}` shows it: a string without its quotes."""
    try:
        value = ast.literal_eval(shown)
    except (ValueError, SyntaxError):
        return shown
    return value if isinstance(value, str) else shown
