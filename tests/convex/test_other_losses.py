"""Losses beside the squared one: the printed programs' optimum, and never worse."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from restrictions import assert_solved, cases, multipliers, restriction

from lipsnn import ShallowNet, certify, objective, refine, train_sgd
from lipsnn.convex import structured
from lipsnn.losses import Huber

LOSSES = [Huber(0.3), "logistic"]


def targets(loss, y):
    return np.sign(y) + (y == 0) if loss == "logistic" else y


@pytest.fixture(scope="module")
def trained():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 3))
    y = np.sin(X).sum(axis=1) + 0.2 * rng.standard_t(2, size=60)
    return train_sgd(X, y, 8, 0.1, epochs=200), X, y


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(
    "how",
    [
        {"strength": 0.5},
        {"strength": 0.02, "output_bias": True, "reduction": "mean"},
        {"bound": 1.0},
        {"bound": 0.5, "output_bias": True},
        {"strength": 0.5, "method": "alternating", "rounds": 1},
        {"strength": 0.5, "regularizer": "l2"},
    ],
)
def test_the_reference_agrees(trained, loss, how):
    net, X, y = trained
    net = ShallowNet(net.weights, net.outer, 0.3)  # held, or where it starts
    how = {"output_bias": False, **how}
    ours = refine(net, X, targets(loss, y), loss=loss, **how)
    reference = refine(net, X, targets(loss, y), loss=loss, solver="CLARABEL", **how)
    assert ours.status == reference.status
    assert ours.objective == pytest.approx(reference.objective, rel=1e-6)
    assert ours.strength == pytest.approx(reference.strength, rel=1e-3)
    assert how["output_bias"] or ours.net.offset == 0.3


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("method", ["joint", "alternating", "walk", "l2"])
@given(case=cases(), biased=st.booleans())
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_never_worse(loss, method, case, biased):
    net, X, y, strength = case
    net, y = ShallowNet(net.weights, net.outer, 0.5 * biased), targets(loss, y)
    if not (net.patterns(X) & (net.outer != 0)).any():
        return
    kind = ("l2", "joint") if method == "l2" else ("lipschitz", method)
    result = refine(net, X, y, strength, *kind, rounds=2, loss=loss)
    initial = objective(net, X, y, strength, kind[0], loss=loss)
    assert result.initial_objective == pytest.approx(initial, rel=1e-12)
    assert result.objective <= initial
    assert result.objective == objective(result.net, X, y, strength, kind[0], loss=loss)
    if kind[0] == "lipschitz" and certify(net).bound > 0:
        held = refine(net, X, y, bound="own", method=method, rounds=2, loss=loss)
        assert held.objective <= held.initial_objective
        assert held.certificate.bound <= held.initial_certificate.bound


@pytest.mark.parametrize("loss", LOSSES)
def test_the_walk_goes_on(trained, loss):
    net, X, y = trained
    result = refine(net, X, targets(loss, y), 0.1, method="walk", rounds=5, loss=loss)
    assert result.gain_over_joint > 1e-3
    values = [entry.objective for entry in result.history if entry.accepted]
    assert values == sorted(values, reverse=True)


@pytest.mark.parametrize("offset", [False, True])
def test_a_weight_is_so_many_equal_samples(offset):
    net, (X1, y, patterns, signs), strength = restriction("plain", "repeated rows")
    weights = np.random.default_rng(0).integers(1, 4, size=len(y))
    fixed = np.abs(net.outer), multipliers(net)
    for name, more in (("solve_joint", ()), ("solve_lipschitz", fixed), ("solve_l2", ())):
        solve = getattr(structured, name)
        ours = solve(X1, y, patterns, signs, *more, strength, weights=weights, offset=offset)
        assert_solved(ours, y)
        many = (np.repeat(part, weights, axis=0) for part in (X1, y, patterns))
        repeated = solve(*many, signs, *more, strength, offset=offset)
        assert ours.value == pytest.approx(repeated.value, rel=1e-7)


def test_what_is_refused(trained):
    net, X, y = trained
    for change, words in (
        ({"loss": "mse"}, "squared, cross_entropy, huber, logistic here, got 'mse'"),
        ({"loss": "cross_entropy"}, "squared, huber, logistic for one output"),
        ({"loss": "logistic"}, "labels -1 and 1"),
    ):
        with pytest.raises(ValueError, match=words):
            refine(net, X, y, 1.0, **change)
