"""Numbers typed in prose: what looks like a result must be glued from one.

A result is a decimal fraction, a percentage, a power of ten, or a number with a unit of time, size
or ratio. Whole numbers without a unit count things or name equations, and pass; so does what a page
marks as code, displays as a formula, links, or glues. `book/prose.yml` lists the numbers that stand
for what a source prints or a definition says.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import jupytext
import yaml

from book.layout import Layout

# A box of text is prose, whatever its fence.
_BOX = re.compile(
    r"^([ ]*`{3,})\{(?:admonition|note|tip|important|warning)\}(.*?)^\1[ ]*$", re.S | re.M
)
_NOT_PROSE = re.compile(
    r"""
      ^[ ]*(`{3,})[^\n]*\n.*?^[ ]*\1[ ]*$              # code
    | \$\$.*?\$\$                                      # displayed formulas
    | \\begin\{(\w+\*?)\}.*?\\end\{\2\}
    | \{[\w:+-]+\}`[^`]*`                              # roles, glue among them
    | (`+)[^`].*?\3                                    # code in a line
    | \]\([^)]*\)                                      # targets of links
    | ^%[^\n]*$                                        # comments
    | ^:[\w-]+:[^\n]*$                                 # options of directives
    | <[^>\n]*>                                        # HTML
    | (?:Section|Table|Figure|Python|[Vv]ersion)\s\d+(?:\.\d+)+
    """,
    re.DOTALL | re.MULTILINE | re.VERBOSE,
)
_UNIT = (
    r"(?:%|\\%|per[ ]cent|ns|µs|us|ms|s|sec(?:onds?)?|min(?:utes?)?|h(?:ours?)?"
    r"|kB|KB|MB|MiB|GB|GiB|times|fold|digits|iterations|orders[ ]of)"
)
_RESULT = re.compile(
    rf"""
    (?<![\w.^_{{\[(-])                    # no part of a name, an index or an equation number
    (?:
        10\^\{{?-?\d+\}}?                 # 10^{{-7}}
      | \d+(?:\.\d+)?e[+-]?\d+            # 1e-8, 1.5e-3
      | \d+(?:[.,]\d+)*(?:\s|~|\\,|-)?{_UNIT}(?![\w(])
      | \d+\.\d+                          # 0.25
    )
    """,
    re.VERBOSE,
)


def literals(markdown: str) -> list[str]:
    """The numbers in a text that look like results, in order."""
    prose = _NOT_PROSE.sub(" ", _BOX.sub(r"\2", markdown))
    return [" ".join(match.group().split()) for match in _RESULT.finditer(prose)]


def of_book(layout: Layout) -> Iterator[tuple[str, str]]:
    """Source (below the root) and number, for each one that a page of the book types."""
    for source in layout.sources():
        for cell in jupytext.read(source, fmt="md:myst").cells:
            if cell.cell_type == "markdown":
                yield from ((layout.relative(source), n) for n in literals(cell.source))
    for path in sorted((layout.root / "book").glob("*.md")):
        text = path.read_text(encoding="utf8")
        yield from ((layout.relative(path), n) for n in literals(text))


def allowed() -> dict[str, dict[str, str]]:
    """Numbers that pages may type, by their source: `{source: {number: reason}}`."""
    text = Path(__file__).with_suffix(".yml").read_text(encoding="utf8")
    listed: dict[str, dict[str, str]] = yaml.safe_load(text) or {}
    return listed
