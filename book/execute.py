"""One notebook: Jupytext source in, checked and labelled .ipynb out, or nothing and a log."""

from __future__ import annotations

import os
import re
import tempfile
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jupytext
import nbformat
import papermill
from nbclient.exceptions import CellTimeoutError
from nbformat import NotebookNode

from book import claims, provenance
from book import parameters as params
from book.layout import Layout
from studies.common.provenance import machine

KERNEL = "python3"
# Seconds for a whole notebook, generous: a page of the quick profile takes well below a minute,
# and full ones compute at the paper's scale.
_TIME_LIMITS = {"quick": 600}
_OTHER_TIME_LIMIT = 6 * 3600
TIME_LIMIT_HELP = (
    f"fail a notebook that runs longer ({_TIME_LIMITS['quick']} in the quick profile, "
    f"{_OTHER_TIME_LIMIT} in others)"
)
_ANSI = re.compile(r"\x1b\[[0-9;]*m")
# Two notebooks run at a time: more than one BLAS thread in each would oversubscribe the cores.
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class Job:
    """What to run: a source, the profile's and the caller's parameters, and where to put it."""

    layout: Layout
    source: Path
    output: Path
    profile: str
    parameters: params.Parameters
    commit: str
    time_limit: int = _TIME_LIMITS["quick"]


@dataclass(frozen=True)
class Outcome:
    """How it went: `error` is None, or one line, with the details in `log`."""

    source: Path
    seconds: float
    error: str | None = None
    log: Path | None = None


def time_limit(profile: str) -> int:
    """How long a notebook may run with this profile, in seconds, if nobody says otherwise."""
    return _TIME_LIMITS.get(profile, _OTHER_TIME_LIMIT)


def run(job: Job) -> Outcome:
    """Execute `job`; a failure leaves no notebook at its output but a log."""
    layout, source = job.layout, job.source
    log = layout.log(source)
    start = time.perf_counter()
    job.output.parent.mkdir(parents=True, exist_ok=True)
    layout.executed.mkdir(parents=True, exist_ok=True)
    job.output.unlink(missing_ok=True)
    log.unlink(missing_ok=True)
    try:
        _execute(job)
    except Exception as error:
        log.write_text(_ANSI.sub("", _report(job, error)), encoding="utf8")
        line = _ANSI.sub("", str(error)).strip().splitlines()
        text = f"{type(error).__name__}: {line[-1] if line else ''}"
        return Outcome(source, time.perf_counter() - start, text, log)
    return Outcome(source, time.perf_counter() - start)


def is_fresh(job: Job) -> bool:
    """Whether the notebook at the job's output was made from exactly these inputs."""
    try:
        record = nbformat.read(job.output, as_version=4).metadata["lipsnn"]
    except (OSError, KeyError, ValueError):
        return False
    return bool(
        record["profile"] == job.profile
        and record["digest"] == provenance.digest(job.layout, job.source, job.parameters)
    )


def _execute(job: Job) -> None:
    layout, source = job.layout, job.source
    name = layout.relative(source)
    notebook = _read_source(source, name)
    for variable in _THREADS:
        os.environ.setdefault(variable, "1")
    # The last step is a rename within one file system: a reader sees a whole notebook or none.
    with tempfile.TemporaryDirectory(dir=job.output.parent, prefix=f".{source.stem}-") as folder:
        converted, result = Path(folder, "source.ipynb"), Path(folder, "result.ipynb")
        nbformat.write(notebook, converted)
        known = params.defaults(converted)
        params.check(name, job.parameters, known)
        digest = provenance.digest(layout, source, job.parameters)
        deadline = time.monotonic() + job.time_limit
        try:
            papermill.execute_notebook(
                converted,
                result,
                parameters=job.parameters,
                cwd=source.parent,
                progress_bar=False,
                # what is left for the next cell, in whole seconds; zero would mean no limit
                timeout_func=lambda _: max(1, round(deadline - time.monotonic())),
                # ipykernel warns at every start that a local socket is not encrypted
                extra_arguments=["--log-level=ERROR"],
            )
        except CellTimeoutError as error:
            raise TimeoutError(
                f"{error}\nstill running after {job.time_limit} s; is it stuck? "
                "If not, give it more with --time-limit SECONDS"
            ) from None
        executed = nbformat.read(result, as_version=4)
        check(executed, name)
        _hide_injected(executed)
        record = executed.metadata["papermill"]
        record.update(input_path=name, output_path=layout.relative(job.output))
        values = known | job.parameters
        executed.metadata["lipsnn"] = {
            "notebook": name,
            "profile": job.profile,
            "parameters": values,
            "seconds": round(float(record["duration"]), 1),
            "finished": str(record["end_time"])[:16].replace("T", " "),
            "solver": provenance.solver(values),
            "versions": provenance.versions(),
            "machine": machine(),
            "commit": job.commit,
            "digest": digest,
        }
        nbformat.write(executed, result)
        os.replace(result, job.output)


def _read_source(source: Path, name: str) -> NotebookNode:
    notebook = jupytext.read(source, fmt="md:myst")
    kernel = notebook.metadata.get("kernelspec", {}).get("name")
    if kernel != KERNEL:
        raise ValueError(
            f"{name} must name the kernel {KERNEL} in the kernelspec of its header, found {kernel}"
        )
    return notebook


def check(notebook: NotebookNode, name: str) -> None:
    """What makes an executed notebook fit to publish.

    Raises
    ------
    ValueError
        If papermill recorded an exception, a cell shows an error or was not run, no
        kernel is recorded, or a claim is not displayed or does not hold.
    """
    record = notebook.metadata.get("papermill", {})
    if record.get("exception"):
        raise ValueError(f"{name}: papermill's metadata records an exception")
    if record.get("duration") is None:
        raise ValueError(f"{name}: papermill's metadata records no complete run")
    if notebook.metadata.get("kernelspec", {}).get("name") != KERNEL:
        raise ValueError(f"{name}: no kernel {KERNEL} is recorded in the executed notebook")
    for index, cell in enumerate(notebook.cells):
        if cell.cell_type != "code":
            continue
        if any(output.output_type == "error" for output in cell.outputs):
            raise ValueError(f"{name}: cell {index} shows an error")
        if cell.source.strip() and cell.execution_count is None:
            raise ValueError(f"{name}: cell {index} was not run")
    claims.read(notebook, Path(name).stem)


def _hide_injected(notebook: NotebookNode) -> None:
    for cell in notebook.cells:
        tags: list[Any] = cell.metadata.setdefault("tags", [])
        if "injected-parameters" in tags and "remove-cell" not in tags:
            tags.append("remove-cell")


def _report(job: Job, error: Exception) -> str:
    """The log: what was run, the cell that failed with its traceback, or our own."""
    head = [f"notebook: {job.layout.relative(job.source)}", f"parameters: {job.parameters}", ""]
    if isinstance(error, papermill.PapermillExecutionError):
        head += [f"cell {error.cell_index}:", error.source, "", *error.traceback]
    else:
        head += traceback.format_exception(error)
    return "\n".join(head) + "\n"
