import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgba

from studies.common import style
from studies.theory import beyond, restriction

mpl.use("Agg")


def labels_of(ax):
    return ax.get_legend_handles_labels()[1]


def test_ellipse_has_the_axes_of_p():
    values = pd.DataFrame({"step": [0, 1], "lower": [1.0, 1.5], "upper": [2.0, 1.6]})
    factors = {0: np.eye(2), 1: np.diag([2.0, 1.0])}
    figure = beyond.turning_ellipse(np.eye(2), factors, values, np.array([1.0, 1.0]))
    left, right = figure.axes
    outlines = [line.get_xydata() for line in left.lines if line.get_label().startswith("$P$, ")]
    # trace 1: the squared half axes add up to 1
    assert np.linalg.norm(outlines[0], axis=1) == pytest.approx(np.sqrt(0.5))
    lengths = np.linalg.norm(outlines[1], axis=1)
    # the outline is sampled at 200 angles
    assert lengths.max() == pytest.approx(np.sqrt(0.8), rel=1e-3)
    assert lengths.min() == pytest.approx(np.sqrt(0.2), rel=1e-3)
    assert labels_of(right) == ["upper: multipliers", "lower: $P$ itself", "formal constant FGL"]


def test_lines_by_group():
    ratios = pd.DataFrame({"kind": ["isotropic", "random"], "inputs": [1, 2], "ratio": [1.0, 1.1]})
    (ax,) = beyond.rounding_ratio(ratios).axes
    assert len(ax.lines) == 3
    seconds = pd.DataFrame({"form": ["a", "a", "b"], "width": [1, 2, 1], "seconds": [1, 2, 1.0]})
    (ax,) = beyond.seconds_by_width(seconds).axes
    assert labels_of(ax) == ["a", "b"]


def test_unit_balls_draw_a_panel_per_slice():
    angles = np.linspace(0, 2 * np.pi, 9)
    ball = {"across": np.cos(angles), "up": np.sin(angles), "across_label": "s", "up_label": "t"}
    balls = pd.concat([pd.DataFrame({"slice": name, **ball}) for name in ("one", "two")])
    arrows = balls.assign(by_across=balls["across"], by_up=balls["up"])
    figure = beyond.unit_balls(balls, arrows)
    assert [ax.get_title() for ax in figure.axes] == ["one", "two"]


def test_descent_path_stacks_the_terms():
    table = pd.DataFrame({"step": [0, 1], "loss": [2.0, 1.0], "penalty": [3.0, 1.0]})
    (ax,) = beyond.descent_path(table, {"level": 1.5}).axes
    tops = [patch.get_paths()[0].vertices[:, 1].max() for patch in ax.collections]
    assert tops == [3.0, 5.0]


def test_alternation_names_each_kind_of_end_once():
    table = pd.DataFrame(
        {
            "run": ["a", "a", "b", "b", "c", "c"],
            "step": [0, 1] * 3,
            "excess": [1.0, 0.1, 1.0, 0.2, 1.0, 0.01],
            "kink": [True] * 4 + [False] * 2,
        }
    )
    (ax,) = restriction.alternation_excess(table).axes
    assert len(ax.lines) == 3
    assert len(labels_of(ax)) == 2


def test_landscape_ends_each_path_with_a_cross():
    ticks = [0.0, 0.5, 1.0]
    grid = pd.DataFrame(
        [{"weights": s, "shares": t, "excess": (s - t) ** 2 + t} for s in ticks for t in ticks]
    )
    paths = pd.DataFrame({"path": ["p", "p"], "weights": [0.0, 0.4], "shares": [0.2, 0.3]})
    (ax,) = restriction.stall_landscape(grid, paths).axes
    crosses = [line for line in ax.lines if line.get_marker() == "X"]
    assert [cross.get_xydata().tolist() for cross in crosses] == [[[0.4, 0.3]]]


def test_fan_draws_every_sample_through_the_origin():
    path = pd.DataFrame(
        {"unit": ["u", "u"], "step": [0, 1], "slope": [1.0, 2.0], "bias": [0.5, 0.0]}
    )
    inputs = np.array([-1.0, 0.5])
    (ax,) = restriction.cone_fan(inputs, path).axes
    for line, x in zip(ax.lines, inputs, strict=False):
        slope, bias = line.get_xydata().T
        np.testing.assert_allclose(slope * x + bias, 0, atol=1e-12)


def test_walk_history_holds_walks_against_levels():
    table = pd.DataFrame({"walk": ["w", "w"], "step": [0, 1], "objective": [2.0, 1.0]})
    (ax,) = restriction.walk_history(table, {"global optimum": 0.5}).axes
    assert labels_of(ax) == ["w", "global optimum"]


def test_sparsity_colours_the_hub():
    matrix = np.array([[1, 1, 1], [1, 1, 0], [1, 0, 1]])
    (ax,) = restriction.sparsity({"arrow": matrix}, {"arrow": np.array([0])}).axes
    hub, spokes = ax.collections
    assert len(hub.get_offsets()) == 5
    assert len(spokes.get_offsets()) == 2
    assert tuple(hub.get_facecolor()[0]) == to_rgba(style.COLORS["joint"])
