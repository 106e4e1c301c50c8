import matplotlib as mpl
import pandas as pd

from studies.clip import propositions as clip

mpl.use("Agg")


def test_fits_draw_each_strength_over_the_data():
    lines = pd.DataFrame({"fit": ["a", "a", "b", "b"], "x": [0, 1] * 2, "value": [0, 1, 0, 2]})
    points = pd.DataFrame({"x": [0.5], "y": [1.0]})
    (ax,) = clip.fits(lines, points).axes
    assert ax.get_legend_handles_labels()[1] == ["data", "a", "b"]
    assert ax.lines[1].get_ydata().tolist() == [0, 2]


def test_each_family_has_its_threshold():
    table = pd.DataFrame(
        {
            "family": ["f", "f", "g"],
            "strength": [0.1, 1.0, 0.1],
            "risk": [0.0, 1.0, 0.5],
            "constant": [2.0, 0.0, 1.0],
        }
    )
    figure = clip.along_strength(table, {"risk": 1.0, "constant": 2.0}, [0.5, 0.7])
    for ax in figure.axes:
        dotted = [line for line in ax.lines if line.get_linestyle() == ":"]
        assert [line.get_xdata()[0] for line in dotted] == [0.5, 0.7]
        assert ax.get_xscale() == "log"
