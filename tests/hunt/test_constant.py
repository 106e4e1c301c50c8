"""Exact constants: whatever the network, the interval holds what enumeration and points know."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hunt import oracle, slopes
from hunt.networks import KINDS, Case
from hunt.test_networks import SCALES
from hunt.test_refinement import SHALLOW

import lipsnn

SECONDS = 0.3  # of a search


def check(case: Case, counts: Counter[str]) -> None:
    net = case.net
    try:
        found = lipsnn.exact_constant(net.to_shallow(), time_limit=SECONDS)
    except ValueError as error:
        if "float64" not in str(error):
            raise
        counts["refused"] += 1
        return
    counts["bounds"] += 1
    assert 0.0 <= found.lower <= found.upper
    if found.lower:
        assert not slopes.attained_slope(net, found.witness) < slopes.Ball(found.lower) ** 2
    if not np.isfinite(found.upper):
        return
    if oracle.enumerable(net):
        assert oracle.bounds_all(net, found.upper)
        counts["exact"] += 1
    rng = np.random.default_rng(0)
    for x in (*case.steep, *(rng.normal(size=net.dim) * scale for scale in SCALES)):
        assert not slopes.attained_slope(net, x) > slopes.Ball(found.upper) ** 2, x
        counts["attained"] += 1


@pytest.mark.parametrize("kind", SHALLOW)
def test_interval_holds(hunt, kind):
    hunt.search("constant", kind, KINDS[kind], check)
