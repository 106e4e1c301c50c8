"""The exact Lipschitz constant of a small network, cell by cell of its hyperplane arrangement.

f is affine on each cell of the arrangement of the hyperplanes ``w_i'(x, 1) = 0``, so its
Lipschitz constant is the largest gradient over the cells of full dimension. They are found in
rational arithmetic, hyperplane by hyperplane: a new one cuts exactly those cells that its own,
one dimension smaller arrangement shows, so that degenerate arrangements need no special care.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from lipsnn._checks import Array
from lipsnn._optional import flint
from lipsnn.network import ShallowNet

MOST_UNITS, MOST_INPUTS = 20, 3
Row = list[Any]  # w_1 .. w_d, b in exact rationals
Point = list[Any]


def enumerated_constant(net: ShallowNet) -> float:
    """The Lipschitz constant of `net` in the l2 norm, exact up to one rounding per cell.

    Raises
    ------
    ValueError
        For more than 20 units with a slope or more than 3 inputs: the cells are too many.
    """
    patterns = cell_patterns(net)
    return float(np.linalg.norm(patterns.astype(np.float64) @ net.slopes, axis=1).max())


def cell_patterns(net: ShallowNet) -> Array:
    """Activation patterns of all cells of full dimension, boolean (cells, m)."""
    sloped = int(net.weights[:, :-1].any(axis=1).sum())
    if net.dim > MOST_INPUTS or sloped > MOST_UNITS:
        raise ValueError(
            f"exact enumeration is for at most {MOST_UNITS} units and {MOST_INPUTS} inputs, "
            f"got {sloped} and {net.dim}: use certify for a bound"
        )
    rows = [
        [flint.fmpq(*value.as_integer_ratio()) for value in row] for row in net.weights.tolist()
    ]
    points = _interior_points(rows, net.dim)
    values = np.array([[_value(row, point) > 0 for row in rows] for point in points])
    # a unit without slope has no hyperplane: its bias alone says whether it is active
    return values.reshape(len(points), net.width)


def _value(row: Row, point: Point) -> Any:
    return sum((w * x for w, x in zip(row, point, strict=False)), row[-1])


def _hyperplanes(rows: list[Row]) -> list[Row]:
    """The distinct hyperplanes of `rows`, each scaled to a first coefficient of 1."""
    sloped = [(next(w for w in row if w != 0), row) for row in rows if any(row[:-1])]
    return [list(row) for row in dict.fromkeys(tuple(w / s for w in row) for s, row in sloped)]


def _interior_points(rows: list[Row], dim: int) -> list[Point]:
    """One point inside each cell of full dimension of the arrangement of `rows` in R^dim."""
    planes = _hyperplanes(rows)
    if dim == 1:
        breaks = sorted(-plane[1] for plane in planes)
        if not breaks:
            return [[flint.fmpq(0)]]
        between = [[(a + b) / 2] for a, b in itertools.pairwise(breaks)]
        return [[breaks[0] - 1], *between, [breaks[-1] + 1]]
    cells: dict[tuple[bool, ...], Point] = {(): [flint.fmpq(0)] * dim}
    for index, plane in enumerate(planes):
        earlier = planes[:index]
        cut = {}
        for point in _points_on(plane, earlier, dim):
            cut[tuple(_value(other, point) > 0 for other in earlier)] = point
        following: dict[tuple[bool, ...], Point] = {}
        for signs, point in cells.items():
            if signs in cut:
                step = _step_off(plane, earlier, cut[signs])
                for side in (True, False):
                    move = step if side else -step
                    moved = [x + move * w for x, w in zip(cut[signs], plane, strict=False)]
                    following[(*signs, side)] = moved
            else:
                following[(*signs, _value(plane, point) > 0)] = point
        cells = following
    return list(cells.values())


def _points_on(plane: Row, others: list[Row], dim: int) -> list[Point]:
    """One point inside each cell that `others` cut out of the hyperplane `plane`."""
    pivot = next(k for k in range(dim) if plane[k] != 0)
    # x_pivot = sum of (-plane_k / plane_pivot) x_k - plane_b / plane_pivot
    solved = [-w / plane[pivot] for k, w in enumerate(plane) if k != pivot]
    restricted = []
    for other in others:
        rest = [w for k, w in enumerate(other) if k != pivot]
        restricted.append([w + other[pivot] * s for w, s in zip(rest, solved, strict=True)])
    points = []
    for inner in _interior_points(restricted, dim - 1):
        height = sum((s * x for s, x in zip(solved, inner, strict=False)), solved[-1])
        points.append([*inner[:pivot], height, *inner[pivot:]])
    return points


def _step_off(plane: Row, others: list[Row], point: Point) -> Any:
    """A step along the normal of `plane` that crosses none of `others` from `point`."""
    step = flint.fmpq(1)
    for other in others:
        slope = sum((w * x for w, x in zip(other[:-1], plane[:-1], strict=True)), flint.fmpq(0))
        if slope != 0:
            step = min(step, abs(_value(other, point) / slope) / 2)
    return step
