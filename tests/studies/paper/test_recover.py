import ast
import inspect
from collections import Counter

import numpy as np
import pandas as pd
import pytest

from lipsnn.datasets import load_dataset
from lipsnn.train import train_sgd
from studies.paper import printed, recover, recover_report, recover_trial, trial
from studies.paper import recover_rule as rule


def test_the_split_of_the_table_is_fixed():
    """Draw 0 decides: what it uses may not change once anybody has seen a result."""
    assert rule.draw(0) == {
        ("machine", "C-lip"),
        ("machine", "samp-l2"),
        ("rastrigin", "samp-l2"),
        ("rastrigin", "samp-lip"),
        ("servo", "samp-l2"),
        ("servo", "samp-lip"),
        ("solar", "C-l2"),
        ("solar", "C-lip"),
        ("wine", "C-l2"),
        ("wine", "C-lip"),
    }


@pytest.mark.parametrize("seed", range(rule.DRAWS))
def test_a_draw_is_stratified_over_halves_data_sets_and_methods(seed):
    used = rule.draw(seed)
    assert len(used) == len(rule.CELLS) / 2
    for _, methods in printed.HALVES.values():
        half = [cell for cell in used if cell[1] in methods]
        assert sorted(name for name, _ in half) == sorted(printed.DATASETS)
        assert sorted(Counter(method for _, method in half).values()) == [2, 3]


def test_the_draws_differ():
    assert len({rule.draw(seed) for seed in range(rule.DRAWS)}) == rule.DRAWS


def test_the_distance_by_hand():
    # servo C-l2 is 23.71 % and wine samp-l2 -75.55 % in the paper
    found = {("servo", "C-l2"): 23.71, ("wine", "samp-l2"): -(2 * 76.55 - 1)}
    both = list(found)
    assert rule.distance(found, both[:1]) == 0
    assert rule.distance(found, both[1:]) == pytest.approx(np.log(2))
    assert rule.distance(found, both) == pytest.approx(np.log(2) / np.sqrt(2))
    # a wrong sign is as far as both sizes together
    wrong = {("servo", "C-l2"): -23.71}
    assert rule.distance(wrong, wrong) == pytest.approx(2 * np.log(24.71))
    with pytest.raises(ValueError, match="none of the cells"):
        rule.distance(found, [("solar", "C-l2")])


def test_the_space_of_the_left_half_has_every_optimiser_with_every_strength():
    runs = rule.left_runs()
    pairs = {
        (r["training"]["optimizer"], r["training"]["learning_rate"], r["loss"], r["strength"])
        for r in runs
    }
    assert len(pairs) == len(runs) == 16
    assert {r["training"]["batch_size"] for r in runs} == set(rule.LEFT["batches"])
    assert rule.right_runs() == rule.right_runs()


@pytest.mark.parametrize("module", [trial, recover_trial])
def test_no_number_of_the_paper_enters_a_trial(module):
    imported = set()
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        if isinstance(node, ast.ImportFrom):
            imported |= {f"{node.module}.{alias.name}" for alias in node.names}
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
    assert not any(name.endswith((".printed", ".recover_rule", ".recover")) for name in imported)
    entries = {abs(value) for row in printed.TABLE1.values() for value in row}
    numbers = {
        abs(node.value)
        for node in ast.walk(ast.parse(inspect.getsource(module)))
        if isinstance(node, ast.Constant) and isinstance(node.value, float)
    }
    assert not entries & numbers


def test_a_station_is_the_network_of_a_shorter_training():
    training = {"optimizer": "plain", "learning_rate": 0.05, "batch_size": None}
    task = {"training": training, "trial": 3, "width": 7, "stations": [5, 2]}
    data = load_dataset("servo", split=3)
    for epochs, net in recover_trial._stations(task, data, 0.2):
        alone = train_sgd(
            data.X_train,
            data.y_train,
            7,
            0.2,
            3,
            epochs=epochs,
            schedule="constant",
            optimizer="plain",
            learning_rate=0.05,
            batch_size=len(data.X_train),
        )
        np.testing.assert_array_equal(net.weights, alone.weights)
        np.testing.assert_array_equal(net.outer, alone.outer)


def test_a_run_that_diverges_keeps_what_it_had():
    training = {"optimizer": "plain", "learning_rate": 50.0, "batch_size": 32}
    task = {"data": {"name": "servo"}, "training": training, "trial": 0, "width": 7}
    task |= {"loss": "mean", "strength": 1e-3, "stations": [20]}
    assert recover_trial.search_l2(task) == {"rows": []}


def reduced(task, percent):
    """Rows of a run whose every method lowers the objective by `percent`."""
    methods = ("C-l2", "samp-l2") if "training" in task else ("C-lip", "samp-lip")
    return [
        {"station": station, "method": method, "status": "optimal"}
        | {"initial_objective": 1.0, "objective": 1 - percent(method, station) / 100}
        for station in task["stations"]
        for method in methods
    ]


@pytest.fixture(scope="module")
def searched():
    """A search whose runs know no training: one setting in each half gives the printed means."""
    seen = []

    def run(tasks, function):
        values = []
        for task in tasks:
            seen.append(task)
            name = task["data"]["name"]
            right = task["strength"] == 1e-3 and (
                task["training"]["learning_rate"] == 1e-2
                if "training" in task
                else task["admm"]["iterations"] == 30
            )

            def percent(method, station, right=right, name=name):
                exact = right and station in (1000, 2)
                return printed.table1(name, method, "mean") if exact else 1.0 / station

            values.append({"rows": reduced(task, percent)})
        return values

    return recover.recover(run), seen


def test_the_search_finds_the_setting_that_was_used(searched):
    tables, seen = searched
    chosen = tables["recover_choice"]
    left = chosen[chosen["problem"] == "l2"]
    assert left["draw"].tolist() == list(range(rule.DRAWS))
    assert set(left["epochs"]) == {1000}
    assert set(left["strength"]) == {1e-3}
    assert set(left["learning_rate"]) == {1e-2}
    assert left["distance"].max() == pytest.approx(0, abs=1e-9)
    right = chosen[chosen["problem"] == "lipschitz"]
    assert set(right["rounds"]) == {2}
    assert set(right["iterations"]) == {30}
    # the right half begins where the left one ended
    bases = [task["base"] for task in seen if "admm" in task]
    assert all(base["epochs"] == 1000 and base["strength"] == 1e-3 for base in bases)


def test_every_draw_is_judged_by_what_it_held_out(searched):
    found = recover_report.by_draw(searched[0])
    assert len(found) == 2 * rule.DRAWS
    assert found["held_out"].max() == pytest.approx(0, abs=1e-9)
    assert (found["held_out_chance"] > 0.1).all()
    assert (found["rank"] > 0.99).all()
    assert (found["signs"] == found["cells"]).all()


def test_what_the_search_holds_is_varied_from_its_choice(searched):
    tables, seen = searched
    table = tables["recover_nearby"]
    varied = [task for task in seen if task.get("admm", {}).get("epochs") not in (None, 10)]
    assert {task["admm"]["epochs"] for task in varied} == {3, 30}
    assert {task["admm"]["iterations"] for task in varied} == {30}
    sizes = {t["data"]["size"] for t in seen if t["data"]["name"] == rule.DRAWN}
    assert sizes == {rule.SIZE, *rule.NEARBY["l2"]["size"]}
    assert set(table.loc[table["varied"] == "size", "dataset"]) == {rule.DRAWN}
    report = recover_report.nearby(table).set_index(["problem", "varied", "value"])
    assert len(report) == 2 + sum(len(v) for half in rule.NEARBY.values() for v in half.values())
    # these runs know no variation: the choice gives the printed means, and so does each
    assert report[["used", "held_out"]].to_numpy() == pytest.approx(0, abs=1e-9)
    # one that takes a method ten points further is as far as that, where it is
    one = (table["varied"] == "size") & (table["value"] == 250) & (table["method"] == "samp-l2")
    table = table.assign(objective=table["objective"] - 0.1 * one)
    moved = recover_report.nearby(table).set_index(["problem", "varied", "value"])
    assert moved.loc[("l2", "size", 250), "samp-l2"] == pytest.approx(10 / len(printed.DATASETS))
    assert moved.loc[("l2", "size", 250), "used"] > 0.1
    assert moved.loc[("l2", "size", 500), "used"] == pytest.approx(0, abs=1e-9)


def test_of_equals_fewer_epochs_win():
    rows = [
        {"optimizer": "adam", "learning_rate": 1e-3, "batch_size": 0, "loss": "mean"}
        | {"strength": strength, "epochs": epochs, "dataset": name, "dimension": 0, "trial": 0}
        | {"method": "C-l2", "initial_objective": 1.0, "objective": 0.9, "stage": 1}
        for strength, epochs in ((1.0, 300), (2.0, 100), (3.0, 100))
        for name in rule.MEASURED
    ]
    near = recover.distances(pd.DataFrame(rows), "l2", [("servo", "C-l2")], 1)
    assert near[["strength", "epochs"]].to_numpy().tolist() == [[2, 100], [3, 100], [1, 300]]


def test_agreement_by_hand():
    table = pd.DataFrame(
        {
            "dataset": ["servo", "machine", "solar"],
            "method": "C-l2",
            "statistic": "mean",
            "reduction_percent": [20.0, 10.0, -1.0],
            "paper_percent": [25.0, 9.0, 1.0],
        }
    )
    found = recover_report.agreement(table)
    assert found["entries"] == 3
    assert found["signs"] == 2
    assert found["rank"] == pytest.approx(1.0)
    assert found["points"] == pytest.approx(2.0)
    assert recover_report.disagreeing(table)["dataset"].tolist() == ["solar"]
