"""Modules with a forward, or a layer, of their own: more `modules.KINDS`."""

from __future__ import annotations

import torch
from hunt.deep import chain
from hunt.modules import INPUTS, kind, sequential
from hypothesis import strategies as st
from torch import nn


class Written(nn.Module):
    """The children of a network (1) in their order, and a forward of its own."""

    def __init__(self, net: nn.Sequential, way: str) -> None:
        super().__init__()
        self.first, self.act, self.last = net[0], nn.ReLU(), net[-1]
        self.way = way

    def forward(self, x):
        answer = self.last(self.act(self.first(x)))
        match self.way:
            case "residual":
                return answer + 10 * x.sum(-1, keepdim=True)
            case "scaled":
                return 5 * answer
            case "functional":
                return self.last(torch.relu(self.first(x)))
            case "twice":
                return self.last(self.act(-self.act(self.first(x))) + self.act(self.first(x)))
            case "branch":
                return answer if bool((x > 0).all()) else 2 * answer
            case "concatenated":
                return torch.cat([answer, -answer], dim=-1)
            case "sine":
                return self.last(torch.sin(7 * self.first(x)))
            case "clipped input":
                return self.last(self.act(self.first(100 * x.clamp(-1, 1))))
            case "far":  # the same as its children say, except far out
                return torch.where(x.abs().sum(-1, keepdim=True) > 1e6, 1e3 * answer, answer)
        return answer


@kind
def custom_forward(draw):
    way = draw(
        st.sampled_from(
            [
                "plain",
                "residual",
                "scaled",
                "functional",
                "twice",
                "branch",
                "concatenated",
                "sine",
                "clipped input",
                "far",
            ]
        )
    )
    return Written(chain(draw, [INPUTS, draw(st.integers(1, 4)), 1]).to_torch(), way)


class Reordered(nn.Module):
    """Children registered in an order that forward does not keep."""

    def __init__(self, net: nn.Sequential) -> None:
        super().__init__()
        self.last, self.act, self.first = net[-1], nn.ReLU(), net[0]

    def forward(self, x):
        return self.last(self.act(self.first(x)))


@kind
def reordered(draw):
    hidden = draw(st.sampled_from([[INPUTS, INPUTS], [3, 1]]))
    return Reordered(chain(draw, [INPUTS, *hidden]).to_torch())


class Five(nn.Sequential):
    def forward(self, x):
        return 5 * super().forward(x)


@kind
def subclass_of_sequential(draw):
    return Five(*sequential(draw))


class Loud(nn.Linear):
    def forward(self, x):
        return super().forward(x) * 4


class Abs(nn.ReLU):
    def forward(self, x):
        return x.abs() * 3


@kind
def subclass_of_a_layer(draw):
    """A Linear, or a ReLU, that does something else."""
    net = sequential(draw)
    if draw(st.booleans()):
        return nn.Sequential(net[0], Abs(), net[2])
    loud = Loud(net[0].in_features, net[0].out_features).double()
    loud.load_state_dict(net[0].state_dict())
    return nn.Sequential(loud, *net[1:])


@kind
def forward_replaced(draw):
    """The instance's forward is another function than its class's."""
    net = sequential(draw)
    layer, old = net[0], net[0].forward
    layer.forward = lambda x: 3 * old(x)
    return net
