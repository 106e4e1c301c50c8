"""Bounds that hold, statuses that are true and proofs that are proofs, whatever the network."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hunt import deep, oracle, slopes
from hunt.networks import KINDS, Case

import lipsnn
from lipsnn.certificate import ProofError
from lipsnn.certificate.form import Form, outwards

assert deep  # whose kinds are among KINDS
TOL = 1e-7  # of `certify`, by default
REPAIR = 1e-9  # what `verify` may add, relative
SCALES = (1.0, 1e-9, 1e9)  # of points at which slopes are taken


def check(case: Case, counts: Counter[str]) -> None:
    net = case.net
    certificate = lipsnn.certify(net.to_shallow() if net.is_shallow else net)
    bound, lower = certificate.bound, certificate.lower
    counts["bounds"] += 1
    assert 0.0 <= lower <= bound
    if certificate.status == "optimal":
        assert np.isfinite(bound)
        assert bound - lower <= TOL * bound
    if np.isfinite(bound):
        check_truth(case, bound, counts)
    check_proof(net, certificate, counts)


def check_truth(case: Case, bound: float, counts: Counter[str]) -> None:
    """It is at least the exact constant of a small network, and every slope that is known."""
    net = case.net
    if oracle.enumerable(net):
        assert oracle.bounds_all(net, bound)
        counts["exact"] += 1
    rng = np.random.default_rng(0)
    for x in (*case.steep, *(rng.normal(size=net.dim) * scale for scale in SCALES)):
        assert not slopes.attained_slope(net, x) > slopes.Ball(bound) ** 2, x
        counts["attained"] += 1


def check_proof(net: lipsnn.Network, certificate, counts: Counter[str]) -> None:
    """What `verify` proves, the rationals prove too; what is called optimal has a proof."""
    try:
        proved = certificate.verify()
    except ProofError:
        assert certificate.status != "optimal"
        return
    # where units are all but linear, `verify` may add what `certify` rounds by
    repair = max(REPAIR, 2 * outwards(Form.of(net).sectors))
    most = np.nextafter(certificate.bound * (1 + repair), np.inf)
    assert certificate.bound <= proved <= most
    if "product of norms" not in certificate.status:  # which needs no multipliers
        assert oracle.certifies(net, certificate.layers, proved)
        counts["proofs"] += 1


@pytest.mark.parametrize("kind", KINDS)
def test_bound_holds(hunt, kind):
    hunt.search("bound", kind, KINDS[kind], check)
