"""Adversarial training."""

import math

import numpy as np
import pytest
import torch

from lipsnn import ShallowNet, train_pgd, train_sgd
from lipsnn.attack import Ball, adversarial_mse
from lipsnn.train.descent import initial_network
from lipsnn.train.pgd import _attacked


def test_holds_out_against_the_attack_it_trained_on(servo):
    X, y = servo.X_train, servo.y_train
    plain = train_sgd(X, y, 20, 0.01, epochs=150)
    for norm, radius in ((2, 0.4), (math.inf, 0.2)):
        hardened = train_pgd(X, y, 20, 0.01, radius=radius, norm=norm, epochs=150)
        before, after = (
            adversarial_mse(net, X, y, [0.0, radius], norm=norm) for net in (plain, hardened)
        )
        assert after[1] < 0.9 * before[1]
        assert after[0] > before[0]  # the price: a worse fit of the clean data


def test_without_a_radius_it_is_train_sgd(servo):
    X, y = servo.X_train, servo.y_train
    one = train_pgd(X, y, 10, 0.1, 3, radius=0.0, epochs=20)
    two = train_sgd(X, y, 10, 0.1, 3, epochs=20)
    np.testing.assert_array_equal(one.weights, two.weights)


@pytest.mark.parametrize("norm", [2, math.inf])
def test_the_attack_stays_in_the_ball_and_raises_the_error(trained, servo, norm):
    X, y = servo.X_train, servo.y_train
    inputs = np.c_[X, np.ones(len(X))]
    start, ball = np.zeros_like(X), Ball(0.3, norm)
    attacked = _attacked(trained.weights, trained.outer, inputs, y, start, ball, 7, 2.5 * 0.3 / 7)
    assert (attacked[:, -1] == 1).all()
    moved = np.linalg.norm(attacked[:, :-1] - X, ord=norm, axis=1)
    assert moved.max() <= 0.3 * (1 + 1e-12)
    error, clean = ((trained(x) - y) ** 2 for x in (attacked[:, :-1], X))
    assert error.mean() > 2 * clean.mean()


def test_the_step_is_the_gradient_at_the_worst_inputs(servo):
    """Against autograd: through the loss at the attacked inputs, not through the attack."""
    X, y = servo.X_train, servo.y_train
    start = train_sgd(X, y, 6, 0.1, epochs=5)
    rate, radius = 0.01, 0.2
    settings = {"epochs": 1, "batch_size": len(X), "learning_rate": rate, "optimizer": "sgd"}
    net = train_pgd(X, y, 6, 0.0, 2, radius=radius, init=start, **settings)
    generator = torch.Generator().manual_seed(2)
    initial_network(4, 6, generator)
    rows = torch.randperm(len(X), generator=generator).numpy()
    delta = Ball(radius).draw(np.random.default_rng(2), X.shape)
    inputs = np.c_[X, np.ones(len(X))][rows]
    worst = _attacked(
        start.weights, start.outer, inputs, y[rows], delta, Ball(radius), 7, 2.5 * radius / 7
    )
    weights, outer = (torch.tensor(p, requires_grad=True) for p in (start.weights, start.outer))
    output = torch.relu(torch.from_numpy(worst) @ weights.T) @ outer
    (0.5 * ((output - torch.from_numpy(y[rows])) ** 2).mean()).backward()
    np.testing.assert_allclose(net.weights, start.weights - rate * weights.grad.numpy(), atol=1e-13)
    np.testing.assert_allclose(net.outer, start.outer - rate * outer.grad.numpy(), atol=1e-13)


def test_the_seed_decides_and_global_states_are_left(servo):
    X, y = servo.X_train, servo.y_train
    torch.manual_seed(1)
    before = torch.get_rng_state()
    nets = [train_pgd(X, y, 5, 0.1, seed, radius=0.1, epochs=3) for seed in (3, 3, 4)]
    np.testing.assert_array_equal(nets[0].weights, nets[1].weights)
    assert not np.array_equal(nets[0].weights, nets[2].weights)
    assert (torch.get_rng_state() == before).all()


def test_starts_where_it_is_told_and_keeps_the_offset(servo):
    X, y = servo.X_train, servo.y_train
    start = train_sgd(X, y, 8, 0.1, epochs=50)
    shifted = ShallowNet(start.weights, start.outer, 0.5)
    kept = train_pgd(X, y + 0.5, 8, 0.1, radius=0.1, epochs=0, init=shifted)
    np.testing.assert_array_equal(kept.weights, start.weights)
    trained = train_pgd(X, y + 0.5, 8, 0.1, radius=0.1, epochs=30, init=shifted)
    direct = train_pgd(X, y, 8, 0.1, radius=0.1, epochs=30, init=start)
    assert trained.offset == 0.5
    np.testing.assert_allclose(trained.weights, direct.weights, atol=1e-8)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"radius": -0.1}, "radius must not be negative"),
        ({"radius": "wide"}, "radius must be a number"),
        ({"norm": 1}, "norm must be one of"),
        ({"attack_steps": 0}, "attack_steps"),
        ({"strength": -1}, "strength"),
        ({"init": ShallowNet(np.ones((2, 3)), np.ones(2))}, "init must have 2 inputs and 3 units"),
        ({"optimizer": "lbfgs"}, "'adam'"),
    ],
)
def test_bad_arguments(change, word):
    arguments = {"X": np.eye(4)[:, :2], "y": np.zeros(4), "width": 3, "strength": 0.1}
    with pytest.raises(ValueError, match=word):
        train_pgd(**{**arguments, "radius": 0.1, **change})


def test_divergence_is_said():
    X = np.random.default_rng(0).normal(size=(20, 3))
    with pytest.raises(RuntimeError, match="smaller learning_rate"):
        train_pgd(X, X[:, 0], 5, 0.1, radius=0.1, learning_rate=1e9, optimizer="sgd", epochs=50)
