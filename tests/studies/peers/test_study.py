"""The grid, the budget of trials, the data, and what a row says."""

import numpy as np
import pandas as pd
import pytest

from lipsnn import certify
from lipsnn.datasets import load_dataset
from studies.peers import data, packages, study
from studies.peers.grid import FRACTIONS, LONGER, PROFILES, bounds, tasks
from studies.peers.methods import CANDIDATES, METHODS, PACKAGED, TRIALS, Trainer

SMALL = {"dataset": "servo", "split": 0, "seed": 0, "trials": 2, "steps": 4, "batch": 64}
SMALL |= {"width": 6, "bounds": [0.3, 1.0]}


def test_bounds_go_from_all_but_constant_to_unconstrained():
    found = bounds(20.25)
    assert found == [0.25, 0.75, 2.2, 6.8, 20.0]
    assert len(FRACTIONS) == 5
    assert FRACTIONS[-1] == 1
    with pytest.raises(ValueError, match="there is no grid"):
        bounds(0.0)


def test_profiles_are_parts_of_one_grid():
    free = dict.fromkeys(data.NAMES, 9.0)
    full = tasks(PROFILES["full"], free)
    assert len(full) == len(data.NAMES) * 10 * len(METHODS) == 960
    for task in tasks(PROFILES["quick"], free):
        own = next(t for t in full if all(t[k] == task[k] for k in ("dataset", "split", "method")))
        assert set(task["bounds"]) <= set(own["bounds"])
        assert task["seed"] == own["seed"] == task["split"]


def test_every_method_has_the_same_budget():
    for name, candidates in CANDIDATES.items():
        assert len(candidates) == TRIALS, name
        assert len({tuple(c.items()) for c in candidates}) == TRIALS, name
    for profile in PROFILES.values():
        grid = tasks(profile, dict.fromkeys(data.NAMES, 1.0))
        for name in profile["datasets"]:
            of = [(t["trials"], t["steps"], t["width"]) for t in grid if t["dataset"] == name]
            longer = LONGER if name in data.LARGER else 1
            assert set(of) == {(profile["trials"], longer * profile["steps"], profile["width"])}


@pytest.mark.parametrize("method", [m for m in METHODS if m not in PACKAGED])
def test_a_method_on_a_split(monkeypatch, method):
    calls, real = [], Trainer.train

    def counted(self, name, candidate, bound):
        calls.append((len(self.X), bound, self.epochs))
        return real(self, name, candidate, bound)

    monkeypatch.setattr(Trainer, "train", counted)
    rows = study.run(SMALL | {"method": method})["rows"]
    whole = len(load_dataset("servo").X_train)
    for bound in SMALL["bounds"]:  # two short trials on the smaller part, whoever it is
        assert calls.count((int(0.8 * whole), bound, 1)) == SMALL["trials"]
    assert {call[2] for call in calls if call[0] == whole} == {2}
    assert [row["asked"] for row in rows if row["method"] == method] == SMALL["bounds"]
    for row in rows:
        assert row["bound"] <= row["asked"] * (1 + 1e-6)
        assert row["attained"] <= row["bound"] * (1 + 1e-6)
        assert row["attacked"] <= row["certified"] * (1 + 1e-9)
        assert row["seconds"] > 0
    variants = {row["method"] for row in rows}
    assert variants == (
        {method} if method in ("refine", "walk") else {method, f"{method}, refined"}
    )


def test_a_refined_network_fits_no_worse_under_the_bound():
    servo = load_dataset("servo")
    trainer = Trainer(servo.X_train, servo.y_train, SMALL)
    first = trainer.train("sandwich", {"depth": 1, "rate": 1e-2}, 1.0)
    then = trainer.refined(first.start, 1.0, first.seconds)
    errors = [np.mean((t.net(servo.X_train) - servo.y_train) ** 2) for t in (first, then)]
    assert errors[1] <= errors[0]
    assert certify(then.net).bound <= 1.0
    assert then.seconds > first.seconds


def test_equal_steps_whatever_the_size():
    X, y = np.ones((1000, 2)), np.ones(1000)
    assert Trainer(X, y, SMALL | {"steps": 160}).epochs == 10  # of 16 steps
    assert Trainer(X[:50], y[:50], SMALL | {"steps": 160}).epochs == 160


@pytest.mark.parametrize("name", ["friedman", "arm"])
def test_drawn_data_are_those_of_the_study(name):
    columns, raw = data.LARGER[name].read()
    assert data.digest(raw) == data.LARGER[name].sha256
    assert raw.shape[1] == len(columns)
    split = data.load(name, 3)
    assert abs(split.X_train.mean(0)).max() < 1e-12
    assert len(split.X_train) + len(split.X_test) == len(raw) <= 20000


def test_the_data_that_a_package_ships_are_those_of_the_study():
    if packages.missing():
        with pytest.raises(ModuleNotFoundError, match="pip install"):
            data.load("visits", 0)
    else:
        assert data.load("visits", 0).X_train.shape == (18171, 9)


def test_larger_sets_are_parted_as_the_papers_are(monkeypatch):
    columns, raw = data.LARGER["arm"].read()
    whole = load_dataset("servo", 4)
    values = np.vstack([whole.X_train, whole.X_test])
    assert len(values) == 167
    again = data.Source(lambda: (columns, raw[:500]), "", "", data.digest(raw[:500]))
    monkeypatch.setitem(data.LARGER, "arm", again)
    parts = [data.load("arm", k) for k in range(10)]
    met = np.vstack([p.X_test * p.X_scale + p.X_mean for p in parts])
    assert len(np.unique(met.round(9), axis=0)) == 500
    monkeypatch.setitem(
        data.LARGER, "arm", data.Source(lambda: (columns, raw[:499]), "", "", again.sha256)
    )
    with pytest.raises(OSError, match="not the one of this study"):
        data.load("arm", 0)


def test_without_the_packages_the_command_says_one_line(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(packages, "missing", lambda: ["orthogonium"])
    assert study.main(["--profile", "full", "--output", str(tmp_path / "t.csv")]) == 2
    said = capsys.readouterr().err
    assert said == 'error: orthogonium not installed: pip install "lipsnn[peers]"\n'


def test_the_command_writes_its_table_and_goes_on(monkeypatch, tmp_path):
    small = PROFILES["quick"] | {"steps": 4, "width": 6, "methods": ("weight decay",)}
    monkeypatch.setitem(PROFILES, "quick", small)
    given = ["--profile", "quick", "--cache", str(tmp_path / "kept")]
    assert study.main([*given, "--output", str(tmp_path / "a.csv")]) == 0
    monkeypatch.setattr(study, "judged", None)  # nothing is computed again
    assert study.main([*given, "--finished", "--output", str(tmp_path / "b.csv")]) == 0
    a, b = (pd.read_csv(tmp_path / f"{name}.csv") for name in "ab")
    pd.testing.assert_frame_equal(a, b)
    assert len(a) == 6
