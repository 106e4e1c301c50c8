import math

import numpy as np
import pytest
from drawing import draw_network

from lipsnn import certify, pgd_attack
from lipsnn.attack import adversarial_mse


@pytest.fixture(scope="module")
def case():
    rng = np.random.default_rng(1)
    X = rng.normal(size=(25, 3))
    return draw_network(2, 15, 3), X, rng.normal(size=25)


@pytest.mark.parametrize("norm", [2, math.inf])
def test_stays_in_the_ball_and_never_helps(case, norm):
    net, X, y = case
    attacked = pgd_attack(net, X, y, 0.3, norm=norm, restarts=2)
    assert attacked.shape == X.shape
    assert (np.linalg.norm(attacked - X, ord=norm, axis=1) <= 0.3 + 1e-12).all()
    assert ((net(attacked) - y) ** 2 >= (net(X) - y) ** 2).all()


def test_no_radius_no_change(case):
    net, X, y = case
    np.testing.assert_array_equal(pgd_attack(net, X, y, 0.0), X)


def test_comes_close_to_the_worst_of_a_dense_search(case):
    net, X, y = case
    rng = np.random.default_rng(7)
    delta = rng.normal(size=(100_000, 3))
    delta *= 0.3 / np.linalg.norm(delta, axis=1, keepdims=True)
    searched = np.array([((net(x + delta) - t) ** 2).max() for x, t in zip(X, y, strict=True)])
    attacked = pgd_attack(net, X, y, 0.3, restarts=3)
    assert ((net(attacked) - y) ** 2 >= 0.98 * searched).mean() > 0.9


def test_cannot_move_the_output_further_than_the_certificate_allows(case):
    net, X, y = case
    attacked = pgd_attack(net, X, y, 0.5, restarts=2)
    assert (np.abs(net(attacked) - net(X)) <= 0.5 * certify(net).bound * (1 + 1e-9)).all()


def test_error_grows_with_radius_and_is_clean_at_zero(case):
    net, X, y = case
    mse = adversarial_mse(net, X, y, [0.0, 0.1, 0.2, 0.4])
    assert mse[0] == pytest.approx(np.mean((net(X) - y) ** 2))
    assert (np.diff(mse) > 0).all()


def test_seed_decides(case):
    net, X, y = case
    one, two = (pgd_attack(net, X, y, 0.3, restarts=1, seed=4) for _ in range(2))
    np.testing.assert_array_equal(one, two)


def test_takes_a_torch_network(case):
    net, X, y = case
    np.testing.assert_array_equal(pgd_attack(net.to_torch(), X, y, 0.3), pgd_attack(net, X, y, 0.3))


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"radius": -1}, "radius"),
        ({"radius": math.inf}, "radius must be finite"),
        ({"norm": 1}, "norm must be one of"),
        ({"steps": 0}, "steps"),
        ({"restarts": -1}, "restarts"),
        ({"step_size": 0}, "step_size"),
        ({"y": np.zeros(3)}, "25 rows"),
    ],
)
def test_bad_arguments(case, change, word):
    net, X, y = case
    with pytest.raises(ValueError, match=word):
        pgd_attack(**{"net": net, "X": X, "y": y, "radius": 0.1, **change})
