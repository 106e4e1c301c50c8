"""Polishing: convex programs in turns with descent on the certificate's gradient (fact E).

Within its cells a program is exact but cannot leave them; gradient descent on problem (4) itself
leaves cells freely but is slow within them. In turns, each starts where the other stopped.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from lipsnn._checks import Array
from lipsnn.certificate import certify
from lipsnn.certificate.threads import one_blas_thread
from lipsnn.convex.best import Best
from lipsnn.network import Network, ShallowNet
from lipsnn.status import Status
from lipsnn.train.descent import Adam

# Full-batch steps of one turn, and step sizes relative to each layer's weights: from coarse to
# fine, the next finer one when a turn brings nothing.
EPOCHS = 300
STEP_SIZES = (3e-2, 1e-2, 3e-3)
_TOL = 1e-2  # gap of the certificates on the way
_TINY = 1e-6  # |in| |out| of a unit that is started anew, relative to its layer's largest


def polish(search: Best, rounds: int, tol: float) -> Iterator[None]:
    """The search's programs, then turns of training and programs while that helps."""
    yield from search.within(search.net)
    sizes = iter(STEP_SIZES)
    size = next(sizes)
    for turn in range(rounds):
        if search.status != Status.OPTIMAL:
            return
        if search.certificate is None or search.certificate.bound == 0:
            search.status = Status.CONVERGED  # a constant is best; training has no scale
            return
        before = search.objective
        trained = _descend(search, size, seed=turn)
        search.offer("training", trained)
        yield from search.within(trained)
        if before - search.objective <= tol * before:
            size = next(sizes, 0.0)
            if size == 0.0:
                search.status = Status.CONVERGED
                return
    search.status = Status.ROUND_LIMIT


@one_blas_thread
def _descend(search: Best, size: float, seed: int) -> Any:
    """The best network so far after one turn of training on problem (4)."""
    shallow = isinstance(search.net, ShallowNet)
    net = search.net.to_network() if shallow else search.net
    weights, biases = _balanced(net, np.random.default_rng(seed))
    X = search.samples.array()[:, :-1]
    y = search.y[:, None] if shallow else search.y
    parts = [*weights, *biases]
    point = np.concatenate([part.ravel() for part in parts])
    # views, which the steps change
    ends = np.cumsum([part.size for part in parts])[:-1]
    views = [v.reshape(p.shape) for v, p in zip(np.split(point, ends), parts, strict=True)]
    weights, biases = views[: len(weights)], views[len(weights) :]
    rates = [np.full(W.size, np.abs(W).max()) for W in weights]
    rates += [np.full(b.size, np.abs(W).max()) for W, b in zip(weights, biases, strict=True)]
    if not search.output_bias:
        rates[-1][:] = 0.0
    rate, step = size * np.concatenate(rates), Adam(point.size)
    for epoch in range(EPOCHS):
        gradient = _gradient(weights, biases, X, y, search.kind, search.price)
        step(point, gradient, rate * (1 + np.cos(np.pi * epoch / EPOCHS)) / 2)
    trained = Network(weights, biases, net.activations, net.dtype)
    return trained.to_shallow() if shallow else trained


def _gradient(
    weights: list[Array], biases: list[Array], X: Array, y: Array, kind: Any, price: float
) -> Array:
    """That of loss + price L^2, by all weights and then all biases."""
    values = [X]
    for W, b in zip(weights[:-1], biases, strict=False):
        values.append(np.maximum(values[-1] @ W.T + b, 0.0))
    by = kind.gradient(values[-1] @ weights[-1].T + biases[-1], y)
    certificate = certify(Network(weights), tol=_TOL)
    slopes = list(certificate.gradient())
    if isinstance(certificate.net, ShallowNet):
        slopes = [slopes[0][:, :-1], slopes[1][None]]
    ends = []
    for i in range(len(weights) - 1, -1, -1):
        slopes[i] = by.T @ values[i] + 2 * price * certificate.bound * slopes[i]
        ends.append(by.sum(axis=0))
        by = (by @ weights[i]) * (values[i] > 0)
    return np.concatenate([part.ravel() for part in [*slopes, *ends[::-1]]])


def _balanced(net: Network, rng: np.random.Generator) -> tuple[list[Array], list[Array]]:
    """Weights and biases of the same function, each unit's weights in as long as those out.

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
    return weights, biases
