"""Networks of nasty kinds, as Hypothesis strategies: `KINDS` by name."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

Array = np.ndarray
# Of activations for which they are not 0 and 1.
SLOPES = {"Sigmoid": [0.0, 0.25]}
KINDS: dict[str, st.SearchStrategy[Network]] = {}


@dataclass(frozen=True, eq=False)
class Network:
    """A network as its numbers; `steep` are points where it is known to be steep.

    `activation` is that of every hidden layer, with its slope behind it where it has one, such
    as "LeakyReLU 0.2".
    """

    weights: tuple[Array, ...]
    biases: tuple[Array, ...]
    activation: str = "ReLU"
    steep: tuple[Array, ...] = ()

    @property
    def sectors(self) -> list[tuple[float, float]]:
        """Least and largest slope of the activation, for each hidden layer."""
        name, _, slope = self.activation.partition(" ")
        ends = [1.0, float(slope)] if slope else SLOPES.get(name, [0.0, 1.0])
        return [(min(ends), max(ends))] * (len(self.weights) - 1)

    @property
    def shallow(self) -> bool:
        """Whether it is a network (1) of the paper."""
        return len(self.weights) == 2 and len(self.weights[1]) == 1 and self.activation == "ReLU"

    def module(self) -> Any:
        """As torch's nn.Sequential in float64."""
        import torch
        from torch import nn

        name, _, slope = self.activation.partition(" ")
        layers: list[Any] = []
        for W, b in zip(self.weights, self.biases, strict=True):
            linear = nn.Linear(W.shape[1], W.shape[0]).double()
            with torch.no_grad():
                linear.weight.copy_(torch.tensor(W))
                linear.bias.copy_(torch.tensor(b))
            layers += [linear, getattr(nn, name)(*([float(slope)] if slope else []))]
        return nn.Sequential(*layers[:-1])


def kind(build: Callable[[Any], Network]) -> Callable[[Any], Network]:
    """Register what `build(draw)` makes under its name."""
    KINDS[build.__name__.replace("_", " ")] = st.composite(build)()
    return build


def numbers(draw: Any, *shape: int) -> Array:
    """Of normal size: drawn from a distribution, on a grid (with ties), or whatever there is."""
    match draw(st.sampled_from(["normal", "grid", "any"])):
        case "normal":
            return np.random.default_rng(draw(st.integers(0, 2**32 - 1))).normal(size=shape)
        case "grid":
            return draw(arrays(np.float64, shape, elements=st.integers(-8, 8).map(lambda k: k / 4)))
        case _:
            return draw(arrays(np.float64, shape, elements=st.floats(-4, 4)))


def size(draw: Any, units: int = 6, inputs: int = 3) -> tuple[int, int]:
    return draw(st.integers(1, units)), draw(st.integers(1, inputs))


def shallow(W: Array, b: Array, a: Array, *steep: Array) -> Network:
    return Network((W, a[None]), (b, np.zeros(1)), steep=steep)


def plain(draw: Any, m: int, d: int) -> tuple[Array, Array, Array]:
    return numbers(draw, m, d), numbers(draw, m), numbers(draw, m)


def some(draw: Any, count: int) -> Array:
    """A mask of `count` entries, not all of them false."""
    mask = draw(arrays(np.bool_, count))
    return mask if mask.any() else ~mask


# --- one hidden layer -------------------------------------------------------------------------


@kind
def ordinary(draw):
    return shallow(*plain(draw, *size(draw)))


@kind
def one_unit(draw):
    return shallow(*plain(draw, 1, draw(st.integers(1, 3))))


@kind
def one_input(draw):
    return shallow(*plain(draw, draw(st.integers(1, 12)), 1))


@kind
def many_units(draw):
    return shallow(*plain(draw, draw(st.integers(25, 40)), 1))


@kind
def many_inputs(draw):
    return shallow(*plain(draw, draw(st.integers(1, 3)), draw(st.integers(8, 20))))


@kind
def dead_units(draw):
    W, b, a = plain(draw, *size(draw))
    dead = some(draw, len(a))
    W[dead], b[dead] = 0.0, draw(st.sampled_from([-1.0, 0.0, 1.0]))
    return shallow(W, b, a)


@kind
def duplicated_units(draw):
    W, b, a = plain(draw, *size(draw, units=3))
    return shallow(np.vstack([W, W]), np.append(b, b), np.append(a, a * draw(st.floats(0.5, 2))))


@kind
def opposite_units(draw):
    """f(x) = sum a (relu(u) + s relu(-u)): folds, or straight lines in disguise."""
    W, b, a = plain(draw, *size(draw, units=3))
    return shallow(
        np.vstack([W, -W]), np.append(b, -b), np.append(a, draw(st.sampled_from([1.0, -1.0])) * a)
    )


@kind
def cancelling_pairs(draw):
    """Every unit has a partner that takes back all of its slope but the last digits."""
    W, b, a = plain(draw, *size(draw, units=3))
    off = 2.0 ** -draw(st.integers(20, 52))
    return shallow(
        np.vstack([W, W]), np.append(b, b - draw(st.integers(0, 1))), np.append(a, -a * (1 - off))
    )


@kind
def near_parallel_units(draw):
    m, d = size(draw)
    W, b, a = plain(draw, m, d)
    return shallow(W[:1] * (1 + 2.0**-50 * np.round(4 * numbers(draw, m, d))), b, a)


@kind
def zero_columns(draw):
    W, b, a = plain(draw, *size(draw))
    W[:, some(draw, W.shape[1])] = 0.0
    return shallow(W, b, a)


@kind
def zero_outer_weights(draw):
    W, b, a = plain(draw, *size(draw))
    a[some(draw, len(a))] = 0.0
    return shallow(W, b, a)


@kind
def one_sign(draw):
    W, b, a = plain(draw, *size(draw))
    return shallow(np.abs(W), b, np.abs(a))


@kind
def small_integers(draw):
    m, d = size(draw)
    whole = lambda *shape: draw(arrays(np.float64, shape, elements=st.integers(-2, 2)))  # noqa: E731
    return shallow(whole(m, d), whole(m), whole(m))


@kind
def rank_one(draw):
    m, d = size(draw)
    return shallow(np.outer(numbers(draw, m), numbers(draw, d)), numbers(draw, m), numbers(draw, m))


@kind
def orthogonal(draw):
    d = draw(st.sampled_from([2, 4]))
    H = np.array([[1.0, 1.0], [1.0, -1.0]])
    W = H if d == 2 else np.kron(H, H)
    return shallow(
        W, numbers(draw, d), draw(arrays(np.float64, d, elements=st.sampled_from([1.0, -1.0])))
    )


@kind
def one_point(draw):
    """All hyperplanes through one point: no biases."""
    W, b, a = plain(draw, *size(draw))
    return shallow(W, 0 * b, a)


@kind
def far_hyperplanes(draw):
    """Regions so far out that no sample sees them."""
    W, b, a = plain(draw, *size(draw))
    return shallow(W, b * 10.0 ** draw(st.integers(6, 300)), a)


@kind
def subnormal(draw):
    W, b, a = plain(draw, *size(draw, units=4))
    return shallow(W * 1e-290 * 10.0 ** -draw(st.integers(0, 30)), b, a)


@kind
def tiny_products(draw):
    """Both layers near 1e-160: the slopes are subnormal or vanish in float64."""
    W, b, a = plain(draw, *size(draw, units=4))
    return shallow(W * 1e-162 * 10.0 ** draw(st.integers(-3, 6)), b, a * 1e-162)


@kind
def huge(draw):
    W, b, a = plain(draw, *size(draw, units=4))
    return shallow(
        W * 10.0 ** draw(st.integers(140, 299)), b, a * 10.0 ** draw(st.integers(-160, 10))
    )


@kind
def uneven_scales(draw):
    W, b, a = plain(draw, *size(draw, units=4))
    powers = arrays(np.float64, len(a), elements=st.integers(-150, 150))
    return shallow(W * 10.0 ** draw(powers)[:, None], b, a * 10.0 ** draw(powers))


@kind
def float32_weights(draw):
    return shallow(
        *(part.astype(np.float32).astype(np.float64) for part in plain(draw, *size(draw)))
    )


@kind
def constant(draw):
    W, b, a = plain(draw, *size(draw))
    return shallow(0 * W, b, a) if draw(st.booleans()) else shallow(W, b, 0 * a)


@kind
def hidden_ridge(draw):
    """A ridge of width 2^-k along one direction, which sampling does not find (SoundnessBench)."""
    W, b, a = plain(draw, draw(st.integers(1, 8)), draw(st.integers(1, 12)))
    v = draw(arrays(np.float64, W.shape[1], elements=st.integers(-3, 3)))
    v[0] = v[0] or 1.0
    width, where = 2.0 ** -draw(st.integers(10, 30)), float(draw(st.integers(-4, 4)))
    height = draw(st.sampled_from([-8.0, 8.0, 64.0]))
    ends = -np.array([where, where + width])
    inside = (where + width / 2) * v / (v @ v)
    return shallow(
        np.vstack([W, v, v]), np.append(b, ends), np.append(a, [height, -height]), inside
    )


# --- deep -------------------------------------------------------------------------------------


def chain(
    draw: Any, widths: list[int], *, activation: str = "ReLU", biases: bool = True
) -> Network:
    pairs = list(itertools.pairwise(widths))
    weights = tuple(numbers(draw, after, before) for before, after in pairs)
    shifts = tuple(numbers(draw, after) if biases else np.zeros(after) for _, after in pairs)
    return Network(weights, shifts, activation)


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
    return Network(tuple(weights), (*[shifts] * teeth, np.zeros(1)), steep=(inside,))


@kind
def leaky(draw):
    slope = draw(st.sampled_from([0.01, 0.2, 0.5, 1 - 2.0**-20, 2.0, 1e-8, 1e6]))
    return chain(draw, widths(draw, most=3), activation=f"LeakyReLU {slope!r}")


@kind
def leaky_shallow(draw):
    slope = draw(st.sampled_from([0.01, 0.2, 0.5, 1 - 2.0**-20, 2.0, 1e-8, 1e6]))
    return chain(draw, [*size(draw)[::-1], 1], activation=f"LeakyReLU {slope!r}")


@kind
def smooth(draw):
    """Activations that are steepest at one point: there, or near it, without biases."""
    name = draw(st.sampled_from(["Tanh", "Sigmoid"]))
    net = chain(draw, widths(draw), activation=name, biases=draw(st.booleans()))
    return Network(net.weights, net.biases, name, (np.zeros(net.weights[0].shape[1]),))
