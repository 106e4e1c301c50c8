"""The three programs at the paper's size, on its five data sets: all end at 1e-8."""

from pathlib import Path

import numpy as np
import pytest

from lipsnn import certify, load_dataset, train_sgd
from lipsnn.convex import structured
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


@pytest.mark.parametrize(
    ("solve", "program", "split", "strength"),
    [
        (structured.solve_l2, "l2", 0, 10.0),
        (structured.solve_l2, "l2", 6, 10.0),
        (structured.solve_joint, "joint", 2, 100.0),
    ],
)
def test_units_held_to_thin_cones_cost_no_digits(solve, program, split, strength):
    """Patterns of trained bases of Table 1, on which plain refinement stalls at 1e-7."""
    data = load_dataset("rastrigin", split=split, dimension=2, size=1000, noise=0.0)
    kept = np.load(Path(__file__).parent / "data" / "thin_cones.npz")
    n = len(data.y_train)
    patterns = np.unpackbits(kept[f"{program}-{split}-patterns"], axis=0)[:n].astype(bool)
    signs = kept[f"{program}-{split}-signs"]
    solution = solve(with_bias(data.X_train), data.y_train, patterns, signs, strength)
    assert solution.status == "optimal"
    assert solution.iterations <= 60
