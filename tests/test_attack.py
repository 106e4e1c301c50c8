import math
from fractions import Fraction

import numpy as np
import pytest
from drawing import draw_network

from lipsnn import Network, ShallowNet, certify, pgd_attack
from lipsnn.attack import Ball, adversarial_mse, pgd_inputs


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
        ({"steps": -1}, "steps"),
        ({"restarts": -1}, "restarts"),
        ({"step_size": 0}, "step must be positive"),
        ({"y": np.zeros(3)}, "25 rows"),
        ({"clip": (1, 0)}, "clip must be two numbers, the smaller first"),
        ({"clip": (0, 1)}, "outside of clip"),
        ({"seed": 0.5}, "seed"),
    ],
)
def test_bad_arguments(case, change, word):
    net, X, y = case
    with pytest.raises(ValueError, match=word):
        pgd_attack(**{"net": net, "X": X, "y": y, "radius": 0.1, **change})


@pytest.mark.parametrize("norm", [2, math.inf])
@pytest.mark.parametrize("outputs", [1, 3])
def test_a_deep_network_of_several_outputs(norm, outputs):
    rng = np.random.default_rng(0)
    shapes = (8, 4), (6, 8), (outputs, 6)
    net = Network([rng.normal(size=shape) for shape in shapes], None, ("tanh", "silu"))
    X, y = rng.normal(size=(40, 4)), rng.normal(size=(40, outputs))
    attacked = pgd_attack(net, X, y, 0.3, norm=norm)
    assert np.linalg.norm(attacked - X, norm, axis=1).max() <= 0.3 * (1 + 1e-12)
    errors = [((net(points) - y) ** 2).sum(1) for points in (X, attacked)]
    assert (errors[1] >= errors[0]).all()
    tried = [net(X + Ball(0.3, norm).draw(rng, X.shape)) for _ in range(1000)]
    searched = ((np.array(tried) - y) ** 2).sum(2).max(0)
    assert (errors[1] >= 0.98 * searched).mean() > 0.9
    found = adversarial_mse(net, X, y, [0.0, 0.3], norm=norm)
    np.testing.assert_allclose(found, [np.mean(each) / outputs for each in errors], rtol=1e-12)


def test_one_with_classes_is_that_on_the_margin():
    rng = np.random.default_rng(0)
    net = Network([rng.normal(size=(8, 4)), rng.normal(size=(3, 8))])
    X = rng.normal(size=(40, 4))
    classes = net(X).argmax(1)
    attacked = pgd_attack(net, X, classes, 0.4, steps=20)
    assert (net(attacked).argmax(1) != classes).any()
    expected = pgd_inputs(net.to_torch(), X, classes, 0.4, iterations=20, restarts=1)
    np.testing.assert_array_equal(attacked, expected)
    with pytest.raises(ValueError, match="whole class numbers"):
        pgd_attack(net, X, classes + 0.5, 0.4)
    with pytest.raises(ValueError, match="outputs of the network"):
        adversarial_mse(net, X, classes, [0.4])


def test_one_that_fits_exactly_is_attacked_too():
    """Where the residual is zero neither sign is uphill, and both are."""
    net = ShallowNet([[1.0, 0.0], [-1.0, 0.0]], [1.0, -1.0])  # f(x) = x
    X = np.array([[0.5], [-2.0]])
    attacked = pgd_attack(net, X, X[:, 0], 0.25, restarts=0)
    np.testing.assert_allclose(np.abs(attacked - X), 0.25, rtol=1e-12)


def test_a_flat_region_is_left_if_the_ball_allows_it():
    net = ShallowNet([[1.0, 0.0, -0.05]], [1.0])  # max(x_1 - 0.05, 0): flat around 0
    X = np.zeros((20, 2))
    attacked = pgd_attack(net, X, np.zeros(20), 1.0, restarts=0, steps=50)
    assert (net(attacked) > 0.9).mean() > 0.9


def test_numpys_seeds_and_float32_data_are_taken(case):
    net, X, y = case
    one = pgd_attack(net, X.astype(np.float32), y, 0.3, seed=np.int32(3))
    two = pgd_attack(net, X.astype(np.float32), y, 0.3, seed=3)
    np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("radius", [1e-200, 1e-161, 1e-140, 1e140, 1e200])
def test_no_point_is_outside_of_a_very_small_or_large_ball(case, radius):
    net, _, y = case
    scaled = Network((net.weights[:, :-1] / radius, net.outer[None]), (net.weights[:, -1], [0.0]))
    attacked = pgd_attack(scaled, np.zeros((5, 3)), y[:5], radius)
    for row in attacked.tolist():
        assert sum(Fraction(v) ** 2 for v in row) <= Fraction(radius) ** 2
    assert (np.linalg.norm(attacked / radius, axis=1) > 0.5).all()
