import matplotlib as mpl
import numpy as np
import pandas as pd

from studies.theory import pieces

mpl.use("Agg")


def test_a_map_for_each_stage_and_the_interval():
    values = np.arange(9.0).reshape(3, 3)
    steps = pd.DataFrame({"pieces": [1, 3], "upper": [9.0, 8.0], "lower": [2.0, 8.0]})
    stages = {"all": values, "some": np.where(values > 4, values, np.nan), "few": values}
    figure = pieces.cut_square(stages, 2.0, np.array([1.0, -1.0]), steps)
    *maps, last = figure.axes[:4]
    assert [ax.get_title() for ax in maps] == ["all", "some", "few"]
    assert all(ax.images[0].get_clim() == (0.0, 8.0) for ax in maps)
    np.testing.assert_array_equal(last.lines[0].get_ydata(), [9.0, 8.0, 8.0])
    assert last.get_legend_handles_labels()[1] == ["proved", "met"]


def test_rungs_are_relative_to_the_certificate():
    table = pd.DataFrame({"dataset": ["p", "q"], "network": ["a", "b"], "certificate": 2.0})
    table[["attained", "lower", "upper", "formal"]] = [1.0, 1.2, 1.4, 1.8]
    axes = pieces.rungs(table).axes
    assert [ax.get_title() for ax in axes] == ["a", "b"]
    exact, attained, formal = axes[0].lines[:3]
    assert [line.get_xdata()[0] for line in (exact, attained, formal)] == [0.6, 0.5, 0.9]
