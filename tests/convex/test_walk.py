"""Past the paper's stopping point: neighbouring cells."""

import numpy as np
import pytest
from drawing import draw_network

from lipsnn import ShallowNet, load_dataset, objective, refine, train_sgd
from lipsnn.convex.backend import backend
from lipsnn.convex.samples import checked
from lipsnn.convex.search import Search
from lipsnn.convex.walk import _descent, _has_interior, neighbouring_cells, walk
from lipsnn.network import with_bias


@pytest.fixture(scope="module")
def data(servo):
    return servo.X_train, servo.y_train


def test_walk_is_monotone_and_goes_past_the_joint_program(trained, data):
    result = refine(trained, *data, 1.0, method="walk")
    steps = [step.step for step in result.history]
    assert steps[:3] == ["initial", "joint", "walk"]
    values = [step.objective for step in result.history if step.accepted]
    assert (np.diff(values) < 0).all()
    assert result.gain_over_joint == 1 - result.objective / values[1]
    assert result.gain_over_joint > 0.01
    assert result.objective == objective(result.net, *data, 1.0, "lipschitz")
    assert result.status == "converged"


def test_the_first_program_of_a_neighbouring_cell_contains_the_point(trained, data):
    """Flipping keeps the point feasible: the next optimum is no worse, before any check."""
    search = Search(trained, *checked(*data), 1.0, "lipschitz", backend("CLARABEL"))
    _, solution = search.solve_joint()
    for _ in range(4):
        cells = neighbouring_cells(search, solution)
        assert (cells.patterns.bits != search.cells.patterns.bits).any()
        search.cells = cells
        before = solution.value
        _, solution = search.solve_joint()
        assert solution.value < before * (1 - 1e-6)


def sided(X1, pattern):
    return np.where(pattern, 1.0, -1.0)[:, None] * X1


def test_a_cell_that_asks_for_opposite_sides_of_one_row_is_flat():
    X1 = np.array([[1.0, 0.0, 1.0], [1.0, 0.0, 1.0], [0.0, 1.0, 1.0]])
    assert _has_interior(sided(X1, [True, True, False]))
    assert not _has_interior(sided(X1, [True, False, False]))
    # so may rows that depend on each other: here the third is the sum of the first two
    X1 = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [1.0, 1.0, 0.0]])
    assert not _has_interior(sided(X1, [True, True, False]))
    assert _has_interior(sided(X1, [True, False, False]))


def test_every_cell_that_is_walked_into_has_an_interior():
    """Rows whose margin the solver leaves at 1e-6 were once taken for inactive: flat cells."""
    data = load_dataset("servo", 5)
    X, y = data.X_train, data.y_train
    base = train_sgd(
        X, y, 100, 1.0, seed=5, optimizer="adam", learning_rate=0.01, epochs=400, batch_size=32
    )
    search = Search(base, *checked(X, y), 1.0, "lipschitz", backend(None))
    visited = 0
    for _ in walk(search, 10, 1e-6):
        assert search.history[-1].status == "optimal"
        cells = np.unique(search.cells.patterns.unpack(), axis=1)
        assert all(_has_interior(sided(with_bias(X), cell)) for cell in cells.T)
        visited += 1
    assert visited > 5


def test_round_limit(trained, data):
    result = refine(trained, *data, 1.0, method="walk", rounds=2)
    assert result.status == "round_limit"
    assert len(result.history) == 4


def test_descent_crosses_what_the_multipliers_say():
    outward = np.eye(3)
    inside = np.array([1.0, 1.0, 1.0])
    # only the second row gains by crossing: outside_k < 0 means y_ik > s_i r_k
    crossed = _descent(outward, inside, np.array([2.0, -0.5, 0.1]))
    assert crossed.tolist() == [False, True, False]
    assert _descent(outward, inside, np.array([2.0, 0.5, 0.1])) is None


def test_descent_across_thousands_of_rows_is_the_steepest():
    cp = pytest.importorskip("cvxpy")
    rng = np.random.default_rng(1)
    outward = rng.normal(size=(3000, 4))
    # convex, and lower on one side
    inside = rng.uniform(0, 1, 3000) * np.where(outward[:, 0] < 0, 0.2, 1.0)
    outside = np.where(outward[:, 0] < 0, inside, -0.9 * inside)
    v = cp.Variable(4)
    h = cp.sum(cp.multiply(inside + outside, cp.pos(outward @ v))) - outside @ (outward @ v)
    cp.Problem(cp.Minimize(h + cp.sum_squares(v) / 2)).solve(solver="CLARABEL")
    assert h.value < 0
    crossed = _descent(outward, inside, outside)
    margins = outward @ v.value
    clear = np.abs(margins) > 1e-5 * np.abs(margins).max()
    assert (crossed == (margins < 0))[clear].all()


def test_rows_that_cancel_end_where_digits_do():
    X, y = np.array([[-1.12865395], [0.48703318], [-1.12865395], [-1.12865395]]), np.zeros(4)
    y[3], v = 0.25, 0.1257302210933933
    weights = np.array([[v, v], [v, v]])
    net = ShallowNet(weights, np.array([v, -0.12573010118771064]))
    found = refine(net, X, y, 0.001, method="walk", rounds=2)
    assert found.objective <= found.initial_objective


def test_descent_finds_a_consistent_cell_when_rows_depend_on_each_other():
    rng = np.random.default_rng(0)
    outward = rng.normal(size=(9, 3))
    inside, outside = rng.uniform(0, 1, 9), rng.normal(size=9)
    crossed = _descent(outward, inside, outside)
    if crossed is not None:  # some direction has exactly these margins' signs
        from scipy.optimize import linprog

        sides = np.where(crossed, -1.0, 1.0)
        feasible = linprog(
            np.zeros(3), -sides[:, None] * outward, -1e-9 * np.ones(9), bounds=[(None, None)] * 3
        )
        assert feasible.status == 0


def test_zero_units_are_put_to_use():
    """A unit that is zero may take any pattern and sign: the walk finds one that helps."""
    rng = np.random.default_rng(1)
    X = rng.uniform(-1, 1, size=(40, 2))
    y = np.abs(X[:, 0])
    net = draw_network(0, 2, 2)
    weights, outer = net.weights.copy(), net.outer.copy()
    weights[0], weights[1], outer[:] = [1, 0, 0], [0, 0, 0], 1.0
    result = refine(type(net)(weights, outer), X, y, 1e-3, method="walk")
    assert result.objective < 0.2 * result.initial_objective
