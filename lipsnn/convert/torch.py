"""Between torch modules and `Network`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from lipsnn._optional import nn, torch
from lipsnn.activations import Activation
from lipsnn.network import Network

SUPPORTED = "Linear, ReLU, Tanh, Sigmoid, LeakyReLU, Identity, Flatten, Dropout and Sequential"
_NAMES = {"ReLU": "relu", "Tanh": "tanh", "Sigmoid": "sigmoid", "LeakyReLU": "leaky_relu"}
# Of no effect on a network that is evaluated.
_TRANSPARENT = ("Identity", "Flatten", "Dropout")


def from_torch(net: nn.Module, X: Any = None) -> Network:
    """The network that `net` computes in evaluation."""
    weights: list[Any] = []
    biases: list[Any] = []
    found: list[Activation] = []
    for module in _flat(net):
        name = type(module).__name__
        if name == "Linear":
            weight = module.weight.detach().double().cpu().numpy()
            bias = (
                np.zeros(len(weight))
                if module.bias is None
                else module.bias.detach().double().cpu().numpy()
            )
            if len(weights) == len(found):
                weights.append(weight)
                biases.append(bias)
            elif weight.shape[1] == weights[-1].shape[0]:
                weights[-1] = weight @ weights[-1]
                biases[-1] = weight @ biases[-1] + bias
            else:
                raise ValueError(
                    f"the layers do not chain: a Linear layer takes {weight.shape[1]} values, "
                    f"the one before it gives {weights[-1].shape[0]}"
                )
        else:
            if len(weights) == len(found):
                raise ValueError(f"{name} must follow a Linear layer")
            slope = (module.negative_slope,) if name == "LeakyReLU" else ()
            found.append(Activation(_NAMES[name], slope))
    if not weights:
        raise ValueError("the network has no Linear layer")
    if len(weights) == len(found):
        weights.append(np.eye(weights[-1].shape[0]))
        biases.append(np.zeros(len(weights[-1])))
    if not found:
        raise ValueError("the network has no activation: its constant is the spectral norm")
    return Network(weights, biases, found)


def _flat(module: nn.Module) -> Iterator[Any]:
    """The modules in order, nested Sequential taken apart, checked by name."""
    name = type(module).__name__
    if name == "Sequential":
        for child in module.children():
            yield from _flat(child)
    elif name == "Linear" or name in _NAMES:
        yield module
    elif name not in _TRANSPARENT:
        raise ValueError(f"{name} is not supported; supported are {SUPPORTED}")


def to_torch(net: Network, dtype: torch.dtype | None = None) -> nn.Sequential:
    """`net` as ``nn.Sequential``, in `net.dtype` if `dtype` is None.

    Raises
    ------
    ValueError
        If a weight is beyond the range of `dtype`.
    """

    dtype = getattr(torch, net.dtype) if dtype is None else dtype
    parts: list[nn.Module] = []
    for i, (W, b) in enumerate(zip(net.weights, net.biases, strict=True)):
        linear = nn.Linear(W.shape[1], W.shape[0], dtype=dtype)
        with torch.no_grad():
            linear.weight.copy_(torch.tensor(W))
            linear.bias.copy_(torch.tensor(b))
        if not all(torch.isfinite(part).all() for part in linear.parameters()):
            raise ValueError(f"layer {i} has weights beyond the range of {dtype}")
        parts.append(linear)
        if i < len(net.activations):
            parts.append(_module(net.activations[i], dtype))
    return nn.Sequential(*parts)


def _module(phi: Activation, dtype: torch.dtype) -> nn.Module:
    """torch's module of an activation."""

    if phi.name == "prelu" or (phi.name == "leaky_relu" and len(phi.parameters) == 1):
        if phi.name == "leaky_relu":
            return nn.LeakyReLU(phi.parameters[0])
        module = nn.PReLU(len(phi.parameters), dtype=dtype)
        with torch.no_grad():
            module.weight.copy_(torch.tensor(phi.parameters))
        return module
    known: dict[str, Any] = {
        "relu": nn.ReLU,
        "tanh": nn.Tanh,
        "sigmoid": nn.Sigmoid,
        "log_sigmoid": nn.LogSigmoid,
        "softplus": nn.Softplus,
        "softsign": nn.Softsign,
        "elu": nn.ELU,
        "celu": nn.CELU,
        "selu": nn.SELU,
        "silu": nn.SiLU,
        "gelu": nn.GELU,
        "mish": nn.Mish,
        "hardtanh": nn.Hardtanh,
        "relu6": nn.ReLU6,
        "hardsigmoid": nn.Hardsigmoid,
        "hardswish": nn.Hardswish,
        "tanhshrink": nn.Tanhshrink,
        "softshrink": nn.Softshrink,
    }
    if phi.name == "gelu_tanh":
        return nn.GELU(approximate="tanh")
    if phi.name not in known:
        raise ValueError(f"torch has no module for {phi}")
    return known[phi.name](*phi.parameters)
