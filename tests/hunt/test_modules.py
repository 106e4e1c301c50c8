"""A torch module is read as what its forward computes, or refused."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from hunt import oracle
from hunt.known import known
from hunt.modules import INPUTS, KINDS, NO_FUNCTION
from hunt.networks import KINDS as NETWORKS
from hypothesis import strategies as st
from torch import nn

import lipsnn
from lipsnn.torch import lipschitz_bound

# Scales of the inputs at which slopes are taken, and how far autograd's may be off, relative.
SCALES = (1.0, 1e-3, 1e3, 1e7)
ROUNDING = {torch.float64: 1e-9, torch.float32: 1e-3, torch.float16: 0.05, torch.bfloat16: 0.2}


def check(module: nn.Module, counts: Counter[str]) -> None:
    try:
        bound = lipsnn.certify(module).bound
    except (ValueError, TypeError):
        counts["refused"] += 1
        return
    counts["bounds"] += 1
    for slope, rounding in slopes(module):
        assert slope <= bound * (1 + rounding) or not np.isfinite(slope)
        counts["attained"] += 1


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
    known(
        KINDS,
        [
            "shared activation",
            "linear on linear",
            "weight norm hook",
            "spectral norm hook",
            "pruned",
            "forward hooks",
            "forward replaced",
            "copied and loaded",
        ],
    ),
)
def test_module_is_what_its_forward_computes(hunt, kind):
    def checked(module: nn.Module, counts: Counter[str]) -> None:
        check(module, counts)
        assert kind not in NO_FUNCTION or not counts["bounds"]

    hunt.search("module", kind, KINDS[kind], checked)


LOW = (torch.float32, torch.float16, torch.bfloat16)


@st.composite
def rounded(draw, kind: str):
    """A network (1), its numbers rounded to a low precision, as tensors."""
    net = draw(NETWORKS[kind])
    dtype = draw(st.sampled_from(LOW))
    weights = torch.tensor(np.column_stack([net.weights[0], net.biases[0]])).to(dtype)
    return weights, torch.tensor(net.weights[1][0]).to(dtype)


def check_rounded(tensors, counts: Counter[str]) -> None:
    weights, outer = tensors
    bound = lipschitz_bound(weights, outer)
    assert bound.dtype == weights.dtype
    counts["bounds"] += 1
    exact = lipsnn.certify(lipsnn.ShallowNet(weights.double(), outer.double()))
    assert oracle.exact(float(bound)) >= oracle.exact(exact.lower)
    assert not bound < exact.bound


LOW_KINDS = ["ordinary", "one unit", "small integers", "float32 weights"]


@pytest.mark.parametrize("kind", known(LOW_KINDS, LOW_KINDS))
def test_bound_in_low_precision_is_above(hunt, kind):
    hunt.search("low precision", kind, rounded(kind), check_rounded)
