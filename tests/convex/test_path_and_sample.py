import numpy as np
import pytest
from drawing import draw_network

from lipsnn import objective, refine
from lipsnn.convex import refine_path, sample_half

STRENGTHS = [0.01, 0.1, 1.0, 10.0]


@pytest.fixture(scope="module")
def data(servo):
    return servo.X_train, servo.y_train


def test_path_trades_loss_for_bound(trained, data):
    path = refine_path(trained, *data, STRENGTHS, method="joint", progress=False)
    table = path.table
    assert table["strength"].tolist() == STRENGTHS
    assert table["loss"].is_monotonic_increasing
    assert table["bound"].is_monotonic_decreasing
    for strength, one in zip(STRENGTHS, path.refinements, strict=True):
        assert one.objective <= objective(trained, *data, strength, "lipschitz")
        assert one.objective == objective(one.net, *data, strength, "lipschitz")


@pytest.mark.parametrize("loss", ["squared", "huber"])
def test_following_starts_from_the_best_network_so_far(trained, data, loss):
    settings = {"method": "joint", "loss": loss, "progress": False}
    path = refine_path(trained, *data, STRENGTHS, follow=True, **settings)
    for k, (strength, one) in enumerate(zip(STRENGTHS, path.refinements, strict=True)):
        starts = [trained, *(earlier.net for earlier in path.refinements[:k])]
        values = [objective(start, *data, strength, "lipschitz", loss=loss) for start in starts]
        assert one.initial_objective == pytest.approx(min(values), rel=1e-9)
        assert one.objective <= min(values)


@pytest.mark.parametrize(
    ("strengths", "word"), [([], "empty"), ([1.0, -1.0], "positive"), ([np.nan], "finite")]
)
def test_bad_strengths(trained, data, strengths, word):
    with pytest.raises(ValueError, match=word):
        refine_path(trained, *data, strengths)


def test_half_has_each_pattern_with_both_signs(trained, data):
    half = sample_half(trained, 0)
    assert half.width == trained.width
    assert half.signs.sum() == 0
    patterns = half.patterns(data[0])
    np.testing.assert_array_equal(*np.split(patterns, 2, axis=1))
    np.testing.assert_allclose(half(data[0]), trained.offset, atol=1e-12)
    assert not np.array_equal(half.weights, sample_half(trained, 1).weights)


@pytest.mark.parametrize("regularizer", ["l2", "lipschitz"])
def test_sampled_refinement_has_no_guarantee_and_says_the_truth(trained, data, regularizer):
    """samp-l2 and samp-lip: worse than the network for some draw, and reported as it is."""
    results = [refine(trained, *data, 1.0, regularizer, sample=seed) for seed in range(3)]
    initial = objective(trained, *data, 1.0, regularizer)
    assert all(one.initial_objective == pytest.approx(initial, rel=1e-9) for one in results)
    for one in results:
        assert one.objective == pytest.approx(objective(one.net, *data, 1.0, regularizer), rel=1e-9)
    assert min(one.reduction for one in results) < 0
    all_patterns = refine(trained, *data, 1.0, regularizer)
    assert all(all_patterns.objective < one.objective for one in results)


def test_one_unit_cannot_be_halved():
    with pytest.raises(ValueError, match="at least two units"):
        sample_half(draw_network(0, 1, 2), 0)
