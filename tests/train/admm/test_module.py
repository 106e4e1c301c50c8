"""ADMM on torch networks of any depth."""

import copy
import itertools

import numpy as np
import pytest
import torch
from torch import nn

from lipsnn import ShallowNet, certify, certify_layers, train_admm
from lipsnn.train.admm import FixedStep

SHORT = {"iterations": 6, "epochs": 10, "batch_size": None, "learning_rate": 0.01}


def network(*sizes, activation=nn.Tanh, dtype=torch.float64, seed=0):
    torch.manual_seed(seed)
    modules = []
    for before, after in itertools.pairwise(sizes):
        modules += [nn.Linear(before, after, dtype=dtype), activation()]
    return nn.Sequential(*modules[:-1])


@pytest.fixture(scope="module")
def classes():
    """Three classes in the plane, by the distance from a point, as in the letter."""
    rng = np.random.default_rng(1)
    X = rng.uniform(size=(60, 2))
    distance = np.sum((X - 0.5) ** 2, axis=1)
    return X, np.where(distance <= 0.04, 2, np.where(distance <= 0.16, 1, 0))


@pytest.fixture(scope="module")
def steep(classes):
    """A trained network that has a large bound."""
    X, y = classes
    net = network(2, 8, 6, 3, seed=3)
    steps = torch.optim.Adam(net.parameters(), lr=0.02)
    for _ in range(400):
        steps.zero_grad()
        nn.functional.cross_entropy(net(torch.from_numpy(X)), torch.from_numpy(y)).backward()
        steps.step()
    return net


def test_lowers_the_bound_of_a_deep_classifier(classes, steep):
    X, y = classes
    result = train_admm(
        X, y, init=steep, loss="cross_entropy", strength=1e-5, penalty=0.05,
        iterations=15, epochs=20, batch_size=None, learning_rate=0.01,
    )  # fmt: skip
    before = certify_layers(steep).bound
    assert certify_layers(result.feasible).bound <= result.history[-1].bound * (1 + 1e-6)
    assert result.history[-1].bound < 0.8 * before
    with torch.no_grad():
        output = result.feasible(torch.from_numpy(X)).numpy()
    assert np.mean(output.argmax(axis=1) == y) > 0.8
    assert result.history[-1].primal < 0.5 * max(entry.primal for entry in result.history)


@pytest.mark.parametrize(
    ("sizes", "activation"), [((2, 6, 5, 3), nn.Tanh), ((2, 5, 4, 4, 3), nn.ReLU)]
)
def test_the_enforced_bound_holds_at_every_iteration(classes, monkeypatch, sizes, activation):
    X, y = classes
    net = network(*sizes, activation=activation)
    desired = 0.5 * certify_layers(net).bound
    seen = []
    solve = FixedStep.solve

    def watched(self, target):
        found = solve(self, target)
        kept = copy.deepcopy(net)
        with torch.no_grad():
            for module, matrix in zip(kept[::2], found.weights, strict=True):
                module.weight.copy_(torch.from_numpy(matrix))
        seen.append(kept)
        return found

    monkeypatch.setattr(FixedStep, "solve", watched)
    for multipliers in ("fixed", "updated"):
        result = train_admm(
            X, y, init=net, loss="cross_entropy", enforce=desired, multipliers=multipliers,
            penalty=0.1, **SHORT,
        )  # fmt: skip
        assert [len(t) for t in result.multipliers] == list(sizes[1:-1])
    assert len(seen) == 2 * SHORT["iterations"]
    for kept in seen:
        assert certify_layers(kept, tol=1e-9).bound <= desired * (1 + 1e-7)


def test_a_shallow_network_either_way(trained, servo):
    """The torch side and the numpy side are the same algorithm, a torch output bias apart."""
    X, y = servo.X_train, servo.y_train
    settings = {"strength": 0.5, "penalty": 0.02, **SHORT}
    torch_net = trained.to_torch()
    torch_net[2].bias = None
    t = certify(trained).multipliers
    by_numpy = train_admm(X, y, init=trained, multipliers=t, **settings)
    by_torch = train_admm(X, y, init=torch_net, multipliers=[t], **settings)
    net = ShallowNet.from_torch(by_torch.net)
    np.testing.assert_allclose(net.weights, by_numpy.net.weights, atol=1e-6)
    np.testing.assert_allclose(net.outer, by_numpy.net.outer, atol=1e-6)
    for one, two in zip(by_torch.history, by_numpy.history, strict=True):
        assert one.objective == pytest.approx(two.objective, rel=1e-6)
        assert one.dual == pytest.approx(two.dual, rel=1e-4)


@pytest.mark.parametrize("loss", ["squared", "mse"])
def test_sigmoid_and_several_outputs(loss):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 3))
    y = np.c_[np.sin(X[:, 0]), X[:, 1] * X[:, 2]]
    net = network(3, 6, 2, activation=nn.Sigmoid, dtype=torch.float32)
    scale = 40.0 if loss == "squared" else 1.0
    result = train_admm(X, y, init=net, loss=loss, strength=0.1 * scale, **SHORT)
    assert result.net[0].weight.dtype == torch.float32
    with torch.no_grad():
        output = result.net(torch.from_numpy(X).float()).numpy()
    squares = np.sum((output - y) ** 2)
    expected = squares / 2 if loss == "squared" else squares / y.size
    assert result.history[-1].loss == pytest.approx(expected, rel=1e-5)
    # Theorem 1 for the sector [0, 1/4]: float32 weights, so to their rounding
    assert certify(result.feasible).bound <= result.history[-1].bound * (1 + 1e-5)


def test_leaves_the_network_and_torch_alone(classes):
    X, y = classes
    net = network(2, 5, 4, 3)
    kept = copy.deepcopy(net.state_dict())
    state = torch.get_rng_state()
    nets = [
        train_admm(
            X, y, init=net, loss="cross_entropy", strength=1e-3, seed=seed,
            **{**SHORT, "batch_size": 16},
        ).net
        for seed in (1, 1, 2)
    ]  # fmt: skip
    assert (torch.get_rng_state() == state).all()
    assert all((net.state_dict()[name] == value).all() for name, value in kept.items())
    assert all(parameter.grad is None for parameter in nets[0].parameters())
    weights = [one[0].weight.detach().numpy() for one in nets]
    np.testing.assert_array_equal(weights[0], weights[1])
    assert not np.array_equal(weights[0], weights[2])


def test_a_unit_that_nothing_sees(classes):
    """Multipliers of 0 and infinity from the certificate do not break the training."""
    X, y = classes
    net = network(2, 5, 4, 3)
    with torch.no_grad():
        net[0].weight[1] = 0.0
        net[2].weight[:, 3] = 0.0
        net[4].weight[:, 2] = 0.0
    result = train_admm(X, y, init=net, loss="cross_entropy", strength=1e-3, **SHORT)
    assert np.isfinite(result.history[-1].objective)
    assert certify_layers(result.feasible).bound <= result.history[-1].bound * (1 + 1e-6)


def test_divergence_is_said(classes):
    X, _ = classes
    with pytest.raises(RuntimeError, match="smaller learning_rate"):
        train_admm(
            X, X, init=network(2, 5, 4, 2, activation=nn.ReLU), loss="mse", strength=1e-3,
            **{**SHORT, "learning_rate": 1e6, "optimizer": "sgd"},
        )  # fmt: skip


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"width": 4}, "width is that of init"),
        ({"X": np.ones((4, 5))}, "does not fit the network"),
        ({"X": np.full((4, 2), np.nan)}, "X has NaN"),
        ({"y": [0, 1, 2]}, "X has 4 rows but y has 3"),
        ({"y": [0, 1, 2, 3]}, "from 0 to 2"),
        ({"y": [0.5, 1, 2, 0]}, "whole class numbers"),
        ({"y": np.ones(4), "loss": "mse"}, r"y must be finite numbers of shape \(n, 3\)"),
        (
            {"init": nn.Sequential(nn.Linear(2, 3), nn.GELU(), nn.Linear(3, 3))},
            "is not supported in training",
        ),
        ({"init": nn.Sequential(nn.Linear(2, 3), nn.LeakyReLU(), nn.Linear(3, 3))}, "only from 0"),
        ({"init": nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(4, 3))}, "do not chain"),
        (
            {"init": nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 3))},
            "one activation between",
        ),
        ({"init": nn.Sequential(nn.Linear(2, 3), nn.ReLU())}, "a Linear one last"),
        ({"multipliers": [np.ones(4)]}, "the multipliers are for"),
        ({"multipliers": "free"}, "multipliers must be one of"),
    ],
)
def test_bad_arguments(change, word):
    arguments = {"X": np.eye(4)[:, :2], "y": [0, 1, 2, 0], "init": network(2, 5, 4, 3)}
    arguments |= {"strength": 0.1, "loss": "cross_entropy"}
    with pytest.raises(ValueError, match=word):
        train_admm(**{**arguments, **change})
