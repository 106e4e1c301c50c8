import itertools

import matplotlib as mpl
import numpy as np
import pandas as pd

from studies.common.style import COLORS
from studies.theory import lipschitz

mpl.use("Agg")

T = np.array([0.5, 2.0])  # the box of Lemma 6 has the corner (1, 2)


def line(ax, label):
    return next(drawn for drawn in ax.lines if drawn.get_label() == label)


def test_outer_weight_plane_ends_at_the_ellipse_of_lemma_6():
    table = pd.DataFrame(
        [(r, u, r * np.cos(u), 2 * r * np.sin(u), r) for r in (0.3, 0.6, 0.9) for u in (0, 0.7, 1)],
        columns=["ring", "ray", "kappa_1", "kappa_2", "objective"],
    )
    ax = lipschitz.outer_weight_plane(table, T, np.array([0.5, 0.5])).axes[0]
    x, y = line(ax, r"$\frac{1}{2}\sum_i \kappa_i^2/t_i = 1$").get_data()
    np.testing.assert_allclose(x**2 / (2 * T[0]) + y**2 / (2 * T[1]), 1)
    star = line(ax, "$|a|$ of an optimum of (4)")
    assert (star.get_xdata()[0], star.get_ydata()[0]) == (0.5, 0.5)


def test_feasible_plane_marks_each_verdict():
    table = pd.DataFrame(
        {"kappa_1": [0.1, 0.2, 3], "kappa_2": [0.1, 0.2, 3], "feasible": [True, True, False]}
    )
    ax = lipschitz.feasible_plane(table, T).axes[0]
    assert len(line(ax, "feasible").get_xdata()) == 2
    assert len(line(ax, "infeasible").get_xdata()) == 1


def test_bisection_is_drawn_relative_to_the_prediction():
    steps = pd.DataFrame({"step": [1, 2], "scale": [4.0, 1.0], "feasible": [False, True]})
    (ax,) = lipschitz.bisection(steps, 2.0).axes
    assert line(ax, "infeasible").get_ydata().tolist() == [1.0]
    assert line(ax, "feasible").get_ydata().tolist() == [-0.5]


def test_scaling_draws_each_case_and_the_reference():
    table = pd.DataFrame({"case": ["a", "a", "b"], "scale": [1, 2, 1], "objective": [3, 4, 5]})
    (ax,) = lipschitz.scaling(table, 2.5).axes
    assert line(ax, "a").get_ydata().tolist() == [3, 4]
    assert set(line(ax, "optimum of (4)").get_ydata()) == {2.5}


def test_weight_space_has_a_line_per_sample_and_one_star():
    points = [(s, w, b) for s in (1.0, -1.0) for w, b in itertools.product((-1.0, 1.0), repeat=2)]
    grid = pd.DataFrame(points, columns=["sign", "w", "b"])
    grid["objective"] = np.arange(len(grid), dtype=float)
    optima = pd.DataFrame(
        {"sign": [1.0, -1.0], "w": [0.5, 0.2], "b": [0.1, 0.3], "best": [True, False]}
    )
    X = np.array([[0.5], [-2.0], [1.0]])
    left, right = lipschitz.weight_space(grid, X, optima).axes[:2]
    np.testing.assert_allclose(left.lines[1].get_ydata(), [-2.0, 2.0])  # w x + b = 0, x = -2
    stars = [
        [d for d in ax.lines if d.get_marker() == "*" and len(d.get_xdata())]
        for ax in (left, right)
    ]
    assert [len(found) for found in stars] == [1, 0]


def test_enumeration_is_sorted():
    (ax,) = lipschitz.enumeration(pd.DataFrame({"objective": [3.0, 1.0, 2.0]}), 1.0).axes
    assert line(ax, "least of all (12)").get_ydata()[0] == 1.0
    assert ax.lines[0].get_ydata().tolist() == [1.0, 2.0, 3.0]


def test_slice_joins_network_and_optimum():
    grid = pd.DataFrame(
        [(u, v, u + v, u >= 0) for u in (-1.0, 0.0, 1.0) for v in (-1.0, 0.0, 1.0)],
        columns=["alpha", "beta", "objective", "inside"],
    )
    points = pd.DataFrame(
        [("network", 1, 0), ("optimum", 0, 1), ("zero", 0, 0)], columns=["name", "alpha", "beta"]
    )
    ax = lipschitz.slice_of_restriction(grid, points).axes[0]
    joined = ax.lines[0]
    assert list(zip(*joined.get_data(), strict=True)) == [(1, 0), (0, 1)]
    assert line(ax, "network").get_color() == COLORS["base"]


def test_segment_shades_where_the_cones_hold():
    theta = np.linspace(-1, 2, 7)
    table = pd.DataFrame({"theta": theta, "program": theta**2, "objective": theta**2 + 1})
    table["inside"] = (theta >= 0) & (theta <= 1)
    (ax,) = lipschitz.segment(table).axes
    assert ax.patches[0].get_x() == 0
    assert ax.patches[0].get_width() == 1
    assert line(ax, "optimum of (12)").get_ydata() == [1.0]


def test_contained_has_a_bar_per_program_and_case():
    table = pd.DataFrame(
        {"case": ["a", "a", "b", "b"], "program": ["(6)", "(12)"] * 2, "ratio": [0.9, 0.8, 0.7, 1]}
    )
    (ax,) = lipschitz.contained(table).axes
    heights = sorted(patch.get_height() for patch in ax.patches if patch.get_height() > 0)
    assert heights == [0.7, 0.8, 0.9, 1.0]
