"""Refinement of deep networks and of several outputs, one layer at a time (facts F and G).

Each step solves one layer's program (`layer_program`), which contains the network at its own
certified bound, and is kept only if loss + strength L^2, evaluated afresh, is less.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from lipsnn import _checks
from lipsnn._checks import Array
from lipsnn._optional import tqdm
from lipsnn.certificate import Certificate, certify, certify_layers
from lipsnn.convex.backend import Backend, backend
from lipsnn.convex.layer_newton import solve_layer
from lipsnn.convex.layer_program import LayerProgram
from lipsnn.convex.result import Refinement, Round
from lipsnn.losses import LOSSES, Loss, as_loss
from lipsnn.network import Network
from lipsnn.status import Status

LIMIT = 4000  # unknowns of one program: beyond, a Newton matrix takes too long
_TINY = 1e-6  # |in| |out| of a unit that is left out, relative to its layer's largest
_LOOSE = 1e-2  # gap of the multipliers at which a step starts: well inside the LMI


def refine_layers(
    net: Network,
    X: Any,
    y: Any,
    strength: float | None,
    solver: str | Backend | None = None,
    *,
    rounds: int = 3,
    tol: float = 1e-5,
    reduction: str = "sum",
    loss: str | Loss = "squared",
    progress: bool | None = None,
) -> Refinement:
    """`refine` with ``method="layers"``: sweeps over the layers of a ReLU network, monotone.

    A step at layer j holds the patterns of the layers after it, and the weights of all other
    layers. Its variables are W_j, the biases b_j .. b_l from there to the output, and the
    multipliers of all layers. Units that are constant on X, or that weight decay has switched off,
    are left out: their weights become zero, and their value goes into the next layer's bias.

    Parameters
    ----------
    net : Network
        Of ReLU, any depth, k outputs.
    X : array_like, (n, d)
    y : array_like, (n, k), or (n,) for one output or class numbers
    strength : float
        Of ``loss + strength L^2``, L being `certify`'s bound.
    solver : str or Backend, optional
        As for `refine`.
    rounds : int
        Most sweeps.
    tol : float
        They have converged when one lowers the objective by less than this, relative to it.
    reduction : {"sum", "mean"}
        Of the loss over the samples.
    loss : {"squared", "cross_entropy"}
        ``1/2 |f(x) - y|^2`` or ``log sum_j exp f_j - f_y``.
    progress : bool, optional

    Returns
    -------
    Refinement
        Its history has "initial", then "layer j" or "output layer" for each step. A layer whose
        program has more than `LIMIT` unknowns is left as it is, and its entry says so.

    Raises
    ------
    ValueError
        For bad input, activations other than ReLU, and a network of which every layer is too large.
    """
    only_relu(net)
    kind = as_loss(loss)
    if kind not in (LOSSES["squared"], LOSSES["cross_entropy"]):
        raise ValueError(f'loss must be "squared" or "cross_entropy" here, got {loss!r}')
    _checks.one_of(reduction, "reduction", ("sum", "mean"))
    X = _checks.inputs(X, net.dim)
    y = kind.targets(y, (net.outputs,))
    if len(X) == 0 or len(X) != len(y):
        raise ValueError(f"X has {len(X)} rows but y has {len(y)}: give one target for each sample")
    strength = _checks.positive(strength, "strength")
    rounds, tol = _checks.count(rounds, "rounds"), _checks.nonnegative(tol, "tol")
    if all(map(_too_large, _sizes(net))):
        raise ValueError(
            f"every layer's program has more than {LIMIT} unknowns: refine a smaller network, or "
            "train this one on (lipsnn.autograd.lipschitz_bound)"
        )
    search = _Sweeps(net, X, y, strength, backend(solver).name, reduction, kind)
    hidden = None if progress is None else not progress
    try:
        steps = search.run(rounds, tol)
        for _ in tqdm.tqdm(steps, desc="refine", unit=" programs", leave=False, disable=hidden):
            pass
    except KeyboardInterrupt:
        search.status = Status.INTERRUPTED
    return search.result()


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


def _too_large(size: int) -> bool:
    return size > LIMIT


class _Sweeps:
    """The best network so far, and the steps that better it."""

    def __init__(
        self,
        net: Network,
        X: Array,
        y: Array,
        strength: float,
        solver: str,
        reduction: str,
        loss: Any,
    ) -> None:
        self.began = time.perf_counter()
        self.X, self.y, self.strength, self.solver = X, y, strength, solver
        self.reduction, self.loss = reduction, loss
        self.net, self.history = net, list[Round]()
        self.status: str = Status.ROUND_LIMIT
        self.certificate = self.first = certify(net)
        self.objective = self._record("initial", net, self.certificate, "given", True)

    def run(self, rounds: int, tol: float) -> Iterator[None]:
        """Sweeps from the first layer to the output."""
        for _ in range(rounds):
            before = self.objective
            for layer in range(len(self.net.weights)):
                self._step(layer)
                yield
            if before - self.objective <= tol * abs(before):
                self.status = Status.CONVERGED
                return

    def _step(self, layer: int) -> None:
        last = layer == len(self.net.weights) - 1
        name = "output layer" if last else f"layer {layer}"
        if _too_large(size := _sizes(self.net)[layer]):
            self._skip(name, f"left as it is: {size} unknowns, more than {LIMIT}")
            return
        weights, biases, live = _live_part(self.net, self.X)
        if not all(len(W) for W in weights):
            self._skip(name, "left as it is: the network is constant on this data")
            return
        loose = certify_layers(Network(weights, biases), tol=_LOOSE)
        t = np.concatenate(loose.layers)
        if not (np.isfinite(t).all() and (t > 0).all() and loose.bound > 0):
            self._skip(name, "left as it is: no multipliers for its certificate")
            return
        # all multipliers 1 and the bound 1, which changes neither f nor the program
        scaled = Network(weights, biases).rescale(*map(np.sqrt, loose.layers))
        weights, biases = list(scaled.weights), list(scaled.biases)
        unit = loose.bound
        weights[0] = weights[0] / unit
        strength = self.strength * unit**2 * (len(self.X) if self.reduction == "mean" else 1)
        program = LayerProgram(weights, biases, self.X * unit, self.y, layer, strength, self.loss)
        if self.solver == "structured":
            solution = solve_layer(program)
        else:
            solution = program.solve_reference(self.solver)
        if solution.weight is None or not np.isfinite(solution.weight).all():
            self._skip(name, solution.status)
            return
        weights[layer], biases[layer:] = solution.weight, solution.biases
        weights[0] = weights[0] * unit
        candidate = _widened(weights, biases, live, self.net)
        certificate = certify(candidate)
        before = self.objective
        value = self._record(name, candidate, certificate, solution.status, None)
        if value < before:
            self.net, self.certificate, self.objective = candidate, certificate, value

    def _skip(self, name: str, reason: str) -> None:
        logging.getLogger("lipsnn").info("%s %s", name, reason)
        nan, elapsed = float("nan"), time.perf_counter() - self.began
        self.history.append(Round(name, nan, nan, None, elapsed, reason, False))

    def _record(
        self, name: str, net: Network, certificate: Certificate, status: str, accepted: bool | None
    ) -> float:
        """Evaluate a network afresh, put it into the history, and its objective."""
        fit = float(self.loss.value(net(self.X), self.y).sum())
        fit = fit / len(self.X) if self.reduction == "mean" else fit
        value = fit + self.strength * certificate.bound**2
        accepted = value < self.objective if accepted is None else accepted
        elapsed = time.perf_counter() - self.began
        entry = Round(name, value, fit, certificate.bound, elapsed, status, accepted)
        self.history.append(entry)
        return value

    def result(self) -> Refinement:
        if not any(entry.accepted for entry in self.history[1:]) and self.status != "interrupted":
            self.status = f"not improved ({self.history[-1].status})"
        return Refinement(
            net=self.net,
            objective=self.objective,
            initial_objective=self.history[0].objective,
            history=tuple(self.history),
            status=self.status,
            seconds=time.perf_counter() - self.began,
            regularizer="lipschitz",
            strength=self.strength,
            method="layers",
            solver=self.solver,
            certificate=self.certificate,
            initial_certificate=self.first,
            loss_reduction=self.reduction,
        )


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
