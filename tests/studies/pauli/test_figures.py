import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from studies.pauli import figures


@pytest.fixture(autouse=True)
def close():
    yield
    plt.close("all")


def test_graphs_and_rounds():
    x = np.linspace(0, 1, 5)
    rows = [pd.DataFrame({"network": n, "x": x, "y": x}) for n in ("nominal", "l2", "data")]
    _, ax = plt.subplots()
    figures.graphs(pd.concat(rows), ax)
    assert [line.get_label() for line in ax.lines] == ["nominal", "L2", "data"]
    names = ("round", "loss", "bound", "certified", "primal", "dual")
    table = pd.DataFrame({name: np.arange(1.0, 4.0) for name in names})
    axes = figures.admm(table, desired=2.0).axes
    assert [len(ax.lines) for ax in axes] == [1, 2, 2]
    labels = [line.get_label() for line in figures.admm(table).axes[1].lines]
    assert labels == ["fixed $T$", "$T$ free"]


def test_slopes_stand_inside_their_bounds():
    table = pd.DataFrame(
        {"network": ["nominal", "direct"], "bound": [3.0, 2], "steepest": [1.0, 2]}
    )
    _, ax = plt.subplots()
    figures.slopes(table, ax)
    widths = [[bar.get_width() for bar in bars] for bars in ax.containers]
    assert widths == [[3, 2], [1, 2]]


def test_trade_off_in_order_of_the_bound():
    trade = pd.DataFrame({"bound": [3.0, 1.0], "mse": [0.1, 0.2]})
    table = pd.DataFrame(
        {"network": ["l2", "direct"], "bound": [4.0, 3], "mse": [0.3, 0.1]}
        | {"paper_bound": [4.1, np.nan], "paper_mse": [0.3, np.nan]}
    )
    _, ax = plt.subplots()
    figures.trade_off(trade, table, ax)
    assert [line.get_label() for line in ax.lines] == ["direct", "L2", "printed"]
    assert ax.lines[0].get_xdata().tolist() == [1, 3]
    assert list(ax.lines[2].get_xdata()) == [4.1]


def test_starts_mark_the_printed_value():
    rows = [
        {"network": n, "train_mse": m, "bound": m, "paper_train_mse": 1.0, "paper_bound": 2.0}
        for n in ("nominal", "l2", "lipschitz")
        for m in (0.5, 0.6)
    ]
    for ax in figures.starts(pd.DataFrame(rows)).axes:
        assert ax.lines[0].get_xdata().tolist() == [0.5, 0.6]
        assert list(ax.lines[1].get_xdata()) == [2.0]


def test_regions_follow_the_labels():
    x, y = np.meshgrid(np.linspace(0, 1, 4), np.linspace(0, 1, 5))
    grid = pd.DataFrame({"network": "l2", "x": x.ravel(), "y": y.ravel()})
    grid["label"] = (grid["x"] > 0.5).astype(int)
    samples = pd.DataFrame({"x": [0.1], "y": [0.2], "label": [0]})
    (ax,) = figures.regions(grid, samples, {"l2": "L2"}).axes
    assert ax.get_title() == "L2"
    assert ax.lines[0].get_xdata().tolist() == [0.1]
