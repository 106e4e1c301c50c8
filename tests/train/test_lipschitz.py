"""Training problem (4) by the gradient of the certificate."""

import numpy as np
import pytest
import torch

from lipsnn import certify, objective, train_sgd
from lipsnn.train import train_lipschitz


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(80, 3))
    return X, np.sin(X.sum(axis=1)) + 0.1 * rng.normal(size=80)


def test_lowers_the_objective_it_trains(data):
    X, y = data
    trained = train_lipschitz(X, y, 12, 0.5, epochs=200, batch_size=20)
    start = train_lipschitz(X, y, 12, 0.5, epochs=0)
    decayed = train_sgd(X, y, 12, 0.5, epochs=200, batch_size=20)
    value = objective(trained, X, y, 0.5, "lipschitz")
    assert value < 0.5 * objective(start, X, y, 0.5, "lipschitz")
    assert value < objective(decayed, X, y, 0.5, "lipschitz")


def test_strength_lowers_the_bound(data):
    bounds = [
        certify(train_lipschitz(*data, 12, strength, epochs=100, batch_size=20)).bound
        for strength in (0.0, 0.3, 3.0)
    ]
    assert bounds == sorted(bounds, reverse=True)
    assert bounds[2] < 0.5 * bounds[0]


def test_mini_batches(data):
    X, y = data
    trained = train_lipschitz(X, y, 10, 0.5, epochs=20, batch_size=16)
    start = train_lipschitz(X, y, 10, 0.5, epochs=0)
    assert objective(trained, X, y, 0.5, "lipschitz") < objective(start, X, y, 0.5, "lipschitz")


def test_the_seed_decides_and_torch_is_left_alone(data):
    torch.manual_seed(1)
    before = torch.get_rng_state()
    nets = [train_lipschitz(*data, 5, 0.1, seed, epochs=5, batch_size=20) for seed in (3, 3, 4)]
    assert (nets[0].weights == nets[1].weights).all()
    assert not (nets[0].weights == nets[2].weights).all()
    assert (torch.get_rng_state() == before).all()


def test_divergence_is_an_error(data):
    with pytest.raises(RuntimeError, match="smaller learning_rate"):
        train_lipschitz(*data, 5, 0.1, epochs=50, learning_rate=1e6, optimizer="sgd")


def test_bad_input(data):
    X, y = data
    for arguments, message in (
        ({"strength": -1.0}, "strength must not be negative"),
        ({"batch_size": 0}, "batch_size"),
        ({"tol": 0.0}, "tol must be positive"),
        ({"optimizer": "lbfgs"}, "optimizer must be one of"),
    ):
        with pytest.raises(ValueError, match=message):
            train_lipschitz(X, y, 5, **({"strength": 0.1} | arguments))
