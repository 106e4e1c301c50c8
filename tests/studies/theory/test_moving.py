import json
import re

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

import lipsnn
from lipsnn.convex import refine_path
from studies.theory import moving


def data_of(figure: moving.Moving) -> dict:
    page = figure._repr_html_()
    assert 'src="data:image/svg+xml;base64,' in page
    assert "&lt;alt&gt;" in page  # escaped
    return json.loads(re.search(r'<script type="application/json">(.*?)</script>', page, re.S)[1])


def test_strength_has_the_corners_of_every_function():
    X = np.linspace(-1, 1, 9)[:, None]
    y = np.abs(X[:, 0])
    base = lipsnn.ShallowNet(np.array([[1.0, 0.1], [-1.0, 0.2], [0.0, 1.0]]), np.array([1.0, 1, 1]))
    path = refine_path(base, X, y, [0.01, 0.1], method="joint", progress=False)
    made = moving.strength(path, base, X, y, (-2, 2), alt="<alt>", caption="c")
    data = data_of(made)
    assert [f["strength"] for f in data["frames"]] == [0.01, 0.1]
    assert [x for x, _ in data["base"]] == [-2, -0.1, 0.2, 2]
    for frame, one in zip(data["frames"], path.refinements, strict=True):
        x, values = np.array(frame["line"]).T
        np.testing.assert_allclose(values, one.net(x[:, None]), atol=1e-3)
        slopes = np.diff(values) / np.diff(x)
        assert np.abs(slopes).max() <= frame["bound"] * (1 + 1e-3)


def test_attack_keeps_every_trial():
    rows = [
        {"dataset": "servo", "base": "sgd", "model": m, "trial": t, "radius": r, "mse": 1 + r + t}
        for m in ("base", "joint")
        for t in range(2)
        for r in (0.0, 0.5)
    ]
    for row in rows:
        row["certified"] = row["mse"] + 0.25 if row["trial"] else np.nan
    figure = plt.figure()
    data = data_of(moving.attack(pd.DataFrame(rows), figure, alt="<alt>", caption="c"))
    assert data["radii"] == [0.0, 0.5]
    assert data["panels"][0]["models"]["joint"] == [[1.0, 2.0], [1.5, 2.5]]
    assert data["panels"][0]["certified"]["joint"] == [[None, 2.25], [None, 2.75]]
    assert not plt.fignum_exists(figure.number)


def test_certificate_gives_the_ellipse_by_its_three_entries():
    frames = [{"P": np.array([[0.7, 0.1], [0.1, 0.3]]), "lower": 1.0, "upper": 2.0}]
    slopes = np.array([[3.0, 4.0], [1.0, 0.0]])
    made = moving.certificate(slopes, frames, slopes[0], plt.figure(), alt="<alt>", caption="c")
    data = data_of(made)
    assert data["frames"] == [{"P": [0.7, 0.1, 0.3], "lower": 1.0, "upper": 2.0}]
    assert data["formal"] == pytest.approx(5)
    assert data["slopes"][0] == [0.6, 0.8]
