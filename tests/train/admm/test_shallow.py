"""ADMM on problem (4) for shallow networks."""

import numpy as np
import pytest
import torch

from lipsnn import ShallowNet, certify, objective, train_admm, train_sgd
from lipsnn.train.admm import FixedStep

SHORT = {"iterations": 8, "epochs": 4, "learning_rate": 5e-3}


def test_lowers_the_objective_of_4(trained, servo):
    X, y = servo.X_train, servo.y_train
    result = train_admm(X, y, strength=0.5, init=trained, iterations=40)
    before = objective(trained, X, y, 0.5, "lipschitz")
    for net in (result.net, result.feasible):
        assert objective(net, X, y, 0.5, "lipschitz") < 0.9 * before
    assert result.history[-1].primal < 0.1 * result.history[0].primal
    assert len(result.history) <= 40


def test_the_history_says_what_was_reached(trained, servo):
    X, y = servo.X_train, servo.y_train
    result = train_admm(X, y, strength=0.5, init=trained, **SHORT)
    last = result.history[-1]
    loss = 0.5 * np.sum((result.net(X) - y) ** 2)
    assert last.loss == pytest.approx(loss)
    feasible = 0.5 * np.sum((result.feasible(X) - y) ** 2)
    assert last.objective == pytest.approx(feasible + 0.5 * last.bound**2)
    apart = np.linalg.norm(result.net.weights - result.feasible.weights) ** 2
    apart += np.linalg.norm(result.net.outer - result.feasible.outer) ** 2
    assert last.primal == pytest.approx(np.sqrt(apart))
    # T is free in the certificate, so it is no worse than the bound at fixed T
    assert certify(result.feasible).bound <= last.bound * (1 + 1e-6)
    assert [entry.seconds for entry in result.history] == sorted(
        entry.seconds for entry in result.history
    )
    assert result.status == "iteration_limit"


@pytest.mark.parametrize("multipliers", ["fixed", "updated"])
def test_the_enforced_bound_holds_at_every_iteration(trained, servo, multipliers):
    """Pauli et al.'s Theorem 8, asserted on each Wbar."""
    X, y = servo.X_train, servo.y_train
    desired = 0.6 * certify(trained).bound
    seen = []
    settings = {"multipliers": multipliers, "callback": seen.append, **SHORT}
    result = train_admm(X, y, enforce=desired, init=trained, **settings)
    assert len(seen) == len(result.history) == SHORT["iterations"]
    assert seen[-1] is result.feasible
    for net in seen:
        assert certify(net, tol=1e-9).bound <= desired * (1 + 1e-8)
    assert {entry.bound for entry in result.history} == {desired}


def test_multipliers_fixed_given_or_updated(trained, servo):
    X, y = servo.X_train, servo.y_train
    t = certify(trained).multipliers
    settings = {"strength": 2.0, "init": trained, **SHORT}
    fixed, given, updated = (
        train_admm(X, y, multipliers=how, **settings) for how in ("fixed", t, "updated")
    )
    np.testing.assert_array_equal(fixed.multipliers, t)
    np.testing.assert_array_equal(fixed.net.weights, given.net.weights)
    np.testing.assert_array_equal(updated.multipliers, certify(updated.feasible).multipliers)
    assert abs(updated.multipliers - t).max() > 1e-2 * t.max()
    assert updated.history[1].objective != fixed.history[1].objective


def test_units_that_do_nothing(trained, servo):
    """a_i = 0, and multipliers of zero: such units neither break the step nor come alive."""
    X, y = servo.X_train, servo.y_train
    outer = trained.outer.copy()
    outer[[1, 4]] = 0.0
    net = ShallowNet(trained.weights, outer)
    result = train_admm(X, y, strength=0.5, init=net, **SHORT)
    assert np.isfinite(result.net.weights).all()
    t = certify(trained).multipliers.copy()
    t[3] = 0.0
    result = train_admm(X, y, strength=0.5, init=trained, multipliers=t, **SHORT)
    assert result.feasible.outer[3] == 0.0


def test_starts_without_an_initial_network(servo):
    X, y = servo.X_train, servo.y_train
    result = train_admm(X, y, 6, 0.5, 3, decay=0.2, **SHORT)
    start = train_sgd(X, y, 6, 0.2, 3)
    given = train_admm(X, y, 6, 0.5, 3, init=start, **SHORT)
    np.testing.assert_array_equal(result.net.weights, given.net.weights)


def test_the_offset_is_kept(trained, servo):
    X, y = servo.X_train, servo.y_train
    shifted = ShallowNet(trained.weights, trained.outer, 0.5)
    one = train_admm(X, y, strength=0.5, init=trained, **SHORT)
    two = train_admm(X, y + 0.5, strength=0.5, init=shifted, **SHORT)
    assert two.net.offset == two.feasible.offset == 0.5
    np.testing.assert_allclose(one.net.weights, two.net.weights, atol=1e-6)


def test_the_seed_decides_and_torch_is_left_alone(trained, servo):
    X, y = servo.X_train, servo.y_train
    before = torch.get_rng_state()
    nets = [
        train_admm(X, y, strength=0.5, seed=seed, init=trained, **SHORT).net for seed in (1, 1, 2)
    ]
    np.testing.assert_array_equal(nets[0].weights, nets[1].weights)
    assert not np.array_equal(nets[0].weights, nets[2].weights)
    assert (torch.get_rng_state() == before).all()


def test_ctrl_c_keeps_the_last_complete_iteration(trained, servo, monkeypatch):
    X, y = servo.X_train, servo.y_train
    whole = train_admm(X, y, strength=0.5, init=trained, **SHORT)
    solve, calls = FixedStep.solve, []

    def interrupted(self, target):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return solve(self, target)

    monkeypatch.setattr(FixedStep, "solve", interrupted)
    result = train_admm(X, y, strength=0.5, init=trained, **SHORT)
    assert result.status == "interrupted"
    assert len(result.history) == 3
    assert result.history[-1].objective == whole.history[2].objective
    loss = 0.5 * np.sum((result.net(X) - y) ** 2)
    assert loss == pytest.approx(result.history[-1].loss)


@pytest.mark.parametrize(
    "change", [{"learning_rate": 1e6, "optimizer": "sgd"}, {"penalty": 1e6, "optimizer": "sgd"}]
)
def test_divergence_is_said(trained, servo, change):
    settings = {"strength": 0.5, "init": trained, **SHORT, **change}
    with pytest.raises(RuntimeError, match="smaller learning_rate"):
        train_admm(servo.X_train, servo.y_train, **settings)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"strength": None}, "either strength"),
        ({"enforce": 1.0}, "either strength"),
        ({"strength": None, "enforce": 0.0}, r"enforce \(L_des\) must be positive"),
        ({"strength": None, "enforce": -2.0}, r"enforce \(L_des\) must be positive"),
        ({"strength": 0.0}, "strength must be positive"),
        ({"penalty": 0.0}, "penalty must be positive"),
        ({"iterations": 0}, "iterations"),
        ({"epochs": 0}, "epochs"),
        ({"tol": 0.0}, "tol"),
        ({"width": None}, "give width"),
        ({"decay": -1.0}, "decay"),
        ({"multipliers": "free as air"}, "multipliers must be one of"),
        ({"multipliers": np.ones(4)}, "the multipliers are for"),
        ({"multipliers": -np.ones(3)}, "none negative"),
        ({"init": ShallowNet(np.ones((2, 3)), np.ones(2))}, "init has 2 units"),
        ({"init": ShallowNet(np.ones((3, 4)), np.ones(3))}, "init must have 2 inputs"),
        ({"loss": "hinge"}, "loss must be one of"),
        ({"loss": "mse"}, "for torch networks"),
        ({"X": np.full((4, 2), np.nan)}, "NaN"),
    ],
)
def test_bad_arguments(change, word):
    arguments = {"X": np.eye(4)[:, :2], "y": np.zeros(4), "width": 3, "strength": 0.1}
    with pytest.raises(ValueError, match=word):
        train_admm(**{**arguments, **change})
