import numpy as np
import pytest
from drawing import draw_network

from lipsnn import certify, objective


@pytest.fixture(scope="module")
def case():
    rng = np.random.default_rng(0)
    return draw_network(1, 6, 3), rng.normal(size=(20, 3)), rng.normal(size=20)


def test_l2_is_as_written(case):
    net, X, y = case
    expected = 0.5 * sum((net(X) - y) ** 2)
    expected += (
        0.7 / 2 * sum(np.sum(w**2) + a**2 for w, a in zip(net.weights, net.outer, strict=True))
    )
    assert objective(net, X, y, 0.7, "l2") == pytest.approx(expected, rel=1e-12)


def test_lipschitz_is_as_written(case):
    net, X, y = case
    expected = 0.5 * sum((net(X) - y) ** 2) + 0.7 * certify(net).bound ** 2
    assert objective(net, X, y, 0.7, "lipschitz") == pytest.approx(expected, rel=1e-9)


def test_a_given_certificate_is_used(case):
    net, X, y = case
    certificate = certify(net)
    assert objective(net, X, y, 1.0, "lipschitz", certificate) == pytest.approx(
        objective(net, X, y, 1.0, "lipschitz"), rel=1e-9
    )


def test_takes_a_torch_network(case):
    net, X, y = case
    assert objective(net.to_torch(), X, y, 1.0, "l2") == objective(net, X, y, 1.0, "l2")


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"strength": 0}, "strength must be positive"),
        ({"strength": -1}, "strength must be positive"),
        ({"regularizer": "l1"}, "'lipschitz'"),
        ({"X": np.full((20, 3), np.nan)}, "NaN"),
    ],
)
def test_bad_arguments(case, change, word):
    net, X, y = case
    with pytest.raises(ValueError, match=word):
        objective(**{"net": net, "X": X, "y": y, "strength": 1.0, "regularizer": "l2", **change})
