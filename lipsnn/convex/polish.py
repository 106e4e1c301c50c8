"""Polishing: the joint program in turns with descent on the certificate's gradient (fact E).

Within its cells the joint program is exact but cannot leave them; gradient descent on problem (4)
itself leaves cells freely but is slow within them. In turns, each starts where the other stopped.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from lipsnn.convex.search import Cells, Search
from lipsnn.network import ShallowNet
from lipsnn.status import Status
from lipsnn.train.lipschitz import train_lipschitz

# Full-batch steps of one turn, and step sizes relative to the weights' own: from coarse to fine,
# the next finer one when a turn brings nothing.
EPOCHS = 300
STEP_SIZES = (3e-2, 1e-2, 3e-3)


def polish(search: Search, rounds: int, tol: float) -> Iterator[None]:
    """The joint program, then turns of training and joint program while that helps."""
    search.solve_joint()
    yield
    sizes = iter(STEP_SIZES)
    size = next(sizes)
    for turn in range(rounds):
        if search.status != Status.OPTIMAL:
            return
        if not search.net.outer.any():  # zero is the best; training has no scale to start from
            search.status = "converged"
            return
        before = search.objective
        trained = _descend(search, size, seed=turn)
        search.offer("training", trained)
        search.cells = Cells.of(trained, search.samples)
        search.solve_joint()
        yield
        if before - search.objective <= tol * before:
            size = next(sizes, 0.0)
            if size == 0.0:
                search.status = Status.CONVERGED
                return
    search.status = Status.ROUND_LIMIT


def _descend(search: Search, size: float, seed: int) -> ShallowNet:
    """The best network so far after one turn of training on problem (4)."""
    net = search.net
    # units that the program left at zero could never move: give them a direction, but no output
    rng = np.random.default_rng(seed)
    scale = float(np.abs(net.outer).max())
    zero = np.abs(net.outer) < 1e-6 * scale
    weights, outer = net.weights.copy(), net.outer.copy()
    weights[zero] = rng.normal(scale=scale / np.sqrt(net.dim + 1), size=weights[zero].shape)
    outer[zero] = 0.0
    return train_lipschitz(
        search.samples.array()[:, :-1],
        search.y,
        net.width,
        search.price,
        seed,
        epochs=EPOCHS,
        learning_rate=size * scale,
        init=ShallowNet(weights, outer, net.offset),
    )
