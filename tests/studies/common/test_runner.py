import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
import trials

from studies.common import freshness
from studies.common.cache import Cache
from studies.common.runner import report_failed, run

GRID = [{"trial": k} for k in range(5)]


def values(outcomes):
    return [outcome.value for outcome in outcomes]


@pytest.fixture
def script(tmp_path):
    """Start tests/trials.py in a process group of its own, ended with the test."""
    started = []

    def start(function, jobs, seconds, count):
        arguments = tmp_path / "cache", jobs, tmp_path / "log", seconds, count
        process = subprocess.Popen(
            [sys.executable, trials.__file__, function, *map(str, arguments)],
            start_new_session=True,
            # beside trials.py there is a folder `studies`, of tests
            env={**os.environ, "PYTHONPATH": str(freshness.ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
        finally:
            process.communicate()


def wait_for(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def finished(folder: Path) -> list[Path]:
    return list((folder / "cache").glob("*.json"))


def test_numbers_do_not_depend_on_the_workers_or_on_the_cache(tmp_path):
    alone = run(GRID, trials.numbers, cache=tmp_path / "1")
    together = run(GRID, trials.numbers, cache=tmp_path / "2", jobs=2)
    again = run(GRID, trials.numbers, cache=tmp_path / "2", jobs=2)
    assert values(alone) == values(together) == values(again)
    assert [outcome.task for outcome in together] == GRID
    assert not any(outcome.cached for outcome in alone + together)
    assert all(outcome.cached for outcome in again)
    assert [outcome.seconds for outcome in again] == [outcome.seconds for outcome in together]


def test_a_failed_trial_is_recorded_and_the_rest_go_on(tmp_path):
    for jobs in (1, 2):
        outcomes = run(GRID, trials.failing, cache=tmp_path / str(jobs), jobs=jobs)
        bad = outcomes.pop(1)
        assert all(outcome.error is None and outcome.value for outcome in outcomes)
        assert bad.value is None
        assert bad.error == "ValueError: the trial with number 1 fails"
        assert "in failing" in bad.traceback


def test_where_all_failed_no_table_is_written(tmp_path, capsys):
    outcomes = run([{"trial": 1}, {"trial": 2}], trials.failing, cache=tmp_path, jobs=1)
    assert report_failed(outcomes, "trial") == outcomes[:1]
    with pytest.raises(SystemExit, match="failed 1, succeeded 0"):
        report_failed(iter(outcomes[:1]), "trial")
    assert capsys.readouterr().err.count("FAILED: 1: ValueError") == 2
    assert report_failed([]) == []


def test_only_what_failed_is_tried_again(tmp_path):
    tasks = [{"file": str(tmp_path / "a")}, {"file": str(tmp_path / "b")}]
    (tmp_path / "a").touch()
    first = run(tasks, trials.once_failing, cache=tmp_path / "cache")
    assert [outcome.error for outcome in first] == [None, "RuntimeError: no file"]
    (tmp_path / "b").touch()
    second = run(tasks, trials.once_failing, cache=tmp_path / "cache")
    assert [outcome.cached for outcome in second] == [True, False]
    assert values(second) == [{"found": True}] * 2


def test_a_result_that_is_no_json_is_a_failed_trial(tmp_path):
    bad, good = run(GRID[:2], trials.unpresentable, cache=tmp_path)
    assert "must be JSON" in bad.error
    assert good.value == {}


def test_a_killed_worker_costs_its_own_trial_only(tmp_path):
    outcomes = run(GRID, trials.killed, cache=tmp_path, jobs=2)
    assert [outcome.error is None for outcome in outcomes] == [True, True, False, True, True]
    assert "TerminatedWorkerError" in outcomes[2].error


def test_a_damaged_result_is_computed_again(tmp_path):
    before = run(GRID, trials.numbers, cache=tmp_path)
    damaged = sorted(tmp_path.iterdir())[2]
    damaged.write_bytes(damaged.read_bytes()[:100])
    with pytest.warns(UserWarning, match="set aside"):
        after = run(GRID, trials.numbers, cache=tmp_path)
    assert values(after) == values(before)
    assert sum(not outcome.cached for outcome in after) == 1
    assert damaged.with_suffix(".corrupt").stat().st_size == 100


def test_another_version_computes_anew(tmp_path):
    run(GRID, trials.numbers, cache=tmp_path, version="1")
    again = run(GRID, trials.numbers, cache=tmp_path, version="2")
    assert not any(outcome.cached for outcome in again)


def test_the_longest_begin_first_and_twins_are_done_once(tmp_path):
    log = tmp_path / "log"
    tasks = [{"trial": k, "log": str(log), "seconds": 0.0} for k in (1, 3, 2, 3)]
    outcomes = run(tasks, trials.logged, cache=tmp_path / "cache", cost=lambda task: task["trial"])
    assert log.read_text().split() == ["3", "2", "1"]
    assert [outcome.value["trial"] for outcome in outcomes] == [1, 3, 2, 3]


def test_progress_says_how_many_are_done(tmp_path, capsys):
    run(GRID, trials.failing, cache=tmp_path, progress=True)
    shown = capsys.readouterr().err
    assert "0 of 5 trials were done" in shown
    assert "100%" in shown
    assert "5 done, 1 failed" in shown


@pytest.mark.parametrize("jobs", [1, 2])
def test_kill_9_loses_at_most_what_was_running(tmp_path, script, jobs):
    process = script("logged", jobs, 0.15, 8)
    wait_for(lambda: len(finished(tmp_path)) >= 3)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    kept = {path.name for path in finished(tmp_path)}
    assert len(kept) < 8
    log = tmp_path / "log"
    begun = Counter(log.read_text().split())
    assert len(begun) - len(kept) <= jobs
    tasks = [{"trial": k, "log": str(log), "seconds": 0.15} for k in range(8)]
    outcomes = run(tasks, trials.logged, cache=tmp_path / "cache", jobs=jobs)
    assert [outcome.value["trial"] for outcome in outcomes] == list(range(8))
    assert sum(outcome.cached for outcome in outcomes) == len(kept)
    # nothing that had finished was begun again
    repeated = sum(Counter(log.read_text().split()).values()) - 8
    assert repeated == len(begun) - len(kept)


def test_workers_finish_what_they_run_when_the_parent_alone_is_killed(tmp_path, script):
    process = script("logged", 2, 0.5, 8)
    wait_for(lambda: len(finished(tmp_path)) >= 2)
    process.kill()
    begun = set((tmp_path / "log").read_text().split())
    wait_for(lambda: len(finished(tmp_path)) >= len(begun), seconds=20)


def alive(group):
    """Processes of a process group that are no zombies."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, member = status.read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue  # it has ended
        if int(member) == group and state != "Z":
            found.append(int(status.parent.name))
    return found


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc")
def test_no_worker_outlives_a_killed_parent(tmp_path, script):
    process = script("logged", 2, 0.1, 40)
    wait_for(lambda: len(finished(tmp_path)) >= 2)
    assert len(alive(process.pid)) >= 3
    process.kill()
    wait_for(lambda: not alive(process.pid))
    assert len(finished(tmp_path)) < 40


def test_two_runs_in_one_folder_do_not_race(tmp_path, script):
    process = script("logged", 1, 0.2, 50)
    wait_for(lambda: finished(tmp_path))
    kept = {path: path.read_bytes() for path in finished(tmp_path)}
    with pytest.raises(ValueError, match="another run works in"):
        run(GRID, trials.failing, cache=tmp_path / "cache")
    assert all(path.read_bytes() == content for path, content in kept.items())
    process.kill()
    process.wait()
    assert len(run(GRID, trials.numbers, cache=tmp_path / "cache")) == 5  # the lock went with it


def test_only_records_that_were_read_are_removed(tmp_path, monkeypatch):
    """Another machine's Dask worker may write one between the look and the removal."""
    read, seen = Cache.read, []

    def read_then_written(store, task):
        record = read(store, task)
        if task not in seen:
            seen.append(task)
            store.write(task, {"value": {"of": "another"}, "error": None, "seconds": 0.0})
        return record

    removed = []
    monkeypatch.setattr(Cache, "read", read_then_written)
    monkeypatch.setattr(Path, "unlink", lambda path, **_: removed.append(path.suffix))
    run(GRID, trials.numbers, cache=tmp_path)
    assert ".json" not in removed


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_full_disk_is_one_line(tmp_path, jobs, monkeypatch):
    monkeypatch.setattr(os, "fsync", os.fsync)  # to be put back: with one job it is ours
    tasks = [{"trial": k} for k in range(3)]
    with pytest.raises(ValueError, match=r"cannot be kept in .*No space left"):
        run(tasks, trials.filling, cache=tmp_path, jobs=jobs)
    assert not [path for path in tmp_path.iterdir() if path.suffix in (".part", ".json")]


def test_a_folder_that_cannot_be_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="cannot be kept in"):
        run(GRID, trials.numbers, cache=tmp_path / "file" / "cache")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_one_line(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(ValueError, match="cannot be kept in"):
        run(GRID, trials.numbers, cache=tmp_path)


def test_no_scheduler_is_one_line(tmp_path, monkeypatch):
    dask = pytest.importorskip("dask")
    pytest.importorskip("distributed")
    with (
        dask.config.set({"distributed.comm.timeouts.connect": "2s"}),
        pytest.raises(ValueError, match=r"scheduler at tcp.* does not answer"),
    ):
        run(GRID, trials.numbers, cache=tmp_path, dask="tcp://127.0.0.1:9")


def test_ctrl_c_stops_and_says_what_is_kept(tmp_path, script):
    process = script("logged", 2, 0.15, 40)
    wait_for(lambda: len(finished(tmp_path)) >= 3)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode not in (0, None)
    kept = len(finished(tmp_path))
    assert 3 <= kept < 40
    assert f"stopped: {kept} of 40 trials are kept in {tmp_path / 'cache'}" in said


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_trial_cut_short_by_ctrl_c_is_not_kept(tmp_path, script, jobs):
    process = script("swallowing", jobs, 0, 2)
    assert process.stdout.readline() == "begun\n"
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert "stopped: 0 of 2" in said
    assert finished(tmp_path) == []


def test_a_dask_cluster_gives_the_same_numbers(tmp_path):
    distributed = pytest.importorskip("distributed")
    here = run(GRID, trials.failing, cache=tmp_path / "here")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None
    ) as cluster:
        there = run(GRID, trials.failing, cache=tmp_path / "there", dask=cluster.scheduler_address)
        again = run(GRID, trials.failing, cache=tmp_path / "there", dask=cluster.scheduler_address)
    assert values(there) == values(here) == values(again)
    assert [o.error for o in there] == [o.error for o in here]
    assert [outcome.cached for outcome in again] == [True, False, True, True, True]


@pytest.mark.parametrize("jobs", [0, 1.5, True])
def test_a_number_of_jobs(tmp_path, jobs):
    with pytest.raises(ValueError, match="jobs must be a whole number"):
        run(GRID, trials.numbers, cache=tmp_path, jobs=jobs)
