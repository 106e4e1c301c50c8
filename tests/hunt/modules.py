"""Torch modules whose children do not tell what their forward computes: `KINDS` by name.

Each takes `INPUTS` inputs, in evaluation mode, and in float64 unless its kind says otherwise. It
may be refused, but never misread; those in `NO_FUNCTION` must be refused.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from hunt.deep import chain
from hunt.networks import KINDS as NETWORKS
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils import parametrizations, parametrize, prune

from lipsnn import Network

KINDS: dict[str, st.SearchStrategy[nn.Module]] = {}
NO_FUNCTION = ("batch norm without statistics", "stateful")
INPUTS = 2


def kind(build: Callable[[Any], nn.Module]) -> Callable[[Any], nn.Module]:
    """Register what `build(draw)` makes under its name, switched to evaluation."""

    @st.composite
    def made(draw: Any) -> nn.Module:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that old hooks are deprecated
            torch.manual_seed(draw(st.integers(0, 2**32 - 1)))
            return build(draw).eval()

    KINDS[build.__name__.replace("_", " ")] = made()
    return build


def drawn(draw: Any) -> Network:
    hidden = [draw(st.integers(1, 4)) for _ in range(draw(st.integers(1, 2)))]
    return chain(draw, [INPUTS, *hidden, 1])


def sequential(draw: Any) -> nn.Sequential:
    return drawn(draw).to_torch()


@kind
def plain(draw):
    return sequential(draw)


@kind
def any_network(draw):
    """What `networks` draws, at every scale, its columns repeated or cut off."""
    # torch has no module for one of the piecewise
    net = draw(NETWORKS[draw(st.sampled_from([k for k in NETWORKS if k != "piecewise"]))]).net
    first = np.resize(net.weights[0], (len(net.weights[0]), INPUTS))
    return Network((first, *net.weights[1:]), net.biases, net.activations).to_torch()


@kind
def nested(draw):
    """Sequentials within Sequentials, with what does nothing in evaluation."""
    layers = []
    for module in sequential(draw):
        layers.append(
            draw(
                st.sampled_from(
                    [
                        module,
                        nn.Sequential(module),
                        nn.Sequential(nn.Identity(), nn.Sequential(module)),
                    ]
                )
            )
        )
        layers.append(draw(st.sampled_from([nn.Dropout(0.9), nn.Identity(), nn.Flatten()])))
    return nn.Sequential(*layers)


@kind
def shared_activation(draw):
    """One activation object everywhere, or one layer twice."""
    relu, n = nn.ReLU(), draw(st.integers(1, 4))
    first, middle, last = nn.Linear(INPUTS, n), nn.Linear(n, n), nn.Linear(n, 1)
    twice = draw(st.booleans())
    return nn.Sequential(
        first, relu, middle, relu, *([middle, relu] if twice else []), last
    ).double()


@kind
def linear_on_linear(draw):
    """Layers without an activation between them, whose product cancels."""
    n = draw(st.integers(2, 4))
    first, second = nn.Linear(INPUTS, n), nn.Linear(n, 2)
    net = nn.Sequential(first, second, nn.ReLU(), nn.Linear(2, 1)).double()
    if draw(st.booleans()):
        with torch.no_grad():
            w = first.weight[:, 0]
            second.weight[:, -1] = -(second.weight[:, :-1] @ w[:-1]) / w[-1]
    return net


@kind
def weight_norm_hook(draw):
    net = sequential(draw)
    nn.utils.weight_norm(net[0])
    with torch.no_grad():  # as an optimiser's step does
        net[0].weight_g.mul_(draw(st.sampled_from([0.1, 1.0, 10.0])))
    return net


@kind
def spectral_norm_hook(draw):
    net = sequential(draw)
    nn.utils.spectral_norm(net[0])
    with torch.no_grad():
        net[0].weight_orig.mul_(10)
    return net


@kind
def pruned(draw):
    net = sequential(draw)
    prune.random_unstructured(net[0], "weight", amount=0.5)
    with torch.no_grad():
        net[0].weight_orig.mul_(draw(st.sampled_from([1.0, 10.0])))
    return net


class Doubled(nn.Module):
    def forward(self, weight):
        return 2 * weight


@kind
def parametrised(draw):
    net = sequential(draw)
    match draw(st.sampled_from(["weight norm", "doubled", "orthogonal"])):
        case "weight norm":
            parametrizations.weight_norm(net[0])
            with torch.no_grad():
                net[0].parametrizations.weight.original0.mul_(10)
        case "doubled":
            parametrize.register_parametrization(net[-1], "weight", Doubled())
        case "orthogonal":
            torch.nn.init.normal_(net[0].weight)
            parametrizations.orthogonal(net[0])
    return net


@kind
def forward_hooks(draw):
    """Hooks that change what goes in, or what comes out."""
    net = sequential(draw)
    where = net[draw(st.integers(0, len(net) - 1))] if draw(st.booleans()) else net
    if draw(st.booleans()):
        where.register_forward_hook(lambda module, inputs, output: 10 * output)
    else:
        where.register_forward_pre_hook(lambda module, inputs: (3 * inputs[0],))
    return net


@kind
def batch_norm(draw):
    n = draw(st.integers(1, 4))
    norm = nn.BatchNorm1d(n, affine=draw(st.booleans()))
    net = nn.Sequential(nn.Linear(INPUTS, n), norm, nn.ReLU(), nn.Linear(n, 1)).double()
    if draw(st.booleans()):
        net = nn.Sequential(nn.BatchNorm1d(INPUTS).double(), *net)
    for module in net:
        if isinstance(module, nn.BatchNorm1d):
            module.running_mean.normal_()
            module.running_var.uniform_(1e-6, draw(st.sampled_from([1e-3, 2.0])))
    if not draw(st.booleans()):
        return net
    net(torch.randn(20, INPUTS).double())  # the statistics move in training
    return net


@kind
def batch_norm_without_statistics(draw):
    """It normalises by the batch, also in evaluation: no function of one input."""
    n = draw(st.integers(1, 4))
    norm = nn.BatchNorm1d(n, track_running_stats=False)
    return nn.Sequential(nn.Linear(INPUTS, n), norm, nn.ReLU(), nn.Linear(n, 1)).double()


@kind
def layer_norm(draw):
    n = draw(st.integers(1, 4))
    return nn.Sequential(nn.Linear(INPUTS, n), nn.LayerNorm(n), nn.ReLU(), nn.Linear(n, 1)).double()


@kind
def other_activations(draw):
    make = draw(
        st.sampled_from(
            [
                nn.ELU,
                nn.SELU,
                nn.SiLU,
                nn.GELU,
                nn.Softplus,
                nn.Hardtanh,
                nn.ReLU6,
                nn.PReLU,
                nn.Softmax,
                lambda: nn.GELU(approximate="tanh"),
                lambda: nn.Softplus(beta=5),
                lambda: nn.ELU(alpha=3.0),
                lambda: nn.Hardtanh(-2, 0.5),
                lambda: nn.LeakyReLU(-0.5),
                lambda: nn.LeakyReLU(1.0),
                lambda: nn.PReLU(init=-2.0),
                lambda: nn.Threshold(1.0, 0.0),
                nn.Hardswish,
                nn.Softsign,
            ]
        )
    )
    net = drawn(draw).to_torch()
    return nn.Sequential(*(make() if isinstance(m, nn.ReLU) else m for m in net)).double()


@kind
def low_precision(draw):
    return sequential(draw).to(
        draw(st.sampled_from([torch.float32, torch.float16, torch.bfloat16]))
    )


@kind
def mixed_precision(draw):
    """Layers in float32 with float64 between them, by hooks or casts."""
    net = sequential(draw)
    net[0].float()
    net[0].register_forward_pre_hook(lambda module, inputs: (inputs[0].float(),))
    net[0].register_forward_hook(lambda module, inputs, output: output.double())
    return net


@kind
def loaded(draw):
    """A hooked network whose state was loaded, without a forward since."""
    net = nn.Sequential(nn.Linear(INPUTS, 3), nn.ReLU(), nn.Linear(3, 1)).double()
    nn.utils.weight_norm(net[0])
    state = {key: 10 * v if key.endswith("weight_g") else v for key, v in net.state_dict().items()}
    net.load_state_dict(state)
    return net


@kind
def data_parallel(draw):
    return nn.DataParallel(sequential(draw))


@kind
def stateful(draw):
    """It answers differently each time."""

    class Counting(nn.Sequential):
        calls = 0

        def forward(self, x):
            self.calls += 1
            return super().forward(x) * self.calls

    return Counting(*sequential(draw))
