from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn import functional

from lipsnn.certificate import margin_bounds
from studies.common.runner import Outcome
from studies.letter import mnist, plane
from studies.letter import study as letter
from studies.letter.descent import descend


def test_the_points_are_the_letters():
    X, y = plane.points()
    assert X.shape == (50, 2)
    assert set(y) == {0, 1, 2}
    inside = np.linalg.norm(X - 0.5, axis=1)
    assert (inside[y == 2] <= 0.2).all()
    assert (inside[y == 0] > 0.4).all()


def test_compiled_steps_are_those_of_torch():
    X, y = plane.points()
    start = plane.initial(3)
    anchor = [np.full_like(W, 0.1) for W in start[::2]]
    settings = {"learning_rate": 0.1, "decay": 0.01, "penalty": 0.25}
    net = plane.to_torch(start)
    steps = torch.optim.SGD(net.parameters(), lr=0.1)
    inputs, classes = torch.as_tensor(X), torch.as_tensor(y)
    for _ in range(5):
        steps.zero_grad()
        loss = functional.cross_entropy(net(inputs), classes)
        loss = loss + 0.005 * sum((part**2).sum() for part in net.parameters())
        for layer, pull in zip(net[::2], anchor, strict=True):
            loss = loss + 0.125 * ((layer.weight - torch.as_tensor(pull)) ** 2).sum()
        loss.backward()
        steps.step()
    ours = descend(start, X, y, 5, anchor=anchor, **settings)
    for part, parameter in zip(ours, net.parameters(), strict=True):
        np.testing.assert_allclose(part, parameter.detach().numpy(), rtol=1e-9, atol=1e-12)


@pytest.fixture(scope="module")
def trial():
    task = {"seed": 0, "rate": "falling", "block": 400, "rounds": 3}
    return Outcome(task, plane.run(task), None, None, 1.0, False)


def test_the_plane(trial):
    rows = letter.collect([trial], "rows").set_index("network")
    assert tuple(rows.index) == letter.NETWORKS
    assert (rows["steepest"] <= rows["bound"]).all()
    assert (rows["bound"] <= rows["norm_product"]).all()
    assert rows.loc["enforced", "feasible_bound"] <= rows.loc["l2", "bound"] / 2 * (1 + 1e-9)
    history = letter.collect([trial], "history")
    assert len(history) == 6
    networks = letter.collect([trial], "networks")
    net = plane.from_table(networks[networks["network"] == "l2"])
    X, y = plane.points()
    assert letter.accuracy(net, X, y) == rows.loc["l2", "train_accuracy"]
    assert plane.run(trial.task)["rows"][1]["bound"] == rows.loc["l2", "bound"]


def test_no_class_changes_within_its_certified_radius(trial):
    networks = letter.collect([trial], "networks")
    net = plane.from_table(networks[networks["network"] == "nominal"])
    X, y = plane.points(1, 200)
    radii = letter.certified_radii(net, X, y)
    labels = net(torch.as_tensor(X)).argmax(1).numpy()
    assert ((radii == 0) == (labels != y)).all()
    directions = np.random.default_rng(0).normal(size=X.shape)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    moved = net(torch.as_tensor(X + 0.999 * radii[:, None] * directions)).argmax(1).numpy()
    assert (moved == labels).all()
    assert margin_bounds(net).shape == (3, 3)


@pytest.mark.parametrize(
    ("bounds", "stop"), [([9, 8.5, 5, 4.8], 4), ([9, 5, 3, 1], 4), ([9, 8.9, 8.8, 5], 3)]
)
def test_the_letters_rule(bounds, stop):
    assert letter.letter_stop(bounds, 3, 0.5) == stop


def test_digits_stand_in():
    X, _, X_test, _ = mnist.load("8x8")
    assert X.shape == (1437, 64)
    assert X_test.shape == (360, 64)
    assert X.min() >= 0
    assert X.max() <= 1
    task = {"example": "8x8", "seed": 0, "rounds": 1, "block": 1}
    value = mnist.run(task)
    noise = pd.DataFrame(value["noise"])
    assert noise.groupby(["network", "noise"])["level"].count().eq(9).all()
    clean = noise[noise["level"] == 0].groupby("network")["accuracy"].unique()
    rows = {row["network"]: row for row in value["rows"]}
    for name, accuracies in clean.items():
        assert list(accuracies) == [rows[name]["test_accuracy"]]
    with pytest.raises(ValueError, match="example"):
        mnist.load("7x7")


def test_mnist_is_averaged_in_squares(tmp_path, monkeypatch):
    from lipsnn.images import ImageSet

    images = np.arange(2 * 28 * 28, dtype=np.uint8).reshape(2, 28, 28)
    data = ImageSet("mnist", images, np.array([0, 1]), images, np.array([0, 1]))
    monkeypatch.setattr(mnist, "load_images", lambda name, folder: data)
    small, _, _, _ = mnist.load("14x14", str(tmp_path))
    assert small[1, 0] == pytest.approx(images[1, :2, :2].mean() / 255)
    whole = mnist.load("28x28", str(tmp_path))[0]
    assert whole.shape == (2, 784)


def test_settings_are_the_letters():
    assert plane.SETTING.widths == (2, 10, 10, 3)
    shallow, deep = mnist.EXAMPLES["14x14"], mnist.EXAMPLES["28x28"]
    assert (shallow.penalty, shallow.strength) == (0.25, 0.01)
    assert (deep.penalty, deep.strength) == (2.0, 8e-4)
    assert replace(deep, widths=shallow.widths, penalty=0.25, strength=0.01) == shallow
