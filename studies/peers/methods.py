"""The methods, each with its candidates: what a trial is, and how many there are, is one rule.

A candidate is trained for a bound; whoever cannot be told the bound has its outer weights scaled
down to it afterwards, so that at each bound all are held to the same certificate.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from lipsnn._checks import Array
from lipsnn.certificate import certify
from lipsnn.convex.refine import refine
from lipsnn.network import Network, ShallowNet
from lipsnn.train import train_admm, train_lipschitz, train_sgd
from lipsnn.train.descent import Steps, initial_network
from studies.clip import regression
from studies.clip.regularizers import Lipschitz
from studies.peers.blocks import BUILT, Scaled, build, own_bound, read

# Candidates of every method; a profile with fewer trials takes the first ones.
TRIALS = 4
_STRENGTHS = (1e-3, 1e-2, 1e-4, 1e-1)  # beside the mean of half the squared errors
CANDIDATES: dict[str, list[dict[str, float]]] = {
    **{name: [{"depth": d, "rate": r} for r in (1e-2, 3e-3) for d in (1, 2)] for name in BUILT},
    "weight decay": [{"decay": s} for s in _STRENGTHS],
    "CLIP": [{"strength": s} for s in _STRENGTHS],
    "direct": [{"strength": s} for s in _STRENGTHS],
    "ADMM": [{"decay": s, "penalty": r} for r in (0.01, 0.1) for s in (1e-3, 1e-2)],
    "refine": [{"decay": s} for s in _STRENGTHS],
    "walk": [{"decay": s} for s in _STRENGTHS],
}
METHODS = tuple(CANDIDATES)
# Those that need the extra `peers`: they sort, or are residual, so that a part of each layer is
# linear. As two ReLU units that part would cost the certificate dearly, as one that is always
# active nothing: with one hidden layer they are certified for inputs within `REACH` standard
# deviations.
PACKAGED = ("torchlip", "orthogonium", "SLL", "monotonicnetworks")
REACH = 1e4
# Steps of the walk.
_WALK = 5


@dataclass(frozen=True, eq=False)
class Trained:
    """A network of one candidate at a bound.

    Attributes
    ----------
    net : ShallowNet or Network
        Scaled down to the bound, where it was above.
    bound : float
        Certified: the smaller one of `certify`'s and the construction's own.
    certificate : float
        What `certify` says of it; `nan` for a deep network with a linear part, whose ReLU form
        has units that `certify` cannot tie together.
    own : float
        What the construction promises; `nan` for a method that promises nothing.
    above : float
        The certified bound before any scaling, over the bound that was asked for.
    parameters : int
        Numbers that were trained.
    seconds : float
        Of its training, with what it starts from.
    whole : ShallowNet or Network
        The same network for all inputs, also beyond `REACH`.
    start : ShallowNet or None
        Where its refinement starts; None for a deep network, and for what is refined.
    """

    net: Any
    bound: float
    certificate: float
    own: float
    above: float
    parameters: int
    seconds: float
    whole: Any
    start: ShallowNet | None

    @property
    def hidden(self) -> int:
        """Hidden layers."""
        return 1 if isinstance(self.net, ShallowNet) else len(self.net.weights) - 1


class Trainer:
    """Trains candidates on some data; a network that several bounds start from is trained once.

    Parameters
    ----------
    X, y : ndarray, (n, d) and (n,)
    settings : mapping
        ``steps`` and ``batch`` of gradient descent, ``width``, ``seed``.
    """

    def __init__(self, X: Array, y: Array, settings: Mapping[str, Any]) -> None:
        self.X, self.y = X, y
        self.width, self.seed = settings["width"], settings["seed"]
        self.batch = min(settings["batch"], len(X))
        # the same number of steps for all, rounded up to whole epochs
        self.epochs = -(-settings["steps"] // -(-len(X) // self.batch))
        self._kept: dict[Any, tuple[ShallowNet, float]] = {}

    def train(self, method: str, candidate: Mapping[str, float], bound: float) -> Trained:
        """One candidate of a method at a bound."""
        if method in BUILT:
            return self._built(method, candidate, bound)
        if method in ("refine", "walk", "ADMM"):
            start, before = self._once("weight decay", {"decay": candidate["decay"]})
            begun = time.perf_counter()
            if method == "ADMM":
                net = self._admm(start, candidate["penalty"], bound)
            else:
                net = self._refined(start, bound, "joint" if method == "refine" else "walk")
            seconds = before + time.perf_counter() - begun
        else:
            net, seconds = self._once(method, candidate)
        return _held(net, bound, seconds, start=None if method in ("refine", "walk") else net)

    def refined(self, start: ShallowNet, bound: float, before: float) -> Trained:
        """The joint program under the bound from where a candidate ended."""
        begun = time.perf_counter()
        net = self._refined(start, bound, "joint")
        return _held(net, bound, before + time.perf_counter() - begun)

    def _refined(self, start: ShallowNet, bound: float, method: str) -> ShallowNet:
        how: dict[str, Any] = {"output_bias": True, "progress": False}
        if method == "walk":
            how["rounds"] = _WALK
        return refine(start, self.X, self.y, bound=bound, method=method, **how).net

    def _once(self, method: str, candidate: Mapping[str, float]) -> tuple[ShallowNet, float]:
        """What does not depend on the bound, and its seconds."""
        key = method, *candidate.items()
        if key not in self._kept:
            begun = time.perf_counter()
            net = self._penalised(method, candidate)
            self._kept[key] = net, time.perf_counter() - begun
        return self._kept[key]

    def _penalised(self, method: str, candidate: Mapping[str, float]) -> ShallowNet:
        X, y, width, seed = self.X, self.y, self.width, self.seed
        how: dict[str, Any] = {"epochs": self.epochs, "batch_size": self.batch}
        how["reduction"] = "mean"
        if method == "weight decay":
            return train_sgd(X, y, width, candidate["decay"], seed, **how)
        if method == "direct":
            return train_lipschitz(X, y, width, candidate["strength"], seed, **how)
        net = initial_network(X.shape[1], width, torch.Generator().manual_seed(seed)).to_torch()
        pairs = regression.box_pairs(X, 20)
        penalty = Lipschitz(pairs, candidate["strength"])
        # its batches are of 32, so that it takes at least as many steps
        epochs = -(-self.epochs * -(-len(X) // self.batch) // -(-len(X) // 32))
        result = regression.trained(net, X, y, penalty, "squared", epochs, seed)
        return ShallowNet.from_torch(result.net)

    def _admm(self, start: ShallowNet, penalty: float, bound: float) -> ShallowNet:
        rounds = min(50, self.epochs)
        return train_admm(
            self.X,
            self.y,
            seed=self.seed,
            enforce=bound,
            init=start,
            penalty=penalty,
            iterations=rounds,
            epochs=-(-self.epochs // rounds),
            batch_size=self.batch,
        ).feasible

    def _built(self, name: str, candidate: Mapping[str, float], bound: float) -> Trained:
        depth, dim = int(candidate["depth"]), self.X.shape[1]
        begun = time.perf_counter()
        module = build(name, dim, self.width, depth, bound, self.seed)
        fit(module, self.X, self.y, self._steps(candidate["rate"]))
        seconds = time.perf_counter() - begun
        own = own_bound(name, module)
        size = sum(p.numel() for p in module.parameters() if p.requires_grad)
        if depth > 1:
            return _deep(read(module, dim), bound, own, name in PACKAGED, size, seconds)
        start = read(module, dim).to_shallow()
        lifted = name in PACKAGED
        net = read(module, dim, REACH).to_shallow() if lifted else start
        held = _held(net, bound, seconds, start, REACH if lifted else None, own)
        return replace(held, parameters=size)

    def _steps(self, rate: float) -> Steps:
        return Steps(self.seed, self.epochs, self.batch, rate, "adam")


def fit(module: Scaled, X: Array, y: Array, steps: Steps) -> None:
    """Train a torch network of one output on the squared error, by the steps of `train_sgd`.

    Raises
    ------
    RuntimeError
        If the loss is no longer finite.
    """
    inputs, targets = torch.from_numpy(X), torch.from_numpy(y)
    optimizer = torch.optim.Adam(module.parameters(), lr=steps.learning_rate)
    generator = torch.Generator().manual_seed(steps.seed)
    module.train()
    for epoch in range(steps.epochs):
        for group in optimizer.param_groups:
            group["lr"] = steps.rate(epoch)
        for rows in steps.batches(len(X), generator):
            optimizer.zero_grad()
            loss = ((module(inputs[rows])[:, 0] - targets[rows]) ** 2).mean() / 2
            loss.backward()
            optimizer.step()
        if not torch.isfinite(loss):
            raise steps.diverged()


def shrunk(net: Any, factor: float) -> Any:
    """`factor` times the function of a network."""
    if isinstance(net, ShallowNet):
        return ShallowNet(net.weights, factor * net.outer, factor * net.offset)
    weights = [*net.weights[:-1], factor * net.weights[-1]]
    return Network(weights, [*net.biases[:-1], factor * net.biases[-1]])


def _held(
    net: ShallowNet,
    bound: float,
    seconds: float,
    start: ShallowNet | None = None,
    reach: float | None = None,
    own: float = float("nan"),
) -> Trained:
    """A network of one hidden layer, certified and held to the bound."""
    on_ball = reach is not None
    found = certify(net, ball=(np.zeros(net.dim), reach)) if on_ball else certify(net)
    certificate = found.bound
    factor = min(1.0, bound / certificate) if certificate else 1.0
    size = net.weights.size + net.width
    value = factor * certificate
    held = shrunk(net, factor) if factor < 1 else net
    whole = held if reach is None else shrunk(start, factor)
    above = certificate / bound
    return Trained(held, value, value, factor * own, above, size, seconds, whole, start)


def _deep(
    net: Network, bound: float, own: float, linear: bool, size: int, seconds: float
) -> Trained:
    """The same for several hidden layers."""
    certificate = float("nan") if linear else certify(net).bound
    best = own if linear else min(certificate, own)
    factor = min(1.0, bound / best) if best else 1.0
    held = shrunk(net, factor) if factor < 1 else net
    values = factor * best, factor * certificate, factor * own
    return Trained(held, *values, best / bound, size, seconds, held, None)
