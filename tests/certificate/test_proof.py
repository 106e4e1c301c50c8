"""Proofs: none false, none missing, and each change refused with its reason."""

import dataclasses

import flint
import numpy as np
import pytest
from degenerate import KINDS, draw
from drawing import draw_network

from lipsnn import ShallowNet, certify
from lipsnn.certificate import ProofError, proof
from lipsnn.certificate.form import Form


def proved_bound(net: ShallowNet, t: np.ndarray, bound: float, consistent: bool = True) -> float:
    return proof.proved_bound(Form.of(net), (t,), bound, consistent)


def rational(value: float) -> flint.fmpq:
    return flint.fmpq(*float(value).as_integer_ratio())


def holds_exactly(net: ShallowNet, t: np.ndarray, bound: float) -> bool:
    """The LMI (2b) in rational arithmetic: -M >= 0 by elimination on all m + d + 1 rows of (3)."""
    m, d = net.width, net.dim
    rows = [[flint.fmpq(0)] * (d + m + 1) for _ in range(d + m + 1)]
    for k in range(d):
        rows[k][k] = rational(bound) ** 2
    for i in range(m):
        rows[d + i][d + i] = 2 * rational(t[i])
        for k in range(d):
            rows[d + i][k] = rows[k][d + i] = -rational(t[i]) * rational(net.weights[i, k])
        rows[d + i][-1] = rows[-1][d + i] = -rational(net.outer[i])
    rows[-1][-1] = flint.fmpq(1)
    for k in range(len(rows)):
        pivot = rows[k][k]
        if pivot < 0 or (pivot == 0 and any(x != 0 for x in rows[k][k + 1 :])):
            return False
        if pivot == 0:
            continue
        for i in range(k + 1, len(rows)):
            factor = rows[i][k] / pivot
            if factor != 0:
                for j in range(k, len(rows)):
                    rows[i][j] -= factor * rows[k][j]
    return True


@pytest.mark.parametrize("block", range(10))
def test_ten_thousand_networks(block):
    rng = np.random.default_rng(block)
    for index in range(1000):
        kind = KINDS[index % len(KINDS)]
        net = draw(rng, kind, rng.integers(1, 7), rng.integers(1, 5))
        scale = 10.0 ** rng.uniform(-8, 8)
        net = ShallowNet(net.weights * scale, net.outer)
        certificate = certify(net)
        proved = certificate.verify()
        assert certificate.bound <= proved <= certificate.bound * (1 + 1e-9)
        # no multipliers certify less than `lower`: a proof of less would be false
        false = certificate.lower * (1 - 1e-6)
        if false > 0 and index % 10 == 0:
            with pytest.raises(ProofError):
                proved_bound(net, certificate.multipliers, false)
        if index % 200 == 0:
            assert holds_exactly(net, certificate.multipliers, proved)


@pytest.mark.parametrize("kind", KINDS)
def test_random_claims_are_proved_only_when_true(kind):
    """Multipliers and bounds near feasibility, on both sides, against the exact answer."""
    rng = np.random.default_rng(7)
    for _ in range(30):
        net = draw(rng, kind, rng.integers(1, 6), rng.integers(1, 7))
        certificate = certify(net)
        t = certificate.multipliers * (1 + 1e-7 * rng.normal(size=net.width))
        claim = certificate.bound * (1 + 1e-7 * rng.normal())
        try:
            proved = proved_bound(net, t, claim, consistent=False)
        except ProofError:
            assert not holds_exactly(net, t, claim * (1 - 1e-12)) or claim == 0
        else:
            assert holds_exactly(net, t, proved)


@pytest.mark.parametrize(("width", "dim"), [(12, 3), (3, 12), (40, 40)])
def test_both_forms(width, dim):
    certificate = certify(draw_network(0, width, dim))
    assert certificate.bound <= certificate.verify() <= certificate.bound * (1 + 1e-9)


def test_the_last_digits_are_repaired():
    certificate = certify(draw_network(0, 9, 4))
    short = certificate.bound * (1 - 1e-10)
    proved = proved_bound(certificate.net, certificate.multipliers, short)
    assert short < proved <= short * (1 + 1e-9)
    assert holds_exactly(certificate.net, certificate.multipliers, proved)


def test_changes_are_refused():
    certificate = certify(draw_network(0, 9, 4))
    net, t = certificate.net, certificate.multipliers
    with pytest.raises(ProofError, match="do not prove the bound"):
        dataclasses.replace(certificate, bound=certificate.bound * (1 - 1e-8)).verify()
    with pytest.raises(ProofError, match="is not that of the multipliers"):
        dataclasses.replace(certificate, bound=certificate.bound * (1 + 1e-8)).verify()
    for factor, reason in ((1.01, "do not prove"), (0.5, "leave no room|do not prove")):
        with pytest.raises(ProofError, match=reason):
            dataclasses.replace(certificate, multipliers=t * factor).verify()
    weights = net.weights.copy()
    weights[0, 0] *= 1.01
    with pytest.raises(ProofError):
        certificate.verify(ShallowNet(weights, net.outer))
    with pytest.raises(ProofError, match="9 multipliers for a network of 3 units"):
        certificate.verify(draw_network(0, 3, 4))


def test_multipliers_that_are_none():
    net = draw_network(0, 3, 2)
    t = certify(net).multipliers
    for bad, reason in (
        (t * [1, np.nan, 1], "NaN or infinite"),
        (t * [1, -1, 1], "negative"),
        (t * [1, 0, 1], "multiplier 1 is zero"),
        (t * 1e-3, "leave no room"),
    ):
        with pytest.raises(ProofError, match=reason):
            proved_bound(net, bad, 1.0)
    with pytest.raises(ProofError, match="bound 0"):
        proved_bound(net, t, 0.0)


@pytest.mark.parametrize("scale", [1e-100, 1e100, 1e170])
def test_extreme_scales(scale):
    certificate = certify(draw_network(0, 5, 3))
    net = ShallowNet(certificate.net.weights * scale, certificate.net.outer)
    certificate = certify(net)
    assert certificate.verify() <= certificate.bound * (1 + 1e-9)


def test_method_lmi_is_proved_too():
    certificate = certify(draw_network(0, 6, 3), "lmi")
    assert certificate.verify() <= certificate.bound * (1 + 1e-9)
