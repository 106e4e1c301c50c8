"""Corollary 10 kept in floating point: whatever is given, the result is never worse."""

import pytest
from hypothesis import HealthCheck, given, settings
from restrictions import cases

from lipsnn import ShallowNet, objective, refine

METHODS = [
    ("lipschitz", "alternating"),
    ("lipschitz", "joint"),
    ("lipschitz", "walk"),
    ("l2", "joint"),
]


@pytest.mark.parametrize(("regularizer", "method"), METHODS)
@given(case=cases())
@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
def test_never_worse(regularizer, method, case):
    net, X, y, strength = case
    if not (net.patterns(X) & (net.outer != 0)).any():
        with pytest.raises(ValueError, match="dead"):
            refine(net, X, y, strength, regularizer, method)
        return
    result = refine(net, X, y, strength, regularizer, method, rounds=3)
    initial = objective(net, X, y, strength, regularizer)
    assert result.initial_objective == pytest.approx(initial, rel=1e-12)
    assert result.objective <= initial
    assert result.objective == objective(result.net, X, y, strength, regularizer)
    assert result.cone_violation < 1e-4


@pytest.mark.parametrize(("regularizer", "method"), METHODS)
@given(case=cases())
@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow])
def test_never_worse_with_an_output_bias(regularizer, method, case):
    net, X, y, strength = case
    if not (net.patterns(X) & (net.outer != 0)).any():
        return
    biased = ShallowNet(net.weights, net.outer, 3.0)
    result = refine(biased, X, y + 5.0, strength, regularizer, method, rounds=3)
    initial = objective(biased, X, y + 5.0, strength, regularizer)
    values = [entry.objective for entry in result.history if entry.accepted]
    assert values == sorted(values, reverse=True)
    assert result.objective <= initial
    assert result.objective == objective(result.net, X, y + 5.0, strength, regularizer)
    fixed = refine(biased, X, y + 5.0, strength, regularizer, method, rounds=3, output_bias=False)
    assert fixed.net.offset == 3.0
    if regularizer == "l2" or method == "joint":  # one program, which contains the other
        assert result.objective <= fixed.objective * (1 + 1e-6) + 1e-9 * (1 + strength)
