"""Sphinx extension: powers of ten in prose are typeset, and no line begins with a comma."""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

_POWER = re.compile(r"(?<![\w.])(\d+(?:\.\d+)?)e([+-]?\d+)(?!\w)")
_STUCK = re.compile(r"[.,;:)]")
_JOINER = "\N{WORD JOINER}"
_OTHER = (
    nodes.literal,
    nodes.literal_block,
    nodes.math,
    nodes.math_block,
    nodes.raw,
    nodes.comment,
)


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("doctree-read", on_doctree)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def on_doctree(app: Sphinx, doctree: nodes.document) -> None:
    """Write `2e-07` as two times a power of ten, and keep punctuation with its formula."""
    for text in list(doctree.findall(nodes.Text)):
        if isinstance(text.parent, _OTHER):
            continue
        whole, before = text.astext(), text.parent.index(text) - 1
        if before >= 0 and isinstance(text.parent[before], nodes.math) and _STUCK.match(whole):
            whole = _JOINER + whole
        parts: list[nodes.Node] = []
        end = 0
        for match in _POWER.finditer(whole):
            parts += [
                nodes.Text(whole[end : match.start()] + f"{match[1]} × 10".removeprefix("1 × ")),
                nodes.superscript("", str(int(match[2])).replace("-", "−")),
            ]
            end = match.end()
        if parts or whole != text.astext():
            text.parent.replace(text, [*parts, *[nodes.Text(whole[end:])] * (end < len(whole))])
