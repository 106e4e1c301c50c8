"""What is said of Figure 1 from both sides: on tables whose answers are known by hand."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

from studies.paper import enclosed, printed

mpl.use("Agg")

KEY = {"regime": "validated", "dataset": "servo", "base": "sgd", "trial": 0, "radius": 0.1}


def row(model, mse, reached, certified, **other):
    errors = {"mse": mse, "reached": reached, "certified": certified}
    return KEY | {"model": model} | errors | other


def test_gaps_of_refined_networks_and_of_all():
    table = pd.DataFrame(
        [
            row("base", 1.0, 1.0, 1.3),
            row("C-lip", 1.0, 1.25, 1.25),
            row("walk", 2.0, 2.0, 2.2),
            row("walk", 2.0, 2.0, 2.4, radius=0.2),
        ]
    )
    found = enclosed.gaps(table).set_index(["networks", "radius"])
    columns = ["count", "gap", "largest", "beyond_pgd"]
    assert found.loc[("refined", 0.1), columns].tolist() == pytest.approx([2, 0.05, 0.1, 0.175])
    assert found.loc[("all", 0.1), columns].tolist() == pytest.approx([3, 0.4 / 3, 0.3, 0.65 / 3])
    assert found.loc[("all", 0.2), columns].tolist() == pytest.approx([1, 0.2, 0.2, 0.2])
    assert (found["regime"] == "validated").all()


def test_an_order_is_proved_where_the_intervals_are_apart():
    table = pd.DataFrame(
        [
            row("ADMM", 1.00, 1.01, 1.05),
            row("C-lip", 0.90, 0.95, 1.01),  # touches ADMM's: not below it
            row("base", 1.04, 1.06, 1.10),  # above both
            row("joint", 1.07, 1.08, 1.09),  # inside of base's
            row("base", 9.0, 9.0, 9.0, trial=1),  # has nobody to be compared with
        ]
    )
    found = enclosed.comparisons(table).set_index(["first", "second"])
    assert len(found) == 6
    assert found["proved"].to_dict() == {
        ("ADMM", "C-lip"): False,
        ("ADMM", "base"): True,
        ("ADMM", "joint"): True,
        ("C-lip", "base"): True,
        ("C-lip", "joint"): True,
        ("base", "joint"): False,
    }
    assert not found["reversed"].any()
    assert found.loc[("ADMM", "C-lip"), "difference"] == pytest.approx(0.1)
    # PGD shows less of the network that is worse
    table.loc[0, "mse"], table.loc[2, "mse"] = 1.005, 1.001
    assert enclosed.comparisons(table).set_index(["first", "second"])["reversed"].sum() == 1


def test_proved_orders_hold_for_any_errors_in_the_intervals():
    rng = np.random.default_rng(0)
    low = rng.uniform(1, 2, size=30)
    models = ["base", "ADMM", "C-lip", "joint", "walk"]
    table = pd.DataFrame(
        row(models[k % 5], low[k], low[k], low[k] + rng.uniform(0, 0.5), trial=k // 5)
        for k in range(30)
    )
    pairs = enclosed.comparisons(table)
    assert 0 < pairs["proved"].sum() < len(pairs) == 60
    for _ in range(20):
        share = rng.uniform(size=30)
        value = table["reached"] + share * (table["certified"] - table["reached"])
        drawn = table.assign(value=value).set_index(["trial", "model"])["value"]
        for pair in pairs[pairs["proved"]].itertuples():
            ends = table[(table["trial"] == pair.trial)].set_index("model")
            below = ends.loc[pair.first, "certified"] < ends.loc[pair.second, "reached"]
            first, second = drawn[pair.trial, pair.first], drawn[pair.trial, pair.second]
            assert (first < second) == below


def test_the_papers_statement_on_medians():
    (dataset, base), *_ = printed.LOWEST_THROUGHOUT
    rows = []
    for trial in range(3):
        for radius, clip in ((0.0, (0.5, 0.9)), (0.1, (0.95, 1.05)), (0.2, (1.3, 1.4))):
            where = {"dataset": dataset, "base": base, "trial": trial, "radius": radius}
            rows.append(row("C-lip", 0, *clip, **where))
            rows += [row(m, 0, 1.0, 1.2, **where) for m in printed.MODELS if m != "C-lip"]
            rows.append(row("joint", 0, 0.0, 0.1, **where))  # no model of the paper's
    rows[0]["reached"] = rows[0]["certified"] = 99.0  # one trial does not move a median
    found = enclosed.statement(pd.DataFrame(rows))
    (line,) = found.to_dict("records")
    assert (line["trials"], line["sizes"]) == (3, 3)
    assert (line["lowest"], line["not_lowest"]) == (1, 1)
    other = pd.DataFrame(rows).assign(dataset="none of the paper's")
    assert enclosed.statement(other).empty


def test_the_figure_draws_every_network_and_the_means():
    table = pd.DataFrame(
        row("base", 1.0, 1.0, 1.0 + 0.01 * (1 + trial), dataset=dataset, trial=trial, radius=r)
        for dataset in ("wine", "servo")
        for trial in range(2)
        for r in (0.0, 0.1, 0.2)
    )
    figure = enclosed.gaps_of_networks(table)
    (ax,) = figure.axes
    dots, means = ax.lines[0], ax.lines[1]
    assert sorted(dots.get_ydata()) == pytest.approx([1.0, 1.0, 2.0, 2.0])
    assert means.get_xdata().tolist() == [0.1, 0.2]  # no attack, no gap
    assert means.get_ydata().tolist() == pytest.approx([1.5, 1.5])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["servo", "wine"]


def test_bands_reach_from_the_median_reached_to_the_median_certified():
    table = pd.DataFrame(
        row(model, 0, 1 + trial + r, 2 + trial + r, trial=trial, radius=r)
        for model in printed.MODELS
        for trial in (0, 1, 7)
        for r in (0.0, 0.2)
    )
    figure = enclosed.bands(table)
    (ax,) = figure.axes
    assert len(ax.collections) == len(printed.MODELS)
    corners = {tuple(point) for point in ax.collections[1].get_paths()[0].vertices.round(9)}
    assert corners == {(0.0, 2.0), (0.0, 3.0), (0.2, 2.2), (0.2, 3.2)}
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == list(printed.MODELS)
