"""A branch and bound in several processes: each takes a share of the nodes for a stretch."""

from __future__ import annotations

import copy
import heapq
import time
from typing import TYPE_CHECKING

import numpy as np

from lipsnn._optional import joblib
from lipsnn.certificate.threads import one_blas_thread

if TYPE_CHECKING:
    from lipsnn.certificate.branch import Search
    from lipsnn.certificate.tree import Node

LEAST = 32  # nodes of each process; with fewer the search stays in this one
_MOST = 1024  # handed to each process
_BATCHES = 32  # that each looks at before all share what they found


def side_by_side(search: Search, jobs: int, stop: float) -> None:
    """Deal the largest bounds out to `jobs` processes, and take in what becomes of them.

    The processes' speed does not matter to what comes of it, unless the time is over.
    """
    ordered = sorted(search.heap)
    dealt, heap = ordered[: jobs * _MOST], ordered[jobs * _MOST :]
    parts = []
    for own in range(jobs):
        part = copy.copy(search)
        part.heap, part.nodes, part.closed = dealt[own::jobs], 0, 0.0
        part.root = part.heap[0][2]  # the tree above stays here
        part.rng = np.random.default_rng(search.rng.integers(2**63))
        parts.append(part)
    run = joblib.delayed(_stretch)
    done = joblib.Parallel(jobs)(run(part, stop - time.perf_counter()) for part in parts)
    closed, (length, witness) = search.closed, (search.length, search.witness)
    for part, (back, nodes) in zip(parts, done, strict=True):
        here: dict[int, Node] = {}
        for (*_, given), node in zip(part.heap, nodes, strict=True):
            vars(given).update(vars(node))
            here[id(node)] = given
        heap += [(bound, 0, here.get(id(node), node)) for bound, _, node in back.heap]
        closed = max(closed, back.closed)
        if back.length > length:
            length, witness = back.length, back.witness
        search.nodes += back.nodes
    search.length, search.witness = length, witness
    search.closed = closed
    search.heap = [(bound, i, node) for i, (bound, _, node) in enumerate(heap)]
    search.pushed = len(heap)
    heapq.heapify(search.heap)


@one_blas_thread
def _stretch(part: Search, seconds: float) -> tuple[Search, list[Node]]:
    """The search after a stretch, and the nodes that it was given as they are now."""
    nodes, stop = [node for *_, node in part.heap], time.perf_counter() + seconds
    for _ in range(_BATCHES):
        if not part.open or time.perf_counter() > stop:
            break
        part.advance()
    return part, nodes
