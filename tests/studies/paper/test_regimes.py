from pathlib import Path

import pandas as pd
import pytest

from lipsnn.datasets import load_dataset
from studies.paper import grid, printed, trial
from studies.paper import recover_rule as rule
from studies.paper.settings import REGIMES, load_settings

RESULTS = Path(__file__).resolve().parents[3] / "results" / "full"


@pytest.mark.parametrize("regime", REGIMES)
def test_every_entry_of_table_1_is_there_in_both_regimes(regime):
    table = pd.read_csv(RESULTS / "table1.csv")
    table = table[table["regime"] == regime].set_index(["dataset", "method", "statistic"])
    assert table.index.is_unique
    for dataset, method in printed.TABLE1:
        for statistic in printed.STATISTICS:
            entry = table.loc[(dataset, method, statistic)]
            assert entry["trials"] == 10
            assert entry["paper_percent"] == printed.table1(dataset, method, statistic)
            assert pd.notna(entry["reduction_percent"])


@pytest.mark.parametrize("regime", REGIMES)
def test_every_panel_of_figure_1_is_there_in_both_regimes(regime):
    attacks = pd.read_csv(RESULTS / "figure1.csv")
    attacks = attacks[(attacks["regime"] == regime) & (attacks["norm"] == "l2")]
    counts = attacks.groupby(["dataset", "base", "model"])["trial"].nunique()
    for dataset in printed.DATASETS:
        for base in printed.BASES:
            assert (counts.loc[dataset, base][list(printed.MODELS)] == 10).all()
    assert attacks["mse"].notna().all()


def test_the_settings_are_what_the_recovery_chose():
    choices = pd.read_csv(RESULTS / "recover_choice.csv")
    left, right = (
        choices[(choices["draw"] == 0) & (choices["problem"] == problem)].iloc[0]
        for problem in ("l2", "lipschitz")
    )
    settings = load_settings("full", "paper")
    chosen, training, admm = settings["chosen"]["all"], settings["training"], settings["admm"]
    assert chosen["loss"] == left["loss"] == right["loss"]
    assert (chosen["l2"], chosen["lipschitz"]) == (left["strength"], right["strength"])
    assert training["optimizer"] == left["optimizer"]
    assert training["learning_rate"] == left["learning_rate"]
    assert training["epochs"] == left["epochs"]
    full_batch = training["batch_size"] >= 10**6
    assert left["batch_size"] == (0 if full_batch else training["batch_size"])
    assert chosen["penalty"] == right["penalty"]
    assert (admm["learning_rate"], admm["iterations"]) == (
        right["learning_rate"],
        right["iterations"],
    )
    assert (admm["epochs"], admm["batch_size"]) == (rule.ADMM_EPOCHS, rule.ADMM_BATCH)
    assert {training["schedule"], admm["schedule"]} == {"constant"}
    assert settings["refine"]["rounds"] == right["rounds"]
    dimensions = settings["rastrigin"]["dimensions"]
    assert dimensions == {"l2": left["dimension"], "lipschitz": right["dimension"]}


def test_the_other_settings_are_what_other_draws_chose():
    choices = pd.read_csv(RESULTS / "recover_choice.csv")
    right = choices[choices["problem"] == "lipschitz"].set_index("draw")
    settings = load_settings("full", "paper")
    first, keys = right.loc[0], ["loss", "strength", "penalty", "iterations", "rounds"]
    found = set()
    for draw, other in settings["others"].items():
        row = right.loc[int(draw)]
        found.add(tuple(row[keys]))
        assert other["loss"] == row["loss"]
        assert other["lipschitz"] == row["strength"]
        assert [other[key] for key in keys[2:]] == row[keys[2:]].tolist()
        assert row["learning_rate"] == settings["admm"]["learning_rate"]
    # and none that a draw chose is left out
    assert found | {tuple(first[keys])} == {tuple(r) for r in right[keys].to_numpy()}
    tasks = grid.tasks("sensitivity", settings | {"trials": 1})
    assert len(tasks) == len(printed.LOWEST_THROUGHOUT) * len(settings["others"])


def test_validated_knows_nothing_of_the_other_regime():
    settings = load_settings("full")
    assert "regime" not in settings
    for task in grid.tasks("table1", settings):
        assert not {"regime", "loss"} & set(task)
        assert "schedule" not in task["training"]


def test_strengths_beside_a_mean_are_n_times_those_beside_the_sum():
    task = {"l2": 0.5, "lipschitz": 2.0, "loss": "mean"}
    assert trial.beside_the_sum(task, 10) == {**task, "l2": 5.0, "lipschitz": 20.0}
    assert trial.beside_the_sum({"l2": 0.5}, 10) == {"l2": 0.5}
    of_each = {"l2": 0.5, "lipschitz": 2.0, "loss": {"l2": "mean", "lipschitz": "sum"}}
    assert trial.beside_the_sum(of_each, 10) == {**of_each, "l2": 5.0}


def test_a_trial_of_the_regime_paper():
    settings = load_settings("full", "paper") | {"datasets": ["servo"], "trials": 1, "width": 8}
    settings["training"] = settings["training"] | {"epochs": 20}
    settings["attack"] = settings["attack"] | {"steps": 3}
    (task,) = (t for t in grid.tasks("table1", settings) if t["problem"] == "lipschitz")
    found = trial.run(task)
    by_method = {row["method"]: row for row in found["trials"]}
    base = by_method["base"]
    n = len(load_dataset("servo").X_train)
    strength = n * settings["chosen"]["all"]["lipschitz"]
    assert base["objective"] == pytest.approx(base["loss"] + strength * base["bound"] ** 2)
    assert by_method["C-lip"]["objective"] <= base["objective"]
    attacks = pd.DataFrame(found["attacks"])
    assert set(attacks["norm"]) == {"l2", "linf"}
    clean = attacks[attacks["radius"] == 0].groupby("model")["mse"].nunique()
    assert (clean == 1).all()  # without an attack the norm does not matter
