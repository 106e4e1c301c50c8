"""The two tables of the deep study, at their smallest."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from lipsnn import certify
from lipsnn.images import ImageSet
from studies.deep import classes, networks, regression


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_equal_parameter_counts(depth):
    sizes = [4, *regression.widths(4, depth, 200), 1]
    counts = [b * (a + 1) for a, b in pairwise(sizes)]
    assert 140 <= sum(counts) <= 200


@pytest.mark.parametrize("method", regression.METHODS)
def test_every_method_is_no_worse_than_the_base(method):
    grid = regression.tasks(("servo",), 1, parameters=40, seconds=0.3, epochs=20)
    (task,) = (t for t in grid if t["method"] == method and t["depth"] == 1)
    found = regression.run(task)
    base = regression.run(task | {"method": "base"})
    assert found["objective"] <= base["objective"] * (1 + 1e-9)
    assert found["test"] <= found["test_0.2"]


def test_the_clock_stops_what_goes_on():
    def steps():
        while True:
            yield 1

    assert networks.within(0.05, 0, steps) == 1


@pytest.mark.parametrize("training", classes.TRAININGS)
def test_refined_at_its_own_bound(training):
    grid = classes.tasks(("iris",), 1, widths=[4], epochs=50, sweeps=1)
    (task,) = (t for t in grid if t["training"] == training)
    found = classes.run(task)
    assert found["after"]["loss"] <= found["before"]["loss"]
    assert found["after"]["bound"] <= found["before"]["bound"]
    for one in (found["before"], found["after"]):
        assert one["certified_0.1"] <= one["pairs_0.1"] <= one["attacked_0.1"] <= one["accuracy"]


def test_pairs_are_after_minus_before():
    rows = pd.DataFrame(
        {
            "dataset": "iris",
            "training": "direct",
            "split": [0, 0, 1, 1],
            "refined": [False, True, False, True],
            "loss": [1.0, 0.5, 1.0, 0.7],
        }
    )
    found = classes.paired(rows, ["loss"])["loss"].iloc[0]
    assert found["mean"] == pytest.approx(-0.4)


def test_the_projection_keeps_bounds():
    X = classes.load("digits", 0, 200)[0]
    assert X.shape == (140, 16)
    net = networks.drawn([16, 5, 3], 0)
    P = np.linalg.qr(np.random.default_rng(0).normal(size=(64, 16)))[0]
    whole = type(net)([net.weights[0] @ P.T, net.weights[1]])
    assert certify(whole).bound == pytest.approx(certify(net).bound, rel=1e-6)


def test_images_are_reduced_and_refined(monkeypatch):
    """The path of MNIST, on a small set of drawn images: ten classes, each a blurred template."""
    rng = np.random.default_rng(0)
    templates = rng.integers(0, 200, size=(10, 28, 28))
    y = np.tile(np.arange(10), 20)
    X = (templates[y] + rng.integers(0, 56, size=(200, 28, 28))).astype(np.uint8)
    drawn = ImageSet("mnist", X[:150], y[:150], X[150:], y[150:])
    monkeypatch.setattr(classes, "load_images", lambda name: drawn)
    inputs, labels, X_test, _ = classes.load("mnist", 0, 200)
    assert (inputs.shape, X_test.shape) == ((140, 50), (60, 50))
    # the main directions, of one scale for all pixels: most of the variance first
    spread = inputs.std(axis=0)
    assert (np.diff(spread) <= 1e-9).all()
    grid = classes.tasks(("mnist",), 1, widths=[6], epochs=30, sweeps=1)
    found = classes.run(next(t for t in grid if t["training"] == "weight decay"))
    assert found["after"]["loss"] < found["before"]["loss"]
    assert found["after"]["bound"] <= found["before"]["bound"]
    assert set(labels) == set(range(10))
