import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

from studies.paper import first_screen, printed, recover_figures, statement, statement_figures
from studies.paper import recover_rule as rule

mpl.use("Agg")


def attacked(base, models, radii=(0.0, 0.1, 0.2), trials=10, regime="paper", norm="l2"):
    """Errors of `models` (name to a factor for each radius) in trials of very different level."""
    level = np.geomspace(0.1, 10, trials)
    return [
        {"regime": regime, "dataset": base[0], "base": base[1], "norm": norm, "model": model}
        | {"trial": trial, "radius": radius, "mse": level[trial] * factor}
        for model, factors in models.items()
        for trial in range(trials)
        for radius, factor in zip(radii, factors, strict=True)
    ]


@pytest.fixture
def attacks():
    """From SGD on servo C-lip is 10 % lower but on clean inputs; on wine it is never lowest."""
    rows = attacked(
        ("servo", "sgd"),
        {"base": (1, 1, 1), "ADMM": (1, 1.1, 1.2), "C-lip": (1.05, 0.9, 0.9), "joint": (1, 1, 1)},
    )
    rows += attacked(("wine", "sgd"), {"base": (1, 1, 1), "ADMM": (1, 1, 1), "C-lip": (2, 2, 2)})
    rows += attacked(("wine", "pgd"), {"base": (1, 1, 1), "ADMM": (1, 1, 1), "C-lip": (2, 2, 2)})
    return pd.DataFrame(rows)


def test_a_row_is_judged_from_its_first_size_on(attacks):
    found = statement.margins(attacks, (0.0, 0.1)).set_index(["dataset", "base", "start"])
    whole, later = found.loc[("servo", "sgd", 0.0)], found.loc[("servo", "sgd", 0.1)]
    assert whole["excess_percent"] == pytest.approx(5.0)
    assert whole["worst_radius"] == 0.0
    assert not whole["holds"]
    assert later["holds"]
    assert later["excess_percent"] == pytest.approx(-10.0)
    assert found.loc[("wine", "sgd", 0.0), "excess_percent"] == pytest.approx(100.0)
    assert found["named"].groupby(level=[0, 1]).first().to_dict() == {
        ("servo", "sgd"): True,
        ("wine", "pgd"): False,
        ("wine", "sgd"): True,
    }


def test_the_interval_is_paired_by_trial(attacks):
    """Every model has the same trials: however different those are, the ratio is the same."""
    found = statement.margins(attacks, (0.1,)).set_index(["dataset", "base"])
    assert found.loc[("servo", "sgd"), "lower"] == pytest.approx(-10.0)
    assert found.loc[("servo", "sgd"), "upper"] == pytest.approx(-10.0)
    assert found.loc[("servo", "sgd"), "share"] == 1.0


def test_an_interval_widens_with_what_differs_between_trials(attacks):
    lowest = (attacks["model"] == "C-lip") & (attacks["dataset"] == "servo")
    attacks.loc[lowest & (attacks["trial"] % 2 == 0), "mse"] *= 1.5
    found = statement.margins(attacks, (0.1,)).set_index(["dataset", "base"]).loc[("servo", "sgd")]
    assert found["upper"] - found["lower"] > 5
    assert 0 < found["share"] < 1


def test_every_range_of_sizes_counts(attacks):
    found = statement.ranges(attacks).set_index(["dataset", "base"])
    servo = found.loc[("servo", "sgd")]
    assert (servo["ranges"], servo["hold"]) == (3, 1)  # only from 0.1 to 0.2
    assert (servo["sizes"], servo["lowest"]) == (3, 2)
    assert found.loc[("wine", "sgd"), "hold"] == 0


def test_ratios_are_of_single_trials(attacks):
    found = statement.ratios(attacks).set_index(["dataset", "base", "model", "radius"])
    row = found.loc[("servo", "sgd", "C-lip", 0.1)]
    # the errors differ a hundredfold between trials, the ratio not at all
    assert [row["lower"], row["median"], row["upper"]] == pytest.approx([0.9] * 3)
    assert "base" not in found.index.unique("model")


def test_the_figure_of_ratios_marks_what_the_paper_claims(attacks):
    figure = statement_figures.ratios(attacks)
    assert len(figure.axes) == 4
    marked = {
        (ax.get_ylabel().split("\n")[0], ax.get_title())
        for ax in figure.axes
        if any("paper" in text.get_text() for text in ax.texts)
    }
    assert len(marked) == 2  # servo and wine from SGD, not from PGD
    for ax in figure.axes:
        assert any(np.allclose(line.get_ydata(), 1) for line in ax.lines)


def test_the_figure_of_verdicts_has_the_eight_rows(attacks):
    margins = statement.margins(attacks, (0.0, 0.1))
    figure = statement_figures.verdicts(margins[margins["named"]])
    assert len(figure.axes[0].get_yticklabels()) == len(printed.LOWEST_THROUGHOUT) == 8


def test_a_line_meets_a_value_between_its_stations():
    curve = pd.DataFrame({"epochs": [10, 100, 1000], "percent": [30.0, 10.0, 20.0]})
    assert recover_figures.crossings(curve, 20.0) == pytest.approx([10**1.5, 1000])
    assert recover_figures.crossings(curve, 50.0) == []


@pytest.fixture
def table():
    """A Table 1 that is the printed one in `paper`, and all signs but one wrong in `validated`."""
    rows = [
        {"regime": regime, "dataset": dataset, "method": method, "statistic": statistic}
        | {"problem": "l2" if "l2" in method else "lipschitz", "trials": 10}
        | {"paper_percent": value, "reduction_percent": value if regime == "paper" else -value}
        for regime in ("validated", "paper")
        for (dataset, method), values in printed.TABLE1.items()
        for statistic, value in zip(printed.STATISTICS, values, strict=True)
    ]
    return pd.DataFrame(rows)


def test_the_first_screen_of_table_1_counts_signs_and_says_where_lines_meet(table):
    curve = pd.DataFrame(
        [
            {"dataset": dataset, "epochs": epochs, "percent": 2000.0 / epochs}
            for dataset in printed.DATASETS
            for epochs in (30, 100, 3000)
        ]
    )
    trials = pd.DataFrame(
        [
            {"regime": regime, "dataset": dataset, "problem": "lipschitz", "base": "admm"}
            | {"trial": 0, "method": method, "objective": value}
            for regime in ("validated", "paper")
            for dataset in ("servo", "wine")
            for method, value in (("C-lip", 1.0), ("ADMM", 0.5 if dataset == "wine" else 2.0))
        ]
    )
    draws = pd.DataFrame(
        [
            {"problem": problem, "draw": 0, "cells": 4, "signs": 4, "signs_chance": 2.0}
            | {"points": 1.5, "points_chance": 9.0}
            for problem in ("l2", "lipschitz")
        ]
    )
    signs, order, why, _, admm = first_screen.table1(table, curve, trials, draws)
    assert "60 of 60" in signs
    assert "30 of 30" in signs
    assert "`validated` it is 0 of 60" in signs
    assert "none fails" in signs
    assert "at random has 4 of 8 right, the chosen one 8" in signs
    assert "is 1.00 over all" in order
    assert "(5 of 5 do)" in why
    assert "on 1 of 2 data sets in `validated` (wine)" in admm


def test_entries_found_against_printed_are_drawn_once_each(table):
    ours = table[table["regime"] == "paper"]
    used = [(r.dataset, r.method) in rule.draw(0) for r in ours.itertuples()]
    left, right = recover_figures.found_and_printed(ours.assign(used=used)).axes
    marks = [line for ax in (left, right) for line in ax.lines if line.get_marker() in "^v"]
    assert len(marks) == 60
    assert sum(line.get_markerfacecolor() == "none" for line in marks) == 30


def test_the_first_screen_of_figure_1_counts_rows(attacks):
    attacks = pd.concat([attacks, attacks.assign(regime="validated")], ignore_index=True)
    lines = first_screen.figure1(
        statement.margins(attacks, (0.0, 0.1)),
        statement.ranges(attacks),
        statement.ratios(attacks),
    )
    assert len(lines) == 5
    # of three panels with two sizes above zero: both of one
    assert "in 33% of them in `paper`, in 33% of them in `validated`" in lines[4]
    assert "in `paper` 0 at sizes from 0 on, 1 at sizes from 0.1 on" in lines[0]
    assert "wine from SGD for none" in lines[3]


def test_other_draws_are_regimes_of_their_own(attacks):
    moved = attacks.assign(choice="draw", factor=2.0)
    unmoved = attacks.assign(choice="none", factor=1.0, regime="validated")
    found = statement.of_draws(pd.concat([moved, unmoved]))
    assert set(found["regime"]) == {"paper, draw 2"}
    assert list(found) == list(attacks)
    both = pd.concat([attacks, attacks.assign(regime="validated"), found])
    lines = first_screen.figure1(
        statement.margins(both, (0.0, 0.1)), statement.ranges(both), statement.ratios(both)
    )
    assert "`paper, draw 2` 0 at sizes from 0 on, 1 at sizes from 0.1 on" in lines[0]
    assert "0 of 4 rows and first sizes" in lines[1]
