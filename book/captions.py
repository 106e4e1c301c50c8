"""Captions of tables: the option `caption` of the cell that displays them.

A list gives those of several tables in turn. The table of a page's claims has its own. Numbers are
given through the whole book, in reading order, when it is built.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from studies.common.claims import MEDIA_TYPE

CLAIMS = "What this page claims, and the number that each claim was checked by."
_TABLE = re.compile(r"(<table\b[^>]*>)(?!\s*<caption)")
_FACT = re.compile(r"\b[Ff]act ([A-L]\d?)\b")
# Sphinx numbers the tables that it makes itself, and leaves out the others
_CAPTION = re.compile(
    r'(<caption\b[^>]*>)(?:<span class="caption-number">[^<]*</span>)?(?=.)', re.DOTALL
)


def add(cell: dict[str, Any]) -> None:
    """Give the tables that a cell displays their captions, as far as it displays some."""
    given = cell["metadata"].get("caption", [])
    waiting = [given] if isinstance(given, str) else list(given)
    outputs = [o["data"] for o in cell["outputs"] if "text/html" in o.get("data", {})]
    for data in outputs:
        text = "".join(data["text/html"])
        if MEDIA_TYPE in data:
            facts = _FACT.sub(r'<a href="../glossary.html#term-fact-\1">\g<0></a>', text)
            data["text/html"] = captioned(facts, CLAIMS)
        elif _TABLE.search(text) and waiting:
            data["text/html"] = captioned(text, waiting.pop(0))


def captioned(table: str, caption: str) -> str:
    """The HTML of a table with this caption, which may have code in backticks."""
    text = re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(" ".join(caption.split()), False))
    return _TABLE.sub(lambda match: f"{match[1]}<caption>{text}</caption>", table, count=1)


def number(pages: Iterable[Path]) -> None:
    """Number the captions of tables through these files, in their order."""
    count = 0

    def numbered(match: re.Match[str]) -> str:
        nonlocal count
        count += 1
        return f'{match[1]}<span class="caption-number">Tab. {count} </span>'

    for page in pages:
        text = page.read_text(encoding="utf8")
        page.write_text(_CAPTION.sub(numbered, text), encoding="utf8")
