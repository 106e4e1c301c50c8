"""A feedforward network as its weights and the sectors of its activations, from torch or numpy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from lipsnn import _checks
from lipsnn._checks import Array
from lipsnn._optional import nn
from lipsnn.certificate.threads import one_blas_thread
from lipsnn.network import ShallowNet

Sector = tuple[float, float]

SUPPORTED = "Linear, ReLU, Tanh, Sigmoid, LeakyReLU, Identity, Flatten, Dropout and Sequential"
_SECTORS: dict[str, Sector] = {"ReLU": (0.0, 1.0), "Tanh": (0.0, 1.0), "Sigmoid": (0.0, 0.25)}
# Of no effect on a network that is evaluated.
_TRANSPARENT = ("Identity", "Flatten", "Dropout")


@dataclass(frozen=True, eq=False)
class Layers:
    """``x -> W_l phi_l(W_{l-1} ... phi_1(W_0 x + b_0) ... + b_{l-1}) + b_l``; no bound sees biases.

    Attributes
    ----------
    weights : tuple of ndarray
        W_0 (n_1, n_0), .., W_l (k, n_l), l >= 1.
    sectors : tuple of (alpha, beta)
        Of phi_1 .. phi_l: ``alpha <= (phi(u) - phi(v)) / (u - v) <= beta``.
    """

    weights: tuple[Array, ...]
    sectors: tuple[Sector, ...]

    def __post_init__(self) -> None:
        weights = tuple(
            _checks.finite_array(weight, f"weights[{i}]", 2)
            for i, weight in enumerate(self.weights)
        )
        sectors = tuple(_checks_sector(alpha, beta) for alpha, beta in self.sectors)
        if len(weights) < 2 or len(sectors) != len(weights) - 1:
            raise ValueError(
                "a network needs at least two weight matrices and a sector between each two, "
                f"got {len(weights)} and {len(sectors)}"
            )
        for i, weight in enumerate(weights):
            if 0 in weight.shape:
                raise ValueError(f"weights[{i}] is empty: its shape is {weight.shape}")
            if i and weight.shape[1] != weights[i - 1].shape[0]:
                raise ValueError(
                    f"the layers do not chain: layer {i - 1} gives {weights[i - 1].shape[0]} "
                    f"values, layer {i} takes {weight.shape[1]}"
                )
        object.__setattr__(self, "weights", weights)
        object.__setattr__(self, "sectors", sectors)

    @property
    def widths(self) -> tuple[int, ...]:
        """Units n_1 .. n_l of the hidden layers."""
        return tuple(weight.shape[0] for weight in self.weights[:-1])

    @property
    def dim(self) -> int:
        """Number n_0 of inputs."""
        return self.weights[0].shape[1]

    @property
    def outputs(self) -> int:
        """Number k of outputs."""
        return self.weights[-1].shape[0]

    def select(self, outputs: Any) -> Layers:
        """The same network followed by a matrix: one output, a margin, or any combination.

        Parameters
        ----------
        outputs : int, (int, int) or array_like (p, k)
            i for output i, (i, j) for the margin ``f_i - f_j``, a matrix C for ``C f``.
        """
        k = self.outputs
        if np.ndim(outputs) == 2:
            C = _checks.finite_array(outputs, "outputs", 2)
            if C.shape[1] != k:
                raise ValueError(f"outputs must be a matrix with {k} columns, got shape {C.shape}")
        else:
            chosen = np.atleast_1d(np.asarray(outputs, dtype=object))
            known = all(isinstance(i, (int, np.integer)) and 0 <= i < k for i in chosen)
            if not known or len(chosen) > 2 or len(set(chosen)) < len(chosen):
                raise ValueError(
                    f"outputs must be an index below {k}, a pair of two of them or a matrix with "
                    f"{k} columns, got {outputs!r}"
                )
            C = np.zeros((1, k))
            C[0, list(chosen)] = (1.0, -1.0)[: len(chosen)]
        return Layers((*self.weights[:-1], C @ self.weights[-1]), self.sectors)

    @one_blas_thread
    def norm_product(self) -> float:
        """The product of the spectral norms and of the beta, the bound that everyone has."""
        product = float(np.prod([beta for _, beta in self.sectors]))
        for weight in self.weights:
            product *= float(np.linalg.norm(weight, 2))
        return product


def as_layers(net: Any) -> Layers:
    """`net` as `Layers`: a `ShallowNet`, or a torch module made of what is supported.

    Linear layers without an activation between them are multiplied; an activation at the end is
    followed by the identity. Dropout counts as in evaluation.

    Raises
    ------
    ValueError
        For a module that is not supported, named with the list of those that are, or shapes that
        do not chain.
    TypeError
        For anything else.
    """
    if isinstance(net, Layers):
        return net
    if isinstance(net, ShallowNet):
        return Layers((net.weights[:, :-1], net.outer[None, :]), (_SECTORS["ReLU"],))
    if not hasattr(net, "state_dict"):
        raise TypeError(
            f"expected a ShallowNet, Layers or a torch.nn.Sequential, got {type(net).__name__}"
        )
    weights: list[Array] = []
    sectors: list[Sector] = []
    for module in _flat(net):
        name = type(module).__name__
        if name == "Linear":
            weight = module.weight.detach().double().cpu().numpy()
            if len(weights) == len(sectors):
                weights.append(weight)
            elif weight.shape[1] == weights[-1].shape[0]:
                weights[-1] = weight @ weights[-1]
            else:
                raise ValueError(
                    f"the layers do not chain: a Linear layer takes {weight.shape[1]} values, "
                    f"the one before it gives {weights[-1].shape[0]}"
                )
        else:
            if len(weights) == len(sectors):
                raise ValueError(f"{name} must follow a Linear layer")
            sectors.append(_sector_of(module))
    if not weights:
        raise ValueError("the network has no Linear layer")
    if len(weights) == len(sectors):
        weights.append(np.eye(weights[-1].shape[0]))
    if not sectors:
        raise ValueError("the network has no activation: its constant is the spectral norm")
    return Layers(tuple(weights), tuple(sectors))


def _flat(module: nn.Module) -> Iterator[Any]:
    """The modules in order, nested Sequential taken apart, checked by name."""
    name = type(module).__name__
    if name == "Sequential":
        for child in module.children():
            yield from _flat(child)
    elif name == "Linear" or name in _SECTORS or name == "LeakyReLU":
        yield module
    elif name not in _TRANSPARENT:
        raise ValueError(f"{name} is not supported; supported are {SUPPORTED}")


def _sector_of(module: Any) -> Sector:
    name = type(module).__name__
    if name != "LeakyReLU":
        return _SECTORS[name]
    slope = float(module.negative_slope)
    if slope < 0 or slope == 1:
        raise ValueError(
            f"LeakyReLU with negative_slope {slope:g} is not supported: it must not be negative, "
            "and with 1 it is the identity, which can be left out"
        )
    return min(slope, 1.0), max(slope, 1.0)


def _checks_sector(alpha: Any, beta: Any) -> Sector:
    alpha, beta = _checks.nonnegative(alpha, "alpha"), _checks.positive(beta, "beta")
    if not alpha < beta:
        raise ValueError(f"a sector needs alpha < beta, got [{alpha:g}, {beta:g}]")
    return alpha, beta
