import numpy as np
import pytest
import torch

from lipsnn import objective, train_sgd


def test_trains_the_l2_problem(servo):
    X, y = servo.X_train, servo.y_train
    start = train_sgd(X, y, 20, 0.1, epochs=0)
    net = train_sgd(X, y, 20, 0.1, epochs=150)
    assert objective(net, X, y, 0.1, "l2") < 0.1 * objective(start, X, y, 0.1, "l2")
    assert (net.width, net.dim, net.offset) == (20, 4, 0.0)


def test_strength_shrinks_the_weights(servo):
    X, y = servo.X_train, servo.y_train
    sizes = [
        np.sum(train_sgd(X, y, 20, strength, epochs=150).weights ** 2) for strength in (0.01, 1, 10)
    ]
    assert sizes[0] > sizes[1] > sizes[2]


def test_seed_decides_and_global_state_is_left(servo):
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    one, two, other = (
        train_sgd(servo.X_train, servo.y_train, 5, 0.1, seed=seed, epochs=3) for seed in (1, 1, 2)
    )
    assert torch.rand(1) == expected
    np.testing.assert_array_equal(one.weights, two.weights)
    assert not np.array_equal(one.weights, other.weights)


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_either_optimizer_lowers_the_error(servo, optimizer):
    net = train_sgd(servo.X_train, servo.y_train, 10, 0.1, epochs=100, optimizer=optimizer)
    assert np.mean((net(servo.X_train) - servo.y_train) ** 2) < 0.3


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"X": np.full((4, 2), np.nan)}, "NaN"),
        ({"X": np.zeros((0, 2)), "y": []}, "no rows"),
        ({"X": np.zeros((4, 0))}, "no columns"),
        ({"y": np.zeros(5)}, "4 rows"),
        ({"y": np.zeros((4, 2))}, "y must have 1 dimension"),
        ({"width": 0}, "width"),
        ({"width": 2.5}, "width"),
        ({"strength": -1}, "strength"),
        ({"strength": "much"}, "strength must be a number"),
        ({"epochs": -1}, "epochs"),
        ({"batch_size": 0}, "batch_size"),
        ({"learning_rate": 0}, "learning_rate"),
        ({"optimizer": "lbfgs"}, "'adam'"),
    ],
)
def test_bad_arguments(change, word):
    arguments = {"X": np.eye(4)[:, :2], "y": np.zeros(4), "width": 3, "strength": 0.1}
    with pytest.raises(ValueError, match=word):
        train_sgd(**{**arguments, **change})


def test_divergence_is_said():
    X = np.random.default_rng(0).normal(size=(20, 3))
    with pytest.raises(RuntimeError, match="smaller learning_rate"):
        train_sgd(X, X[:, 0], 5, 0.1, learning_rate=1e9, optimizer="sgd", epochs=50)
