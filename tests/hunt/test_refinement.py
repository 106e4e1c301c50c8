"""Refinement is never worse, by exact evaluation, and keeps to its cells."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import numpy as np
import pytest
from hunt import oracle
from hunt.networks import KINDS, Array, numbers
from hunt.test_networks import check_proof
from hypothesis import strategies as st

import lipsnn

METHODS = [
    ("lipschitz", "alternating"),
    ("lipschitz", "joint"),
    ("lipschitz", "walk"),
    ("l2", "joint"),
]
# Cones (5) may be left by so much, relative, and where the others solve in one cell.
VIOLATION = 1e-4
IN_ONE_CELL = ("alternating", "joint")
# For which a refinement may be refused.
REASONS = ("dead on this data", "float64")
# What products that underflow in float64 may take away, with room.
UNDERFLOW = oracle.Q(1, 2**1000)
SHALLOW = list(KINDS)[: list(KINDS).index("hidden ridge") + 1]


class Trial(NamedTuple):
    net: lipsnn.Network
    X: Array
    y: Array
    strength: float
    regularizer: str
    method: str


@st.composite
def trials(draw, kind: str) -> Trial:
    """A network of that kind, with data that repeat rows, hold constant columns and hit borders."""
    net = draw(KINDS[kind]).net
    W = net.weights[0]
    n, d = draw(st.integers(1, 12)), W.shape[1]
    X, y = numbers(draw, n, d), numbers(draw, n)
    match draw(st.sampled_from(["plain", "repeated", "constant column", "on a hyperplane"])):
        case "repeated":
            X[n // 2 :] = X[0]
        case "constant column":
            X[:, 0] = 1.0
        case "on a hyperplane" if W[0] @ W[0] > 0:
            X[0] = -net.biases[0][0] * W[0] / (W[0] @ W[0])
            X[~np.isfinite(X)] = 0.0
    return Trial(net, X, y, 10.0 ** draw(st.integers(-4, 3)), *draw(st.sampled_from(METHODS)))


def check(trial: Trial, counts: Counter[str]) -> None:
    net, X, y, strength, regularizer, method = trial
    before = net.to_shallow()
    try:
        result = lipsnn.refine(before, X, y, strength, regularizer, method, rounds=2)
    except ValueError as error:
        if not any(reason in str(error) for reason in REASONS):
            raise
        counts["refused"] += 1
        return
    counts["bounds"] += 1
    old, old_error = value(before, result.initial_certificate, trial)
    new, new_error = value(result.net, result.certificate, trial)
    assert new <= old + old_error + new_error
    assert abs(new - oracle.exact(result.objective)) <= new_error
    if regularizer == "lipschitz":
        check_proof(result.net.to_network(), result.certificate, counts)
    if regularizer == "l2" or method in IN_ONE_CELL:
        left = violation(before, result.net, X, y)
        assert left <= oracle.exact(VIOLATION)
        counts["exact"] += 1


def value(net: lipsnn.ShallowNet, certificate, trial: Trial) -> tuple[oracle.Q, oracle.Q]:
    """Problem (4) at a network, exactly, and how far rounding may have been from it."""
    loss, error = oracle.half_squares(net.weights, net.outer, net.offset, trial.X, trial.y)
    if trial.regularizer == "l2":
        numbers = [*net.weights.ravel().tolist(), *net.outer.tolist()]
        penalty = sum((oracle.exact(x) ** 2 for x in numbers), oracle.Q(0)) / 2
    else:
        penalty = oracle.exact(certificate.bound) ** 2
    total = loss + oracle.exact(trial.strength) * penalty
    rounding = oracle.exact(np.finfo(float).eps) * (4 + net.weights.size)
    return total, error + rounding * total + UNDERFLOW


def violation(before: lipsnn.ShallowNet, after: lipsnn.ShallowNet, X: Array, y: Array) -> oracle.Q:
    """How far `after` lies outside the cones (5) of `before`, as an error of the output."""
    dot, X1 = oracle.dot, [[*x, oracle.Q(1)] for x in oracle.matrix(X)]
    W, a = oracle.matrix(after.weights), [abs(oracle.exact(x)) for x in after.outer.tolist()]
    # as float64 has them: for a sample on a hyperplane either is right
    signs = np.where(before.patterns(X), 1, -1).tolist()
    left = max(
        -sign * size * dot(w, x)
        for x, row in zip(X1, signs, strict=True)
        for sign, size, w in zip(row, a, W, strict=True)
    )
    # the largest target, or what a unit reaches
    lengths = [size**2 * dot(w, w) for size, w in zip(a, W, strict=True)]
    reach = max(dot(x, x) for x in X1) * max(lengths)
    scale = max(max(oracle.exact(v) ** 2 for v in y.tolist()), reach)
    return oracle.Q(0) if left <= 0 else oracle.exact(float(left**2 / scale) ** 0.5)


@pytest.mark.filterwarnings("ignore")  # of scales, and of overflow
@pytest.mark.parametrize("kind", SHALLOW)
def test_refinement_is_never_worse(hunt, kind):
    hunt.search("refinement", kind, trials(kind), check)
