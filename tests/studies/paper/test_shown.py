import pytest

from studies.common import provenance
from studies.common.results import committed
from studies.paper import grid, shown, tables, trial


@pytest.fixture
def stub(monkeypatch):
    """Tasks that only say what they were asked."""

    def few_tasks(experiment, settings):
        plan = settings.get("sensitivity", {})
        return [
            {"dataset": name, "trial": k, "problem": experiment, "base": "sgd", "choice": "epochs"}
            | {"width": settings.get("width")}
            for name in plan.get("datasets", settings["datasets"])
            for k in range(plan.get("trials", settings["trials"]))
        ]

    monkeypatch.setattr(grid, "tasks", few_tasks)
    monkeypatch.setattr(trial, "run", lambda task: {"trials": [task], "seconds": {}})
    settings = {"datasets": ["wine"], "trials": 10, "sensitivity": {"trials": 3}}
    monkeypatch.setattr(shown, "load_settings", lambda profile, regime="validated": dict(settings))


@pytest.mark.parametrize("experiment", ["table1", "sensitivity"])
def test_a_live_run_is_a_part_of_the_grid(stub, monkeypatch, experiment):
    if experiment == "table1":
        settings = {"datasets": ["wine"], "trials": 10}
        monkeypatch.setattr(
            shown, "load_settings", lambda profile, regime="validated": dict(settings)
        )
    outcomes, labels = shown.live(experiment, "quick", ["servo", "machine"], 2, width=7)
    rows = tables.trials_of(outcomes)
    assert rows["dataset"].tolist() == ["servo"] * 2 + ["machine"] * 2
    assert rows["trial"].tolist() == [0, 1, 0, 1]
    assert labels == [{"choice": "epochs", "factor": 1.0}] * 4
    assert {outcome.task["width"] for outcome in outcomes} == {7}
    assert not any(outcome.cached for outcome in outcomes)


def test_a_failed_live_trial_fails_the_page(stub, monkeypatch):
    monkeypatch.setattr(trial, "run", lambda task: 1 / 0)
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        shown.live("table1", "quick", ["servo"], 1)


def test_a_table_that_is_not_committed_is_empty_and_says_what_makes_it(tmp_path):
    table, record = committed(tmp_path, "table1")
    assert table.empty
    assert "`python -m studies.paper all --profile full`" in shown.made(record, "all")


def test_a_committed_table_says_how_it_was_made(tmp_path):
    facts = {"made_by": "python -m x", "commit": "abc", "trials_done": 9, "trials_failed": 1}
    facts |= {"trials_seconds": 125.0, "machine": provenance.machine()}
    given = tables.times_of([])
    provenance.write_table(
        tmp_path / "cost.csv", given, commit="def", seconds=1.0, regimes={"validated": facts}
    )
    table, record = committed(tmp_path, "cost")
    assert list(table) == list(given)
    said = shown.made(record, "all")
    assert "`python -m x` at commit `abc`" in said
    assert "9 trials, 2 minutes of one core in all; 1 more failed and are left out." in said
