"""Local bounds hold on their region, and attacked errors stay below the certified ones."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from hunt import deep, oracle, slopes
from hunt.networks import KINDS, Array, numbers
from hunt.test_networks import REPAIR
from hunt.test_refinement import SHALLOW
from hypothesis import strategies as st

import lipsnn
from lipsnn.certificate import ProofError
from lipsnn.certificate.lifted import Errors

assert deep  # whose kinds are among KINDS
SAMPLES = 6  # points of a region at which slopes and values are taken


class Local(NamedTuple):
    net: lipsnn.Network
    centre: Array
    radius: float
    points: tuple[Array, ...]  # all in the ball, exactly
    target: float
    gap: float | None


@st.composite
def locals_of(draw, kind: str) -> Local:
    """A ball, about any point or one on a hyperplane, that may reach where the network is steep."""
    case = draw(KINDS[kind])
    net, d = case.net, case.net.dim
    centre = numbers(draw, d) * 10.0 ** draw(st.sampled_from([-6, 0, 0, 3]))
    w, b = net.weights[0][0], net.biases[0][0]
    if draw(st.booleans()) and 1e-150 < np.abs(w).max() < 1e150:
        foot = centre - (w @ centre + b) / (w @ w) * w
        centre = foot if np.abs(foot).max() < 1e6 else centre
    radius = 10.0 ** draw(st.integers(-8, 3))
    if case.steep and draw(st.booleans()):
        centre = np.asarray(case.steep[0], float)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    moves = rng.normal(size=(SAMPLES, d))
    moves *= (radius * rng.uniform(size=SAMPLES) ** 0.2 / np.linalg.norm(moves, axis=1))[:, None]
    points = (centre, *(centre + moves), *case.steep)
    points = tuple(x for x in points if _inside(x, centre, radius))
    target, gap = draw(st.sampled_from([0.0, 1.0, -1e3])), draw(st.sampled_from([None, None, 1e-3]))
    return Local(net, centre, radius, points, target, gap)


def _inside(x: Array, centre: Array, radius: float) -> bool:
    """Whether x lies in the ball, in rationals."""
    step = [oracle.exact(a) - oracle.exact(b) for a, b in zip(x, centre, strict=True)]
    return oracle.dot(step, step) <= oracle.exact(radius) ** 2


def check(case: Local, counts: Counter[str]) -> None:
    net = case.net.to_shallow()
    check_bound(case, counts, net)
    for norm in (2, np.inf):  # the ball lies in the box
        check_error(case, net, norm, counts)


def check_bound(case: Local, counts: Counter[str], net: Any = None) -> None:
    """No slope in the ball is above it; what is called optimal has a proof."""
    net = case.net if net is None else net
    alone = lipsnn.certify(net, ball=(case.centre, case.radius))
    many = lipsnn.certify(net, ball=(np.tile(case.centre, (2, 1)), [case.radius, case.radius / 2]))
    for certificate, points in (alone, case.points), (many[0], case.points), (many[1], ()):
        bound = certificate.bound
        counts["bounds"] += 1
        assert 0.0 <= certificate.lower <= bound
        for x in points:
            assert not slopes.attained_slope(case.net, x) > slopes.Ball(bound) ** 2, x
            counts["attained"] += 1
        try:
            proved = certificate.verify()
        except ProofError:
            assert certificate.status != "optimal"
        else:
            assert bound <= proved <= bound * (1 + REPAIR)
            counts["proofs"] += 1


def check_error(case: Local, net: lipsnn.ShallowNet, norm: float, counts: Counter[str]) -> None:
    """The squared error at every point of the ball, in rationals, is at most the proved one."""
    with tempfile.TemporaryDirectory() as folder:
        proof = Path(folder) / "errors.json"
        given = net, case.centre[None], np.array([case.target]), [case.radius], norm
        try:
            found = lipsnn.certified_error(*given, gap=case.gap, proof=proof)
        except ValueError as error:
            if "beyond float64" not in str(error):
                raise
            counts["refused"] += 1
            return
        upper = float(found["upper"].iloc[0])
        assert found["lower"].iloc[0] <= upper
        for x in case.points:
            error = _value(case.net, x) - oracle.exact(case.target)
            assert error**2 <= oracle.exact(upper), x
        counts["exact"] += 1
        assert Errors.from_json(proof).verify()["upper"].iloc[0] == upper
        counts["proofs"] += 1


def _value(net: lipsnn.Network, x: Array) -> oracle.Q:
    """The network's value at x, in rationals."""
    (W, a), (b, c) = net.weights, net.biases
    point = [oracle.exact(v) for v in x]
    value = oracle.exact(c[0])
    for row, bias, outer in zip(oracle.matrix(W), b, a[0], strict=True):
        u = oracle.dot(row, point) + oracle.exact(bias)
        value += oracle.exact(outer) * max(u, oracle.Q(0))
    return value


@pytest.mark.parametrize("kind", SHALLOW)
def test_local_bound_holds(hunt, kind):
    hunt.search("local", kind, locals_of(kind), check)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in SHALLOW])
def test_local_bound_of_any_network_holds(hunt, kind):
    hunt.search("local", kind, locals_of(kind), check_bound)
