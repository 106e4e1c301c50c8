"""Branch and bound over the sides of units, for one sample, radius and output (fact K for J2).

A node has sides for some units; of a unit below zero the term is zero, of one above it is linear,
and that the side is so enters by a multiplier mu >= 0. Its bound is a convex function of all
multipliers, the logarithms of kappa and D among them, and L-BFGS-B finds the least. An empty node
needs no proof of its own: its bound falls for ever, until it is low enough. The node with the
largest bound branches, on the unit of a_i > 0 whose root is furthest above |u_i|.
"""

from __future__ import annotations

import copy
import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lipsnn._checks import Array
from lipsnn.enclosure.ascent import SHARE, Problems

# Nodes of a problem, and iterations for each, at most.
_NODES, _ITERATIONS = 400, 60


@dataclass(eq=False)
class _Node:
    """Multipliers, the least bound that was found, the unit to cut and the parts, if it was."""

    problem: Problems
    bound: float = np.inf
    unit: int = -1
    proof: tuple[Array, Array] = field(default_factory=lambda: (np.empty(0), np.empty(0)))
    parts: list[_Node] = field(default_factory=list)


def part_of(given: Array, lam: Array) -> dict[str, Any]:
    """The multipliers of a part, as a document has them."""
    return {"multipliers": given.tolist(), "lam": lam.tolist()}


def closed(problem: Problems, target: Callable[[Array], float]) -> tuple[float, list[Any]]:
    """A bound of one problem by branching, and the parts that prove it.

    `target` says what is low enough, once the points e (1, k) have been tried.
    """
    root = _Node(problem)
    enough = _lowered(root, -np.inf, target)
    heap, count, done = [(-root.bound, 0, root)], itertools.count(1), -np.inf
    for _ in range(_NODES):
        if not heap or -heap[0][0] <= enough:
            break
        node = heapq.heappop(heap)[2]
        if node.unit < 0:
            done = max(done, node.bound)
            continue
        for side in (1.0, -1.0):
            part = _Node(_with_side(node.problem, node.unit, side))
            enough = max(enough, _lowered(part, enough, target))
            node.parts.append(part)
            heapq.heappush(heap, (-part.bound, next(count), part))
    return max([done, *(-bound for bound, *_ in heap)]), list(_parts(root))


def _parts(node: _Node) -> Any:
    if not node.parts:
        yield part_of(*node.proof)
        return
    yield {"cut": node.unit}
    for part in node.parts:
        yield from _parts(part)


def _with_side(problem: Problems, unit: int, side: float) -> Problems:
    """The part of a problem in which a unit is on one side."""
    part = copy.copy(problem)
    for name in ("up", "down", "kappa", "theta", "side", "slope", "value"):
        setattr(part, name, getattr(problem, name).copy())
    a, half = part.up[0, unit] - part.down[0, unit], part.up[0, unit] / 2
    change = (a if side > 0 else 0.0) - half
    part.slope += change * part.W[unit]
    part.value += change * part.p[0, unit]
    part.up[0, unit], part.down[0, unit] = 0.0, 1.0
    part.theta[0, unit], part.side[0, unit] = 0.0, side
    return part


def _lowered(node: _Node, enough: float, target: Callable[[Array], float]) -> float:
    """Lower the bound of a node, until it is `enough`; the target with what was met on the way."""
    from scipy.optimize import minimize

    problem = node.problem
    up, down = np.flatnonzero(problem.up[0] > 0), np.flatnonzero(problem.down[0] > 0)
    side, weight = problem.side[0, down], problem.down[0, down]
    ends = len(up), len(up) + len(down)
    best: list[Any] = []

    def value(x: Array) -> tuple[float, Array]:
        problem.kappa[0, up] = np.exp(x[: ends[0]])
        problem.theta[0, down] = x[ends[0] : ends[1]]
        problem.share(np.exp(x[None, ends[1] :]))
        found = problem.bound()
        kappa, excess = problem.kappa[0, up], 1 - found.Q[0]
        shares = problem.D[0] * (1 + SHARE) - SHARE / len(excess)
        slope = [
            problem.up[0, up] / 4 * (kappa - found.U[0, up] / kappa),
            np.where(side > 0, weight, -weight) * found.z[0, down],
            found.lam * shares * (excess - shares @ excess) / (1 + SHARE),
        ]
        if found.bound[0] < node.bound:
            node.bound = float(found.bound[0])
            given, lam = problem.multipliers(found.lam)
            node.proof, best[:] = (given[0], lam[0]), [found, x + 0]
        return float(np.ldexp(found.bound[0], -problem.unit[0])), np.concatenate(slope)

    def stop(_: Array) -> None:
        if node.bound <= enough:
            raise StopIteration

    least = np.log(problem.least[0, up])
    limits = [(low, low + 30) for low in least]
    limits += [(0.0, None) if s else (0.0, 1.0) for s in side]
    limits += [(-30.0, 0.0)] * problem.D.shape[1]
    x = [np.log(problem.kappa[0, up]), problem.theta[0, down], np.log(problem.D[0])]
    options = {"maxiter": _ITERATIONS}
    minimize(
        value, np.concatenate(x), jac=True, bounds=limits, callback=stop, options=options,
        method="L-BFGS-B",
    )  # fmt: skip
    if not len(up) and len(problem.groups) == problem.D.shape[1] and node.bound > enough:
        at, e = _program(problem, down)  # L-BFGS-B may stop at a kink
        if len(at):
            value(at)
            target(e)
    if not best:
        return -np.inf
    found, x = best
    value(x)
    if len(up):  # kappa is the root, of a mixture of points e where several are best
        excess = problem.up[0, up] * np.abs(problem.kappa[0, up] - np.abs(found.z[0, up]))
        node.unit = int(up[excess.argmax()])
    return target(found.e)


def _program(problem: Problems, down: Array) -> tuple[Array, Array]:
    """The best theta and log D, and e (1, k), of a box where every term is concave.

    A linear program says them; empty where it has no answer, as in an empty node.
    """
    from scipy.optimize import linprog

    W, p, side, weight = problem.W, problem.p[0], problem.side[0], problem.down[0]
    free, fixed = down[side[down] == 0], down[side[down] != 0]
    on, R = side[fixed], problem.R[0, problem.groups]
    # (u)_+ of the free as variables of their own
    above = np.eye(len(down), len(free))
    found = linprog(
        np.concatenate([-problem.slope[0], weight[free]]),
        np.hstack([np.vstack([W[free], -on[:, None] * W[fixed]]), -above]),
        np.concatenate([-p[free], on * p[fixed]]),
        bounds=[*((-r, r) for r in R), *[(0.0, None)] * len(free)],
    )
    if found.status != 0:
        return np.empty(0), np.empty(0)
    duals = -found.ineqlin.marginals
    theta = np.zeros(len(p))
    theta[free], theta[fixed] = np.clip(duals[: len(free)] / weight[free], 0, 1), duals[len(free) :]
    theta[fixed] = np.maximum(theta[fixed], 0.0)
    pulled = np.where(side > 0, -weight, weight) * theta
    share = R * np.abs(problem.slope[0] - pulled[down] @ W[down])
    share = np.log(np.maximum(share / max(share.max(), 1e-300), 1e-13))
    return np.concatenate([theta[down], share]), found.x[None, : len(R)]
