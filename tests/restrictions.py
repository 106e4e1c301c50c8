"""Restrictions of networks and data with everything that makes their programs hard."""

import numpy as np
import pytest
from degenerate import KINDS, draw
from hypothesis import strategies as st

from lipsnn import ShallowNet
from lipsnn.network import with_bias

TOL = 1e-8
DATA = ("plain", "repeated rows", "constant column", "dependent columns", "few rows", "mirrored")
NETS = (*KINDS, "boundary", "zero weights", "always active", "no bias")


def draw_data(rng, kind, n=24, d=3):
    X = rng.normal(size=(n, d))
    if kind == "repeated rows":
        X = X[rng.integers(n // 3, size=n)]
    elif kind == "constant column":
        X[:, 0] = 0.0
    elif kind == "dependent columns":
        X[:, 1] = X[:, 0]
    elif kind == "few rows":
        X = X[:d]
    elif kind == "mirrored":
        X = np.vstack([X[: n // 2], -X[: n // 2]])
    return X, np.sin(X).sum(axis=1) + 0.3 * rng.normal(size=len(X))


def draw_net(rng, kind, X, width=8):
    net = draw(rng, kind if kind in KINDS else "plain", width, X.shape[1])
    weights, half = net.weights.copy(), width // 2
    if kind == "boundary":
        weights[:half, -1] = -(X[0] @ weights[:half, :-1].T)
    elif kind == "zero weights":
        weights[:half] = 0.0
    elif kind == "always active":  # of both signs: their biases can grow without bound
        weights[:half, -1] = 50.0
    elif kind == "no bias":
        weights[:, -1] = 0.0
    return ShallowNet(weights, net.outer)


def restriction(kind, data):
    rng = np.random.default_rng([NETS.index(kind), DATA.index(data)])
    X, y = draw_data(rng, data)
    net = draw_net(rng, kind, X)
    strength = float(10.0 ** rng.integers(-3, 2))
    return net, (with_bias(X), y, net.patterns(X), net.signs), strength


def multipliers(net):
    """T with no q_i near zero, as a reference that factors T needs it."""
    share = np.linalg.norm(net.slopes, axis=1)
    share = 0.7 * (0.1 / net.width + 0.9 * share / share.sum())
    return net.outer**2 / (2 * share)


def assert_solved(solution, y):
    assert solution.status == "optimal", solution
    assert solution.solver == "structured"
    assert solution.gap <= TOL
    assert solution.primal_residual <= TOL
    assert solution.dual_residual <= TOL
    assert solution.iterations <= 60


def assert_agree(ours, reference, y):
    assert reference.status in ("optimal", "optimal_inaccurate")
    assert ours.value == pytest.approx(reference.value, rel=1e-6, abs=1e-8 * (y @ y))


@st.composite
def cases(draw):
    """A network and data with what trained networks really have: dead, duplicate and boundary
    units, zero outer weights, repeated rows, constant columns."""
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    n, d, m = draw(st.integers(1, 25)), draw(st.integers(1, 4)), draw(st.integers(1, 7))
    X = rng.normal(size=(n, d))
    if draw(st.booleans()):
        X = np.round(X)  # repeated rows
    if draw(st.booleans()):
        X[:, 0] = 0.0
    weights, outer = rng.normal(size=(m, d + 1)), rng.normal(size=m)
    for i in range(m):
        match draw(st.sampled_from(["plain", "plain", "dead", "copy", "boundary", "zero", "flat"])):
            case "dead":
                weights[i] = 0.0
                weights[i, -1] = -1.0
            case "copy":
                weights[i] = weights[0]
            case "boundary":
                weights[i, -1] = -weights[i, :-1] @ X[rng.integers(n)]
            case "zero":
                outer[i] = 0.0
            case "flat":
                weights[i, :-1] = 0.0
    scale = 10.0 ** draw(st.integers(-3, 3))
    strength = 10.0 ** draw(st.integers(-4, 3))
    return ShallowNet(weights, scale * outer), X, rng.normal(size=n), strength
