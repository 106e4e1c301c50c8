import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

from studies.paper import figures, printed, tables

mpl.use("Agg")


@pytest.fixture
def attacks():
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        [
            {"dataset": dataset, "base": base, "model": model, "trial": trial, "radius": radius}
            | {"mse": rng.uniform(0.1, 0.2) + radius}
            for dataset in ("wine", "servo")
            for base in printed.BASES
            for model in (*figures.MODELS, "samp-lip")
            for trial in range(3)
            for radius in (0.0, 0.1, 0.2)
        ]
    )


def test_figure_1_has_a_panel_for_each_data_set_and_base(attacks):
    figure = figures.figure1(attacks)
    assert len(figure.axes) == 6
    assert [ax.get_ylabel() for ax in figure.axes[::3]] == ["servo\ntest MSE", "wine\ntest MSE"]
    middle = tables.medians(attacks).set_index(["dataset", "base", "model"])
    for number, model in enumerate(figures.MODELS):
        drawn = figure.axes[1].lines[number].get_ydata()
        assert drawn.tolist() == middle.loc[("servo", "pgd", model), "median"].tolist()
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == list(figures.MODELS)


def test_models_differ_without_colour():
    marks = [(marker, str(dash)) for _, marker, dash in map(figures.STYLES.get, printed.MODELS)]
    assert len({marker for marker, _ in marks}) == len(marks)
    assert len({figures.STYLES[model][1] for model in figures.MODELS}) == 5


def test_table_1_sets_the_paper_beside_ours_in_its_tints():
    table = pd.DataFrame(
        [
            {"dataset": "servo", "problem": "l2", "method": method, "statistic": statistic}
            | {
                "reduction_percent": value,
                "paper_percent": printed.table1("servo", method, statistic),
            }
            for method, value in (("C-l2", 12.0), ("samp-l2", -7.0), ("balanced", 1.0))
            for statistic in printed.STATISTICS
        ]
    ).astype({"paper_percent": float})
    html = figures.table1(table, "l2").to_html()
    assert html.count("+12.00<") == 3
    assert "+23.71<" in html
    assert "nan" not in html
    assert figures._tinted(12.0) == "background-color: rgba(214, 48, 49, 0.32)"
    assert figures._tinted(-7.0) == "background-color: rgba(52, 110, 235, 0.20)"
    assert figures.table1(table, "lipschitz").to_html().count("<td") == 0


def test_every_trial_is_a_mark():
    trials = pd.DataFrame(
        [
            {"dataset": dataset, "problem": problem, "base": base, "method": method}
            | {"objective": 9.0 + trial, "initial_objective": 10.0}
            for problem, base, method in (
                ("l2", "sgd", "C-l2"),
                ("lipschitz", "admm", "C-lip"),
                ("lipschitz", "admm", "joint"),
                ("lipschitz", "sgd", "joint"),
            )
            for dataset in ("machine", "servo")
            for trial in range(2)
        ]
    )
    left, right = figures.reductions(trials).axes
    assert left.lines[0].get_xdata() == pytest.approx([10.0, 0.0] * 2)
    assert [label.get_text() for label in left.get_yticklabels()] == ["servo", "machine"]
    # each method at its own height, around its data set's
    heights = np.concatenate([line.get_ydata() for line in right.lines[:2]])
    assert sorted(set(heights)) == pytest.approx([-0.2, 0.2, 0.8, 1.2])


def test_sensitivity_has_a_row_per_data_set_and_a_column_per_choice():
    table = pd.DataFrame(
        [
            {"choice": choice, "factor": factor, "dataset": "servo", "method": "C-lip"}
            | {"reduction_percent": 10 * factor}
            for choice in ("strength", "penalty")
            for factor in (0.1, 1.0, 10.0)
        ]
    )
    figure = figures.sensitivity(table)
    assert [ax.get_xlabel() for ax in figure.axes] == [
        "strengths, relative",
        "ADMM's penalty, relative",
    ]
    assert figure.axes[0].lines[1].get_ydata().tolist() == [1.0, 10.0, 100.0]


def test_cost_is_sorted_by_the_dearest():
    times = pd.DataFrame(
        {"dataset": ["servo", "servo", "wine"], "step": ["a", "b", "a"], "seconds": [1, 5, 2.0]}
    )
    (ax,) = figures.cost(times).axes
    assert [label.get_text() for label in ax.get_yticklabels()] == ["a", "b"]
    assert [line.get_label() for line in ax.lines] == ["servo", "wine"]
