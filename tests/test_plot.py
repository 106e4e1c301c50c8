import matplotlib as mpl
import pandas as pd
import pytest
from matplotlib.colors import to_rgb

from lipsnn import plot
from lipsnn.plot import style

mpl.use("Agg")

STEPS = pd.DataFrame(
    {
        "method": ["alternating"] * 3 + ["joint"] * 2,
        "step": [0, 1, 2, 0, 1],
        "objective": [5.0, 4.0, 3.5, 5.0, 3.0],
    }
)


def luminance(color):
    channels = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(color)]
    return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), channels, strict=True))


def contrast(one, two):
    high, low = sorted((luminance(one), luminance(two)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("color", [plot.INK, *plot.COLORS.values(), *style._OTHERS])
@pytest.mark.parametrize("page", ["#ffffff", "#121212"])
def test_every_colour_reads_on_light_and_on_dark(color, page):
    assert contrast(color, page) >= 3.0  # WCAG's threshold for graphics and large text


def test_house_style_is_transparent():
    plot.use_house_style()
    figure = plot.objective_history(STEPS)
    assert figure.get_facecolor()[3] == 0
    assert mpl.rcParams["svg.hashsalt"] == "lipsnn"


def test_history_draws_each_method_once():
    (ax,) = plot.objective_history(STEPS).axes
    labels = ax.get_legend_handles_labels()[1]
    assert labels == ["alternating: 2 rounds", "joint: one solve", "base network"]
    assert ax.lines[0].get_ydata().tolist() == [5.0, 4.0, 3.5]


def test_slice_and_attack_draw_every_model_in_its_colour():
    lines = pd.DataFrame(
        {"model": ["base"] * 2 + ["joint"] * 2, "position": [0, 1] * 2, "output": [0, 2, 0, 1]}
    )
    points = pd.DataFrame({"position": [0.5], "target": [1.0], "distance": [0.1]})
    (ax,) = plot.fitted_slice(lines, points).axes
    assert [line.get_color() for line in ax.lines] == [plot.COLORS["base"], plot.COLORS["joint"]]
    curve = pd.DataFrame({"model": ["base", "new"], "radius": [0, 0], "mse": [1.0, 2.0]})
    (ax,) = plot.attack_curve(curve).axes
    assert ax.get_yscale() == "log"
    assert len({line.get_color() for line in ax.lines}) == 2


def test_draws_on_given_axes():
    import matplotlib.pyplot as plt

    figure, ax = plt.subplots()
    assert plot.objective_history(STEPS, ax) is figure
