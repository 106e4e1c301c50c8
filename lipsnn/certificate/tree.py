"""The tree of a branch and bound over units, and its proof without any pieces.

Each entry names the units whose sides follow from those that were chosen, and with them the rows
that exclude the other side: by Gordan's theorem a nonnegative combination of these is zero, the
one that there is. Then it is cut at a unit, is empty by such rows too, or is a leaf, where the
matrix P gives multipliers of fact I. The bound of each leaf is proved in exact arithmetic.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from lipsnn._checks import Array
from lipsnn.certificate import slopes as sl
from lipsnn.certificate.proof import ProofError, proved_bound

if TYPE_CHECKING:
    from lipsnn.certificate.pieces import Pieces


@dataclass(eq=False)
class Node:
    """A cell: the rows that bound it and their sides; the side of every row, or 0; points inside.

    And of its bound the matrix P and the terms ``sqrt(v'Pv)`` of the units. `fixed` are the units
    whose side the cell implies, each with the rows that exclude its other side. If it was cut,
    `parts` are what is above and below that unit: nodes, or the rows that show it empty.
    """

    rows: Array
    on: Array
    sides: Array
    points: Array
    P: Array
    bound: float = np.inf
    terms: Array = field(default_factory=lambda: np.empty(0))
    fixed: list[tuple[int, Array]] = field(default_factory=list)
    cut: int | None = None
    parts: list[Any] = field(default_factory=list)


def entries(root: Node) -> list[dict[str, Any]]:
    """The tree for a document, each node before its parts, the upper part first."""
    found, left = [], [root]
    while left:
        node = left.pop()
        if not isinstance(node, Node):
            found.append({"empty": node.tolist()})
            continue
        entry: dict[str, Any] = {
            "fixed": [[unit, int(node.sides[unit]), rows.tolist()] for unit, rows in node.fixed]
        }
        if node.cut is None:
            found.append(entry | {"P": node.P[np.tril_indices(len(node.P))].tolist()})
        else:
            found.append(entry | {"cut": node.cut})
            left += node.parts[::-1]
    return found


def cells(tree: list[dict[str, Any]], sides: Array, units: int) -> Iterator[tuple[Any, Array]]:
    """Each entry of a tree over the first `units` with its cell's sides, which the caller may fix.

    A ProofError if the entries do not cover the cell that has `sides`.
    """
    left = [sides]
    for entry in tree:
        if not left:
            raise ProofError("the tree has more parts than its cuts")
        sides = left.pop()
        yield entry, sides
        if "cut" in entry:
            unit = _unit(entry["cut"], sides[:units])
            for side in (-1, 1):
                left.append(sides.copy())
                left[-1][unit] = side
    if left:
        raise ProofError("the tree does not cover all cells")


def proved_upper(pieces: Pieces, tree: list[dict[str, Any]], upper: float) -> float:
    """The least proved bound of all slopes that the tree gives, at most 1e-9 above `upper`.

    A ProofError if the tree does not cover all cells, or does not prove what it says of one.
    """
    proved = 0.0
    for entry, sides in cells(tree, pieces.sides.copy(), pieces.m):
        if "empty" in entry:
            _excluded(pieces, entry["empty"], sides)
            continue
        for unit, side, rows in entry["fixed"]:
            if side not in (1, -1):
                raise ProofError(f"{side!r:.40} is not a side")
            other = sides.copy()
            other[_unit(unit, sides[: pieces.m])] = -side
            _excluded(pieces, rows, other)
            sides[unit] = side
        if "cut" not in entry:
            proved = max(proved, _leaf(pieces, sides, entry["P"], upper))
    return proved


def _unit(unit: Any, sides: Array) -> int:
    if type(unit) is not int or not 0 <= unit < len(sides) or sides[unit]:
        raise ProofError(f"{unit!r:.40} is not a unit whose side is open")
    return unit


def _excluded(pieces: Pieces, given: Any, sides: Array) -> None:
    """That no point has these sides of the rows in `given`."""
    rows = np.array(given, dtype=np.int64)
    if len(set(given)) < len(given) or (rows < 0).any() or not sides[rows].all():
        raise ProofError("rows are named that do not bound the cell")
    cells = pieces.cells
    if cells.excludes(rows, sides[rows]):
        return
    rows = np.union1d(rows, [len(sides) - 1])  # what is at infinity is not in the ball
    if not cells.decide(rows, sides[rows])[2]:
        raise ProofError("a side or a cell is not proved to be empty")


def _leaf(pieces: Pieces, sides: Array, given: list[float], upper: float) -> float:
    """The bound of a cell by the multipliers of its P, proved."""
    every = np.zeros(len(pieces.live))
    every[pieces.live] = sides[: pieces.m]
    part = pieces.form.fixing([every])
    problem, P = sl.slopes(part), np.zeros((pieces.dim, pieces.dim))
    P[np.tril_indices(len(P))] = given
    P += np.tril(P, -1).T
    squares = np.einsum("ij,ij->i", problem.units @ P, problem.units)
    lengths = problem.norms * np.sqrt(np.maximum(squares, 1e-60))
    return proved_bound(part, (sl.multipliers(problem, lengths),), upper, consistent=False)


def proved_at(pieces: Pieces, witness: Array, lower: Fraction) -> None:
    """Check that the slope at `witness` has at least the length `lower`."""
    if len(witness) != pieces.dim:
        raise ProofError("the witness has another number of inputs")
    if pieces.region is not None and not pieces.region.contains(witness):
        raise ProofError("the witness is not in the region")
    length = pieces.slope_at(witness)
    if lower and (length is None or length * Fraction(2) ** pieces.exponent < lower):
        raise ProofError(f"the slope at the witness is not as steep as lower, {float(lower)!r}")
