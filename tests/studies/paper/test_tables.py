import re

import numpy as np
import pandas as pd
import pytest

from studies.common.runner import Outcome
from studies.paper import printed as paper
from studies.paper import tables


def trial(number, method, objective, initial, dataset="servo", problem="l2", base="sgd"):
    return {
        "dataset": dataset,
        "trial": number,
        "problem": problem,
        "base": base,
        "method": method,
        "objective": objective,
        "initial_objective": initial,
    }


@pytest.fixture
def example():
    """Two trials, whose minimum, maximum and mean fall by 50, 25 and 100/3 per cent."""
    rows = [
        trial(0, "base", 10.0, 10.0),
        trial(1, "base", 20.0, 20.0),
        trial(0, "C-l2", 5.0, 10.0),
        trial(1, "C-l2", 15.0, 20.0),
        trial(0, "samp-l2", 12.0, 10.0),
        trial(1, "samp-l2", 12.0, 20.0),
        trial(0, "joint", 4.0, 8.0, problem="lipschitz", base="admm"),
        trial(0, "C-lip", 1.0, 8.0, problem="lipschitz", base="sgd"),  # not Table 1's base
    ]
    return pd.DataFrame(rows, columns=list(tables.TRIALS))


def entries(table, method):
    part = table[table["method"] == method].set_index("statistic")
    return part["reduction_percent"].to_dict()


def test_reductions_are_of_statistics_not_statistics_of_reductions(example):
    table = tables.table1(example)
    # of single trials they would be 25, 50 and 37.5
    assert entries(table, "C-l2") == pytest.approx({"min": 50.0, "max": 25.0, "mean": 100 / 3})
    assert entries(table, "samp-l2") == pytest.approx({"min": -20.0, "max": 40.0, "mean": 20.0})
    assert entries(table, "joint") == pytest.approx({"min": 50.0, "max": 50.0, "mean": 50.0})
    assert set(table["method"]) == {"C-l2", "samp-l2", "joint"}
    assert (table["trials"] == [2] * 6 + [1] * 3).all()


def test_the_papers_number_stands_beside_ours(example):
    table = tables.table1(example)
    beside = table[table["method"] == "C-l2"].set_index("statistic")["paper_percent"]
    assert beside.to_dict() == {"min": 20.76, "max": 25.42, "mean": 23.71}
    assert table.loc[table["method"] == "joint", "paper_percent"].isna().all()


def test_a_trial_that_failed_is_left_out_and_counted(example):
    example.loc[len(example)] = {"dataset": "servo", "trial": 2, "problem": "l2", "base": "sgd"}
    table = tables.table1(example)
    assert entries(table, "C-l2")["max"] == pytest.approx(25.0)
    assert (table.loc[table["problem"] == "l2", "trials"] == 2).all()


def test_no_trials_give_an_empty_table():
    empty = pd.DataFrame(columns=list(tables.TRIALS))
    assert tables.table1(empty).empty
    assert tables.statement(pd.DataFrame(columns=list(tables.ATTACKS))).empty


def attacks(dataset="solar", base="pgd", **by_model):
    """Three trials per size; each model's numbers are its medians."""
    return pd.DataFrame(
        [
            {"dataset": dataset, "base": base, "model": model.replace("_", "-"), "trial": number}
            | {"radius": 0.1 * size, "mse": middle + spread}
            for model, values in by_model.items()
            for size, middle in enumerate(values)
            for number, spread in enumerate((-0.5, 0.0, 0.5))
        ]
    )


def test_medians_and_quartiles():
    table = tables.medians(attacks(base_=[1.0], C_lip=[2.0]))
    assert table["median"].tolist() == [1.0, 2.0]
    assert table["lower"].tolist() == [0.75, 1.75]
    assert table["upper"].tolist() == [1.25, 2.25]
    assert table["trials"].tolist() == [3, 3]


def test_winners_count_lowest_medians():
    table = attacks(ADMM=[1.0, 2.0, 3.0], C_lip=[1.0, 1.0, 4.0], joint=[0.0, 0.0, 0.0])
    counted = tables.winners(table, ("base", "ADMM", "C-lip"))
    assert counted[["model", "lowest", "sizes"]].to_numpy().tolist() == [
        ["ADMM", 2, 3],  # a tie counts for both
        ["C-lip", 2, 3],
    ]
    assert tables.winners(table, ("ADMM", "joint"))["lowest"].tolist() == [0, 3]


def test_the_statement_row_by_row():
    base = [3.0, 3.0]
    table = pd.concat(
        [
            attacks("solar", "pgd", ADMM=[2.0, 2.0], C_lip=[1.0, 1.0], joint=[0.0, 0.0]),
            attacks("machine", "sgd", ADMM=[0.5, 2.0], C_lip=[1.0, 1.0]),
            attacks("rastrigin", "sgd", ADMM=[2.0, 2.0], C_lip=[1.0, 1.0]),
            *(
                attacks(dataset, kind, base_=base).assign(model="base")
                for dataset, kind in (("solar", "pgd"), ("machine", "sgd"), ("rastrigin", "sgd"))
            ),
        ]
    )
    rows = tables.statement(table)
    assert rows["dataset"].tolist() == ["machine", "solar", "rastrigin"]
    assert rows["named"].tolist() == [True, True, False]
    assert rows["holds"].tolist() == [False, True, None]
    assert rows["throughout"].tolist() == ["", "C-lip", "C-lip"]
    assert rows["base"].tolist() == ["sgd", "pgd", "sgd"]
    assert rows[["lowest_base", "lowest_ADMM", "lowest_C-lip"]].to_numpy().tolist() == [
        [0, 1, 1],
        [0, 0, 2],
        [0, 0, 2],
    ]


def test_rows_from_outcomes():
    task = {"dataset": "servo", "trial": 0, "problem": "l2", "base": "sgd"}
    value = {
        "trials": [trial(0, "base", 1.0, 1.0)],
        "attacks": [{"dataset": "servo", "base": "sgd", "model": "base", "trial": 0}],
        "seconds": {"base": 2.0, "C-l2": 1.0},
    }
    good = Outcome(task, value, None, None, 3.5, False)
    bad = Outcome(task | {"trial": 1}, None, "ValueError: no", "...", 0.1, False)
    rows = tables.trials_of([good, bad])
    assert rows["trial"].tolist() == [0, 1]
    assert rows["status"].tolist()[1] == "failed: ValueError: no"
    assert np.isnan(rows["objective"].iloc[1])
    assert len(tables.attacks_of([good, bad])) == 1
    times = tables.times_of([good, bad]).set_index("step")["seconds"]
    assert times.to_dict() == {"base": 2.0, "C-l2": 1.0, "other": 0.5}


def test_conclusions_hold_for_the_papers_own_numbers():
    rows = [
        {"dataset": dataset, "statistic": statistic, "method": method, "paper_percent": value}
        for (dataset, method), values in paper.TABLE1.items()
        for statistic, value in zip(paper.STATISTICS, values, strict=True)
    ]
    found = tables.conclusions(pd.DataFrame(rows), "paper_percent").set_index("conclusion")
    below = found[found["entries"] < found["of"]]
    # stated without saying where; not so for rastrigin (min, mean), solar (max) and wine
    assert below.index.tolist() == ["C-lip gains less over ADMM than C-l2 over SGD"]
    assert below.to_numpy().tolist() == [[9, 15]]
    assert found.loc["on rastrigin and wine, samp-l2 is above the SGD base", "of"] == 6
    one = tables.conclusions(pd.DataFrame(rows[:3]), "paper_percent").set_index("conclusion")
    assert one["of"].tolist() == [3, 0, 0, 0, 0, 0, 0]


def test_labels_are_taken_from_tasks_and_put_before_rows():
    moved, plain = {"a": 1, "choice": "penalty", "factor": 10.0}, {"choice": "", "factor": 1.0}
    labels = [tables.pop_labels(moved), tables.pop_labels(plain)]
    assert moved == {"a": 1}
    assert labels[1] == {"choice": "none", "factor": 1.0}
    table = tables.labelled(lambda outcomes: pd.DataFrame({"x": outcomes * 2}), labels, [1, 2])
    assert table.columns.tolist() == ["choice", "factor", "x"]
    assert table["factor"].tolist() == [10.0, 10.0, 1.0, 1.0]


def test_a_summary_of_each_setting(example):
    moved = example.assign(objective=example["objective"] / 2)
    both = pd.concat(
        [
            example.assign(choice="none", factor=1.0),
            moved.assign(choice="strength", factor=0.1),
        ]
    )
    found = tables.by(both, ["choice", "factor"], tables.table1)
    assert found.columns[:3].tolist() == ["choice", "factor", "dataset"]
    minima = found[(found["method"] == "C-l2") & (found["statistic"] == "min")]
    assert minima.set_index("choice")["reduction_percent"].to_dict() == pytest.approx(
        {"none": 50.0, "strength": 75.0}
    )


# Table 1 as the paper's source has it: \cellcolorred!28+20.76% and so on
PRINTED = """
servo C-l2 red28+20.76 red28+25.42 red28+23.71
servo samp-l2 red28+16.10 red28+14.42 red28+14.00
machine C-l2 red16+9.07 red28+11.08 red16+9.74
machine samp-l2 red8+4.89 red16+5.24 red16+5.63
solar C-l2 red8+2.84 red8+4.27 red8+3.76
solar samp-l2 blue8-3.84 blue8-1.94 blue8-3.21
rastrigin C-l2 red8+3.70 red8+3.93 red8+3.88
rastrigin samp-l2 blue16-9.04 blue24-13.48 blue24-13.06
wine C-l2 red8+1.19 red8+2.13 red8+1.56
wine samp-l2 blue24-74.60 blue24-82.83 blue24-75.55
servo C-lip red8+3.84 red16+6.59 red16+5.92
servo samp-lip blue24-10.31 blue24-55.02 blue24-27.18
machine C-lip red16+5.85 red16+8.28 red16+7.46
machine samp-lip blue8-2.57 blue24-21.03 blue24-10.32
solar C-lip red8+2.67 red16+5.28 red8+3.74
solar samp-lip blue8-3.60 blue16-5.57 blue8-3.95
rastrigin C-lip red8+4.40 red8+3.17 red8+3.89
rastrigin samp-lip blue24-93.43 blue24-125.24 blue24-109.45
wine C-lip red8+3.50 red16+7.20 red16+5.55
wine samp-lip blue24-91.15 blue24-124.66 blue24-101.83
"""


def test_the_papers_numbers_and_tints_are_as_printed():
    rows = [line.split() for line in PRINTED.strip().splitlines()]
    assert len(rows) == len(paper.TABLE1)
    for dataset, method, *printed in rows:
        for statistic, entry in zip(paper.STATISTICS, printed, strict=True):
            colour, strength, number = re.match(r"([a-z]+)(\d+)([+-].*)", entry).groups()
            value = paper.table1(dataset, method, statistic)
            assert value == float(number)
            assert paper.tint(value) == (colour, int(strength))
