import matplotlib as mpl
import pandas as pd

from studies.common import style
from studies.theory import refinement

mpl.use("Agg")

STEPS = pd.DataFrame(
    {
        "method": ["alternating"] * 3 + ["joint"] * 2,
        "step": [0, 1, 2, 0, 1],
        "objective": [5.0, 4.0, 3.5, 5.0, 3.0],
    }
)


def test_history_draws_each_method_once():
    (ax,) = refinement.objective_history(STEPS).axes
    labels = ax.get_legend_handles_labels()[1]
    assert labels == ["alternating: 2 rounds", "joint: one solve", "base network"]
    assert ax.lines[0].get_ydata().tolist() == [5.0, 4.0, 3.5]


def test_slice_and_attack_draw_every_model_in_its_colour():
    lines = pd.DataFrame(
        {"model": ["base"] * 2 + ["joint"] * 2, "position": [0, 1] * 2, "output": [0, 2, 0, 1]}
    )
    points = pd.DataFrame({"position": [0.5], "target": [1.0], "distance": [0.1]})
    (ax,) = refinement.fitted_slice(lines, points).axes
    assert [line.get_color() for line in ax.lines] == [style.COLORS["base"], style.COLORS["joint"]]
    curve = pd.DataFrame({"model": ["base", "new"], "radius": [0, 0], "mse": [1.0, 2.0]})
    (ax,) = refinement.attack_curve(curve).axes
    assert ax.get_yscale() == "log"
    assert len({line.get_color() for line in ax.lines}) == 2


def test_draws_on_given_axes():
    import matplotlib.pyplot as plt

    figure, ax = plt.subplots()
    assert refinement.objective_history(STEPS, ax) is figure


def test_sweeps_have_a_panel_for_each_quantity():
    table = pd.DataFrame(
        {
            "method": ["sweeps over the layers", "more training"] * 2,
            "seconds": [1.0, 2.0] * 2,
            "quantity": ["loss", "loss", "bound", "bound"],
            "value": [1.0, 2.0, 3.0, 4.0],
        }
    )
    left, right = refinement.layer_sweeps(table).axes
    assert (left.get_title(), right.get_title()) == ("loss", "bound")
    assert [line.get_ydata().tolist() for line in right.lines] == [[3.0], [4.0]]
