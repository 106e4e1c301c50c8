"""Networks of other libraries as a `Network`: strict, and each conversion checked by evaluation."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from lipsnn.network import Network, ShallowNet


def as_network(net: Any, X: Any = None) -> Network:
    """`net` as a `Network`.

    Parameters
    ----------
    net : Network, ShallowNet, torch.nn.Module, onnx.ModelProto, path of an ONNX file, or a fitted \
            MLPRegressor, MLPClassifier or Pipeline of scikit-learn
    X : array_like, (n, d), optional
        Inputs on which the conversion is checked too, beside drawn ones.

    Raises
    ------
    ValueError
        If `net` computes something that a `Network` cannot, with the layer that does.
    TypeError
        For anything else.
    """
    if isinstance(net, Network):
        return net
    if isinstance(net, ShallowNet):
        return net.to_network()
    if _is(net, "torch.nn", "Module"):
        from lipsnn.convert.torch import from_torch

        return from_torch(net, X)
    if isinstance(net, (str, Path)) or type(net).__name__ == "ModelProto":
        from lipsnn.convert.onnx import from_onnx

        return from_onnx(net, X)
    if _is(net, "sklearn.base", "BaseEstimator"):
        from lipsnn.convert.sklearn import from_sklearn

        return from_sklearn(net, X)
    raise TypeError(
        "expected a Network, a ShallowNet, a torch.nn.Module, an ONNX model or its path, or a "
        f"scikit-learn MLPRegressor, MLPClassifier or Pipeline, got {type(net).__name__}"
    )


def _is(net: Any, module: str, name: str) -> bool:
    """Whether `net` is of a class of `module`, which is not imported for the question."""
    loaded = sys.modules.get(module)
    return loaded is not None and isinstance(net, getattr(loaded, name))


def as_shallow(net: Any, X: Any = None) -> ShallowNet:
    """`net` as a `ShallowNet`: what `as_network` takes, of one hidden layer of ReLU, one output.

    Raises
    ------
    ValueError, TypeError
        As `as_network`, and for a network that is not of the form (1).
    """
    return net if isinstance(net, ShallowNet) else as_network(net, X).to_shallow()
