"""The exact Lipschitz constant of a shallow network, by branch and bound over its units.

A node fixes the sides of some units. Its cell is the part of the region where they have them; all
slopes there are at most the local bound of fact I, with the units that are free. A unit that the
others do not leave free is fixed too, by Farkas multipliers (`cone`). A node is done when it has no
point, or when its bound is not above the steepest slope that was met at a point by more than the
gap. What remains, the largest bound first, branches on the unit with the longest term
``sqrt(v'Pv)`` (fact K).
"""

from __future__ import annotations

import heapq
import itertools
import time
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np

from lipsnn import _checks
from lipsnn._checks import Array
from lipsnn.certificate.cone import Arrangement
from lipsnn.certificate.exact import Dyadic, float_above
from lipsnn.certificate.form import Form, phi_of
from lipsnn.certificate.region import Ball, Region, first_layer, regions
from lipsnn.certificate.slopes import ROUNDING, slopes
from lipsnn.certificate.threads import one_blas_thread
from lipsnn.status import Status

_EPS = float(np.finfo(float).eps)
_BATCH = 16  # nodes that are looked at together
_POINTS = 40  # kept of each cell
_LINES = 8  # random lines through each cell
_STEPS = 12  # of a bound, at most


@dataclass(frozen=True, eq=False)
class ExactConstant:
    """An interval that holds the Lipschitz constant of a network on a region.

    Attributes
    ----------
    lower : float
        The length of the gradient at `witness`, rounded down.
    upper : float
        No slope of the region is steeper.
    witness : ndarray, (d,)
        A point of the region, on the hyperplane of no unit that acts.
    status : Status
        "optimal" when ``upper - lower <= gap * upper``, else why the search stopped.
    nodes : int
        Cells that were looked at.
    seconds : float
    region : Region or None
    """

    lower: float
    upper: float
    witness: Array
    status: str
    nodes: int
    seconds: float
    region: Region | None

    @property
    def gap(self) -> float:
        """``(upper - lower) / upper``, 0 for a constant network."""
        return 1.0 - self.lower / self.upper if self.upper > 0 else 0.0

    def __repr__(self) -> str:
        on = f" on {self.region}" if self.region is not None else ""
        return (
            f"ExactConstant({self.lower:.8g} <= L <= {self.upper:.8g}{on}, gap {self.gap:.1e}, "
            f"{self.status}, {self.nodes} nodes, {self.seconds:.2g} s)"
        )


@one_blas_thread
def exact_constant(
    net: Any,
    ball: Any = None,
    box: Any = None,
    polytope: Any = None,
    gap: float = 1e-3,
    time_limit: float = 60.0,
) -> ExactConstant:
    """The Lipschitz constant of a network with one hidden layer in the l2 norm, from both sides.

    Unlike the bound of `certify`, which may count on patterns of active units that no input has,
    it converges to the constant itself. It takes seconds for hundreds of units in few dimensions,
    and may take for ever; both of its sides hold whenever it stops, Ctrl-C included.

    Parameters
    ----------
    net : ShallowNet, Network, torch.nn.Module or anything that `as_network` takes
        One hidden layer of relu, leaky_relu, prelu or abs, and one output.
    ball, box, polytope : optional
        The region of inputs, one centre at most, as for `certify`; all inputs without one.
    gap : float
        Relative gap between the sides at which to stop.
    time_limit : float
        Seconds after which to stop.

    Raises
    ------
    ValueError
        For another network, a region that does not fit, or one that has no inner point.
    """
    from lipsnn.certificate.entry import _network

    begun = time.perf_counter()
    net = _network(net)
    found = regions(net.dim, ball, box, polytope)
    if len(found) > 1:
        raise ValueError("exact_constant takes one ball: call it for each centre")
    gap = _checks.positive(gap, "gap")
    stop = begun + _checks.positive(time_limit, "time_limit")
    search = _Search(net, found[0] if found else None, gap)
    status = search.run(stop)
    lower = search.lower
    upper = max(lower, search.upper())
    if upper - lower <= gap * upper < np.inf:
        status = Status.OPTIMAL
    return ExactConstant(
        lower=lower,
        upper=upper,
        witness=search.witness,
        status=status,
        nodes=search.nodes,
        seconds=time.perf_counter() - begun,
        region=search.region,
    )


@dataclass(eq=False)
class _Node:
    """A cell: rows and their sides that bound it, the side of every row or 0, points inside."""

    index: Array
    on: Array
    sides: Array
    points: Array
    P: Array
    bound: float = np.inf
    terms: Array = field(default_factory=lambda: np.empty(0))


class _Search:
    def __init__(self, net: Any, region: Region | None, gap: float) -> None:
        self.region, self.gap, self.phi = region, gap, phi_of(net)
        form = Form.of(net)
        if not (form.small and self.phi.homogeneous):
            raise ValueError(
                "exact_constant needs one hidden layer of relu, leaky_relu, prelu or abs and one "
                "output: certify bounds the others"
            )
        problem = slopes(form)
        weights, biases = first_layer(net)
        live = weights.any(axis=1) & (form.weights[1][0] != 0)
        self.W, self.b, self.outer = weights[live], biases[live], form.weights[1][0, live]
        sector = form.sectors[0]
        size = problem.scaled[live] / (sector[1] - sector[0])
        self.m, self.dim = len(size), net.dim
        up, down = (float(self.phi.slope(np.array([s]))[0]) for s in (1.0, -1.0))
        # slopes on either side of a unit, their difference and their sum
        self.above, self.below = up * size, down * size
        self.step, self.both = self.above - self.below, self.above + self.below
        self.exponent = problem.exponent
        most = np.linalg.norm(np.abs(self.above) + np.abs(self.below), axis=1).sum()
        self.slack = (self.m + 8) * _EPS * float(most) + 1e-290
        sides = np.empty((0, net.dim + 1)) if region is None else region.halfspaces()
        sides = sides[sides.any(axis=1)]
        infinity = np.eye(net.dim + 1)[-1:]
        units = np.column_stack([self.W, self.b])
        self.cells = Arrangement(
            np.vstack([units, sides, infinity]), (region.center, region.radius) if isinstance(region, Ball) else None
        )
        self.rng = np.random.default_rng(0)
        self.length = self.lower = 0.0  # the same, of the scaled slopes and of the network
        self.closed, self.nodes = 0.0, 1
        self.heap: list[tuple[float, int, _Node]] = []
        self.count = itertools.count()
        index = np.arange(self.m, len(self.cells.rows))
        on = np.ones(len(index))
        point = self.cells.decide(index, on)[0]
        if point is None:
            raise ValueError(
                "the region has no inner point, or is too thin for float64: the constant is that "
                "of slopes inside"
            )
        self.witness = self.cells.locate(point)
        all_sides = np.append(np.zeros(self.m), on)
        self.root = _Node(index, on, all_sides, point[None], np.eye(self.dim) / self.dim)

    def upper(self) -> float:
        """What no slope exceeds: of nodes that are done and of those that are not."""
        most = max(self.closed, -self.heap[0][0] if self.heap else 0.0)
        with np.errstate(over="ignore", under="ignore"):
            value = float(np.ldexp(most, self.exponent))
            return value if np.ldexp(value, -self.exponent) >= most else np.nextafter(value, np.inf)

    @property
    def target(self) -> float:
        """A bound that is low enough."""
        return self.length / (1 - 0.99 * self.gap) if self.gap < 1 else np.inf

    def run(self, stop: float) -> str:
        """Search until the gap is closed, the time is over, or Ctrl-C."""
        heapq.heappush(self.heap, (-np.inf, next(self.count), self.root))
        batch: list[_Node] = []
        try:
            self._attain(self.root.points[0])
            for _ in range(16):
                batch = [self.root]
                self._lines(batch, 8 * _LINES)
            self._bound(batch)
            self._keep(batch, 1)
            while self.heap and -self.heap[0][0] > self.target:
                if time.perf_counter() > stop:
                    return Status.TIME_LIMIT
                count = min(_BATCH, len(self.heap))
                batch = [entry[2] for entry in heapq.nsmallest(count, self.heap)]
                self._keep(self._step(batch), count)
        except KeyboardInterrupt:
            return Status.INTERRUPTED
        return Status.INACCURATE

    def _keep(self, nodes: list[_Node], count: int) -> None:
        """In place of the `count` largest; Ctrl-C at any time leaves `upper` valid."""
        heap, closed = self.heap.copy(), self.closed
        for _ in range(count):
            heapq.heappop(heap)
        for node in nodes:
            if node.bound > self.target and (node.sides[: self.m] == 0).any():
                heapq.heappush(heap, (-node.bound, next(self.count), node))
            else:
                closed = max(closed, node.bound)
        self.closed = closed
        self.heap = heap

    def _step(self, batch: list[_Node]) -> list[_Node]:
        """What is left of the nodes: themselves once more, or their children."""
        crossed = self._lines(batch, _LINES)
        moved = [n for n, c in zip(batch, crossed, strict=True) if self._settle(n, c)]
        self._bound(moved)
        done, children = [], []
        for node in batch:
            if node.bound > self.target and (node.sides[: self.m] == 0).any():
                children += self._branch(node)
            else:
                done.append(node)
        self.nodes += len(children)
        self._bound(children)
        return done + children

    def _branch(self, node: _Node) -> list[_Node]:
        unit = int(np.argmax(np.where(node.sides[: self.m] == 0, node.terms, -1.0)))
        values = node.points @ self.cells.units[unit]
        found = []
        for side in (1.0, -1.0):
            index, on = np.append(node.index, unit), np.append(node.on, side)
            points = node.points[side * values > self.cells.room]
            if not len(points):
                point, support, proved = self.cells.decide(index, on)
                if proved or (point is None and self.cells.excludes(index[support], on[support])):
                    continue
                points = points if point is None else point[None]
            sides = node.sides.copy()
            sides[unit] = side
            found.append(_Node(index, on, sides, points, node.P, node.bound))
        return found

    def _settle(self, node: _Node, crossed: Array) -> bool:
        """Fix the free units that have one side in the cell; whether there are any."""
        cells, n = self.cells, self.dim + 1
        if len(node.index) < n or not len(node.points):
            return False
        values = node.points @ cells.units[: self.m].T
        up, down = (values > cells.room).any(axis=0), (values < -cells.room).any(axis=0)
        open_ = (node.sides[: self.m] == 0) & ~(up & down) & ~crossed & (up | down)
        on = np.where(up, 1.0, -1.0)
        fixed, points = False, [node.points]
        while open_.any():
            unit = int(np.argmax(open_))
            open_[unit] = False
            index, sides = np.append(node.index, unit), np.append(node.on, -on[unit])
            point, support, proved = cells.decide(index, sides)
            if point is not None:
                points.append(point[None])
                open_ &= on * (cells.units[: self.m] @ point) > -cells.room
                continue
            if len(support) == n + 1 and not proved:  # n rows of the node: what else they imply
                rows = support[:-1]
                others = np.append(unit, open_.nonzero()[0])
                held = others[cells.implied(node.index[rows], node.on[rows], others, on[others])]
                node.sides[held], open_[held] = on[held], False
                proved = unit in held
            if proved or (len(support) and cells.excludes(index[support], sides[support])):
                node.sides[unit], fixed = on[unit], True
        node.points = np.vstack(points)
        if len(node.points) > _POINTS:
            node.points = self.rng.permutation(node.points)[:_POINTS]
        return fixed

    def _lines(self, batch: list[_Node], count: int) -> Array:
        """Look along random lines through the cells: which units (b, m) switch on them.

        The steepest of the cells of the arrangement that the lines meet gives each node a point.
        """
        cells, m, b = self.cells, self.m, len(batch)
        nodes = [node for node in batch if len(node.points)]
        if not nodes:
            return np.zeros((b, m), dtype=bool)
        starts, ends = (
            np.vstack([n.points[self.rng.integers(len(n.points), size=count)] for n in nodes])
            for _ in range(2)
        )
        drawn = self.rng.normal(size=starts.shape)
        along = ends - starts
        along = np.where(((np.abs(along).sum(axis=1) > 1e-12) & (self.rng.random(len(along)) < 0.5))[:, None], along, drawn)
        sides = np.repeat([n.sides for n in nodes], count, axis=0)
        at, rate = starts @ cells.units.T, along @ cells.units.T
        with np.errstate(divide="ignore", invalid="ignore"):
            when = -at / rate
        wall = sides != 0
        ends = np.column_stack([np.where(wall, when, np.nan), cells.walls(starts, along).T])
        last = np.where(ends > 0, ends, 1e6).min(axis=1)[:, None]
        first = np.where(ends < 0, ends, -1e6).max(axis=1)[:, None]
        inside = ~wall & (when > first) & (when < last)
        when = np.where(inside, when, last)[:, :m]
        inside, rate, at, sides = inside[:, :m], rate[:, :m], at[:, :m], sides[:, :m]
        side = np.where(sides != 0, sides, np.sign(np.where(inside, -rate, at)))
        gradient = (side > 0) @ self.above + (side < 0) @ self.below
        order = np.argsort(when, axis=1)
        jumps = np.where(inside, np.sign(rate), 0.0)
        jumps = np.take_along_axis(jumps, order, 1)[:, :, None] * self.step[order]
        slopes = np.concatenate([gradient[:, None], jumps], axis=1).cumsum(axis=1)
        edges = np.concatenate([first, np.take_along_axis(when, order, 1), last], axis=1)
        middle, width = (edges[:, 1:] + edges[:, :-1]) / 2, np.diff(edges, axis=1)
        squares = np.einsum("kjd,kjd->kj", slopes, slopes)
        squares = np.where(width > 1e-9 * (1 + np.abs(middle)), squares, -1.0)
        best = squares.argmax(axis=1)
        rows = np.arange(len(best))
        met = starts + middle[rows, best][:, None] * along
        met /= np.linalg.norm(met, axis=1)[:, None]
        length = squares[rows, best].reshape(len(nodes), count)
        met = met.reshape(len(nodes), count, -1)
        for node, own, points in zip(nodes, length, met, strict=True):
            k = int(own.argmax())
            if cells.holds(points[k : k + 1])[0]:
                node.points = np.vstack([points[k : k + 1], node.points])[:_POINTS]
                if own[k] > 0 and np.sqrt(own[k]) > self.length * (1 + 1e-9):
                    self._attain(points[k])
        crossed = np.zeros((b, m), dtype=bool)
        has = np.array([len(node.points) > 0 for node in batch])
        crossed[has] = inside.reshape(len(nodes), count, m).any(axis=1)
        return crossed

    def _attain(self, point: Array) -> None:
        """Take the slope at a point as the lower side, if it is one without any rounding."""
        x = self.cells.locate(point)
        if not np.isfinite(x).all() or (self.region is not None and not self.region.contains(x)):
            return
        W, b = self.W, self.b
        values = (Dyadic.of(W) @ Dyadic.of(x[:, None]) + Dyadic.of(b[:, None])).fractions()
        if all(values):
            length = self._length(np.array([1.0 if v > 0 else -1.0 for v in values]))
            lower = float(np.nextafter(float_above(length), 0.0))
            if lower > self.lower or self.lower == 0.0:
                self.lower, self.witness = lower, x
                self.length = float(np.ldexp(lower, -self.exponent))

    def _length(self, sides: Array) -> Fraction:
        """Of the slope where the units (m,) have these sides, to 60 binary digits."""
        share = self.phi.slope(sides)
        total = Dyadic.zero(1, self.dim)
        for s in np.unique(share):
            own = share == s
            slope = Dyadic.of(self.outer[None, own]) @ Dyadic.of(self.W[own])
            total += slope.times(Fraction(s))
        return total.lengths_below()

    def _bound(self, nodes: list[_Node]) -> None:
        """Lower the bounds of the nodes, by fact I, until they are low enough or close."""
        if not nodes:
            return
        sides = np.array([node.sides[: self.m] for node in nodes])
        P = np.array([node.P for node in nodes])
        free = sides == 0
        hub = 2 * ((sides > 0) @ self.above + (sides < 0) @ self.below) + free @ self.both
        vectors = np.concatenate([hub[:, None], free[:, :, None] * self.step], axis=1)
        rows = np.arange(len(nodes))
        for _ in range(_STEPS):
            V, P_now = vectors[rows], P[rows]
            s = np.sqrt(np.maximum(np.einsum("bnd,bnd->bn", V @ P_now, V), 1e-60))
            total = s.sum(axis=1)
            # q = s / total: 1/4 lambda_max(sum v v' / q), and 1/2 sum s the value of P itself
            values, frame = np.linalg.eigh(np.swapaxes(V, 1, 2) @ (V / s[:, :, None]))
            upper = 0.5 * np.sqrt(values[:, -1] * total) * (1 + ROUNDING) + self.slack
            for k, own, bound in zip(rows, s, upper, strict=True):
                if bound < nodes[k].bound or not len(nodes[k].terms):
                    nodes[k].bound, nodes[k].terms, nodes[k].P = min(bound, nodes[k].bound), own[1:], P[k]
            bounds = np.array([nodes[k].bound for k in rows])
            power = (values / np.maximum(values[:, -1:], 1e-300)) ** 2
            B = (frame * power[:, None, :]) @ np.swapaxes(frame, 1, 2)
            P_now = B @ P_now @ B
            P_now /= np.maximum(np.trace(P_now, axis1=1, axis2=2), 1e-300)[:, None, None]
            P[rows] = (1 - 1e-6) * P_now + 1e-6 * np.eye(self.dim) / self.dim
            close = bounds <= np.where(total / 2 < self.target, self.target, 1.01 * total / 2)
            rows = rows[~close]
            if not len(rows):
                break
        for node in nodes:
            if node.sides.all():  # a single slope: to its last digit
                length = self._length(node.sides[: self.m])
                above = np.nextafter(float_above(length), np.inf) if length else 0.0
                node.bound = min(node.bound, float(np.ldexp(above, -self.exponent)))
