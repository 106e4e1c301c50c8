"""A grid of trials, in parallel: what finished is kept, and what failed stops nothing else."""

from __future__ import annotations

import fcntl
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from joblib import Parallel, delayed, parallel_config
from joblib.externals.loky.process_executor import TerminatedWorkerError
from tqdm import tqdm

from lipsnn import _checks
from studies.common.cache import Cache, Record, Task
from studies.common.worker import Function, do, failure, in_worker, interrupt_noted, keep


@dataclass(frozen=True)
class Outcome:
    """What came of one task.

    Attributes
    ----------
    task : mapping
    value : dict or None
        What the function returned; None if it failed.
    error : str or None
        Kind and text of the error, in one line.
    traceback : str or None
    seconds : float
        That the function took, whenever that was.
    cached : bool
        Whether it had finished in an earlier run.
    """

    task: Task
    value: dict[str, Any] | None
    error: str | None
    traceback: str | None
    seconds: float
    cached: bool


def run(
    tasks: Sequence[Task],
    function: Function,
    *,
    cache: Path,
    version: str = "",
    jobs: int = 1,
    dask: str | None = None,
    cost: Callable[[Task], float] | None = None,
    progress: bool | None = None,
) -> list[Outcome]:
    """Apply `function` to every task that the cache does not know yet.

    A task that finishes is in the cache before anything else happens to it: whatever ends the run,
    only the tasks that were running then are lost. The numbers do not depend on the number of
    workers: each task is done by one thread, and knows its seeds.

    Parameters
    ----------
    tasks : sequence of mappings
        JSON, with everything that the result depends on.
    function : callable
        From a task to a dict that is JSON; floats come back exactly. Importable, or something that
        cloudpickle can send to another process.
    cache : Path
        The folder of finished results, of any number of functions.
    version : str
        Names what else the results depend on: with another one, all is computed anew.
    jobs : int
        Worker processes on this machine, with one BLAS thread each.
    dask : str, optional
        Address of a Dask scheduler ("tcp://host:port"), whose workers then do the tasks.
    cost : callable, optional
        About how long a task takes next to others. The longest are begun first.
    progress : bool, optional
        Show progress and the time left; on a terminal only, if None.

    Returns
    -------
    list of Outcome
        In the order of `tasks`. Those that failed are tried again by the next run.

    Raises
    ------
    ValueError
        For a task that is no JSON, a number of jobs that is none, a folder that another run works
        in or that cannot be written to, or a Dask scheduler that does not answer or dies.
    KeyboardInterrupt
        By Ctrl-C, after saying what is kept.
    """
    jobs = _checks.count(jobs, "jobs")
    folder = Path(cache).resolve()
    store = Cache(folder, f"{version} {function.__module__}.{function.__qualname__}")
    with _alone(folder):
        return _run(tasks, function, store, jobs, dask, cost, progress)


def _run(
    tasks: Sequence[Task],
    function: Function,
    store: Cache,
    jobs: int,
    dask: str | None,
    cost: Callable[[Task], float] | None,
    progress: bool | None,
) -> list[Outcome]:
    """What `run` does, in a folder that is its own."""
    estimate = cost or (lambda task: 1.0)
    pending: dict[str, Task] = {}
    records: dict[str, Record] = {}
    known = set()
    for task in tasks:
        name = store.path(task).name
        record = store.read(task)
        if record is not None and record["error"] is None:
            records[name] = record
            known.add(name)
        else:
            pending[name] = task
            if record is not None:  # a failure; what was not read is not removed
                store.path(task).unlink(missing_ok=True)
    bar = tqdm(
        total=sum(map(estimate, pending.values())),
        desc=f"{len(known)} of {len(known) + len(pending)} trials were done",
        bar_format="{desc}: {percentage:3.0f}%|{bar}| {elapsed}, {remaining} left{postfix}",
        disable=None if progress is None else not progress,
    )
    try:
        with bar:
            longest_first = sorted(pending.values(), key=estimate, reverse=True)
            for task, record in _work_through(longest_first, function, store, jobs, dask):
                records[store.path(task).name] = record
                failed = sum(each["error"] is not None for each in records.values())
                bar.set_postfix_str(
                    f"{len(records)} done" + (f", {failed} failed" if failed else ""), refresh=False
                )
                bar.update(estimate(task))
    except KeyboardInterrupt:
        kept = len(known) + sum(
            record is not None and record["error"] is None
            for record in map(store.read, pending.values())
        )
        print(
            f"stopped: {kept} of {len(known) + len(pending)} trials are kept in {store.folder}; "
            "the same command goes on from there",
            file=sys.stderr,
        )
        raise
    return [
        Outcome(task, **records[name], cached=name in known)
        for task in tasks
        for name in [store.path(task).name]
    ]


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """No other run works in `folder` meanwhile; the lock ends with the process, however it ends."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / ".lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ValueError(
                    f"another run works in {folder}: wait for it, or give another folder (--cache)"
                ) from None
            yield
    except OSError as error:
        raise ValueError(
            f"the results cannot be kept in {folder}: {error}; those kept so far are used by the "
            "next run"
        ) from error


def report_failed(outcomes: Iterable[Outcome], *names: str) -> list[Outcome]:
    """Print the tasks that failed, each by its entries `names`, and one traceback; return them.

    Raises
    ------
    SystemExit
        If each task failed: there is nothing to write then, and what was written before stays.
    """
    outcomes = list(outcomes)
    failed = [outcome for outcome in outcomes if outcome.error is not None]
    for outcome in failed:
        named = ", ".join(str(outcome.task[name]) for name in names if name in outcome.task)
        print(f"FAILED: {named}: {outcome.error}", file=sys.stderr)
    if failed:
        print(failed[0].traceback, file=sys.stderr)
        if len(failed) == len(outcomes):
            raise SystemExit(f"nothing is written: tasks failed {len(failed)}, succeeded 0")
    return failed


def table(
    outcomes: Iterable[Outcome],
    names: Sequence[str],
    rows: Callable[[Any], Iterable[dict[str, Any]]] = lambda value: [value],
) -> pd.DataFrame:
    """`rows` of what each task that was done has found, behind the task's entries `names`."""
    return pd.DataFrame(
        [
            {name: outcome.task[name] for name in names if name in outcome.task} | row
            for outcome in outcomes
            if outcome.value is not None
            for row in rows(outcome.value)
        ]
    )


def _work_through(
    tasks: list[Task], function: Function, store: Cache, jobs: int, dask: str | None
) -> Iterator[tuple[Task, Record]]:
    """The records of `tasks`, as they come."""
    if dask is None and jobs == 1:
        with interrupt_noted() as interrupted:
            for task in tasks:
                yield task, do(task, function, store, interrupted)
        return
    parent = os.getpid() if dask is None else None
    while tasks:
        begun: dict[Path, Task] = {}

        def calls(
            tasks: list[Task] = tasks, begun: dict[Path, Task] = begun
        ) -> Iterator[tuple[Any, ...]]:
            for task in tasks:
                begun[store.path(task)] = task
                yield delayed(in_worker)(task, function, store, parent)

        try:
            with _backend(jobs, dask):
                # each task is handed out when a worker is free for it
                parallel = Parallel(
                    return_as="generator_unordered", batch_size=1, pre_dispatch="n_jobs"
                )
                for task, record in parallel(calls()):
                    del begun[store.path(task)]
                    if not store.path(task).exists():  # the worker does not see this folder
                        record = keep(task, record, store)
                    yield task, record
            return
        except TerminatedWorkerError as error:
            # The system killed a worker (out of memory, say), and the tasks of the others are lost
            # with its own. Each is tried once more, alone, to tell which one it was.
            lost = list(begun.values())
            if len(lost) == 1:
                yield lost[0], store.write(lost[0], failure(error, 0.0))
            else:
                for task in lost:
                    yield from _work_through([task], function, store, jobs, dask)
            tasks = [task for task in tasks if not store.path(task).exists()]


@contextmanager
def _backend(jobs: int, dask: str | None) -> Iterator[None]:
    """Where joblib's workers are."""
    if dask is None:
        with parallel_config("loky", n_jobs=jobs, inner_max_num_threads=1):
            yield
        return
    try:
        from distributed import Client
    except ImportError:
        raise ValueError('dask is not installed: pip install "lipsnn[dask]"') from None
    try:
        with Client(dask, set_as_default=False) as client, parallel_config("dask", client=client):
            yield
    except (OSError, CancelledError) as error:  # those of distributed's connections are among them
        raise ValueError(
            f"the Dask scheduler at {dask} does not answer, or no more "
            f"({' '.join(f'{type(error).__name__}: {error}'.split())}); "
            "start one with `dask scheduler` and some `dask worker`"
        ) from error
