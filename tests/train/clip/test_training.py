import math

import pytest
import torch
from torch import nn

from lipsnn.train.clip import (
    Discrepancy,
    Pairs,
    PgdAccuracy,
    accuracy,
    checkpoint,
    noisy_copies,
    pgd_inputs,
    train_clip,
    uniform_pairs,
)


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
def settings(blobs):
    X, _ = blobs
    return {
        "pairs": Pairs(noisy_copies(X[:60], size=10), redraw=7, step=1.0),
        "epochs": 6,
        "batch_size": 32,
        "progress": False,
    }


def parameters(net):
    return torch.cat([parameter.detach().flatten() for parameter in net.parameters()])


def test_more_strength_flatter_network(blobs, settings):
    found = []
    for strength in (0.0, 0.05, 1.0):
        result = train_clip(classifier(), *blobs, strength=strength, **settings)
        pairs = result.pairs
        assert pairs is not None
        for _ in range(30):
            values = pairs.update(result.net)
        found.append((float(values.max()), result.history["loss"].iloc[-1]))
    slopes, losses = zip(*found, strict=True)
    assert slopes[0] > 1.5 * slopes[1] > 2 * slopes[2]
    assert losses[0] < losses[1] < losses[2]


def test_weights_and_lipschitz_regularisation_are_what_they_say(blobs):
    plain, heavy = (
        train_clip(
            classifier(), *blobs, regularizer="weights", strength=s, epochs=5, progress=False
        )
        for s in (0.0, 0.1)
    )
    none = train_clip(classifier(), *blobs, regularizer="none", epochs=5, progress=False)
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


@pytest.mark.parametrize("regularizer", ["lipschitz", "weights"])
def test_training_is_steered_towards_its_target(blobs, settings, regularizer):
    settings |= {"regularizer": regularizer, "epochs": 12}
    easy = train_clip(
        classifier(), *blobs, discrepancy=Discrepancy(0.5, 0.1, warmup=2, every=1), **settings
    )
    steps = easy.history["strength"].diff().dropna()
    above = easy.history["accuracy"].iloc[1:-1] > 0.5
    assert above.any()
    assert (steps.iloc[1:][above.to_numpy()] > 0).all()
    hard = train_clip(
        classifier(),
        *blobs,
        strength=0.3,
        discrepancy=Discrepancy(1.0, 0.1, warmup=2, every=1),
        **settings,
    )
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
def test_a_killed_run_goes_on_to_the_same_result(blobs, settings, tmp_path, optimizer):
    judge = PgdAccuracy(*blobs, radius=0.5, iterations=3)
    settings |= {
        "optimizer": optimizer,
        "learning_rate": 0.02,
        "strength": 0.1,
        "discrepancy": Discrepancy(0.9, 0.05, warmup=1, every=1),
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


def test_a_kill_while_the_checkpoint_is_written_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "clip.pt"
    checkpoint.save(path, {"settings": {}, "epoch": 1})

    def half(state, file):
        file.write(b"half")
        raise Killed

    monkeypatch.setattr(torch, "save", half)
    with pytest.raises(Killed):
        checkpoint.save(path, {"settings": {}, "epoch": 2})
    assert checkpoint.load(path, {})["epoch"] == 1


def test_another_runs_checkpoint_is_refused(blobs, settings, tmp_path):
    X, y = blobs
    path = tmp_path / "clip.pt"
    settings |= {"epochs": 1, "checkpoint": path}
    train_clip(classifier(), X, y, **settings)
    with pytest.raises(ValueError, match=r"other settings \(seed, strength\)"):
        train_clip(classifier(), X, y, strength=1.0, seed=4, **settings)
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
    scores = iter([0.9, 0.3, 0.4])
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
    result = train_clip(
        Residual(),
        images,
        images.mean(dim=(1, 2, 3)),
        loss="mse",
        strength=1e-3,
        power=1,
        input_norm=math.inf,
        output_norm=math.inf,
        pairs=Pairs(noisy_copies(images, size=5)),
        learning_rate=0.02,
        epochs=15,
        progress=False,
    )
    assert result.history["loss"].iloc[-1] < 0.2 * result.history["loss"].iloc[0]
    assert result.pairs.norms == (math.inf, math.inf)


@pytest.mark.parametrize("norm", [2, math.inf])
def test_pgd_stays_in_its_ball_and_does_harm(blobs, norm):
    X, y = blobs
    net = train_clip(classifier(), X, y, regularizer="none", epochs=10, progress=False).net
    attacked = pgd_inputs(net, X, y, 0.5, norm=norm, step=0.1, iterations=20, batch_size=100)
    distance = torch.linalg.vector_norm(attacked - X, ord=norm, dim=1)
    assert distance.max() <= 0.5 + 1e-6
    clean = accuracy(net, X, y)
    harmed = accuracy(net, attacked, y)
    noise = torch.randn(X.shape, generator=torch.Generator().manual_seed(1))
    noise *= 0.5 / torch.linalg.vector_norm(noise, ord=norm, dim=1, keepdim=True)
    assert harmed < accuracy(net, X + noise, y) <= clean + 0.01
    wrong = net(X).argmax(dim=1) != y
    torch.testing.assert_close(attacked[wrong], X[wrong], rtol=0, atol=0)
    assert PgdAccuracy(X, y, 0.5, norm, 0.1, 20)(net) == pytest.approx(harmed)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"regularizer": "l1"}, "regularizer"),
        ({"pairs": None}, "needs pairs"),
        ({"regularizer": "none", "strength": 1.0}, "no strength"),
        ({"strength": -1}, "strength"),
        ({"loss": "hinge"}, "loss"),
        ({"power": 3}, "power"),
        ({"pooling": "min"}, "pooling"),
        ({"optimizer": "lbfgs"}, "optimizer"),
        ({"batch_size": 0}, "batch_size"),
        ({"loss": "mse", "discrepancy": Discrepancy(0.9, 0.1)}, "needs an accuracy"),
        ({"loss": "mse"}, "equally many numbers"),
    ],
)
def test_bad_settings(blobs, settings, change, word):
    with pytest.raises(ValueError, match=word):
        train_clip(classifier(), *blobs, **(settings | change))


def test_bad_data_and_rules(settings):
    with pytest.raises(ValueError, match="equally many rows"):
        train_clip(classifier(), torch.ones(3, 2), torch.zeros(4).long(), **settings)
    with pytest.raises(ValueError, match="NaN"):
        train_clip(classifier(), torch.full((3, 2), math.nan), torch.zeros(3).long(), **settings)
    with pytest.raises(ValueError, match="no parameters"):
        train_clip(nn.ReLU(), torch.ones(3, 2), torch.zeros(3).long(), **settings)
    with pytest.raises(ValueError, match="target"):
        Discrepancy(95, 0.1)
    with pytest.raises(ValueError, match="increment"):
        Discrepancy(0.95, 0)


def test_divergence_says_what_to_change():
    X = torch.linspace(-1, 1, 50)[:, None]
    net = nn.Linear(1, 1)
    with pytest.raises(RuntimeError, match="learning_rate"):
        train_clip(
            net,
            X,
            3 * X[:, 0],
            loss="mse",
            strength=1.0,
            pairs=Pairs(uniform_pairs(-1, 1, 5, 0.1)),
            learning_rate=1e6,
            progress=False,
        )
