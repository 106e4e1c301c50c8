"""The three programs at the paper's size, on its five data sets: all end at 1e-8."""

from pathlib import Path

import numpy as np
import pytest

from lipsnn import certify, load_dataset, train_sgd
from lipsnn.convex import structured
from lipsnn.convex.structured import newton
from lipsnn.datasets import DATASETS
from lipsnn.network import with_bias


@pytest.mark.parametrize("name", DATASETS)
def test_no_program_degrades_to_inaccurate(name):
    data = load_dataset(name, split=3)
    X, y = data.X_train, data.y_train
    net = train_sgd(X, y, 100, 0.1, epochs=20)
    arguments = (with_bias(X), y, net.patterns(X), net.signs)
    kappa, t = np.abs(net.outer), certify(net).multipliers
    for solution in (
        structured.solve_l2(*arguments, 0.1),
        structured.solve_lipschitz(*arguments, kappa, t, 0.1),
        structured.solve_joint(*arguments, 0.1),
    ):
        assert solution.status == "optimal"
        assert max(solution.gap, solution.primal_residual, solution.dual_residual) <= 1e-8


def thin_cones(program, split):
    """X1, y, patterns and signs of trained bases of Table 1 that hold units to thin cones."""
    data = load_dataset("rastrigin", split=split, dimension=2, size=1000, noise=0.0)
    kept = np.load(Path(__file__).parent / "data" / "thin_cones.npz")
    n = len(data.y_train)
    patterns = np.unpackbits(kept[f"{program}-{split}-patterns"], axis=0)[:n].astype(bool)
    return with_bias(data.X_train), data.y_train, patterns, kept[f"{program}-{split}-signs"]


@pytest.mark.parametrize(
    ("solve", "program", "split", "strength"),
    [
        (structured.solve_l2, "l2", 0, 10.0),
        (structured.solve_l2, "l2", 6, 10.0),
        (structured.solve_joint, "joint", 2, 100.0),
    ],
)
def test_units_held_to_thin_cones_cost_no_digits(solve, program, split, strength):
    """On these, refinement that does not combine its corrections stalls at 1e-7."""
    solution = solve(*thin_cones(program, split), strength)
    assert solution.status == "optimal"
    assert solution.iterations <= 60


def test_every_direction_satisfies_the_equations_of_the_multipliers(monkeypatch):
    """Combining corrections must not trade the rows' equation for stationarity."""
    plain, off = newton.Newton.direction, []

    def direction(self, residuals, row_target, target, refined=True):
        move = plain(self, residuals, row_target, target, refined)
        cone = self._cone
        at = [np.append(move.Z, move.extras), move.multiplier, move.pair[1]]
        at += [self._rows.slack(move.Z), cone.shrink(cone.linear(move.Z, move.extras))]
        _, rows, cone = self._wrong(at, residuals, row_target, target)
        off.append((np.abs(rows).max() / np.abs(row_target).max(), np.abs(cone).max()))
        return move

    monkeypatch.setattr(newton.Newton, "direction", direction)
    structured.solve_joint(*thin_cones("joint", 2), 100.0)
    assert len(off) > 50
    assert max(rows for rows, _ in off) < 1e-8
    assert max(cone for _, cone in off) < 1e-8


def test_iterations_count_every_attempt():
    arguments = thin_cones("joint", 2)
    once = structured.solve_joint(*arguments, 100.0)
    stalled = structured.solve_joint(*arguments, 100.0, tol=1e-17)
    assert stalled.status == "optimal_inaccurate"
    assert stalled.iterations > 2 * once.iterations
    cut = structured.solve_joint(*arguments, 100.0, tol=1e-17, max_iterations=40)
    assert cut.iterations == 40
