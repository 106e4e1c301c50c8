import math

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from lipsnn.attack import accuracy, pgd_inputs
from studies.clip.regularizers import (
    Discrepancy,
    Lipschitz,
    Pairs,
    Weights,
    noisy_copies,
    uniform_pairs,
)
from studies.clip.training import train_clip


def classifier(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 3))


@pytest.fixture(scope="module")
def blobs():
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(240) % 3
    centres = torch.tensor([[2.0, 0.0], [-1.0, 1.7], [-1.0, -1.7]])
    return centres[y] + 0.8 * torch.randn(240, 2, generator=generator), y


@pytest.fixture
def settings():
    return {"epochs": 6, "batch_size": 32, "progress": False}


@pytest.fixture
def pairs(blobs):
    X, _ = blobs
    return Pairs(noisy_copies(X[:60], size=10), redraw=7, step=1.0)


def under_attack(X, y, radius, iterations):
    """A score: accuracy under the attack."""
    return lambda net: accuracy(
        net, pgd_inputs(net, X, y, radius, step=0.25, iterations=iterations), y
    )


def parameters(net):
    return torch.cat([parameter.detach().flatten() for parameter in net.parameters()])


def test_more_strength_flatter_network(blobs, settings, pairs):
    found = []
    for strength in (0.0, 0.05, 1.0):
        result = train_clip(classifier(), *blobs, Lipschitz(pairs, strength), **settings)
        assert result.pairs is not None
        for _ in range(30):
            values = result.pairs.update(result.net)
        found.append((float(values.max()), result.history["loss"].iloc[-1]))
    slopes, losses = zip(*found, strict=True)
    assert slopes[0] > 1.5 * slopes[1] > 2 * slopes[2]
    assert losses[0] < losses[1] < losses[2]


def test_weights_and_lipschitz_regularisation_are_what_they_say(blobs):
    plain, heavy = (
        train_clip(classifier(), *blobs, Weights(s), epochs=5, progress=False) for s in (0.0, 0.1)
    )
    none = train_clip(classifier(), *blobs, "none", epochs=5, progress=False)
    torch.testing.assert_close(parameters(plain.net), parameters(none.net), rtol=0, atol=0)
    assert parameters(heavy.net).norm() < 0.7 * parameters(plain.net).norm()


def test_the_rule_moves_the_strength_the_right_way():
    rule = Discrepancy(0.9, 0.5, warmup=2, every=2)
    assert rule.next(1.0, 0.95, 1) == 1.0
    assert rule.next(1.0, 0.95, 2) == 1.5
    assert rule.next(1.0, 0.95, 3) == 1.0
    assert rule.next(1.0, 0.85, 4) == 0.5
    assert rule.next(0.2, 0.85, 4) == 0.0
    assert Discrepancy(0.9, 0.5, least=0.1).next(0.2, 0.85, 5) == 0.1


@pytest.mark.parametrize("kind", ["lipschitz", "weights"])
def test_training_is_steered_towards_its_target(blobs, settings, pairs, kind):
    settings |= {"epochs": 12}

    def steered(strength, rule):
        return Weights(strength, rule) if kind == "weights" else Lipschitz(pairs, strength, rule)

    rule = Discrepancy(0.5, 0.1, warmup=2, every=1)
    easy = train_clip(classifier(), *blobs, steered(0.0, rule), **settings)
    steps = easy.history["strength"].diff().dropna()
    above = easy.history["accuracy"].iloc[1:-1] > 0.5
    assert above.any()
    assert (steps.iloc[1:][above.to_numpy()] > 0).all()
    rule = Discrepancy(1.0, 0.1, warmup=2, every=1)
    hard = train_clip(classifier(), *blobs, steered(0.3, rule), **settings)
    assert hard.history["strength"].is_monotonic_decreasing
    assert hard.history["strength"].iloc[-1] == 0


class Killed(BaseException):
    pass


def assert_same_run(one, other):
    torch.testing.assert_close(parameters(one.net), parameters(other.net), rtol=0, atol=0)
    columns = [name for name in one.history if name != "seconds"]
    assert one.history[columns].equals(other.history[columns])
    assert (one.epoch, one.strength) == (other.epoch, other.strength)
    torch.testing.assert_close(one.pairs.first, other.pairs.first, rtol=0, atol=0)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_killed_run_goes_on_to_the_same_result(blobs, settings, pairs, tmp_path, optimizer):
    judge = under_attack(*blobs, radius=0.5, iterations=3)
    settings |= {
        "optimizer": optimizer,
        "learning_rate": 0.02,
        "regularizer": Lipschitz(pairs, 0.1, Discrepancy(0.9, 0.05, warmup=1, every=1)),
    }
    whole = train_clip(classifier(), *blobs, score=judge, **settings)
    calls = []

    def killing(net):
        calls.append(net)
        if len(calls) == 4:
            raise Killed
        return judge(net)

    path = tmp_path / "run" / "clip.pt"
    with pytest.raises(Killed):
        train_clip(classifier(), *blobs, score=killing, checkpoint=path, **settings)
    resumed = train_clip(classifier(5), *blobs, score=judge, checkpoint=path, **settings)
    assert_same_run(resumed, whole)
    assert resumed.history["epoch"].tolist() == [1, 2, 3, 4, 5, 6]
    longer = train_clip(
        classifier(), *blobs, score=judge, checkpoint=path, **(settings | {"epochs": 8})
    )
    assert_same_run(
        longer, train_clip(classifier(), *blobs, score=judge, **(settings | {"epochs": 8}))
    )


def test_a_kill_while_the_checkpoint_is_written_leaves_the_old_one(
    blobs, settings, tmp_path, monkeypatch
):
    path = tmp_path / "clip.pt"
    settings["checkpoint"] = path
    train_clip(classifier(), *blobs, **(settings | {"epochs": 1}))
    before = path.read_bytes()

    def half(state, file):
        file.write(b"half")
        raise Killed

    monkeypatch.setattr(torch, "save", half)
    with pytest.raises(Killed):
        train_clip(classifier(), *blobs, **settings)
    assert path.read_bytes() == before


def test_another_runs_checkpoint_is_refused(blobs, settings, tmp_path):
    X, y = blobs
    path = tmp_path / "clip.pt"
    settings |= {"epochs": 1, "checkpoint": path}
    train_clip(classifier(), X, y, **settings)
    with pytest.raises(ValueError, match=r"other settings \(regularizer, seed\)"):
        train_clip(classifier(), X, y, Weights(1.0), seed=4, **settings)
    with pytest.raises(ValueError, match="240 samples, not 100"):
        train_clip(classifier(), X[:100], y[:100], **settings)
    path.write_bytes(b"something else")
    with pytest.raises(ValueError, match="no checkpoint"):
        train_clip(classifier(), X, y, **settings)


def test_interrupting_returns_the_best_so_far(blobs, settings):
    scores = iter([0.3, 0.9, 0.4])

    def score(net):
        try:
            return next(scores)
        except StopIteration:
            raise KeyboardInterrupt from None

    result = train_clip(classifier(), *blobs, score=score, **settings)
    assert result.status == "interrupted"
    assert result.epoch == 2
    best = train_clip(classifier(), *blobs, **(settings | {"epochs": 2}))
    scores = iter([0.3, 0.4])  # the first epoch is not judged
    later = train_clip(classifier(), *blobs, score=score, score_after=1, **settings)
    assert later.epoch == 3
    torch.testing.assert_close(parameters(result.net), parameters(best.net), rtol=0, atol=0)


def test_the_given_network_is_left_as_it_was(blobs, settings):
    net = classifier()
    before = parameters(net)
    train_clip(net, *blobs, **settings)
    torch.testing.assert_close(parameters(net), before, rtol=0, atol=0)
    assert train_clip(net, *blobs, **(settings | {"epochs": 0})).epoch == 0


def test_any_module_and_regression_too():
    class Residual(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(1, 4, 3, padding=1)
            self.norm = nn.BatchNorm2d(4)
            self.out = nn.Linear(64, 1)

        def forward(self, x):
            return self.out((torch.relu(self.norm(self.conv(x))) + x).flatten(1))

    torch.manual_seed(0)
    images = torch.rand(50, 1, 4, 4)
    flat = Pairs(noisy_copies(images, size=5), input_norm=math.inf, output_norm=math.inf)
    result = train_clip(
        Residual(),
        images,
        images.mean(dim=(1, 2, 3)),
        Lipschitz(flat, 1e-3, power=1),
        loss="mse",
        learning_rate=0.02,
        epochs=15,
        progress=False,
    )
    assert result.history["loss"].iloc[-1] < 0.2 * result.history["loss"].iloc[0]
    assert result.pairs.norms == (math.inf, math.inf)


LABELS = {
    "int32": lambda y: y.int(),
    "uint8": lambda y: y.byte(),
    "float": lambda y: y.float(),
    "numpy int16": lambda y: y.numpy().astype(np.int16),
    "one column": lambda y: y[:, None],
    "list": lambda y: y.tolist(),
    "DataFrame": lambda y: pd.DataFrame({"class": y.numpy()}),
}


@pytest.mark.parametrize("kind", LABELS)
def test_classes_may_be_whole_numbers_of_any_type(blobs, kind):
    X, y = blobs
    settings = {"epochs": 2, "progress": False}
    expected = train_clip(classifier(), X, y, **settings)
    found = train_clip(classifier(), pd.DataFrame(X.numpy()), LABELS[kind](y), **settings)
    torch.testing.assert_close(parameters(found.net), parameters(expected.net), rtol=0, atol=0)
    assert accuracy(found.net, X, LABELS[kind](y)) == accuracy(found.net, X, y)


@pytest.mark.parametrize(
    ("y", "word"),
    [
        ([0, 1, 3], "got 3 at index 2"),
        ([1, 2, 3], "count classes from 0"),
        ([0, -1, 2], "got -1 at index 1"),
        ([0, 1, 0.5], r"got 0\.5 at index 2"),
        ([0, 1, math.nan], "NaN"),
        (np.eye(3), "argmax"),
        (["a", "b", "c"], "numeric"),
        ([0, 1], "3 rows but y has 2"),
    ],
)
def test_classes_of_a_wrong_kind_are_named(y, word):
    for use in (
        lambda X: train_clip(classifier(), X, y, epochs=1, progress=False),
        lambda X: accuracy(classifier(), X, y),
        lambda X: pgd_inputs(classifier(), X, y, 0.1),
    ):
        with pytest.raises(ValueError, match=word):
            use(torch.ones(3, 2))


def test_numbers_that_are_wrong_are_named():
    net = nn.Linear(2, 1)
    for y, word in (([0, 1, math.inf], r"index \(2,\)"), (np.ones((3, 2)), "shape"), ([0], "1 e")):
        with pytest.raises(ValueError, match=word):
            train_clip(net, torch.ones(3, 2), y, loss="mse", progress=False)
    with pytest.raises(ValueError, match="does not fit the network"):
        train_clip(net, torch.ones(3, 5), [0, 1, 2], loss="mse", progress=False)


def test_numpys_seeds_are_taken(blobs):
    one, two = (
        train_clip(classifier(), *blobs, seed=seed, epochs=1, progress=False)
        for seed in (7, np.int64(7))
    )
    torch.testing.assert_close(parameters(one.net), parameters(two.net), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"regularizer": "l1"}, "regularizer"),
        ({"loss": "hinge"}, "loss"),
        ({"optimizer": "lbfgs"}, "optimizer"),
        ({"batch_size": 0}, "batch_size"),
        ({"seed": 1.5}, "seed"),
        ({"seed": -1}, "seed"),
        ({"loss": "mse", "regularizer": Weights(0.1, Discrepancy(0.9, 0.1))}, "needs an accuracy"),
        ({"loss": "mse"}, r"shape \(n, 3\)"),
    ],
)
def test_bad_settings(blobs, settings, change, word):
    with pytest.raises(ValueError, match=word):
        train_clip(classifier(), *blobs, **(settings | change))


def test_bad_data_and_rules(settings):
    with pytest.raises(ValueError, match="X has 3 rows but y has 4"):
        train_clip(classifier(), torch.ones(3, 2), torch.zeros(4).long(), **settings)
    with pytest.raises(ValueError, match="NaN"):
        train_clip(classifier(), torch.full((3, 2), math.nan), torch.zeros(3).long(), **settings)
    with pytest.raises(ValueError, match="no parameters"):
        train_clip(nn.ReLU(), torch.ones(3, 2), torch.zeros(3).long(), **settings)
    frozen = classifier().requires_grad_(False)
    with pytest.raises(ValueError, match="no parameters to train"):
        train_clip(frozen, torch.ones(3, 2), torch.zeros(3), **settings)
    with pytest.raises(ValueError, match="pairs"):
        Lipschitz(None, 1.0)
    for wrong in ({"redraw": 0}, {"updates": 0}, {"step": 0}, {"output_norm": 1}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            Pairs(uniform_pairs(0, 1, 5, 0.1), **wrong)
    with pytest.raises(ValueError, match="strength"):
        Weights(-1)
    with pytest.raises(ValueError, match="below high"):
        uniform_pairs(1, 1, 5, 0.1)
    with pytest.raises(ValueError, match="noise"):
        noisy_copies(torch.ones(3, 2), noise=0)
    draw = uniform_pairs(0, 1, 5, 0.1)
    for wrong in ({"power": 3}, {"pooling": "min"}, {"strength": -1}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            Lipschitz(**({"pairs": Pairs(draw), "strength": 1.0} | wrong))
    with pytest.raises(ValueError, match="target"):
        Discrepancy(95, 0.1)
    with pytest.raises(ValueError, match="increment"):
        Discrepancy(0.95, 0)


def test_drawn_pairs_are_what_they_say_and_seeded():
    pool = torch.arange(40.0).reshape(20, 2)
    draw = noisy_copies(pool, size=8, noise=0.1)
    first, second = draw(torch.Generator().manual_seed(3))
    assert len(torch.unique(first[:, 0])) == 8
    assert ((second - first) >= 0).all()
    assert (second - first).max() <= 0.1 + 1e-5
    torch.testing.assert_close(draw(torch.Generator().manual_seed(3))[1], second)
    assert len(noisy_copies(pool, size=500)(torch.Generator())[0]) == 20
    x, near = uniform_pairs(-4, 4, 1000, 0.1)(torch.Generator().manual_seed(0))
    assert -4 <= x.min() < -3.9
    assert 3.9 < x.max() <= 4
    assert 0.08 < float((near - x).std()) < 0.12


def test_divergence_says_what_to_change():
    X = torch.linspace(-1, 1, 50)[:, None]
    net = nn.Linear(1, 1)
    with pytest.raises(RuntimeError, match="learning_rate"):
        train_clip(
            net,
            X,
            3 * X[:, 0],
            Lipschitz(Pairs(uniform_pairs(-1, 1, 5, 0.1)), 1.0),
            loss="mse",
            learning_rate=1e6,
            progress=False,
        )
