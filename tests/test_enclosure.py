"""Certified errors: no attack above `upper`, no attained value above it, and the two close."""

import numpy as np
import pytest
from degenerate import KINDS, draw
from drawing import draw_network

import lipsnn
from lipsnn import ShallowNet, certified_error, certify
from lipsnn.attack import pgd_attack


def enclosed(net, X, y, radii):
    table = certified_error(net, X, y, radii)
    shape = len(X), len(radii)
    assert list(table.columns) == ["sample", "radius", "lower", "upper"]
    assert (table["sample"].to_numpy().reshape(shape) == np.arange(len(X))[:, None]).all()
    assert (table["radius"].to_numpy().reshape(shape) == radii).all()
    return table["lower"].to_numpy().reshape(shape), table["upper"].to_numpy().reshape(shape)


def sampled(net, x, y, radius, rng, count=500):
    """Errors at points of the ball: its inside, its surface, and where units switch."""
    moves = rng.normal(size=(count, len(x)))
    moves *= radius / np.linalg.norm(moves, axis=1, keepdims=True)
    moves[::3] *= rng.uniform(size=(len(moves[::3]), 1))
    wbar = net.weights[:, :-1]
    square = np.maximum((wbar**2).sum(axis=1), 1e-300)
    with np.errstate(over="ignore"):
        foot = -((net.preactivations(x[None])[0] / square)[:, None] * wbar)
    moves = np.vstack([moves, foot[np.linalg.norm(foot, axis=1) <= radius]])
    return ((net(x + moves) - y) ** 2).max()


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_sampled_is_above(kind):
    rng = np.random.default_rng(3)
    radii = np.array([1.0, 0.0, 0.1, 30.0])
    for _ in range(6):
        net = draw(rng, kind, rng.integers(1, 12), rng.integers(1, 6))
        X = rng.normal(size=(3, net.dim))
        y = net(X) + rng.choice([0.0, 1.0, 1e6]) * rng.normal(size=3)
        lower, upper = enclosed(net, X, y, radii)
        for k in range(3):
            for j, radius in enumerate(radii):
                assert sampled(net, X[k], y[k], radius, rng) <= upper[k, j]
        assert (lower <= upper).all()
        # at radius 0 only rounding is left, relative to the terms, which may cancel
        terms = np.abs(np.column_stack([X, np.ones(3)])) @ np.abs(net.weights).T @ np.abs(net.outer)
        excess = np.sqrt(upper[:, 1]) - np.abs(net(X) - y)
        assert (excess <= 1e-12 * (terms + np.abs(y))).all()


def test_one_dimension_is_a_scan():
    rng = np.random.default_rng(0)
    for seed in range(10):
        net = draw_network(seed, 9, 1)
        x, y = rng.normal(size=(1, 1)), rng.normal(size=1)
        breaks = -net.weights[:, 1] / net.weights[:, 0]
        for radius in (0.3, 3.0):
            ends = np.append(np.clip(breaks, x - radius, x + radius), [x - radius, x + radius])
            worst = ((net(ends.reshape(-1, 1)) - y) ** 2).max()
            lower, upper = enclosed(net, x, y, [radius])
            assert lower[0, 0] <= worst * (1 + 1e-12)
            assert worst <= upper[0, 0]


@pytest.mark.parametrize("norm", [2, np.inf])
def test_samples_at_kinks(norm):
    """As refinement leaves them: units of which a sample is on the hyperplane, but for rounding."""
    rng = np.random.default_rng(1)
    for _ in range(20):
        W, X = rng.normal(size=(30, 4)), rng.normal(size=(3, 4))
        bias = -np.einsum("ij,ij->i", W, X[np.arange(30) % 3])
        net = ShallowNet(np.column_stack([W, bias]), rng.normal(size=30))
        y = net(X) + 1.0
        for radius in (0.0, 1e-12, 1e-6):
            table = certified_error(net, X, y, radius, norm=norm)
            most = 1 + certify(net).bound * radius * (1 if norm == 2 else 2)
            assert (np.sqrt(table["upper"]) <= most + 1e-9).all()


def test_no_switch_is_closed_form():
    net = draw_network(1, 40, 5)
    X = np.random.default_rng(0).normal(size=(20, 5))
    y = net(X) + 1.0
    radius = (
        0.9 * (np.abs(net.preactivations(X)) / np.linalg.norm(net.weights[:, :-1], axis=1)).min()
    )
    _, upper = enclosed(net, X, y, [radius])
    exact = (1 + radius * np.linalg.norm(net.gradient(X), axis=1)) ** 2
    np.testing.assert_allclose(upper[:, 0], exact, rtol=1e-7)


@pytest.mark.parametrize("name", ["servo", "machine"])
def test_it_is_tight_on_trained_and_refined_networks(name):
    data = lipsnn.load_dataset(name)
    base = lipsnn.train_sgd(data.X_train, data.y_train, 30, 0.5, epochs=100)
    refined = lipsnn.refine(base, data.X_train, data.y_train, 1.0).net
    X, y, radii = data.X_test, data.y_test, np.array([0.1, 0.2, 0.3, 0.4])
    for net in (base, refined):
        lower, upper = enclosed(net, X, y, radii)
        L = certify(net).bound
        for j, radius in enumerate(radii):
            attacked = (net(pgd_attack(net, X, y, radius, steps=60, restarts=3)) - y) ** 2
            assert (attacked <= upper[:, j]).all()
            assert (upper[:, j] <= (np.abs(net(X) - y) + L * radius) ** 2 * (1 + 1e-6)).all()
        assert (upper.mean(axis=0) <= 1.01 * lower.mean(axis=0)).all()
        assert (np.diff(lower, axis=1) >= 0).all()
        assert (np.diff(upper, axis=1) >= 0).all()


def test_the_function_alone_counts():
    net = draw_network(2, 15, 3)
    X = np.random.default_rng(1).normal(size=(4, 3))
    y = np.zeros(4)
    _, upper = enclosed(net, X, y, [0.5])
    _, scaled = enclosed(net.rescale(np.exp(np.linspace(-9, 9, 15))), X, y, [0.5])
    np.testing.assert_allclose(scaled, upper, rtol=1e-6)
    _, grown = enclosed(ShallowNet(1e60 * net.weights, net.outer), X, y, [0.5])
    np.testing.assert_allclose(grown, 1e120 * upper, rtol=1e-6)
    _, far = enclosed(ShallowNet(net.weights, net.outer, 1e3), X, y + 1e3, [0.5])
    np.testing.assert_allclose(far, upper, rtol=1e-6)


def test_chunks_are_the_whole(monkeypatch):
    net = draw_network(0, 10, 3)
    X = np.random.default_rng(0).normal(size=(7, 3))
    whole = certified_error(net, X, np.ones(7), [0.2, 0.1])
    monkeypatch.setattr("lipsnn.enclosure.entry._CHUNK", 100)
    np.testing.assert_allclose(certified_error(net, X, np.ones(7), [0.2, 0.1]), whole, rtol=1e-3)


@pytest.mark.parametrize("size", [1e-300, 1e-170, 1e-162, 1e100])
def test_squares_of_weights_that_underflow(size):
    net = ShallowNet(size * np.array([[1.0, -0.5, 0.0]]), [1 / size])
    lower, upper = enclosed(net, np.zeros((1, 2)), [0.0], [1.0])
    assert lower[0, 0] == pytest.approx(1.25, rel=1e-3)  # (x_1 - x_2 / 2)_+ along its gradient
    assert 1.25 * (1 - 1e-12) <= upper[0, 0] <= 1.25 * (1 + 1e-3)


def test_bad_input():
    net = draw_network(0, 4, 2)
    X, y = np.ones((2, 2)), np.ones(2)
    with pytest.raises(ValueError, match="must not be negative"):
        certified_error(net, X, y, [-0.1])
    with pytest.raises(ValueError, match="NaN"):
        certified_error(net, X, y, [np.nan])
    with pytest.raises(ValueError, match="2 columns"):
        certified_error(net, np.ones((2, 3)), y, 0.1)
    with pytest.raises(ValueError, match="beyond float64"):
        certified_error(ShallowNet(1e200 * net.weights, net.outer), X, y, 0.1)
