"""Sphinx extension: the first use of each term of the glossary on a page leads there."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx

GLOSSARY = "book/glossary"
_SECTION = re.compile(r"^```\{glossary\}\n(.*?)^```", re.DOTALL | re.MULTILINE)
# what is no text to read
_OTHER = (
    nodes.title, nodes.literal, nodes.literal_block, nodes.math, nodes.math_block, nodes.raw,
    nodes.comment,
)  # fmt: skip


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("doctree-read", on_doctree)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


@functools.cache
def terms(glossary: Path) -> dict[str, re.Pattern[str]]:
    """How each term looks in a text, in the singular and in the plural; the longest first."""
    found = _SECTION.search(glossary.read_text(encoding="utf8"))
    names = re.findall(r"^\S.*$", found[1] if found else "", re.MULTILINE)
    return {name: pattern(name) for name in sorted(names, key=len, reverse=True)}


def pattern(term: str) -> re.Pattern[str]:
    """The term as a word of its own, its first letter of either case."""
    head, rest = re.escape(term[0]), r"\s+".join(map(re.escape, term[1:].split(" ")))
    return re.compile(rf"(?<![\w-])(?:{head}|{head.upper()}){rest}(?:e?s)?(?![\w-])")


def on_doctree(app: Sphinx, doctree: nodes.document) -> None:
    """Link the first use of each term, unless it is part of a link already."""
    page = app.env.docname
    source = Path(app.srcdir, f"{GLOSSARY}.md")
    if page == GLOSSARY or page.startswith("book/generated/") or not source.exists():
        return
    _join_lines(doctree)
    for term, looks in terms(source).items():
        for text in list(doctree.findall(nodes.Text)):
            match = looks.search(text.astext())
            if not match or _within(text, _OTHER):
                continue
            if not _within(text, (nodes.reference, pending_xref)):
                _link(text, match, term, page)
            break


def _join_lines(doctree: nodes.document) -> None:
    """Make one text of neighbours: the parser begins one at each line, and terms go over lines."""
    for parent in list(doctree.findall(nodes.TextElement)):
        at = 0
        while at + 1 < len(parent):
            left, right = parent[at], parent[at + 1]
            if isinstance(left, nodes.Text) and isinstance(right, nodes.Text):
                parent[at] = nodes.Text(left.astext() + right.astext())
                del parent[at + 1]
            else:
                at += 1


def _within(node: nodes.Node, kinds: tuple[type[nodes.Node], ...]) -> bool:
    while (node := node.parent) is not None:
        if isinstance(node, kinds):
            return True
    return False


def _link(text: nodes.Text, match: re.Match[str], term: str, page: str) -> None:
    whole = text.astext()
    link = pending_xref(
        "", refdomain="std", reftype="term", reftarget=term, refexplicit=True, refdoc=page
    )
    link += nodes.inline("", match[0], classes=["std", "std-term"])
    before, after = whole[: match.start()], whole[match.end() :]
    parts = [nodes.Text(before)] * bool(before) + [link] + [nodes.Text(after)] * bool(after)
    text.parent.replace(text, parts)
