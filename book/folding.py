"""Which code a page shows: what a reader would copy stays open, the rest is folded.

One rule for all pages, from the source of a cell alone. Hidden: cells that only name what they
display. Folded: parameters, imports, definitions, checks, figures, and whatever is longer than a
reader takes in at a glance or wider than the column. Open: the rest, short calls of the library
and of numpy. A cell tagged `show` stays open, one tagged `hide-input` folded, whatever it holds.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

LONGEST = 15  # lines of a cell that is open
WIDEST = 80  # characters of its lines: what the column holds at 1400 pixels
# Names that only a page needs, not somebody who copies its code.
BOOKKEEPING = frozenset({"claims", "glue", "plot", "plt", "style"})
DECIDED = frozenset({"show", "hide-input", "remove-input", "remove-cell", "hide-cell"})


def tags(source: str, given: list[str], *, draws: bool = False) -> list[str]:
    """The tags of a code cell, which may draw a figure, with those that fold or hide its input."""
    if DECIDED.intersection(given) or not source.strip():
        return given
    try:
        tree = ast.parse(source)
    except SyntaxError:  # a line of IPython's own
        return given
    if "parameters" in given or _is_bookkeeping(tree) or not fits(source):
        return [*given, "hide-input"]
    if _only_displays(tree):
        return [*given, "remove-input"]
    return [*given, "hide-input"] if draws else given


def fits(source: str) -> bool:
    """Whether a page can show these lines whole."""
    lines = source.splitlines()
    return len(lines) <= LONGEST and max(map(len, lines)) <= WIDEST


def _only_displays(tree: ast.Module) -> bool:
    """Whether the cell is one name, or methods of one name, such as `table.round(2)`."""
    if len(tree.body) != 1 or not isinstance(tree.body[0], ast.Expr):
        return False
    node: ast.AST = tree.body[0].value
    while isinstance(node, ast.Call | ast.Attribute | ast.Subscript):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            return False
        node = node.func if isinstance(node, ast.Call) else node.value
    return isinstance(node, ast.Name) and node.id != "lipsnn"


def _is_bookkeeping(tree: ast.Module) -> bool:
    if all(isinstance(node, ast.Import | ast.ImportFrom) for node in tree.body):
        return True
    if any(isinstance(node, ast.FunctionDef | ast.ClassDef) for node in tree.body):
        return True
    return any(BOOKKEEPING.intersection(chain) for chain in _calls(tree))


def _calls(tree: ast.Module) -> Iterator[list[str]]:
    """The names in what each call calls: `plt.subplots(...)` gives ["plt", "subplots"]."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield [
                part.id if isinstance(part, ast.Name) else part.attr
                for part in ast.walk(node.func)
                if isinstance(part, ast.Name | ast.Attribute)
            ][::-1]
