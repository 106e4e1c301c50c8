"""Networks of other libraries as a `Network`: strict, and each conversion checked by evaluation."""

from __future__ import annotations

from typing import Any

from lipsnn.network import Network, ShallowNet


def as_network(net: Any, X: Any = None) -> Network:
    """`net` as a `Network`.

    Parameters
    ----------
    net : Network, ShallowNet or torch.nn.Module
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
    if hasattr(net, "state_dict"):
        from lipsnn.convert.torch import from_torch

        return from_torch(net, X)
    raise TypeError(
        f"expected a Network, a ShallowNet or a torch.nn.Module, got {type(net).__name__}"
    )


def as_shallow(net: Any, X: Any = None) -> ShallowNet:
    """`net` as a `ShallowNet`: what `as_network` takes, of one hidden layer of ReLU, one output.

    Raises
    ------
    ValueError, TypeError
        As `as_network`, and for a network that is not of the form (1).
    """
    return net if isinstance(net, ShallowNet) else as_network(net, X).to_shallow()
