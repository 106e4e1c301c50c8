"""The joint program in turns with training on the certificate's gradient."""

import numpy as np
import pytest
from drawing import draw_network

from lipsnn import ShallowNet, objective, refine
from lipsnn.convex import polish
from lipsnn.train.lipschitz import train_lipschitz


@pytest.fixture(scope="module")
def data(servo):
    return servo.X_train, servo.y_train


def test_polish_is_monotone_and_goes_past_the_joint_program(trained, data, monkeypatch):
    monkeypatch.setattr(polish, "EPOCHS", 40)
    result = refine(trained, *data, 1.0, method="polish", rounds=2)
    assert [step.step for step in result.history] == [
        "initial", "joint", "training", "joint", "training", "joint",
    ]  # fmt: skip
    values = [step.objective for step in result.history if step.accepted]
    assert (np.diff(values) < 0).all()
    assert result.gain_over_joint == 1 - result.objective / values[1]
    assert result.gain_over_joint > 0.01
    assert f"{result.gain_over_joint:.2%} below the joint program" in str(result)
    assert result.objective == objective(result.net, *data, 1.0, "lipschitz")
    assert result.status == "round_limit"


def test_the_offset_is_kept(trained, data, monkeypatch):
    monkeypatch.setattr(polish, "EPOCHS", 20)
    X, y = data
    shifted = ShallowNet(trained.weights, trained.outer, offset=0.5)
    result = refine(shifted, X, y + 0.5, 1.0, method="polish", rounds=1, output_bias=False)
    plain = refine(trained, X, y, 1.0, method="polish", rounds=1, output_bias=False)
    assert result.net.offset == 0.5
    assert result.objective == pytest.approx(plain.objective, rel=1e-3)


def test_training_starts_where_it_is_told(data):
    X, y = data
    net = draw_network(0, 6, 4)
    same = train_lipschitz(X, y, 6, 0.1, epochs=0, init=net)
    np.testing.assert_array_equal(same.weights, net.weights)
    np.testing.assert_array_equal(same.outer, net.outer)
    with pytest.raises(ValueError, match="init must have 4 inputs and 5 units"):
        train_lipschitz(X, y, 5, 0.1, init=net)


def test_a_strength_for_which_zero_is_best(trained, data):
    result = refine(trained, *data, 1e12, method="polish", rounds=2)
    assert result.status in ("converged", "optimal")
    assert result.objective <= result.initial_objective
