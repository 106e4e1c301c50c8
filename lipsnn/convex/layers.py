"""Refinement of deep networks and of several outputs, one layer at a time (facts F and G).

Each step solves one layer's program (`layer_program`), which contains the network at its own
certified bound, and is kept only if loss + strength L^2, or the loss alone under an enforced bound,
evaluated afresh, is less. A step at layer
j holds the patterns of the layers after it, and the weights of all other layers. Its variables are
W_j, the biases b_j .. b_l from there to the output, and the multipliers of all layers. Units that
are constant on X, or that weight decay has switched off, are left out: their weights become zero,
and their value goes into the next layer's bias.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from lipsnn._checks import Array
from lipsnn.convex.best import Best
from lipsnn.convex.layer_newton import solve_layer
from lipsnn.convex.layer_program import LayerProgram
from lipsnn.convex.samples import checked_outputs
from lipsnn.network import Network
from lipsnn.status import Status

LIMIT = 4000  # unknowns of one program: beyond, a Newton matrix takes too long
_FAR = 1e4  # largest enforced bound, relative to the network's own, that a step counts with
_TINY = 1e-6  # |in| |out| of a unit that is left out, relative to its layer's largest


def only_relu(net: Network) -> None:
    """A ValueError for activations other than ReLU."""
    others = sorted({repr(phi) for phi in net.activations if phi.name != "relu"})
    if others:
        raise ValueError(
            f"refine is for ReLU networks, and this one has {', '.join(others)}: with other "
            "activations a layer's program is not convex; train it on the differentiable bound "
            "instead (lipsnn.autograd.lipschitz_bound)"
        )


def unknowns(net: Network) -> list[int]:
    """Unknowns of each layer's program."""
    later = np.cumsum([len(b) for b in net.biases[::-1]])[::-1]
    return [W.size + int(b) + sum(net.widths) + 1 for W, b in zip(net.weights, later, strict=True)]


@dataclass(eq=False)
class Layers(Best):
    """A refinement of a deep network, or of several outputs, one layer at a time."""

    output_bias: bool = True
    # of the best network, (n, m): its pattern, and what its loss would gain by crossing each row
    cell: tuple[Array, Array] | None = None

    def within(self, net: Any = None) -> Iterator[None]:
        """A sweep from the first layer to the output, each step kept only if it is better."""
        for layer in range(len(self.net.weights)):
            self.step(layer)
            yield
        self.status = Status.OPTIMAL

    def step(self, layer: int, held: bool = False, pattern: Array | None = None) -> None:
        """One layer's program, or an entry of the history that says why there is none.

        With one hidden layer the multipliers may be held at the certificate's, or a pattern given.
        """
        last = layer == len(self.net.weights) - 1
        name = "output layer" if last else f"layer {layer}"
        if status := _solve(self, name, layer, held, pattern):
            logging.getLogger("lipsnn").info("%s %s", name, status)
            self.record(name, status)


def layered(net: Network, X: Any, y: Any, *terms: Any) -> Layers:
    """The state of a refinement of `net`, the arguments those of `refine`, checked."""
    samples, y = checked_outputs(net, X, y, terms[-1])
    if min(unknowns(net)) > LIMIT:
        raise ValueError(
            f"every layer's program has more than {LIMIT} unknowns: refine a smaller network, or "
            "train this one on (lipsnn.autograd.lipschitz_bound)"
        )
    return Layers(net, samples, y, *terms)


def sweeps(search: Layers, rounds: int, tol: float) -> Iterator[None]:
    """Sweeps over the layers while they help."""
    yield from search.repeated(search.within, rounds, tol)
    if search.status == Status.CONVERGED and not search.objective < search.initial_objective:
        search.status = search.history[-1].status


def joint(search: Layers, *_: Any) -> Iterator[None]:
    """The joint program of one hidden layer, the directions of several outputs fixed (fact G)."""
    search.step(0)
    yield


def alternation(search: Layers, rounds: int, tol: float) -> Iterator[None]:
    """Algorithm 1 for several outputs: the joint program with T held at the certificate's."""

    def turn() -> Iterator[None]:
        search.step(0, held=True)
        yield

    yield from search.repeated(turn, rounds, tol)


def walk(search: Layers, rounds: int, tol: float) -> Iterator[None]:
    """The joint program, then again across rows that lower it (see `lipsnn.convex.walk`)."""

    def turn() -> Iterator[None]:
        if search.cell is None:
            return
        before, (pattern, gain) = search.objective, search.cell
        # all rows that promise something, or else each unit's best
        for rows in (gain > 0, (gain > 0) & (gain == gain.max(axis=0))):
            if rows.any() and search.objective == before:
                search.step(0, pattern=pattern ^ rows)
                yield

    yield from joint(search)
    yield from search.repeated(turn, rounds, tol)


def _solve(
    search: Layers, name: str, layer: int, held: bool = False, pattern: Array | None = None
) -> str:
    """Solve it and offer what it gives; the reason if that is nothing."""
    if (size := unknowns(search.net)[layer]) > LIMIT:
        return f"left as it is: {size} unknowns, more than {LIMIT}"
    X = search.samples.array()[:, :-1]
    weights, biases, live = _live_part(search.net, X)
    if not all(len(W) for W in weights):
        return "left as it is: the network is constant on this data"
    assert search.certificate is not None
    unit = search.certificate.bound
    if search.limit:  # beyond, it is as good as none in one step
        unit = min(search.limit, _FAR * unit or np.inf)
    if not np.sqrt(np.finfo(float).tiny) < unit < np.sqrt(np.finfo(float).max):  # of its square
        return f"left as it is: its certified bound is {unit:g}"
    # inputs in units of the bound, so that rho is of order one
    weights[0] = weights[0] / unit
    _normalise(weights, biases, layer)
    strength = None if search.limit else search.price * unit**2
    first, inputs = weights[0], X * unit
    if layer and len(first) < first.shape[1]:  # the span of its rows is all that later layers see
        basis, triangle = np.linalg.qr(first.T)
        weights[0], inputs = triangle.T, inputs @ basis
    shares = None
    if held:  # q_i = |a_i|^2 / (2 t_i), twice
        size = np.linalg.norm(search.net.weights[1][:, live[0]], axis=0)
        shares = size**2 / search.certificate.layers[0][live[0]]
    program = LayerProgram(
        weights,
        biases,
        inputs,
        search.y,
        layer,
        strength,
        search.kind,
        1.0 if search.limit else None,
        shares,
        None if pattern is None else pattern[:, live[0]],
    )
    if search.programs.name == "structured":
        solution = solve_layer(program)
    else:
        solution = program.solve_reference(search.programs.name)
    if solution.weights is None or not np.isfinite(solution.weights).all():
        return solution.status
    if solution.strength is not None:
        search.price = solution.strength / unit**2
    weights[0], biases[layer:] = first, solution.biases
    weights[layer] = solution.weights
    weights[0] = weights[0] * unit
    found = _widened(weights, biases, live, search.net)
    accepted = search.offer(name, found, solution.status)
    if accepted and len(live) == 1 and layer == 0 and solution.cone_duals is not None:
        search.cell = np.zeros((len(X), len(live[0])), dtype=bool), np.zeros((len(X), len(live[0])))
        search.cell[0][:, live[0]] = program.gates[0] > 0
        search.cell[1][:, live[0]] = program.gains(solution)
    return ""


def _normalise(weights: list[Array], biases: list[Array], layer: int) -> None:
    """Rescale units, in place, to weights of norm 1 on the side that the layer's step holds."""
    for i in range(layer):
        size = np.linalg.norm(weights[i], axis=1)
        weights[i], biases[i] = weights[i] / size[:, None], biases[i] / size
        weights[i + 1] = weights[i + 1] * size
    for i in range(len(weights) - 1, layer, -1):
        size = np.linalg.norm(weights[i], axis=0)
        weights[i] = weights[i] / size
        weights[i - 1], biases[i - 1] = weights[i - 1] * size[:, None], biases[i - 1] * size


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
    ends: list[Array] = [np.zeros(b.shape) for b in like.biases]
    for i, (W, b) in enumerate(zip(weights, biases, strict=True)):
        full[i][np.ix_(every[i + 1], every[i])], ends[i][every[i + 1]] = W, b
    return Network(full, ends, like.activations, like.dtype)
