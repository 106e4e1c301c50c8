import itertools

import matplotlib as mpl
import numpy as np
import pandas as pd

from studies.theory import patterns

mpl.use("Agg")


def test_fan_has_a_labelled_wedge_for_each_cone():
    cones = pd.DataFrame(
        {
            "name": ["1", "0"],
            "start": [0.0, 170.0],
            "end": [170.0, 360.0],
            "active": [1, 0],
        }
    )
    samples = pd.DataFrame({"name": ["1", "0"], "x": [0.5, 0.5], "active": [True, False]})
    left, right = patterns.cone_fan(cones, samples).axes
    assert [(w.theta1, w.theta2) for w in left.patches] == [(0, 170), (170, 360)]
    assert [text.get_text() for text in left.texts] == ["1", "0"]
    assert right.lines[0].get_ydata().tolist() == [0]


def test_disc_leaves_the_outside_empty():
    points = np.array(list(itertools.product(range(3), range(3))), dtype=float)
    disc = pd.DataFrame({"x1": points[:, 0], "x2": points[:, 1], "cell": 0, "value": np.nan})
    disc.loc[4, "value"] = 2.0
    figure = patterns.pattern_disc(pd.DataFrame({"x1": [0.0], "x2": [0.0]}), disc)
    drawn = figure.axes[1].collections[0].get_array()
    assert np.ma.count(drawn) == 1


def test_counts_have_a_line_for_each_dimension_and_the_dots():
    table = pd.DataFrame(
        {
            "samples": [1, 2, 1, 2],
            "inputs": [1, 1, 2, 2],
            "formula": [2, 4, 2, 4],
            "enumerated": [2, 4, 2, np.nan],
            "all": [2, 4, 2, 4],
        }
    )
    (ax,) = patterns.pattern_counts(table).axes
    labels = ax.get_legend_handles_labels()[1]
    assert labels == [
        "all 0/1 vectors, $2^n$",
        "formula, $d$ = 1",
        "formula, $d$ = 2",
        "enumerated",
    ]
    assert ax.get_yscale() == "log"


def test_balance_marks_the_least_cost():
    table = pd.DataFrame(
        {"unit": ["u"] * 3, "gamma": [0.5, 1, 2], "cost": [2.0, 1.0, 2.0], "product": [1.0] * 3}
    )
    (ax,) = patterns.balance(table).axes
    assert ax.lines[2].get_xydata().tolist() == [[1.0, 1.0]]


def test_value_by_width_tells_runs_from_optima():
    table = pd.DataFrame(
        {
            "method": ["best", "best", "runs", "runs"],
            "width": [1, 2, 1, 1],
            "value": [2.0, 1.0, 3.0, 4.0],
        }
    )
    (ax,) = patterns.value_by_width(table, {"(6)": 1.0}).axes
    assert [line.get_linestyle() for line in ax.lines] == ["-", "None", "--"]


def test_fits_draw_every_model_and_the_data():
    lines = pd.DataFrame({"model": ["a", "a", "b", "b"], "x": [0, 1] * 2, "output": [0, 1, 1, 0]})
    (ax,) = patterns.fits(lines, pd.DataFrame({"x": [0.0], "y": [1.0]})).axes
    assert ax.get_legend_handles_labels()[1] == ["a", "b", "data"]


def test_merged_functions_show_values_and_slopes():
    table = pd.DataFrame(
        {
            "network": ["one", "one", "two", "two"],
            "x": [0, 1] * 2,
            "output": [0, 1, 0, 1],
            "slope": [1, 1, 2, 0],
        }
    )
    left, right = patterns.merged_functions(table, pd.DataFrame({"x": [0], "y": [0]})).axes
    assert len(left.lines) == 3
    assert right.lines[1].get_ydata().tolist() == [2, 0]


def test_merged_share_labels_its_marks():
    curve = pd.DataFrame({"share": [0.1, 0.2], "rho": [2.0, 1.0]})
    marks = pd.DataFrame({"share": [0.1], "rho": [2.0], "text": ["kept"]})
    (ax,) = patterns.merged_share(curve, marks).axes
    assert ax.get_legend_handles_labels()[1] == ["kept"]
