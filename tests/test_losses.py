"""Losses: value, derivative and mean agree, and targets are checked."""

import numpy as np
import pytest
import torch

from lipsnn import train_admm, train_pgd, train_sgd
from lipsnn.losses import LOSSES, SQUARED, as_loss


def test_the_derivative_is_that_of_differences():
    rng = np.random.default_rng(0)
    outputs, y, h = rng.normal(size=30), rng.normal(size=30), 1e-6
    differences = (SQUARED.value(outputs + h, y) - SQUARED.value(outputs - h, y)) / (2 * h)
    np.testing.assert_allclose(SQUARED.gradient(outputs, y), differences, atol=1e-8)
    both = (torch.from_numpy(part)[:, None] for part in (outputs, y))
    assert float(SQUARED.mean(*both)) == pytest.approx(SQUARED.value(outputs, y).mean())


def test_means_are_what_they_say():
    rng = np.random.default_rng(0)
    outputs, y, c = rng.normal(size=(30, 4)), rng.normal(size=(30, 4)), rng.integers(0, 4, 30)
    f, t = torch.from_numpy(outputs), torch.from_numpy(y)
    squares = ((outputs - y) ** 2).sum(axis=1)
    assert float(LOSSES["squared"].mean(f, t)) == pytest.approx(squares.mean() / 2)
    assert float(LOSSES["mse"].mean(f, t)) == pytest.approx(squares.mean() / 4)
    logs = np.log(np.exp(outputs).sum(axis=1)) - outputs[np.arange(30), c]
    entropy = LOSSES["cross_entropy"].mean(f, torch.from_numpy(c))
    assert float(entropy) == pytest.approx(logs.mean())


def test_names():
    assert as_loss("cross-entropy") is as_loss("cross_entropy") is LOSSES["cross_entropy"]
    assert as_loss("squares") is as_loss("squared")
    assert as_loss(SQUARED) is SQUARED
    with pytest.raises(ValueError, match="'mse', 'cross_entropy'"):
        as_loss("hinge")


@pytest.mark.parametrize(
    "train",
    [
        lambda *a, **k: train_sgd(*a, 3, 0.1, epochs=2, **k),
        lambda *a, **k: train_pgd(*a, 3, 0.1, radius=0.1, epochs=2, **k),
        lambda *a, **k: train_admm(*a, 3, 0.1, iterations=1, epochs=1, **k).net,
    ],
)
def test_seeds_of_numpys_types_are_taken_and_others_named(train):
    X = np.random.default_rng(0).normal(size=(20, 2))
    expected = train(X, X[:, 0], seed=5)
    for seed in (np.int64(5), np.uint8(5), np.int32(5)):
        np.testing.assert_array_equal(train(X, X[:, 0], seed=seed).weights, expected.weights)
    for seed in (-1, 1.5, True):
        with pytest.raises(ValueError, match="seed must be a whole number"):
            train(X, X[:, 0], seed=seed)
