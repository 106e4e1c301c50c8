import itertools

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

from studies.theory import background

mpl.use("Agg")
LADDER = {"sampled": 1.0, "exact": 2.0, "certificate": 2.5, "product": 4.0}


def grid(**columns):
    points = np.array(list(itertools.product(range(4), range(3))), dtype=float)
    return pd.DataFrame({"x1": points[:, 0], "x2": points[:, 1], **columns})


def test_units_are_coloured_by_sign_and_kinks_marked():
    units = pd.concat(
        pd.DataFrame({"unit": k, "sign": sign, "x": [0, 1], "output": [0, k]})
        for k, sign in enumerate(["a > 0", "a < 0", "a > 0"])
    )
    total = pd.DataFrame({"x": [0, 1], "output": [0, 3], "kink": [False, True]})
    (ax,) = background.units_and_sum(units, total).axes
    colors = [line.get_color() for line in ax.lines[:3]]
    assert colors == [background.SIGNS[sign] for sign in ("a > 0", "a < 0", "a > 0")]
    assert ax.lines[-1].get_xdata().tolist() == [1]


def test_cell_map_draws_the_values():
    table = grid(value=np.arange(12.0), cell=np.arange(12) // 6)
    figure = background.cell_map(table, "slope", pd.DataFrame({"x1": [1.0], "x2": [1.0]}))
    mesh = figure.axes[0].collections[0]
    assert np.sort(mesh.get_array().ravel()).tolist() == list(range(12))
    assert figure.axes[1].get_ylabel() == "slope"


def test_rescaling_is_relative_and_logarithmic():
    table = pd.DataFrame({"spread": [0, 1], "quantity": ["L"] * 2, "ratio": [1.0, 1.0]})
    (ax,) = background.rescaling(table).axes
    assert ax.get_yscale() == "log"


def test_sector_has_a_panel_for_each_activation():
    table = pd.DataFrame(
        {"activation": ["ReLU", "tanh"], "moved": [1.0, 2.0], "answered": [1.0, 0.5]}
    )
    axes = background.sector(table, {"ReLU": (0, 1), "tanh": (0, 1)}).axes
    assert [ax.get_title() for ax in axes] == ["ReLU", "tanh"]


def test_ladder_draws_each_rung_at_its_height():
    slopes = pd.DataFrame({"x": [0.0, 1.0], "slope": [1.0, 2.0]})
    (ax,) = background.slope_ladder(slopes, LADDER).axes
    heights = [line.get_ydata()[0] for line in ax.lines[1:]]
    assert heights == list(LADDER.values())


def test_gradients_lie_in_circles_of_the_rungs():
    gradients = pd.DataFrame({"g1": [1.0, 2.0], "g2": [0.0, 0.0], "sampled": [True, False]})
    (ax,) = background.gradient_plane(gradients, LADDER).axes
    assert [circle.radius for circle in ax.patches] == list(LADDER.values())
    assert ax.get_xlim()[1] > LADDER["product"]


def test_cone_has_the_claimed_slope():
    curves = pd.concat(
        pd.DataFrame({"curve": name, "x": [-1.0, 0.0, 1.0], "output": [0.0, 1.0, 0.0]})
        for name in ("f", "g")
    )
    (ax,) = background.claimed_cone(curves, (0.0, 1.0), {"wide": 2.0, "flat": 0.1}).axes
    reach = [c.get_paths()[0].vertices[:, 1].max() - 1 for c in ax.collections]
    assert reach == pytest.approx([2.0, 0.1])


def test_form_map_labels_its_marks():
    one = grid(form=np.linspace(-1, 3, 12)).rename(columns={"x1": "v1", "x2": "v2"})
    table = pd.concat([one.assign(T="coupled"), one.assign(T="diagonal", form=1.0)])
    marks = pd.DataFrame({"T": ["coupled"], "v1": [1.0], "v2": [1.0], "text": ["-3"]})
    axes = background.form_map(table, marks).axes
    assert [text.get_text() for text in axes[0].texts] == ["-3"]
    assert not axes[1].texts
