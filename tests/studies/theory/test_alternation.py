import matplotlib as mpl
import pandas as pd

from studies.common.style import COLORS
from studies.theory import alternation

mpl.use("Agg")


def test_half_steps_go_down_a_staircase():
    table = pd.DataFrame(
        {"half": ["given", "weights", "certificate", "weights"], "excess": [8.0, 4.0, 2.0, 1.0]}
    )
    (ax,) = alternation.half_steps(table).axes
    assert ax.lines[0].get_ydata().tolist() == [8.0, 4.0, 2.0, 1.0]
    marks = {drawn.get_label(): drawn.get_xdata().tolist() for drawn in ax.lines[1:]}
    assert marks == {"given": [0], "weights": [1, 3], "certificate": [2]}


def test_alternation_parts_are_relative_to_the_start():
    table = pd.DataFrame(
        {
            "dataset": ["servo", "servo", "wine", "wine"],
            "strength": 1.0,
            "round": [0, 1, 0, 1],
            "objective": [4.0, 2.0, 10.0, 9.0],
            "loss": [2.0, 3.0, 5.0, 4.0],
            "bound": [1.0, 0.5, 2.0, 3.0],
        }
    )
    objective, loss, bound = alternation.alternation_parts(table).axes
    assert objective.lines[0].get_ydata().tolist() == [1.0, 0.5]
    assert loss.lines[0].get_ydata().tolist() == [1.0, 1.5]
    assert bound.lines[1].get_ydata().tolist() == [1.0, 1.5]


def test_sampled_reductions_sets_all_patterns_beside_the_draws():
    table = pd.DataFrame(
        {
            "dataset": ["servo"] * 4,
            "method": ["l2", "l2", "lip", "lip"],
            "reduction": [-5, 2, -9, 1],
        }
    )
    full = pd.DataFrame({"dataset": "servo", "method": ["l2", "lip"], "reduction": [10, 20]})
    left, right = alternation.sampled_reductions(table, full).axes
    stars = [next(d for d in ax.lines if d.get_marker() == "*") for ax in (left, right)]
    assert [star.get_ydata().tolist() for star in stars] == [[10], [20]]
    assert sorted(left.collections[0].get_offsets()[:, 1]) == [-5, 2]


def test_printed_statistics_colours_rows_out_of_order():
    table = pd.DataFrame(
        {
            "row": ["a", "b", "c"],
            "side": ["l2", "l2", "Lipschitz"],
            "min": [1.0, 5.0, 1.0],
            "max": [3.0, 1.0, 2.0],
            "avg": [2.0, 2.0, 1.5],
            "ordered": [True, False, True],
        }
    )
    left, _ = alternation.printed_statistics(table).axes
    bars = left.collections[0]
    drawn = [mpl.colors.to_hex(color) for color in bars.get_colors()]
    assert drawn == [COLORS["base"], COLORS["joint"]]  # rows from below
    assert bars.get_segments()[0][:, 0].tolist() == [3.0, -1.0]  # b: Min and Max minus Avg
