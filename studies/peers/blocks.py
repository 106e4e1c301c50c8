"""Networks that are Lipschitz by construction: built from their packages' layers, read as ReLU.

Each is ``sqrt(L) g(sqrt(L) x)`` with g 1-Lipschitz. Sorting two numbers and the residual layers
are ReLU units beside a linear part, so every one of these is a `Network`, exactly.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from lipsnn._checks import Array
from lipsnn.network import Network
from studies.peers.packages import monotonic, orthogonium, residual, torchlip
from studies.peers.sandwich import Last, Sandwich

BUILT = ("torchlip", "orthogonium", "SLL", "monotonicnetworks", "sandwich", "spectral norm")
# Largest difference of a network and what was read from it, relative to its values: some of the
# packages go on with an iteration at every call.
_READ = 1e-6


class Scaled(nn.Sequential):
    """``root * layers(root * x)``."""

    def __init__(self, root: float, *layers: nn.Module) -> None:
        super().__init__(*layers)
        self.root = root

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.root * super().forward(self.root * x)


def build(name: str, dim: int, width: int, depth: int, bound: float, seed: int) -> Scaled:
    """An untrained network of one output, at most `bound`-Lipschitz by its own account.

    Parameters
    ----------
    name : str
        One of `BUILT`.
    dim, width, depth : int
        Inputs, units of each hidden layer (an even number), hidden layers.
    bound : float
    seed : int

    Raises
    ------
    ModuleNotFoundError
        With what to install, if the package is missing.
    """
    before = torch.get_default_dtype()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        # residual layers keep the number of inputs
        sizes = [dim, *[dim if name == "SLL" else width] * depth]
        try:
            if name in ("orthogonium", "SLL"):  # their norms keep the dtype that they are made in
                torch.set_default_dtype(torch.float64)
            layers = [_head(name, sizes[-1])]
            for k in range(depth - 1, -1, -1):
                layers = [*_hidden(name, sizes[k], width, first=k == 0), *layers]
        finally:
            torch.set_default_dtype(before)
        return Scaled(bound**0.5, *layers).double()


def _hidden(name: str, inputs: int, width: int, first: bool) -> list[nn.Module]:
    if name == "torchlip":
        return [torchlip.SpectralLinear(inputs, width), torchlip.GroupSort2()]
    if name == "orthogonium":
        return [orthogonium.OrthoLinear(inputs, width), orthogonium.MaxMin()]
    if name == "SLL":
        return [residual.SDPBasedLipschitzDense(inputs, inputs, width)]
    if name == "monotonicnetworks":  # from l2 to l-infinity, then l-infinity throughout
        linear = monotonic.LipschitzLinear(inputs, width, kind="two-inf" if first else "inf")
        return [linear, monotonic.GroupSort(width // 2)]
    if name == "sandwich":
        return [Sandwich(inputs, width)]
    return [nn.utils.parametrizations.spectral_norm(nn.Linear(inputs, width)), nn.ReLU()]


def _head(name: str, inputs: int) -> nn.Module:
    if name == "torchlip":
        return torchlip.FrobeniusLinear(inputs, 1)
    if name in ("orthogonium", "SLL"):
        return orthogonium.UnitNormLinear(inputs, 1)
    if name == "monotonicnetworks":
        return monotonic.LipschitzLinear(inputs, 1, kind="inf")
    if name == "sandwich":
        return Last(inputs)
    return nn.utils.parametrizations.spectral_norm(nn.Linear(inputs, 1))


class _Signal:
    """What a layer sends on: ``C relu(P h + p) + G h + g``, h the units before; C may be empty."""

    def __init__(self, inputs: int, root: float, reach: float | None) -> None:
        self.layers: list[tuple[Array, Array]] = []
        self.reach = reach
        self.G, self.g = root * np.eye(inputs), np.zeros(inputs)
        self.P, self.p = np.zeros((0, inputs)), np.zeros(0)
        self.C = np.zeros((inputs, 0))

    def affine(self, W: Array, b: Array | float = 0.0) -> None:
        self.G, self.C, self.g = W @ self.G, W @ self.C, W @ self.g + b

    def close(self) -> None:
        """Make the units of the pending ReLU, and of the part beside it.

        That takes two units a row, or one that is always active within `reach` of the origin.
        """
        if not len(self.P):
            return
        beside = np.flatnonzero(self.G.any(axis=1))
        rows, eye = self.G[beside], np.eye(len(self.G))[:, beside]
        if self.reach is None:
            weights, lift = [self.P, rows, -rows], np.zeros(2 * len(beside))
            self.G = np.hstack([self.C, eye, -eye])
        else:
            weights, lift = [self.P, rows], 2 * self.reach * np.linalg.norm(rows, axis=1)
            self.G, self.g, self.reach = np.hstack([self.C, eye]), self.g - eye @ lift, None
        self.layers.append((np.vstack(weights), np.concatenate([self.p, lift])))
        self.P, self.p = np.zeros((0, self.G.shape[1])), np.zeros(0)
        self.C = np.zeros((len(self.G), 0))

    def relu(self, W: Array, b: Array | float, after: Array, beside: Array) -> None:
        """``beside z + after relu(W z + b)`` of the signal z."""
        self.close()
        self.P, self.p = W @ self.G, W @ self.g + b
        self.G, self.g, self.C = beside @ self.G, beside @ self.g, after


def read(module: Scaled, dim: int, reach: float | None = None) -> Network:
    """The ReLU network that `module` computes, of as many hidden layers.

    Parameters
    ----------
    module : Scaled
    dim : int
    reach : float, optional
        Compute the same only for inputs of at most this length, with one unit instead of two for
        what is linear in the first layer. A certificate on that ball then knows that it is linear,
        while one over all inputs counts the two units as free of each other.

    Raises
    ------
    TypeError
        For a layer that is none of `build`'s.
    RuntimeError
        If it does not compute the same.
    """
    module.eval()
    signal = _Signal(dim, module.root, reach)
    with torch.no_grad():
        for layer in module:
            _take(signal, layer)
    signal.affine(module.root * np.eye(1))
    signal.close()
    (weights, biases) = zip(*signal.layers, (signal.G, signal.g), strict=True)
    net = Network(weights, biases)
    X = np.random.default_rng(0).normal(size=(64, dim))
    values, own = net(X).reshape(-1), outputs(module, X)
    if abs(values - own).max() > _READ * (1 + abs(own).max()):
        raise RuntimeError(f"{module} is not the network that was read from it")
    return net


def _take(signal: _Signal, layer: Any) -> None:
    """Pass the signal through a layer."""
    kind, n = type(layer).__name__, len(signal.g)
    eye = np.eye(n)
    if isinstance(layer, Sandwich):
        before, after = map(_numbers, layer.matrices())
        signal.relu(before, _numbers(layer.bias), after, np.zeros((len(after), n)))
    elif kind == "SDPBasedLipschitzDense":
        K, t = _numbers(layer.weight), _numbers(layer.compute_t())
        signal.relu(K, _numbers(layer.bias)[0], -2 * K.T * t, eye)
    elif kind == "ReLU":
        signal.relu(eye, 0.0, eye, 0 * eye)
    elif kind in ("GroupSort", "GroupSort2", "MaxMin"):
        half = n // 2
        # the first of each pair becomes the smaller for the sorting ones, the larger for MaxMin
        i, j = np.arange(n).reshape(-1, 2).T if kind != "MaxMin" else np.arange(n).reshape(2, half)
        apart = eye[i] - eye[j]
        if kind == "MaxMin":  # max = b + (a - b)_+, min = a - (a - b)_+
            beside, after = np.vstack([eye[j], eye[i]]), np.vstack([np.eye(half), -np.eye(half)])
        else:
            beside, after = eye, (eye[j] - eye[i]).T
        signal.relu(apart, 0.0, after, beside)
    elif hasattr(layer, "weight"):
        signal.affine(_numbers(layer.weight), _numbers(layer.bias))
    else:
        raise TypeError(f"cannot read a {kind}: it is none of the layers that `build` takes")


def own_bound(name: str, module: Scaled) -> float:
    """What the construction promises, with the norms that its layers have at the end.

    Spectral normalisation and orthogonalisation are iterations that stop, so that a norm may be a
    little above 1. The others divide by what they bound.
    """
    bound = module.root**2
    if name in ("torchlip", "orthogonium", "spectral norm"):
        with torch.no_grad():
            for layer in module:
                if hasattr(layer, "weight"):
                    bound *= max(1.0, float(np.linalg.norm(_numbers(layer.weight), 2)))
    return bound


def outputs(module: nn.Module, X: Array) -> Array:
    """Values (n,) at X (n, d)."""
    with torch.no_grad():
        return module(torch.from_numpy(np.ascontiguousarray(X)))[:, 0].numpy()


def _numbers(tensor: Any) -> Array:
    return tensor.detach().numpy().copy()
