import numpy as np
import pytest
from drawing import draw_network

from lipsnn import ShallowNet, certify, objective, refine


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


@pytest.mark.parametrize("regularizer", ["l2", "lipschitz"])
def test_the_mean_is_the_sum_at_n_times_the_strength(case, regularizer):
    net, X, y = case
    mean = objective(net, X, y, 0.7, regularizer, reduction="mean")
    assert mean == pytest.approx(objective(net, X, y, 20 * 0.7, regularizer) / 20, rel=1e-12)
    result = refine(net, X, y, 0.7, regularizer, reduction="mean")
    total = refine(net, X, y, 20 * 0.7, regularizer)
    assert result.objective == pytest.approx(total.objective / 20, rel=1e-9)
    assert result.objective == objective(result.net, X, y, 0.7, regularizer, reduction="mean")
    assert result.history[0].loss == pytest.approx(total.history[0].loss / 20, rel=1e-12)
    assert (result.strength, result.loss_reduction) == (0.7, "mean")


@pytest.mark.parametrize("call", [objective, refine])
def test_a_bad_reduction(case, call):
    net, X, y = case
    with pytest.raises(ValueError, match="reduction must be one of 'sum', 'mean'"):
        call(net, X, y, 1.0, "l2", reduction="median")


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


@pytest.mark.filterwarnings("ignore:the r")  # of scales
@pytest.mark.parametrize("call", [objective, refine])
@pytest.mark.parametrize("regularizer", ["l2", "lipschitz"])
@pytest.mark.parametrize("change", ["X", "y", "weights"])
def test_squares_beyond_float64_are_one_error(case, call, regularizer, change):
    net, X, y = case
    scale = {"X": 1.0, "y": 1.0, "weights": 1.0, change: 1e200}
    net = ShallowNet(net.weights * scale["weights"], net.outer)
    with pytest.raises(ValueError, match=r"are beyond float64: divide|is beyond float64, as"):
        call(net, X * scale["X"], y * scale["y"], 1.0, regularizer)


def test_only_what_is_squared_must_be_within_float64(case):
    """Huge hidden and tiny outer weights: the l2 penalty overflows, the function does not."""
    net, X, y = case
    uneven = net.rescale(1e180)
    assert objective(uneven, X, y, 1.0, "lipschitz") >= objective(net, X, y, 1.0, "lipschitz")
    assert refine(uneven, X, y, 1.0).objective == pytest.approx(
        refine(net, X, y, 1.0).objective, rel=1e-6
    )
    with pytest.raises(ValueError, match="weight"):
        objective(uneven, X, y, 1.0, "l2")


def test_a_strength_at_the_end_of_float64(case):
    net, X, y = case
    assert refine(net, X, y, 5e-324).objective < objective(net, X, y, 5e-324, "lipschitz")
