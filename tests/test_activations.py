"""Sectors are enclosures, attained or all but, and values and slopes are torch's."""

import numpy as np
import pytest
import torch
from flint import arb, ctx

from lipsnn.activations import ACTIVATIONS, Activation
from lipsnn.convert.torch import _module

CASES = [
    *(Activation(name) for name in ACTIVATIONS),
    Activation("leaky_relu", -0.5),
    Activation("leaky_relu", 3.0),
    Activation("leaky_relu", (0.5, 2.0)),
    Activation("elu", 2.5),
    Activation("elu", -0.5),
    Activation("celu", 0.3),
    Activation("softplus", 4.0),
    Activation("hardtanh", (-0.5, 2.0)),
]


@pytest.mark.parametrize("phi", CASES, ids=repr)
def test_sector_encloses_all_quotients_and_is_no_wider_than_it_must_be(phi):
    u = np.linspace(-30, 30, 600_001)
    quotients = np.diff(phi(u)) / np.diff(u)
    alpha, beta = phi.sector
    assert alpha - 1e-9 <= quotients.min() <= alpha + 2e-4
    assert beta - 2e-4 <= quotients.max() <= beta + 1e-9
    slopes = phi.slope(u)
    assert (slopes >= alpha).all()
    assert (slopes <= beta).all()


@pytest.mark.parametrize("phi", CASES, ids=repr)
def test_values_and_slopes_are_torchs(phi):
    if phi.name == "abs" or phi.parameters == (0.5, 2.0):
        pytest.skip("torch has no module of it")
    u = torch.linspace(-8.0, 8.0, 1000, dtype=torch.float64, requires_grad=True)
    value = _module(phi, torch.float64)(u[:, None])[:, 0]
    value.sum().backward()
    np.testing.assert_allclose(phi(u.detach().numpy()), value.detach(), atol=1e-12)
    np.testing.assert_allclose(phi.slope(u.detach().numpy()), u.grad, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("phi", CASES, ids=repr)
def test_homogeneous_is_what_it_says(phi):
    u = np.array([-2.0, -0.3, 0.0, 0.7, 9.0])
    assert np.allclose(phi(3 * u), 3 * phi(u)) == phi.homogeneous


def _derivatives():
    two, pi = arb(2), arb.pi()

    def sigmoid(x):
        return 1 / (1 + (-x).exp())

    def gelu_tanh(x):
        t = ((2 / pi).sqrt() * (x + arb("0.044715") * x**3)).tanh()
        inner = (2 / pi).sqrt() * (1 + 3 * arb("0.044715") * x * x)
        return (1 + t) / 2 + x * (1 - t * t) * inner / 2

    def mish(x):
        t = (1 + x.exp()).log().tanh()
        return t + x * (1 - t * t) * sigmoid(x)

    return {
        "silu": lambda x: sigmoid(x) * (1 + x * (1 - sigmoid(x))),
        "gelu": lambda x: (
            (1 + (x / two.sqrt()).erf()) / 2 + x * (-x * x / 2).exp() / (2 * pi).sqrt()
        ),
        "gelu_tanh": gelu_tanh,
        "mish": mish,
    }


@pytest.mark.parametrize("name", ["silu", "gelu", "gelu_tanh", "mish"])
def test_extreme_slopes_are_rounded_outwards_in_ball_arithmetic(name):
    slope = _derivatives()[name]
    before = ctx.prec
    ctx.prec = 200
    try:
        for sign, bound in zip((-1, 1), Activation(name).sector, strict=True):
            low, high = (arb(0.5), arb(4)) if sign > 0 else (arb(-4), arb(-0.5))
            for _ in range(200):  # the one extremum there, by thirds
                a, b = arb((2 * low + high).mid() / 3), arb((low + 2 * high).mid() / 3)
                if (slope(arb(a.mid())) - slope(arb(b.mid()))) * sign > 0:
                    high = arb(b.mid())
                else:
                    low = arb(a.mid())
            extreme = slope(arb(low.mid()))
            assert (arb(bound) - extreme) * sign > 0
            assert abs(arb(bound) - extreme) < arb("1e-14")
    finally:
        ctx.prec = before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("swish",), "activation must be one of"),
        (("leaky_relu", 1.0), "identity"),
        (("prelu", (1.0, 1.0)), "identity"),
        (("leaky_relu", np.nan), "finite"),
        (("celu", -1.0), "positive"),
        (("hardtanh", (1.0, -1.0)), "rise"),
        (("elu", (1e160,)), "1e150"),
        (("hardtanh", (1.0,)), "2 parameters"),
        (("relu", 2.0), "0 parameters"),
        (("softplus", (1.0, 2.0)), "jumps"),
    ],
)
def test_activations_that_do_not_exist(arguments, message):
    with pytest.raises(ValueError, match=message):
        Activation(*arguments)
