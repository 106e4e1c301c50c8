"""Polishing: convex programs in turns with descent on the certificate's gradient (fact E).

Within its cells a program is exact but cannot leave them; gradient descent on problem (4) itself
leaves cells freely but is slow within them. In turns, each starts where the other stopped.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from lipsnn.convex.best import Best
from lipsnn.network import Network, ShallowNet
from lipsnn.status import Status
from lipsnn.train.deep import descend

# Full-batch steps of one turn, and step sizes relative to each layer's weights: from coarse to
# fine, the next finer one when a turn brings nothing.
EPOCHS = 300
STEP_SIZES = (3e-2, 1e-2, 3e-3)
# A deep network is trained alone while a turn lowers the objective by more than this, relatively:
# programs from a poor start lead into cells that training does not leave.
_EARLY = 1e-2
_TINY = 1e-6  # |in| |out| of a unit that is started anew, relative to its layer's largest


def polish(search: Best, rounds: int, tol: float) -> Iterator[None]:
    """The search's programs, then turns of training and programs while that helps.

    Of a deep network, training first.
    """
    deep = len(getattr(search.net, "widths", ())) > 1
    if not deep:
        yield from search.within(search.net)
    sizes = iter(STEP_SIZES)
    size = next(sizes)
    for turn in range(rounds):
        if search.status != Status.OPTIMAL:
            return
        if search.certificate is None or search.certificate.bound == 0:
            search.status = Status.CONVERGED  # a constant is best; training has no scale
            return
        before, shallow = search.objective, isinstance(search.net, ShallowNet)
        net = search.net.to_network() if shallow else search.net
        trained: Any = descend(
            balanced(net, np.random.default_rng(turn)),
            search.samples.array()[:, :-1],
            search.y,
            search.price,
            search.kind,
            epochs=EPOCHS,
            learning_rate=size,
            output_bias=search.output_bias,
        )
        trained = trained.to_shallow() if shallow else trained
        search.offer("training", trained)
        if deep and turn + 1 < rounds and before - search.objective > _EARLY * before:
            yield
            continue
        yield from search.within(trained)
        if before - search.objective <= tol * before:
            size = next(sizes, 0.0)
            if size == 0.0:
                search.status = Status.CONVERGED
                return
    search.status = Status.ROUND_LIMIT


def balanced(net: Network, rng: np.random.Generator) -> Network:
    """The same function, each unit's weights in as long as those out.

    Units that a program left at zero could never move: they get a direction, but no output.
    """
    weights, biases = [W.copy() for W in net.weights], [b.copy() for b in net.biases]
    for i in range(len(weights) - 1):
        W, b, V = weights[i], biases[i], weights[i + 1]
        into, out = np.linalg.norm(np.column_stack([W, b]), axis=1), np.linalg.norm(V, axis=0)
        zero = into * out <= _TINY * (into * out).max()
        factor = np.sqrt(np.divide(out, into, out=np.ones_like(out), where=~zero))
        factor[zero] = 1.0
        W *= factor[:, None]
        b *= factor
        V /= factor
        scale = np.linalg.norm(np.column_stack([W, b])[~zero], axis=1).max(initial=0.0)
        W[zero] = rng.normal(scale=scale / np.sqrt(W.shape[1] + 1), size=W[zero].shape)
        b[zero] = rng.normal(scale=scale / np.sqrt(W.shape[1] + 1), size=b[zero].shape)
        V[:, zero] = 0.0
    return Network(weights, biases, net.activations, net.dtype)
