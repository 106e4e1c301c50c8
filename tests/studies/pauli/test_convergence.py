import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from studies.pauli import convergence


@pytest.fixture(autouse=True)
def close():
    yield
    plt.close("all")


def test_segment_draws_the_chord():
    table = pd.DataFrame({"share": [0.0, 0.5, 1.0], "loss": [1.0, 5.0, 3.0]})
    (ax,) = convergence.segment(table, ("one", "other")).axes
    assert ax.lines[1].get_ydata().tolist() == [1, 2, 3]


def test_convergence_has_a_line_for_each_run():
    rows = [
        {"problem": problem, "start": start, "round": k, "gap": 0.1**k, "V": 0.1**k}
        for problem in ("(9)", "(12)")
        for start in ("here", "there")
        for k in range(3)
    ]
    axes = convergence.convergence(pd.DataFrame(rows)).axes
    assert [len(ax.lines) for ax in axes] == [4, 4]
    assert axes[1].lines[3].get_label() == "(12) from there"


def test_enforced_shows_the_level():
    table = pd.DataFrame(
        {"multipliers": ["fixed"] * 2, "round": [1, 2], "certified": [1.0, 0.9], "loss": [2.0, 1.0]}
    )
    axes = convergence.enforced(table, 1.5).axes
    assert np.unique(axes[0].lines[0].get_ydata()).tolist() == [1.5]
    assert axes[0].lines[1].get_ydata().tolist() == [1, 0.9]
