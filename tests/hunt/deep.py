"""Deep networks of nasty kinds, other activations, several outputs: more `networks.KINDS`."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from hunt.networks import Case, kind, numbers, size
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lipsnn import Network
from lipsnn.activations import Activation


def chain(
    draw: Any, widths: list[int], activations: Any = "relu", *, biases: bool = True
) -> Network:
    pairs = list(itertools.pairwise(widths))
    weights = tuple(numbers(draw, after, before) for before, after in pairs)
    shifts = tuple(numbers(draw, after) if biases else np.zeros(after) for _, after in pairs)
    return Network(weights, shifts, activations)


def widths(draw: Any, most: int = 4, outputs: int = 1) -> list[int]:
    depth = draw(st.integers(2, 3))
    hidden = [draw(st.integers(1, most)) for _ in range(depth)]
    return [draw(st.integers(1, 2)), *hidden, outputs]


@kind
def deep(draw):
    return chain(draw, widths(draw))


@kind
def several_outputs(draw):
    depth = draw(st.integers(1, 2))
    hidden = [draw(st.integers(1, 4)) for _ in range(depth)]
    return chain(draw, [draw(st.integers(1, 2)), *hidden, draw(st.integers(2, 3))])


@kind
def deep_straight_line(draw):
    """u = relu(u) - relu(-u) through the layers, which then cancel: relu alone makes the slope."""
    n = draw(st.integers(1, 4))
    eye = np.eye(n)
    W = [np.ones((2 * n, 1)), np.block([[eye, 0 * eye], [-eye, 0 * eye]]), np.ones((1, 2 * n))]
    scale = draw(st.sampled_from([1.0, 0.1, 3.0]))
    return Network(
        tuple(scale * w for w in W), (np.zeros(2 * n), numbers(draw, 2 * n), np.zeros(1))
    )


@kind
def deep_zero_bottleneck(draw):
    net = chain(draw, widths(draw))
    cut = draw(st.integers(0, len(net.weights) - 1))
    weights = tuple(0 * W if i == cut else W for i, W in enumerate(net.weights))
    return Network(weights, net.biases)


@kind
def deep_dead_units(draw):
    """Units that see nothing, that nobody sees, and that are off everywhere."""
    net = chain(draw, widths(draw))
    weights, biases = [W.copy() for W in net.weights], [b.copy() for b in net.biases]
    for i in range(len(weights) - 1):
        unit = draw(st.integers(0, len(biases[i]) - 1))
        match draw(st.sampled_from(["sees nothing", "unseen", "off"])):
            case "sees nothing":
                weights[i][unit] = 0.0
            case "unseen":
                weights[i + 1][:, unit] = 0.0
            case "off":
                weights[i][unit] = -np.abs(weights[i][unit]) if i else 0.0
                biases[i][unit] = -1.0
    return Network(tuple(weights), tuple(biases))


@kind
def deep_uneven_scales(draw):
    net = chain(draw, [2, 2, 2, 1] if draw(st.booleans()) else widths(draw, most=2))
    powers = st.integers(-100, 100)
    return Network(
        tuple(
            W * 10.0 ** draw(arrays(np.float64, (len(W), 1), elements=powers)) for W in net.weights
        ),
        net.biases,
    )


@kind
def deep_tiny_or_huge(draw):
    net = chain(draw, widths(draw, most=3))
    power = draw(st.sampled_from([-150, -100, -60, 60, 100, 150]))
    return Network(tuple(W * 10.0**power for W in net.weights), net.biases)


@kind
def deep_hidden_ridge(draw):
    """A zigzag of 2^k teeth within a sliver of width 1 / scale: slope scale 2^k, elsewhere none."""
    teeth, scale = draw(st.integers(1, 3)), 2.0 ** draw(st.integers(8, 20))
    v = draw(arrays(np.float64, draw(st.integers(1, 8)), elements=st.integers(-3, 3)))
    v[0] = v[0] or 1.0
    # g(u) = 2 relu(u) - 4 relu(u - 1/2) + 2 relu(u - 1): one tooth on [0, 1], zero elsewhere
    shifts, tooth = np.array([0.0, -0.5, -1.0]), np.array([2.0, -4.0, 2.0])
    weights = [scale * np.tile(v, (3, 1)), *[np.tile(tooth, (3, 1))] * (teeth - 1), tooth[None]]
    inside = v / (v @ v) / scale * (0.5**teeth * 0.75)
    return Case(Network(weights, (*[shifts] * teeth, np.zeros(1))), (inside,))


LEAKS = st.sampled_from([0.01, 0.2, 0.5, 1 - 2.0**-20, 2.0, 1e-8, 1e6, -0.5, -3.0])


@kind
def leaky(draw):
    return chain(draw, widths(draw, most=3), Activation("leaky_relu", (draw(LEAKS),)))


@kind
def leaky_shallow(draw):
    return chain(draw, [*size(draw)[::-1], 1], Activation("leaky_relu", (draw(LEAKS),)))


@kind
def piecewise(draw):
    """Other activations of pieces, one for each layer."""
    sizes = widths(draw, most=3)
    phis = st.sampled_from(
        [
            "relu6",
            "abs",
            "hardtanh",
            Activation("hardtanh", (-0.25, 2.0)),
            Activation("prelu", (-1.5,)),
        ]
    )
    return chain(draw, sizes, [draw(phis) for _ in sizes[1:-1]])


@kind
def smooth(draw):
    """Activations that are steepest at one point: there without biases, or near it."""
    sizes = widths(draw)
    phis = st.sampled_from(
        [
            "tanh",
            "sigmoid",
            "silu",
            "gelu",
            "elu",
            "selu",
            "softplus",
            "log_sigmoid",
            Activation("elu", (3.0,)),
            Activation("softplus", (5.0,)),
        ]
    )
    net = chain(draw, sizes, [draw(phis) for _ in sizes[1:-1]], biases=draw(st.booleans()))
    return Case(net, (np.zeros(net.dim),))


@kind
def steepest_point(draw):
    """One unit a layer, each at the point where its activation is steepest: the bound is met."""
    name, point = draw(
        st.sampled_from([("gelu", 2**0.5), ("silu", 2.3993572805154), ("tanh", 0.0)])
    )
    depth = draw(st.integers(1, 3))
    net = Network([[[1.0]]] * (depth + 1), None, name)
    biases, at = [], 0.0
    for phi in net.activations:
        biases.append([point - at])
        at = float(phi(np.array(point)))
    return Case(Network(net.weights, (*biases, [0.0]), name), (np.zeros(1),))
