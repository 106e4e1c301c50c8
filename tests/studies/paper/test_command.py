import json

import pandas as pd
import pytest

from studies.paper import choose, grid, tables, trial
from studies.paper.__main__ import main
from studies.paper.job import code_version

SETTINGS = """
datasets = ["servo", "machine"]
trials = 2
{more}
# Chosen by `python -m studies.paper choose`, on validation data; do not edit.
"""


def few_tasks(experiment, settings):
    """As the real one: Table 1's Lipschitz tasks are Figure 1's from ADMM."""
    cells = {
        "table1": [("l2", "sgd"), ("lipschitz", "admm")],
        "figure1": [("lipschitz", "sgd"), ("lipschitz", "admm")],
        "sensitivity": [("lipschitz", "admm")],
    }[experiment]
    labels = [{}]
    if experiment == "sensitivity":
        labels = [{"choice": "", "factor": 1.0}, {"choice": "penalty", "factor": 10.0, "r": 10.0}]
    regime = {"regime": settings["regime"]} if "regime" in settings else {}
    return [
        {"dataset": dataset, "trial": k, "problem": problem, "base": base, **regime, **label}
        for dataset in settings["datasets"]
        for k in range(settings["trials"])
        for problem, base in cells
        for label in labels
    ]


def one(task):
    """A base of objective 10 + k, brought down to 5 + k, or 4 + k with another penalty."""
    if task == {"dataset": "machine", "trial": 1, "problem": "l2", "base": "sgd"}:
        raise RuntimeError("this trial fails")
    named = {key: task[key] for key in ("dataset", "trial", "problem", "base")}
    method = "C-l2" if task["problem"] == "l2" else "C-lip"
    before, after = 10.0 + task["trial"], (4.0 if "r" in task else 5.0) + task["trial"]
    rows = [
        {**named, "method": name, "objective": value, "initial_objective": before, "loss": 1.0}
        | {"bound": 1.0, "seconds": 0.1, "status": "done"}
        for name, value in (("base", before), (method, after))
    ]
    attacks = [
        {"dataset": task["dataset"], "base": task["base"], "model": "C-lip"}
        | {"trial": task["trial"], "norm": "l2", "radius": radius, "mse": 0.1 + radius}
        for radius in (0.0, 0.1)
    ]
    if task["problem"] == "l2":
        attacks = []
    enclosed = [
        {k: v for k, v in row.items() if k != "norm"} | {"reached": 0.2, "certified": 0.3}
        for row in attacks
    ]
    seconds = {"base": 0.1, method: 0.3}
    return {"trials": rows, "attacks": attacks, "enclosed": enclosed, "seconds": seconds}


@pytest.fixture
def command(tmp_path, monkeypatch):
    """Run the command line on a grid of stubs; the folder of its tables."""
    monkeypatch.setattr(grid, "tasks", few_tasks)
    monkeypatch.setattr(trial, "run", one)
    monkeypatch.setattr(grid, "estimate", lambda task: 1.0)
    settings = tmp_path / "small.toml"
    settings.write_text(SETTINGS.format(more="[sensitivity]"))

    def run(*arguments, regimes=("validated",)):
        if arguments[0] != "choose":
            arguments = [*arguments, "--regime", *regimes]
        places = ["--output", str(tmp_path / "out"), "--cache", str(tmp_path / "cache")]
        profile = ["--profile", str(settings), "--jobs", "1", "--quiet"]
        return main([*arguments, *profile, *places])

    run.settings, run.output = settings, tmp_path / "out"
    return run


def test_failed_trials_are_named_and_no_table_is_written(command, capsys):
    assert command("all") == 1
    said = capsys.readouterr().err
    assert "FAILED: machine, 1, l2, sgd: RuntimeError: this trial fails" in said
    # two data sets and trials: 3 distinct cells, and 2 of the sensitivity, 1 of them again
    assert "1 of 24 trials failed" in said
    assert not command.output.exists()


def test_all_writes_every_table_with_its_provenance(command):
    assert command("all", "--allow-failed") == 0
    names = ("trials", "cost", "table1", "figure1", "figure1-enclosed", "sensitivity")
    assert sorted(path.name for path in command.output.iterdir()) == sorted(
        f"{name}.{kind}" for name in (*names, "sensitivity-attacks") for kind in ("csv", "json")
    )
    trials = pd.read_csv(command.output / "trials.csv")
    assert list(trials) == list(tables.TRIALS)
    assert not trials.duplicated(["dataset", "trial", "problem", "base", "method"]).any()
    assert len(trials) == 2 * 11 + 1  # of 12 cells one failed
    table = pd.read_csv(command.output / "table1.csv")
    assert list(table) == [
        "regime",
        "dataset",
        "problem",
        "method",
        "statistic",
        "reduction_percent",
        "paper_percent",
        "trials",
    ]
    machine = table[(table.dataset == "machine") & (table.statistic == "max")]
    assert machine.set_index("method").trials.to_dict() == {"C-l2": 1, "C-lip": 2}
    assert machine.set_index("method").reduction_percent.to_dict() == pytest.approx(
        {"C-l2": 50.0, "C-lip": 100 * 5 / 11}
    )
    attacks = pd.read_csv(command.output / "figure1.csv")
    assert list(attacks) == list(tables.ATTACKS)
    assert len(attacks) == 2 * 2 * 2 * 2
    enclosed = pd.read_csv(command.output / "figure1-enclosed.csv")
    assert list(enclosed) == list(tables.ENCLOSED)
    assert len(enclosed) == len(attacks)
    moved = pd.read_csv(command.output / "sensitivity.csv")
    assert list(moved)[:2] == ["choice", "factor"]
    best = moved[moved.method == "C-lip"].groupby("choice").objective.min()
    assert best.to_dict() == {"none": 5.0, "penalty": 4.0}
    whole = json.loads((command.output / "table1.json").read_text())
    assert whole["reads"] == ["small.toml"]
    record = whole["regimes"]["validated"]
    assert record["settings"] == ["small.toml"]
    assert (record["trials_done"], record["trials_failed"]) == (7, 1)
    assert record["seconds_by_step"]["C-lip"] == pytest.approx(4 * 0.3)
    assert set(record["seconds_by_step"]) == {"base", "C-l2", "C-lip", "other"}


def test_what_was_moved_is_no_part_of_a_trials_name(command):
    command("figure1")
    command("sensitivity")
    record = json.loads((command.output / "sensitivity.json").read_text())["regimes"]
    assert record["validated"]["trials_done_before"] == 4  # the unmoved settings are Figure 1's


def test_a_part_of_the_grid(command):
    assert command("table1", "--datasets", "servo", "--trials", "1") == 0
    table = pd.read_csv(command.output / "table1.csv")
    assert set(table.dataset) == {"servo"}
    assert set(table.trials) == {1}
    assert {path.stem for path in command.output.iterdir()} == {"trials", "cost", "table1"}
    record = json.loads((command.output / "table1.json").read_text())["regimes"]["validated"]
    assert record["datasets"] == ["servo"]


def test_both_regimes_stand_in_every_table(command):
    assert command("all", "--allow-failed", regimes=("validated", "paper")) == 0
    for name in ("trials", "cost", "table1", "figure1", "sensitivity"):
        table = pd.read_csv(command.output / f"{name}.csv")
        assert list(dict.fromkeys(table["regime"])) == ["validated", "paper"]


def test_a_regime_that_is_not_run_keeps_its_rows_and_its_provenance(command):
    assert command("figure1", regimes=("validated",)) == 0
    path = command.output / "figure1.csv"
    before = json.loads(path.with_suffix(".json").read_text())
    text = path.read_text().replace("0.1\n", "0.10000000000000000001\n")  # not to be rounded
    path.write_text(text)
    assert command("figure1", regimes=("paper",)) == 0
    assert path.read_text().startswith(text)
    record = json.loads(path.with_suffix(".json").read_text())
    assert list(record["regimes"]) == ["validated", "paper"]
    kept = before["regimes"]["validated"]
    assert {k: record["regimes"]["validated"][k] for k in kept} == kept
    assert record["regimes"]["paper"]["settings"][1].endswith("paper.toml")
    # what the other regime was made from is not vouched for by what made this one
    assert "sources" not in record["regimes"]["paper"]


def test_choose_writes_below_the_line(command, monkeypatch):
    above = command.settings.read_text().partition("#")[0].rstrip()

    def rule(settings, run):
        tasks = [{"dataset": name, "trial": 0, "problem": "choice"} for name in ("servo",)]
        (found,) = run(tasks, lambda task: {"strength": 0.1})
        choice = {"servo": {"l2": found["strength"], "lipschitz": 1.0, "penalty": 2.0}}
        return choice, pd.DataFrame([{"dataset": "servo", "strength": 0.1}])

    monkeypatch.setattr(choose, "choose", rule)
    assert command("choose") == 0
    after = command.settings.read_text()
    assert after.startswith(above)
    assert "[chosen.servo]\nl2 = 0.1\nlipschitz = 1.0" in after
    assert (command.output / "choice.csv").exists()


def test_bad_input_is_one_line(command, capsys, tmp_path):
    assert main(["table1", "--profile", str(tmp_path / "none.toml")]) == 2
    assert "there is no settings file" in capsys.readouterr().err
    assert command("table1", "--trials", "0") == 2
    assert "--trials must be at least 1" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["table2"])


def test_the_version_of_the_code_is_a_hash():
    assert code_version() == code_version()
    assert len(code_version()) == 16
