"""A torch module is read as what its forward computes, or refused."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from hunt import forwards, oracle
from hunt.modules import INPUTS, KINDS, NO_FUNCTION
from hunt.networks import KINDS as NETWORKS
from hypothesis import strategies as st
from torch import nn

import lipsnn
from lipsnn.autograd import lipschitz_bound
from lipsnn.convert import as_network

assert forwards  # whose kinds are among KINDS
# Scales of the inputs at which slopes are taken, and how far autograd's may be off, relative.
SCALES = (1.0, 1e-3, 1e3, 1e7)
ROUNDING = {torch.float64: 1e-9, torch.float32: 1e-3, torch.float16: 0.05, torch.bfloat16: 0.2}


def check(module: nn.Module, counts: Counter[str]) -> None:
    try:
        net = as_network(module)
    except (ValueError, TypeError):
        counts["refused"] += 1
        return
    bound = lipsnn.certify(net).bound
    counts["bounds"] += 1
    check_same(module, net)
    for slope, rounding in slopes(module):
        assert slope <= bound * (1 + rounding) or not np.isfinite(slope)
        counts["attained"] += 1


def check_same(module: nn.Module, net: lipsnn.Network) -> None:
    """The converted network has the outputs of the module, to the rounding of both."""
    dtype = next(module.parameters()).dtype
    X = torch.randn(20, INPUTS, generator=torch.Generator().manual_seed(1)).to(dtype)
    with torch.no_grad():
        outputs = module(X).double().numpy().reshape(len(X), -1)
    own = net(X.double().numpy())
    finite = np.isfinite(outputs) & np.isfinite(own)
    # sums of terms that cancel are as inexact as their terms are large
    size = net.sizes(X.double().numpy())
    with np.errstate(invalid="ignore"):
        assert (np.abs(outputs - own) <= ROUNDING[dtype] * (1 + size))[finite].all()


def slopes(module: nn.Module):
    """Spectral norms of Jacobians by autograd, with their rounding."""
    dtype = next(module.parameters()).dtype
    generator = torch.Generator().manual_seed(0)
    for scale in SCALES:
        for x in torch.randn(5, INPUTS, generator=generator).double() * scale:
            x = x.to(dtype)
            J = torch.autograd.functional.jacobian(lambda v: module(v[None])[0], x)
            J = J.double().reshape(-1, INPUTS)
            if torch.isfinite(J).all():
                yield float(torch.linalg.matrix_norm(J, 2)), ROUNDING[dtype]


@pytest.mark.parametrize(
    "kind",
    KINDS,
)
def test_module_is_what_its_forward_computes(hunt, kind):
    def checked(module: nn.Module, counts: Counter[str]) -> None:
        check(module, counts)
        assert kind not in NO_FUNCTION or not counts["bounds"]

    hunt.search("module", kind, KINDS[kind], checked)


LOW = (torch.float32, torch.float16, torch.bfloat16)
LOW_KINDS = ("ordinary", "one unit", "small integers", "subnormal", "deep", "uneven scales")


@st.composite
def rounded(draw, kind: str) -> list[torch.Tensor]:
    """W_0 .. W_l of a network, rounded to a low precision."""
    dtype = draw(st.sampled_from(LOW))
    return [torch.tensor(W).to(dtype) for W in draw(NETWORKS[kind]).net.weights]


def check_rounded(weights: list[torch.Tensor], counts: Counter[str]) -> None:
    if not all(torch.isfinite(W).all() for W in weights):
        counts["refused"] += 1
        return
    bound = lipschitz_bound(weights)
    assert bound.dtype == weights[0].dtype
    counts["bounds"] += 1
    net = lipsnn.Network([W.double() for W in weights])
    certificate = lipsnn.certify(net)
    # rounded up: not below the float64 bound, by comparison in float64
    assert float(bound) >= certificate.lower
    assert bool(bound == torch.inf) or oracle.exact(float(bound)) >= oracle.exact(certificate.lower)
    if oracle.enumerable(net) and torch.isfinite(bound):
        assert oracle.bounds_all(net, float(bound))
        counts["exact"] += 1


@pytest.mark.parametrize("kind", LOW_KINDS)
def test_bound_in_low_precision_is_above(hunt, kind):
    hunt.search("low precision", kind, rounded(kind), check_rounded)
