"""The strength of the mean loss, in all training functions."""

import numpy as np
import pytest

from lipsnn import train_lipschitz, train_sgd
from lipsnn.train import train_admm, train_pgd


@pytest.mark.parametrize(
    ("train", "settings"),
    [
        (train_sgd, {}),
        (train_pgd, {"radius": 0.1}),
        (train_lipschitz, {}),
        (train_admm, {"iterations": 2}),
    ],
)
def test_the_mean_is_the_sum_at_n_times_the_strength(train, settings):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(32, 2)), rng.normal(size=32)
    settings = {"epochs": 3, **settings}
    mean = train(X, y, 5, 0.25, reduction="mean", **settings)
    total = train(X, y, 5, 32 * 0.25, **settings)
    mean, total = getattr(mean, "net", mean), getattr(total, "net", total)
    np.testing.assert_array_equal(mean.weights, total.weights)
    with pytest.raises(ValueError, match="reduction must be one of"):
        train(X, y, 5, 0.25, reduction="median", **settings)
