"""An enforced bound: rho <= L^2 in place of its price, by every method, kept in floating point."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from restrictions import (
    DATA,
    NETS,
    assert_agree,
    assert_solved,
    cases,
    multipliers,
    restriction,
)

from lipsnn import ShallowNet, certify, refine, train_sgd
from lipsnn.convex import programs, structured
from lipsnn.convex.objective import loss


@pytest.mark.parametrize("L", [0.3, 3.0])
@pytest.mark.parametrize("kind", NETS)
def test_against_the_reference(kind, L):
    """Both programs, under a bound that costs much and one that costs little or nothing."""
    net, (X1, y, patterns, signs), _ = restriction(kind, DATA[NETS.index(kind) % len(DATA)])
    fixed = np.abs(net.outer), multipliers(net)
    for name, more in (("solve_joint", ()), ("solve_lipschitz", fixed)):
        arguments = X1, y, patterns, signs, *more, None
        ours = getattr(structured, name)(*arguments, bound=L)
        assert_solved(ours, y)
        reference = getattr(programs, name)(*arguments, solver="CLARABEL", bound=L)
        assert_agree(ours, reference, y)
        # what Clarabel calls zero is its noise
        scale = y @ y / L**2
        assert ours.strength == pytest.approx(reference.strength, rel=1e-3, abs=1e-5 * scale)
        assert ours.rho <= L**2 * (1 + 1e-9)


@pytest.mark.parametrize("kind", NETS)
def test_its_multiplier_is_the_strength_with_the_same_solution(kind):
    (net, (X1, y, patterns, signs), _), strength = restriction(kind, "plain"), 0.3
    fixed = np.abs(net.outer), multipliers(net)
    for solve, more in ((structured.solve_joint, ()), (structured.solve_lipschitz, fixed)):
        priced = solve(X1, y, patterns, signs, *more, strength)
        held = solve(X1, y, patterns, signs, *more, None, bound=np.sqrt(priced.rho))
        assert held.strength == pytest.approx(strength, rel=1e-3)
        assert held.value + strength * priced.rho == pytest.approx(priced.value, rel=1e-6)


def test_starts_from_another_bound_or_other_multipliers():
    net, (X1, y, patterns, signs), _ = restriction("plain", "plain")
    t, kappa = multipliers(net), np.abs(net.outer)
    for solve, before, now in (
        (structured.solve_joint, (None,), (None,)),
        (
            structured.solve_lipschitz,
            (kappa, t, None),
            (kappa, t * np.linspace(1, 3, t.size), None),
        ),
    ):
        first = solve(X1, y, patterns, signs, *before, bound=2.0)
        for L in (1.0, 2.0, 4.0):
            warm = solve(X1, y, patterns, signs, *now, bound=L, start=first)
            assert_solved(warm, y)
            cold = solve(X1, y, patterns, signs, *now, bound=L)
            assert warm.value == pytest.approx(cold.value, rel=1e-7)


@pytest.mark.parametrize("method", ["joint", "alternating", "walk"])
@given(case=cases(), share=st.sampled_from([1e-3, 0.5, 1.0, 2.0]), biased=st.booleans())
@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow])
def test_never_worse_and_never_above_the_bound(method, case, share, biased):
    net, X, y, _ = case
    net = ShallowNet(net.weights, net.outer, 3.0 * biased)
    own = certify(net).bound
    if own == 0 or not (net.patterns(X) & (net.outer != 0)).any():
        return
    result = refine(
        net, X, y, bound="own" if share == 1.0 else share * own, method=method, rounds=3
    )
    assert result.bound == share * own
    assert result.certificate.bound == certify(result.net).bound <= result.bound
    assert result.objective == loss(result.net, X, y)
    assert result.initial_objective == loss(net, X, y)
    kept = min(share, 1.0) * (1 - 1e-12)
    scaled = ShallowNet(net.weights, kept * net.outer, net.offset)
    assert result.objective <= loss(net if share >= 1.0 else scaled, X, y) * (1 + 1e-9)
    values = [entry.objective for entry in result.history if entry.accepted]
    assert values == sorted(values, reverse=True)
    assert result.cone_violation < 1e-4


@pytest.fixture(scope="module")
def trained():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 3))
    y = np.sin(X).sum(axis=1)
    return train_sgd(X, y, 8, 0.1, epochs=200), X, y


@pytest.mark.parametrize("reduction", ["sum", "mean"])
@pytest.mark.parametrize("method", ["joint", "polish"])
def test_the_reference_agrees_through_refine(trained, method, reduction):
    settings = {"method": method, "reduction": reduction, "rounds": 1, "bound": "own"}
    ours = refine(*trained, **settings)
    reference = refine(*trained, solver="CLARABEL", **settings)
    first, second = ours.history[1], reference.history[1]
    assert first.loss == pytest.approx(second.loss, rel=1e-6)
    assert ours.objective <= first.loss
    assert ours.certificate.bound <= ours.initial_certificate.bound
    if method == "joint":
        assert ours.strength == pytest.approx(reference.strength, rel=1e-4)
        priced = refine(*trained, ours.strength, reduction=reduction)
        assert priced.certificate.bound == pytest.approx(ours.bound, rel=1e-5)
        assert priced.history[-1].loss == pytest.approx(ours.objective, rel=1e-5)


def test_below_the_networks_own_it_is_scaled_first(trained):
    result = refine(*trained, bound=0.1)
    assert [entry.step for entry in result.history] == ["initial", "scaled", "joint"]
    assert [entry.accepted for entry in result.history] == [False, True, True]
    assert result.certificate.bound <= 0.1 < result.initial_certificate.bound
    assert "at most 0.1" in repr(result)
    assert result.reduction < 0


def test_half_of_the_patterns(trained):
    result = refine(*trained, bound="own", sample=0)
    assert result.certificate.bound <= result.bound == result.initial_certificate.bound


def test_bad_bounds(trained):
    net, X, y = trained
    for both in ({}, {"strength": 1.0, "bound": 1.0}):
        with pytest.raises(ValueError, match="either strength"):
            refine(net, X, y, **both)
    for bound in (0.0, -1.0, np.nan, "mine"):
        with pytest.raises(ValueError, match=r"bound .*every bound above 0 can be kept"):
            refine(net, X, y, bound=bound)
    with pytest.raises(ValueError, match='regularizer="lipschitz"'):
        refine(net, X, y, bound=1.0, regularizer="l2")
    flat = net.weights.copy()
    flat[:, :-1] = 0.0
    with pytest.raises(ValueError, match="own bound is 0"):
        refine(ShallowNet(np.abs(flat), net.outer), X, y, bound="own")


@pytest.mark.parametrize("L", [5e-324, 1e-300, 1e200, 1e308])
def test_bounds_near_the_ends_of_float64(trained, L):
    net, X, y = trained
    found = refine(net, X, y, bound=L)
    assert found.certificate.bound <= L
    free = refine(net, X, y, bound=1e6)
    if L > 1:
        assert found.objective == pytest.approx(free.objective, rel=1e-4)
    else:
        assert found.objective == pytest.approx(loss(ShallowNet(net.weights, 0 * net.outer), X, y))
