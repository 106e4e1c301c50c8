"""Branch and bound over the units of a network with one hidden layer (fact K).

A node fixes the sides of some units; its cell is the part of the region where they have them. All
slopes there are at most the local bound of fact I, whose free units are the others. A unit that
the cell leaves one side only is fixed too (`cone` proves it). A node is done when its cell is
proved empty, or when its bound is within the gap of the steepest slope that was met. The others
branch, the largest bound first, on the unit with the longest term ``sqrt(v'Pv)`` of the bound.
"""

from __future__ import annotations

import heapq
import time
from typing import Any

import numpy as np

from lipsnn._checks import Array
from lipsnn.certificate.exact import float_above
from lipsnn.certificate.pieces import Pieces
from lipsnn.certificate.region import Region
from lipsnn.certificate.shares import LEAST, side_by_side
from lipsnn.certificate.slopes import ROUNDING
from lipsnn.certificate.tree import Node
from lipsnn.status import Status

_EPS = float(np.finfo(float).eps)
_BATCH = 16  # nodes that are looked at together
_POINTS = 40  # at most kept of each cell
_LINES = 8  # through each cell
_STEPS = 12  # of a bound, at most


class Search(Pieces):
    """The nodes that are left, in a heap, and what is known of the constant."""

    def __init__(
        self, net: Any, region: Region | None, gap: float, seed: int, keep: bool = False
    ) -> None:
        super().__init__(net, region)
        self.gap, self.keep = gap, keep  # and whether the root leads to all other nodes
        alpha, beta = self.form.sectors[0]
        above, below = self.phi.slope(np.array([1.0, -1.0])) / (beta - alpha)
        # what a unit adds to the slope on its two sides, scaled
        self.above, self.below = above * self.scaled, below * self.scaled
        size = np.linalg.norm(np.abs(self.above) + np.abs(self.below), axis=1).sum()
        # of a bound, relative, and of its vectors, absolute
        self.rounding = ROUNDING + self.m * _EPS, float((self.m + 8) * _EPS * size) + 1e-290
        rows, point = self.walls, self.point
        self.root = Node(
            rows, self.sides[rows], self.sides, point[None], np.eye(self.dim) / self.dim
        )
        self.heap, self.pushed = [(-np.inf, 0, self.root)], 0
        self.closed, self.nodes = 0.0, 1  # the largest bound of those that are done; how many
        self.length, self.witness = 0.0, self.cells.locate(self.point)  # the steepest slope, scaled
        self.rng = np.random.default_rng(seed)

    def run(self, stop: float, jobs: int) -> str:
        """Search until the gap is closed, the time is over, or Ctrl-C; why it ended."""
        try:
            root = self.heap[0][2]
            self._attain(root.points[0])
            for _ in range(16):
                self._along_lines([root], 8 * _LINES)
            self._lower_bounds([root])
            self._replace(1, [root])
            while self.open:
                if time.perf_counter() > stop:
                    return Status.TIME_LIMIT
                if jobs > 1 and len(self.heap) >= jobs * LEAST:
                    side_by_side(self, jobs, stop)
                else:
                    self.advance()
        except KeyboardInterrupt:
            return Status.INTERRUPTED
        return Status.INACCURATE

    @property
    def open(self) -> bool:
        """Whether a bound is not low enough."""
        return bool(self.heap) and -self.heap[0][0] > self.target

    def advance(self) -> None:
        """Look at the next batch of nodes."""
        batch = [entry[2] for entry in heapq.nsmallest(_BATCH, self.heap)]
        self._replace(len(batch), self._step(batch))

    @property
    def target(self) -> float:
        """A bound that is low enough."""
        return self.length / max(1 - 0.99 * self.gap, _EPS)

    def interval(self) -> tuple[float, float]:
        """What is attained, and what no slope exceeds."""
        most = max(self.length, self.closed, -self.heap[0][0] if self.heap else 0.0)
        with np.errstate(over="ignore", under="ignore"):
            lower, upper = np.ldexp([self.length, most], self.exponent)
        return float(np.nextafter(lower, 0.0)), float(np.nextafter(upper, np.inf)) if most else 0.0

    def _open(self, node: Node) -> bool:
        return node.bound > self.target and not node.sides.all()

    def _replace(self, count: int, nodes: list[Node]) -> None:
        """`nodes` in place of the `count` largest; `interval` holds wherever Ctrl-C strikes."""
        heap, closed = self.heap.copy(), self.closed
        for _ in range(count):
            heapq.heappop(heap)
        for node in nodes:
            if self._open(node):
                self.pushed += 1
                heapq.heappush(heap, (-node.bound, self.pushed, node))
            else:
                closed = max(closed, node.bound)
        self.closed = closed
        self.heap = heap

    def _step(self, batch: list[Node]) -> list[Node]:
        """What becomes of the nodes: their children, or themselves where they are done."""
        crossed = self._along_lines(batch, _LINES)
        pairs = zip(batch, crossed, strict=True)
        self._lower_bounds([node for node, units in pairs if self._settle(node, units)])
        children = [child for node in batch if self._open(node) for child in self._branch(node)]
        self.nodes += len(children)
        self._lower_bounds(children)
        return children + [node for node in batch if not self._open(node)]

    def _branch(self, node: Node) -> list[Node]:
        unit = int(np.argmax(np.where(node.sides[: self.m] == 0, node.terms, -1.0)))
        values = node.points @ self.cells.units[unit]
        parts: list[Any] = []  # nodes, or rows that show that there is none
        for side in (1.0, -1.0):
            rows, on, sides = np.append(node.rows, unit), np.append(node.on, side), node.sides + 0
            sides[unit] = side
            points = node.points[side * values > self.cells.room]
            if not len(points):
                point, among, proved = self.cells.decide(rows, on)
                if proved or (point is None and self.cells.excludes(rows[among], on[among])):
                    parts.append(rows[among])
                    continue
                points = points if point is None else point[None]
            parts.append(Node(rows, on, sides, points, node.P, node.bound))
        if self.keep:
            node.cut, node.parts, node.points = unit, parts, node.points[:0]
        return [part for part in parts if isinstance(part, Node)]

    def _settle(self, node: Node, crossed: Array) -> bool:
        """Fix units that have one side in the cell, none `crossed` (m,); whether there were any."""
        cells, n = self.cells, self.dim + 1
        if len(node.rows) < n or not len(node.points):
            return False
        values = node.points @ cells.units[: self.m].T
        up, down = (values > cells.room).any(axis=0), (values < -cells.room).any(axis=0)
        left = (node.sides[: self.m] == 0) & (up != down) & ~crossed
        on = np.where(up, 1.0, -1.0)
        fixed, points = False, [node.points]
        while left.any():
            unit = int(np.argmax(left))
            left[unit] = False
            rows, sides = np.append(node.rows, unit), np.append(node.on, -on[unit])
            point, among, proved = cells.decide(rows, sides)
            if point is not None:
                points.append(point[None])
                left &= on * (cells.units[: self.m] @ point) > -cells.room
                continue
            if len(among) == n + 1 and not proved:  # n rows of the cell: what else they imply
                basis, others = among[:-1], np.append(unit, left.nonzero()[0])
                held = others[cells.implied(rows[basis], sides[basis], others, on[others])]
                node.sides[held], left[held] = on[held], False
                node.fixed += [(u, np.append(rows[basis], u)) for u in held.tolist()]
                if unit in held:
                    fixed = True
                    continue
            if proved or cells.excludes(rows[among], sides[among]):
                node.sides[unit], fixed = on[unit], True
                node.fixed.append((unit, rows[among]))
        node.points = np.vstack(points)
        if len(node.points) > _POINTS:
            node.points = self.rng.permutation(node.points)[:_POINTS]
        return fixed

    def _along_lines(self, batch: list[Node], count: int) -> Array:
        """Which units (b, m) switch on `count` random lines in each cell; the steepest slope."""
        cells, m = self.cells, self.m
        crossed = np.zeros((len(batch), m), dtype=bool)
        # half of the lines join two points; the best piece of them all gives one more
        has = [k for k, node in enumerate(batch) if len(node.points)]
        if not has:
            return crossed
        start, end = (
            np.vstack([self.rng.choice(batch[k].points, count) for k in has]) for _ in range(2)
        )
        along = end - start
        drawn = (np.arange(len(along)) % 2 == 0) | ~along.any(axis=1)
        along[drawn] = self.rng.normal(size=(int(drawn.sum()), self.dim + 1))
        sides = np.repeat([batch[k].sides for k in has], count, axis=0)
        at, rate = start @ cells.units.T, along @ cells.units.T
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            when = -at / rate
        ends = np.column_stack([np.where(sides != 0, when, np.nan), cells.leaves(start, along).T])
        first = np.where(ends < 0, ends, -1e6).max(axis=1)[:, None]
        last = np.where(ends > 0, ends, 1e6).min(axis=1)[:, None]
        at, rate, sides, when = at[:, :m], rate[:, :m], sides[:, :m], when[:, :m]
        inside = (sides == 0) & (when > first) & (when < last)
        crossed[has] = inside.reshape(len(has), count, m).any(axis=1)
        # the slope of the first piece, and what each switch adds
        sides = np.where(sides == 0, np.sign(np.where(inside, -rate, at)), sides)
        when = np.where(inside, when, last)
        order = np.argsort(when, axis=1)
        jumps = np.take_along_axis(np.where(inside, np.sign(rate), 0.0), order, 1)
        jumps = jumps[:, :, None] * (self.above - self.below)[order]
        slope = (sides > 0) @ self.above + (sides < 0) @ self.below
        slope = np.concatenate([slope[:, None], jumps], axis=1).cumsum(axis=1)
        ends = np.concatenate([first, np.take_along_axis(when, order, 1), last], axis=1)
        middle, width = (ends[:, 1:] + ends[:, :-1]) / 2, np.diff(ends, axis=1)
        squares = np.einsum("kjd,kjd->kj", slope, slope)
        squares[width <= 1e-9 * (1 + np.abs(middle))] = -1.0
        for k, lines in zip(has, np.split(np.arange(len(start)), len(has)), strict=True):
            line, piece = divmod(lines[0] * (m + 1) + squares[lines].argmax(), m + 1)
            point = start[line] + middle[line, piece] * along[line]
            point /= np.linalg.norm(point)
            if cells.holds(point[None])[0]:
                batch[k].points = np.vstack([point, batch[k].points])[:_POINTS]
                if squares[line, piece] > (self.length * (1 + 1e-9)) ** 2:
                    self._attain(point)
        return crossed

    def _attain(self, point: Array) -> None:
        """Take the slope at a point of homogeneous coordinates, if it has one without rounding."""
        x = self.cells.locate(point)
        length = self.slope_at(x)
        if length is not None and (length > self.length or not self.length):
            self.length, self.witness = float(np.nextafter(float_above(length), 0.0)), x

    def _lower_bounds(self, nodes: list[Node]) -> None:
        """Lower the bounds, by fact I, until they are low enough or cannot fall by a per cent."""
        if not nodes:
            return
        sides = np.array([node.sides[: self.m] for node in nodes])
        P = np.array([node.P for node in nodes])
        free = sides == 0
        hub = ((2 * (sides > 0) + free) @ self.above) + ((2 * (sides < 0) + free) @ self.below)
        spokes = free[:, :, None] * (self.above - self.below)
        vectors = np.concatenate([hub[:, None], spokes], axis=1)
        left, (relative, absolute) = np.arange(len(nodes)), self.rounding
        for _ in range(_STEPS):
            V, own = vectors[left], P[left]
            # q = terms / total bounds by 1/4 lambda_max(sum v v' / q); no bound is below total / 2
            terms = np.sqrt(np.maximum(np.einsum("bnd,bnd->bn", V @ own, V), 1e-60))
            total = terms.sum(axis=1)
            values, frame = np.linalg.eigh(np.swapaxes(V, 1, 2) @ (V / terms[:, :, None]))
            top = np.maximum(values[:, -1:], 1e-300)
            bounds = 0.5 * np.sqrt(top[:, 0] * total) * (1 + relative) + absolute
            for k, bound, term in zip(left, bounds, terms, strict=True):
                node = nodes[k]
                if bound < node.bound or not len(node.terms):
                    # a parent's bound is not one that this P proves
                    best = bound if self.keep else min(bound, node.bound)
                    node.bound, node.terms, node.P = best, term[1:], P[k] + 0
            # P <- B P B is the low-rank ascent; B^2 takes two steps at once
            B = (frame * ((values / top) ** 2)[:, None, :]) @ np.swapaxes(frame, 1, 2)
            own = B @ own @ B
            size = np.maximum(np.trace(own, axis1=1, axis2=2), 1e-300)[:, None, None]
            P[left] = (1 - 1e-6) * own / size + 1e-6 * np.eye(self.dim) / self.dim
            bounds = np.array([nodes[k].bound for k in left])
            left = left[bounds > np.where(total / 2 < self.target, self.target, 1.01 * total / 2)]
            if not len(left):
                break
        for node in nodes:
            if node.sides.all():  # a single slope: to its last digit
                for point in node.points[:1]:
                    self._attain(point)
                above = float_above(self.slope(node.sides[: self.m]))
                node.bound = min(node.bound, float(np.nextafter(above, 2 * above)))
