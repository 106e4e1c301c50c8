import matplotlib as mpl
import numpy as np
import pandas as pd

from studies.theory import local

mpl.use("Agg")


def test_lines_that_a_ball_meets_are_drawn_in_their_colour():
    weights = np.array([[1.0, 0.0, -0.5], [0.0, 2.0, 20.0]])
    steps = pd.DataFrame({"radius": [0.0, 0.5], "bound": [1.0, 2.0], "sampled": [1.0, 1.5]})
    left, right = local.growing_ball(weights, np.zeros(2), [0.2, 1.0], steps, 2.5).axes
    first, second = left.lines[:2]
    assert first.get_color() == local.FOUND
    assert second.get_color() != local.FOUND
    np.testing.assert_allclose(first.get_xdata(), 0.5)
    np.testing.assert_allclose(second.get_ydata(), -10.0)
    names = right.get_legend_handles_labels()[1]
    assert names == ["whole plane", "bound", "steepest slope found"]


def test_one_axis_for_each_network():
    table = pd.DataFrame({"network": ["a", "b"], "radius": 0.1})
    table[["pgd", "reached", "certified", "by_constant"]] = [0.9, 1.0, 1.1, 2.0]
    axes = local.enclosures(table).axes
    assert [ax.get_title() for ax in axes] == ["a", "b"]
    assert all(len(ax.lines) == 4 for ax in axes)
