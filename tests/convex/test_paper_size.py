"""The three programs at the paper's size, on its five data sets: all end at 1e-8."""

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
