"""Bounds that hold, statuses that are true and proofs that are proofs, whatever the network."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hunt import oracle
from hunt.known import known
from hunt.networks import KINDS, Network

import lipsnn
from lipsnn.certificate import ProofError

TOL = 1e-7  # of `certify`, by default
REPAIR = 1e-9  # what `verify` may add, relative


def certified(net: Network) -> lipsnn.Certificate | lipsnn.LayeredCertificate:
    if net.shallow:
        W, b = net.weights[0], net.biases[0]
        return lipsnn.certify(lipsnn.ShallowNet(np.column_stack([W, b]), net.weights[1][0]))
    return lipsnn.certify(net.module())


def check(net: Network, counts: Counter[str]) -> None:
    certificate = certified(net)
    bound, lower = certificate.bound, certificate.lower
    counts["bounds"] += 1
    assert 0.0 <= lower <= bound, (lower, bound, certificate.status)
    if certificate.status == "optimal":
        assert np.isfinite(bound)
        assert bound - lower <= TOL * bound
    if np.isfinite(bound):
        check_truth(net, bound, counts)
    check_proof(net.weights, net.sectors, certificate, counts)


def check_truth(net: Network, bound: float, counts: Counter[str]) -> None:
    if oracle.enumerable(net):
        assert oracle.bounds_all(net, bound)
        counts["exact"] += 1
    rng = np.random.default_rng(0)
    d = net.weights[0].shape[1]
    for x in (*net.steep, *(rng.normal(size=d) * scale for scale in (1.0, 1e-9, 1e9))):
        slope = oracle.attained_slope(net, x)
        assert not slope > oracle.Ball(bound) ** 2, (x, slope)
        counts["attained"] += 1


def check_proof(weights, sectors, certificate, counts: Counter[str]) -> None:
    """What `verify` proves, the rationals prove too; what is called optimal has a proof."""
    try:
        proved = certificate.verify()
    except AttributeError:  # deep certificates have no proof yet
        return
    except ProofError:
        assert certificate.status != "optimal"
        return
    assert certificate.bound <= proved <= certificate.bound * (1 + REPAIR)
    t = certificate.multipliers
    assert oracle.certifies(weights, sectors, t if isinstance(t, tuple) else (t,), proved)
    counts["proofs"] += 1


@pytest.mark.parametrize(
    "kind", known(KINDS, ["subnormal", "deep tiny or huge", "deep uneven scales"])
)
def test_bound_holds(hunt, kind):
    hunt.search("bound", kind, KINDS[kind], check)
