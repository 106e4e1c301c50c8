"""Refinement of deep networks and of several outputs, one layer at a time (facts F and G).

Each step solves one layer's program (`layer_program`), which contains the network at its own
certified bound, and is kept only if loss + strength L^2, evaluated afresh, is less. A step at layer
j holds the patterns of the layers after it, and the weights of all other layers. Its variables are
W_j, the biases b_j .. b_l from there to the output, and the multipliers of all layers. Units that
are constant on X, or that weight decay has switched off, are left out: their weights become zero,
and their value goes into the next layer's bias.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import numpy as np

from lipsnn import _checks
from lipsnn._checks import Array
from lipsnn.certificate import certify, certify_layers
from lipsnn.convex.backend import Backend
from lipsnn.convex.layer_newton import solve_layer
from lipsnn.convex.layer_program import LayerProgram
from lipsnn.convex.samples import Samples
from lipsnn.convex.search import Best
from lipsnn.losses import LOSSES, Loss, as_loss
from lipsnn.network import Network
from lipsnn.status import Status

LIMIT = 4000  # unknowns of one program: beyond, a Newton matrix takes too long
_TINY = 1e-6  # |in| |out| of a unit that is left out, relative to its layer's largest
_LOOSE = 1e-2  # gap of the multipliers at which a step starts: well inside the LMI


def only_relu(net: Network) -> None:
    """A ValueError for activations other than ReLU."""
    others = sorted({repr(phi) for phi in net.activations if phi.name != "relu"})
    if others:
        raise ValueError(
            f"refine is for ReLU networks, and this one has {', '.join(others)}: with other "
            "activations a layer's program is not convex; train it on the differentiable bound "
            "instead (lipsnn.autograd.lipschitz_bound)"
        )


def _sizes(net: Network) -> list[int]:
    """Unknowns of each layer's program."""
    later = np.cumsum([len(b) for b in net.biases[::-1]])[::-1]
    return [W.size + int(b) + sum(net.widths) + 1 for W, b in zip(net.weights, later, strict=True)]


def layered(
    net: Network,
    X: Any,
    y: Any,
    strength: float | None,
    programs: Backend,
    reduction: str,
    loss: str | Loss,
) -> Best:
    """The state of a refinement by `sweeps`, its arguments those of `refine`, checked."""
    kind = as_loss(loss)
    if kind not in (LOSSES["squared"], LOSSES["cross_entropy"]):
        raise ValueError(f'loss must be "squared" or "cross_entropy" here, got {loss!r}')
    X = _checks.inputs(X, net.dim)
    y = kind.targets(y, (net.outputs,))
    if len(X) == 0 or len(X) != len(y):
        raise ValueError(f"X has {len(X)} rows but y has {len(y)}: give one target for each sample")
    strength = _checks.positive(strength, "strength")
    if min(_sizes(net)) > LIMIT:
        raise ValueError(
            f"every layer's program has more than {LIMIT} unknowns: refine a smaller network, or "
            "train this one on (lipsnn.autograd.lipschitz_bound)"
        )
    return Best(net, Samples(X), y, strength, "lipschitz", programs, reduction, kind=kind)


def sweeps(search: Best, rounds: int, tol: float) -> Iterator[None]:
    """Sweeps from the first layer to the output, each step kept only if it is better."""
    search.status = Status.ROUND_LIMIT
    for _ in range(rounds):
        before = search.objective
        for layer in range(len(search.net.weights)):
            _step(search, layer)
            yield
        if before - search.objective <= tol * abs(before):
            better = search.objective < search.initial_objective
            search.status = Status.CONVERGED if better else search.history[-1].status
            return


def _step(search: Best, layer: int) -> None:
    """One layer's program, or an entry of the history that says why there is none."""
    last = layer == len(search.net.weights) - 1
    name = "output layer" if last else f"layer {layer}"
    status = _solve(search, name, layer)
    if status:
        logging.getLogger("lipsnn").info("%s %s", name, status)
        search.record(name, status)


def _solve(search: Best, name: str, layer: int) -> str:
    """Solve it and offer what it gives; the reason if that is nothing."""
    if (size := _sizes(search.net)[layer]) > LIMIT:
        return f"left as it is: {size} unknowns, more than {LIMIT}"
    X = search.samples.array()[:, :-1]
    weights, biases, live = _live_part(search.net, X)
    if not all(len(W) for W in weights):
        return "left as it is: the network is constant on this data"
    loose = certify_layers(Network(weights, biases), tol=_LOOSE)
    t = np.concatenate(loose.layers)
    if not (np.isfinite(t).all() and (t > 0).all() and loose.bound > 0):
        return "left as it is: no multipliers for its certificate"
    # all multipliers 1 and the bound 1, which changes neither f nor the program
    scaled = Network(weights, biases).rescale(*map(np.sqrt, loose.layers))
    weights, biases = list(scaled.weights), list(scaled.biases)
    unit = loose.bound
    weights[0] = weights[0] / unit
    program = LayerProgram(
        weights, biases, X * unit, search.y, layer, search.price * unit**2, search.kind
    )
    if search.programs.name == "structured":
        solution = solve_layer(program)
    else:
        solution = program.solve_reference(search.programs.name)
    if solution.weight is None or not np.isfinite(solution.weight).all():
        return solution.status
    weights[layer], biases[layer:] = solution.weight, solution.biases
    weights[0] = weights[0] * unit
    candidate = _widened(weights, biases, live, search.net)
    search.keep(name, solution.status, candidate, certify(candidate))
    return ""


def _live_part(net: Network, X: Array) -> tuple[list[Array], list[Array], list[Array]]:
    """Weights, biases and which units are kept: all but those that are constant on X, or tiny.

    A constant unit's value goes into the next layer's bias, so that f on X is the same.
    """
    weights, biases, live = list(net.weights), list(net.biases), []
    for i, active in enumerate(net.patterns(X)):
        size = np.linalg.norm(weights[i], axis=1) * np.linalg.norm(weights[i + 1], axis=0)
        kept = active.any(axis=0) & (size > _TINY * size.max())
        value = np.maximum(biases[i], 0.0) * ~weights[i].any(axis=1)
        biases[i + 1] = biases[i + 1] + weights[i + 1][:, ~kept] @ value[~kept]
        weights[i], biases[i] = weights[i][kept], biases[i][kept]
        weights[i + 1] = weights[i + 1][:, kept]
        live.append(kept)
    return weights, biases, live


def _widened(
    weights: list[Array], biases: list[Array], live: list[Array], like: Network
) -> Network:
    """The network of the units in `live` as one of the shape of `like`, the others zero."""
    every = [np.ones(like.dim, dtype=bool), *live, np.ones(like.outputs, dtype=bool)]
    full: list[Array] = [np.zeros(W.shape) for W in like.weights]
    for own, W, before, after in zip(full, weights, every[:-1], every[1:], strict=True):
        own[np.ix_(after, before)] = W
    ends: list[Array] = [np.zeros(len(b)) for b in like.biases]
    for own, b, after in zip(ends, biases, every[1:], strict=True):
        own[after] = b
    return Network(full, ends, like.activations, like.dtype)
