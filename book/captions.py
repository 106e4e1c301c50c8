"""Tables for people: captions, the option `caption` of the cells that display them, and words.

A list gives those of several tables in turn. The table of a page's claims has its own. Numbers are
given through the whole book, in reading order, when it is built. Names that code uses stand in the
tables as words.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from studies.common.claims import MEDIA_TYPE
from studies.common.symbols import typeset

CLAIMS = "What this page claims, and the number that each claim was checked by."
_TABLE = re.compile(r"(<table\b[^>]*>)(?!\s*<caption)")
_NAME = re.compile(r"(<t[dh]\b[^>]*>\s*)([a-z\d]+(?:_[a-z\d]+)*)(?=\s*</t[dh]>)")
_WORDS = {
    "admm": "ADMM",
    "l2": "ℓ₂",
    "linf": "ℓ∞",
    "lipschitz": "Lipschitz",
    "lowrank": "low rank",
    "pgd": "PGD",
    "sgd": "SGD",
}
# longer than a number with its range: words, which may go over several lines
_WORDY = re.compile(r"<td\b(?=[^>]*>[^<]*[^\W\d_]{3})([^>]*>[^<]{28,}</td>)")
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
            data["text/html"] = captioned(worded(text), waiting.pop(0))


def worded(table: str) -> str:
    """The HTML of a table for people: no name that only code uses, cells of words marked."""
    table = _NAME.sub(lambda m: m[1] + _WORDS.get(m[2], m[2].replace("_", " ")), table)
    return _WORDY.sub(r"<td data-words\1", table)


def captioned(table: str, caption: str) -> str:
    """The HTML of a table with this caption, which may have code in backticks."""
    text = html.escape(typeset(" ".join(caption.split())), False)
    text = re.sub(r"`([^`]+)`", r"<code>\1</code>", text)
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
