"""The judge is judged: known answers, refutations to the last digit, and planted faults found."""

from __future__ import annotations

import dataclasses
import itertools
from collections import Counter

import numpy as np
import pytest
from hunt import modules, oracle, slopes, test_modules, test_networks, test_refinement
from hunt.networks import KINDS
from hypothesis import Phase, given, settings

import lipsnn
from lipsnn.certificate import Certificate, enumerated_constant

Q = oracle.Q


def random_network(seed, *widths, activations="relu"):
    rng = np.random.default_rng(seed)
    pairs = itertools.pairwise(widths)
    weights = [rng.normal(size=(after, before)) for before, after in pairs]
    return lipsnn.Network(weights, [rng.normal(size=len(W)) for W in weights], activations)


@pytest.mark.parametrize(
    ("weights", "biases", "activations", "constant"),
    [
        ([[[1], [-1]], [[1, 1]]], [[0, 0], [0]], "relu", 1),  # |x|
        ([[[1], [-1]], [[1, -1]]], [[0, 0], [0]], "relu", 1),  # x
        ([[[1], [1]], [[5, -5]]], [[0, -(2.0**-40)], [0]], "relu", 5),  # a hidden ridge
        ([[[1], [1]], [[5, 5]]], [[0, -(2.0**40)], [0]], "relu", 10),  # far out
        ([[[3, 4]], [[1]]], [[0], [0]], "relu", 5),
        ([[[1, 0], [0, 1]], [[1, 1]]], [[0, 0], [0]], "abs", 2**0.5),
        ([[[1]], [[1]], [[1]]], [[0], [-7], [0]], ["relu6", "relu"], 0),  # never reached
        ([[[1]], [[1]], [[1]]], [[0], [-5], [0]], ["relu6", "relu"], 1),
        ([[[1]], [[2], [0]]], [[0], [0, 0]], "relu", 2),
    ],
)
def test_known_constants(weights, biases, activations, constant):
    net = lipsnn.Network(weights, biases, activations)
    assert oracle.bounds_all(net, np.nextafter(constant, np.inf))
    assert constant == 0 or not oracle.bounds_all(net, constant * (1 - 1e-15))


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_constant_is_that_of_the_package(dim):
    """Two enumerations that share nothing."""
    for seed in range(4):
        net = random_network(seed, dim, 6, 1)
        constant = enumerated_constant(net.to_shallow())
        assert oracle.bounds_all(net, constant * (1 + 1e-12))
        assert not oracle.bounds_all(net, constant * (1 - 1e-12))


@pytest.mark.parametrize("activations", ["relu", "abs", "tanh", "gelu", "softplus", "selu"])
def test_attained_slope_is_the_gradient(activations):
    net = random_network(0, 3, 5, 4, 2, activations=activations)
    x = np.array([0.3, -0.2, 0.9])
    slope = float(slopes.attained_slope(net, x)) ** 0.5
    longest = np.linalg.norm(net.gradient(x), 2)
    # a few powers come near the largest singular value, and never above it
    assert 0.99 * longest <= slope <= longest * (1 + 1e-12)


def test_interior_points():
    """The triangle 0 < x, 0 < y, x + y < 1, and the same with its interior taken away."""
    rows = [[Q(1), Q(0), Q(0)], [Q(0), Q(1), Q(0)], [Q(-1), Q(-1), Q(1)]]
    x, y = oracle.interior_point(rows, 2)
    assert x > 0
    assert y > 0
    assert x + y < 1
    assert oracle.interior_point([*rows, [Q(1), Q(1), Q(-1)]], 2) is None
    assert oracle.interior_point([[Q(1), Q(0), Q(0)], [Q(-1), Q(0), Q(0)]], 2) is None


def test_semidefinite_to_the_last_digit():
    rank_one = [[Q(4), Q(6)], [Q(6), Q(9)]]
    assert oracle.semidefinite([list(row) for row in rank_one])
    rank_one[1][1] -= Q(1, 10**40)
    assert not oracle.semidefinite(rank_one)
    assert not oracle.semidefinite([[Q(0), Q(1)], [Q(1), Q(5)]])


@pytest.mark.parametrize("widths", [(2, 4, 1), (2, 3, 3, 2)])
def test_multipliers_certify_no_less_than_they_do(widths):
    net = random_network(0, *widths)
    certificate = lipsnn.certify(net)
    assert oracle.certifies(net, certificate.layers, certificate.bound * (1 + 1e-9))
    assert not oracle.certifies(net, certificate.layers, certificate.lower * (1 - 1e-9))


def found(strategy, check):
    """Whether `check` fails on one of a few examples."""
    counts = Counter()
    try:
        settings(max_examples=30, phases=[Phase.generate])(
            given(strategy)(lambda case: check(case, counts))
        )()
    except (AssertionError, BaseExceptionGroup):
        return True
    return False


def changed(function, **changes):
    return lambda *args, **kwargs: dataclasses.replace(
        result := function(*args, **kwargs),
        **{name: change(getattr(result, name)) for name, change in changes.items()},
    )


def test_planted_faults_are_found(monkeypatch):
    certify, refine = lipsnn.certify, lipsnn.refine
    kinds = KINDS["one sign"], KINDS["ordinary"]
    with monkeypatch.context() as patch:  # bounds a little too small
        patch.setattr(lipsnn, "certify", changed(certify, bound=lambda b: b * (1 - 1e-6)))
        assert found(kinds[0], test_networks.check)
    with monkeypatch.context() as patch:  # a gap that is hidden
        patch.setattr(lipsnn, "certify", changed(certify, lower=lambda b: b * 0.999))
        assert found(kinds[1], test_networks.check)
    with monkeypatch.context() as patch:  # a proof of too little
        patch.setattr(Certificate, "verify", lambda certificate: certificate.bound * (1 - 1e-6))
        assert found(kinds[1], test_networks.check)
    with monkeypatch.context() as patch:  # another network comes back
        patch.setattr(lipsnn, "refine", changed(refine, net=louder))
        assert found(test_refinement.trials("ordinary"), test_refinement.check)
    with monkeypatch.context() as patch:  # a hook is not seen
        patch.setattr(test_modules, "as_network", by_layers)
        assert found(modules.KINDS["forward hooks"], test_modules.check)


def louder(net):
    return lipsnn.ShallowNet(net.weights * (1 + 1e-7), net.outer, net.offset)


def by_layers(module):
    """What reading a Sequential's layers by their weights alone would give."""
    linear = [layer for layer in module if hasattr(layer, "weight")]
    return lipsnn.Network(
        [layer.weight.detach() for layer in linear], [layer.bias.detach() for layer in linear]
    )
