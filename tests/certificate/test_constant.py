"""Exact constants by branch and bound: against enumeration, at every scale, however it ends."""

import numpy as np
import pytest
from degenerate import KINDS, draw
from drawing import draw_network

from lipsnn import Network, ShallowNet, certify, exact_constant
from lipsnn.activations import Activation
from lipsnn.certificate import enumerated_constant, shares
from lipsnn.certificate.branch import Search
from lipsnn.certificate.cells import cell_patterns
from lipsnn.certificate.cone import Arrangement

UP = 1 + 1e-12  # the oracle rounds


def steepest_in(net, A, b):
    """By enumeration, of the cells in A x <= b: its sides are units that do not act."""
    sides = np.column_stack([-A, b])
    wider = ShallowNet(np.vstack([net.weights, sides]), np.append(net.outer, np.zeros(len(sides))))
    patterns = cell_patterns(wider)
    patterns = patterns[patterns[:, net.width :].all(axis=1), : net.width]
    return np.linalg.norm(patterns.astype(float) @ net.slopes, axis=1).max()


def holds(found, value, size):
    return found.lower <= value * UP + 1e-15 * size and value <= found.upper * UP + 1e-15 * size


def attained(net, found):
    return np.linalg.norm(net.gradient(found.witness[None])) >= found.lower * (1 - 1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_agrees_with_enumeration(kind):
    rng = np.random.default_rng(0)
    for _ in range(5):
        net = draw(rng, kind, rng.integers(1, 13), rng.integers(1, 4))
        if rng.random() < 0.3:  # no biases: all cells are cones
            net = ShallowNet(net.weights * np.append(np.ones(net.dim), 0.0), net.outer)
        found = exact_constant(net, gap=1e-6)
        assert holds(found, enumerated_constant(net), np.linalg.norm(net.slopes))
        assert attained(net, found)
        # hyperplanes that agree but for rounding leave cells without a float64
        assert found.status == "optimal" or kind == "parallel units"
        assert (found.status == "optimal") == (found.gap <= 1e-6)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "parallel units"])
def test_boxes_and_polytopes_agree_with_enumeration(kind):
    rng = np.random.default_rng(1)
    for _ in range(4):
        d = int(rng.integers(1, 4))
        net = draw(rng, kind, rng.integers(1, 10), d)
        center, half = rng.normal(size=d), rng.uniform(0.1, 1.0, size=d)
        A = np.vstack([np.eye(d), -np.eye(d)])
        b = np.append(center + half, half - center)
        size = np.linalg.norm(net.slopes)
        found = exact_constant(net, box=(center - half, center + half), gap=1e-6)
        assert found.status == "optimal"
        assert holds(found, steepest_in(net, A, b), size)
        assert attained(net, found)
        assert (np.abs(found.witness - center) <= half * UP).all()
        A = rng.normal(size=(4, d))
        b = A @ center + rng.uniform(0.1, 0.5, size=4)
        found = exact_constant(net, polytope=(A, b), gap=1e-6)
        assert found.status == "optimal"
        assert holds(found, steepest_in(net, A, b), size)
        assert attained(net, found)
        assert (A @ found.witness <= b + 1e-12).all()


def test_a_ball_lies_between_polygons():
    rng = np.random.default_rng(2)
    angles = np.arange(8) * np.pi / 4
    A = np.column_stack([np.cos(angles), np.sin(angles)])
    differs = 0
    for seed in range(5):
        net, center = draw_network(seed, 9, 2), 0.3 * rng.normal(size=2)
        found = exact_constant(net, ball=(center, 0.5), gap=1e-6)
        inner = steepest_in(net, A, A @ center + 0.5 * np.cos(np.pi / 8))
        outer = steepest_in(net, A, A @ center + 0.5)
        assert found.status == "optimal"
        assert inner <= found.upper * UP
        assert found.lower <= outer * UP
        assert np.linalg.norm(found.witness - center) <= 0.5
        assert attained(net, found)
        differs += inner < outer
    assert differs


def test_lies_between_slopes_found_and_certificate():
    for seed, (width, dim) in enumerate([(30, 4), (40, 5), (25, 8)]):
        net = draw_network(seed, width, dim)
        found, bound = exact_constant(net), certify(net)
        assert found.status == "optimal"
        assert attained(net, found)
        assert bound.ladder().sampled <= found.upper
        assert found.lower <= bound.bound


def test_cells_far_away_count():
    # both units act beyond x = 1e12 only: no box may stand for infinity
    net = ShallowNet([[1.0, 0.0, -1e12], [1.0, 1e-9, -1e12], [-1.0, 0.0, 1.0]], [1.0, 2.0, 2.5])
    found = exact_constant(net)
    assert holds(found, enumerated_constant(net), 3.0)
    assert found.lower == pytest.approx(3.0, rel=1e-9)
    assert found.witness[0] > 1e11
    # at 1e-59 and at 1e249: relative to the first the second is beyond float64
    wide = ShallowNet([[2, 1e-59], [1.75, 1e-59], [-1.5, 1e-59], [0.75, -3e249]], [1, 2, 0.5, 2])
    assert holds(exact_constant(wide, gap=1e-9), enumerated_constant(wide), 7.0)


def test_scales():
    net = draw_network(3, 9, 3)
    value = exact_constant(net, gap=1e-9).lower
    for rows, outer in [(1e-150, 1.0), (1.0, 1e200), (1e300, 1e-300), (1e-300, 1e300)]:
        found = exact_constant(ShallowNet(rows * net.weights, outer * net.outer), gap=1e-9)
        assert found.status == "optimal"
        assert found.lower == pytest.approx(rows * outer * value, rel=1e-8)
    for bias in (0.0, 1e-200, 1e200):  # the position of hyperplanes
        moved = ShallowNet(net.weights * [1, 1, 1, bias], net.outer)
        assert exact_constant(moved, gap=1e-9).status == "optimal"
    huge = exact_constant(ShallowNet(1e200 * net.weights, 1e200 * net.outer))
    assert huge.lower < huge.upper == np.inf
    assert huge.status != "optimal"
    tiny = exact_constant(ShallowNet(1e-200 * net.weights, 1e-200 * net.outer))
    assert tiny.lower == 0.0 < tiny.upper < 1e-300


def test_other_activations_are_pairs_of_relu():
    net = draw_network(4, 7, 2)
    W, b = net.weights[:, :-1], net.weights[:, -1]
    for phi, below in ((Activation("abs"), -1.0), (Activation("leaky_relu", (0.1,)), 0.1)):
        layered = Network((W, net.outer[None]), (b, np.zeros(1)), [phi])
        pair = ShallowNet(
            np.vstack([net.weights, -net.weights]), np.append(net.outer, -below * net.outer)
        )
        assert holds(exact_constant(layered, gap=1e-9), enumerated_constant(pair), 1.0)


def test_constant_networks():
    for net in (ShallowNet([[0.0, 1.0]], [1.0]), ShallowNet([[1, 2, 1], [1, 2, 1]], [1.0, -1.0])):
        found = exact_constant(net)
        assert (found.lower, found.upper, found.status) == (0.0, 0.0, "optimal")


def test_emptiness_is_exact():
    w = np.array([1.0, np.pi, -np.e])
    cells = Arrangement(np.array([w, 2 * w, 0.3 * w, [0.0, 0.0, 1.0]]))
    assert cells.excludes(np.array([0, 1]), np.array([1.0, -1.0]))
    assert not cells.excludes(np.array([0, 1]), np.array([1.0, 1.0]))
    # 0.3 w is rounded: a wedge too thin for float64 is left between the two
    assert not cells.excludes(np.array([0, 2]), np.array([1.0, -1.0]))
    edge = Arrangement(np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, -1e-17], [1, 1, 1e-3]]))
    corner, on = np.arange(3), np.ones(3)
    implied = edge.implied(corner, on, np.array([3, 4]), np.ones(2))
    assert implied.tolist() == [False, True]


def test_the_interval_holds_whenever_it_stops(monkeypatch):
    net = draw_network(5, 60, 3)
    value = exact_constant(net, gap=1e-6)
    assert value.status == "optimal"
    step, left = Search._step, []

    def interrupted(self, batch):
        if not left:
            raise KeyboardInterrupt
        left.pop()
        return step(self, batch)

    monkeypatch.setattr(Search, "_step", interrupted)
    gaps = []
    for steps in (0, 1, 3):
        left[:] = range(steps)
        found = exact_constant(net, gap=1e-6)
        assert found.status == "interrupted"
        assert found.lower <= value.upper
        assert value.lower <= found.upper
        gaps.append(found.gap)
    assert gaps == sorted(gaps, reverse=True)
    monkeypatch.setattr(Search, "_step", step)
    found = exact_constant(draw_network(6, 200, 12), time_limit=0.2)
    assert found.status == "time_limit"
    assert 0 < found.lower < found.upper
    assert "time_limit" in repr(found)


def test_processes_side_by_side_give_the_same_constant(monkeypatch):
    net, box = draw_network(0, 60, 5), (-1e3, 1e3)
    alone = exact_constant(net, box=box)
    parallel, calls = shares.joblib.Parallel, []

    def watched(jobs):
        calls.append(jobs)
        return parallel(jobs)

    monkeypatch.setattr(shares.joblib, "Parallel", watched)
    found = exact_constant(net, box=box, jobs=2, proof=True)
    assert set(calls) == {2}
    assert found.status == alone.status == "optimal"
    assert found.lower <= alone.upper
    assert alone.lower <= found.upper
    # a stretch ahead of what the other finds costs some nodes
    assert 0.5 * alone.nodes < found.nodes < 3 * alone.nodes
    assert found.nodes == len(found.tree) - sum("empty" in entry for entry in found.tree)
    assert found.verify() <= found.upper * (1 + 1e-9)
    again = exact_constant(net, box=box, jobs=2, proof=True)
    assert (again.lower, again.upper, again.nodes) == (found.lower, found.upper, found.nodes)

    def interrupted(jobs):
        raise KeyboardInterrupt

    monkeypatch.setattr(shares.joblib, "Parallel", interrupted)
    stopped = exact_constant(net, box=box, jobs=2, proof=True)
    assert stopped.status == "interrupted"
    assert stopped.lower <= alone.upper
    assert alone.lower <= stopped.upper
    assert stopped.verify() <= stopped.upper * (1 + 1e-9)


def test_errors():
    net = draw_network(0, 5, 2)
    with pytest.raises(ValueError, match="jobs must be a whole number"):
        exact_constant(net, jobs=0)
    with pytest.raises(ValueError, match="one hidden layer"):
        exact_constant(Network([np.ones((2, 2)), np.ones((2, 2))], [np.zeros(2), np.zeros(2)]))
    tanh = Network([np.ones((2, 2)), np.ones((1, 2))], [np.zeros(2), [0.0]], [Activation("tanh")])
    with pytest.raises(ValueError, match="one hidden layer of relu"):
        exact_constant(tanh)
    with pytest.raises(ValueError, match="each"):
        exact_constant(net, ball=(np.zeros((2, 2)), 1.0))
    flat = ([[1, 0], [-1, 0]], [0, 0])
    for region in ({"ball": ([0, 0], 0.0)}, {"box": (1, 1)}, {"polytope": flat}):
        with pytest.raises(ValueError, match="no inner point"):
            exact_constant(net, **region)
    with pytest.raises(ValueError, match="gap"):
        exact_constant(net, gap=0.0)
    with pytest.raises(ValueError, match="time_limit"):
        exact_constant(net, time_limit=-1.0)
