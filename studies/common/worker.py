"""One task of a grid: done by one thread, kept, and its failure recorded."""

from __future__ import annotations

import os
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import cache
from typing import Any

from threadpoolctl import threadpool_limits

from studies.common.cache import Cache, Record, Task

Function = Callable[[Task], dict[str, Any]]
# Seconds between a worker's looks at whether its parent lives.
_WATCH = 0.5


def in_worker(
    task: Task, function: Function, store: Cache, parent: int | None
) -> tuple[Task, Record]:
    """One task in another process, which keeps the record itself where it can.

    Parameters
    ----------
    parent : int, optional
        Whose worker this is, on this machine.
    """
    if parent is not None:
        # Ctrl-C reaches the whole group of processes; it is for the parent to stop the workers
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        _end_with(parent)
    with _busy if parent is not None else nullcontext():
        if not store.folder.is_dir():
            return task, _attempt(task, function)
        # a worker that outlived a killed run may have done it meanwhile
        return task, store.read(task) or do(task, function, store, threading.Event())


# Held while a worker is at a task.
_busy = threading.RLock()


@cache
def _end_with(parent: int) -> None:
    """End this worker soon after its parent, whatever killed that, but not within a task."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_WATCH)
        with _busy:
            os._exit(1)

    if os.getppid() == parent:
        threading.Thread(target=watch, daemon=True).start()


def do(task: Task, function: Function, store: Cache, interrupted: threading.Event) -> Record:
    """The record of one task, kept."""
    record = _attempt(task, function)
    if interrupted.is_set():  # a function that ends early by Ctrl-C returns what it has
        raise KeyboardInterrupt
    return keep(task, record, store)


def keep(task: Task, record: Record, store: Cache) -> Record:
    try:
        return store.write(task, record)
    except TypeError as error:  # what the function returned is no JSON
        return store.write(task, failure(error, record["seconds"]))


def _attempt(task: Task, function: Function) -> Record:
    begun = time.perf_counter()
    try:
        with _one_thread():
            value = function(task)
    except Exception as error:
        return failure(error, time.perf_counter() - begun)
    seconds = time.perf_counter() - begun
    return {"value": value, "error": None, "traceback": None, "seconds": seconds}


def failure(error: Exception, seconds: float) -> Record:
    line = " ".join(f"{type(error).__name__}: {error}".split())
    trace = "".join(traceback.format_exception(error))
    return {"value": None, "error": line, "traceback": trace, "seconds": seconds}


@contextmanager
def _one_thread() -> Iterator[None]:
    """One thread for BLAS and torch: more would oversubscribe, and change the order of sums."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def interrupt_noted() -> Iterator[threading.Event]:
    """Ctrl-C raises KeyboardInterrupt as ever, and is remembered where somebody catches that."""
    interrupted = threading.Event()

    def note(*_: Any) -> None:
        interrupted.set()
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield interrupted  # signals go to the main thread only
        return
    before = signal.signal(signal.SIGINT, note)
    try:
        yield interrupted
    finally:
        signal.signal(signal.SIGINT, before)
