"""Networks of nasty kinds, as Hypothesis strategies: `KINDS` by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lipsnn import Network

Array = np.ndarray
KINDS: dict[str, st.SearchStrategy[Case]] = {}


class Case(NamedTuple):
    """A network, and points where it is known to be steep."""

    net: Network
    steep: tuple[Array, ...] = ()


def kind(build: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Register what `build(draw)` makes, a network or a case, under its name."""
    made = st.composite(build)().map(lambda it: Case(it) if isinstance(it, Network) else it)
    KINDS[build.__name__.replace("_", " ")] = made
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


def shallow(W: Array, b: Array, a: Array) -> Network:
    return Network((W, a[None]), (b, np.zeros(1)))


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
    net = shallow(np.vstack([W, v, v]), np.append(b, ends), np.append(a, [height, -height]))
    return Case(net, (inside,))
