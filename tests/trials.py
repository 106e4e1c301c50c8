"""Small trials for the tests of the runner: other processes import them from here."""

from __future__ import annotations

import errno
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np


def numbers(task):
    """Sums in floating point, which change with the number of threads or a lost digit."""
    rng = np.random.default_rng(task["trial"])
    matrix = rng.normal(size=(80, 80))
    return {
        "rows": [{"value": value, "trial": task["trial"]} for value in np.linalg.eigvalsh(matrix)],
        "total": matrix.sum() / 3,
    }


def logged(task):
    """Say in a file that this trial is being done, then take a while."""
    with open(task["log"], "a") as log:
        log.write(f"{task['trial']}\n")
    time.sleep(task["seconds"])
    return {"trial": task["trial"]}


def failing(task):
    if task["trial"] == 1:
        raise ValueError("the trial with number 1\nfails")
    return numbers(task)


def once_failing(task):
    """Fail until somebody makes the file."""
    if not Path(task["file"]).exists():
        raise RuntimeError("no file")
    return {"found": True}


def killed(task):
    """A worker that the system kills."""
    if task["trial"] == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.2)
    return {"trial": task["trial"]}


def filling(task):
    """From here on the disk is full, for this process."""

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    os.fsync = full
    return {"trial": task["trial"]}


def swallowing(task):
    """What ends early by Ctrl-C and returns all the same."""
    print("begun", flush=True)
    try:
        time.sleep(30)
    except KeyboardInterrupt:
        return {"whole": False}
    return {"whole": True}


def unpresentable(task):
    return {"file": sys.stdout} if task["trial"] == 0 else {}


if __name__ == "__main__":  # python trials.py FUNCTION CACHE JOBS LOG SECONDS COUNT
    from studies.common.runner import run

    # a parent that ignores Ctrl-C, as nohup does, would hand that down
    signal.signal(signal.SIGINT, signal.default_int_handler)
    function, cache, jobs, log, seconds, count = sys.argv[1:]
    grid = [{"trial": k, "log": log, "seconds": float(seconds)} for k in range(int(count))]
    # by its name where other processes can import it from
    import trials

    run(grid, getattr(trials, function), cache=Path(cache), jobs=int(jobs), progress=False)
