"""The three convex programs by the structured solver and its peers, in one run; then its growth.

    python benchmarks/refine.py [--part peers|growth|before|threads|sweeps] [--limit 300] ...

`structured` is lipsnn's own method, to 1e-8. `printed` is the program in CVXPY as the paper (or
fact C) prints it, `arrow` with the LMI decomposed into one block of order d + 1 per unit. `pyscnn`
is the augmented Lagrangian of the package of that name, for (6) with every pattern under both
signs, the one form it has: half as many patterns, so that the number of units is the same. It is
asked for its default tolerances and, because it then ends above the optimum, for a tenth and for
a hundredth of them. `adelie` is a group lasso over the masked data, (6) without its cones: a value
from below. Neither has the joint program or (12). Each measurement is a process with a time limit.

`seconds` is the wall time of a call, `solver_seconds` without CVXPY's compilation. `excess` is the
value against the structured one, both at the returned weights, and `violation` by how much these
leave their cones, relative to the largest preactivation. `before` is our own method as it was when
it carried every row, taken from git for the run. `sweeps` is one sweep over the layers of deep
networks, and of several outputs, in this process, after weight decay. `threads` is the widest
program on one and on two BLAS threads: it says something on a machine without other work only.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from peers import (
    INPUTS,
    PYSCNN,
    STRENGTH,
    by_adelie,
    by_arrow,
    by_printed,
    by_pyscnn,
    by_structured,
    drawn,
    exact,
    restriction,
)
from scipy.linalg import blas, lapack

import lipsnn
from lipsnn.solvers import mosek_licence

ROOT = Path(__file__).resolve().parents[1]
PEERS = {
    "joint": ("clarabel-arrow", "clarabel-printed", "scs-arrow", "mosek-printed"),
    "(12)": ("clarabel-arrow", "clarabel-printed", "scs-arrow", "mosek-printed"),
    "(6)": ("clarabel-printed", "scs-printed", "mosek-printed", "adelie", *PYSCNN),
}
WIDTHS, SAMPLES = (25, 50, 100, 200, 400), (100, 1_000, 10_000, 100_000)
# The last commit at which all n m rows were carried, and what it is compared on.
BEFORE = "9b47ff4"
CASES = ("wine", "random-100-1000", "random-100-10000", "random-100-100000", "trained-100-10000")
CASES += ("trained-100-100000", "random-400-10000", "random-400-100000")
PARTS = ("peers", "growth", "before", "threads", "sweeps")
# Data set, hidden layers and loss of one sweep; "images" are 2,000 Gaussian ones of 784 pixels.
SWEPT = (
    ("servo", (40, 30), "squared"),
    ("wine", (50, 50), "squared"),
    ("digits", (50,), "cross_entropy"),
    ("images", (100, 100), "cross_entropy"),
)


def measure(program: str, method: str, data: str, width: int) -> dict[str, Any]:
    """One row of the comparison, in this process."""
    if method in PYSCNN:
        return by_pyscnn(data, width, PYSCNN[method])
    arguments, inside = restriction(program, data, width)
    if method == "adelie":
        return by_adelie(arguments)
    if method == "structured":
        solution, seconds = by_structured(program, arguments, inside)
        return {
            **exact(program, arguments, solution),
            **seconds,
            "iterations": solution.iterations,
            "gap": solution.gap,
            "primal_residual": solution.primal_residual,
            "dual_residual": solution.dual_residual,
            "status": solution.status,
        }
    solver, form = method.split("-")
    start, start_cpu = time.perf_counter(), time.process_time()
    row = {"arrow": by_arrow, "printed": by_printed}[form](program, solver.upper(), arguments)
    return row | {
        "seconds": time.perf_counter() - start,
        "cpu_seconds": time.process_time() - start_cpu,
    }


def grow(kind: str, width: int, samples: int) -> dict[str, Any]:
    """One row of the growth: the joint program on Gaussian data, in this process.

    Three times where a first call's imports and fresh memory would be a part of what it takes.
    """
    arguments, inside = drawn(kind, width, samples)
    # the peak from here on: drawing the data may have taken more
    Path("/proc/self/clear_refs").write_text("5")
    before = _kilobytes("VmRSS")
    solution, seconds = by_structured(
        "joint", arguments, inside, times=3 if quick(width, samples) else 1
    )
    peak = _kilobytes("VmHWM")
    return {
        **seconds,
        "value": solution.value,
        "iterations": solution.iterations,
        "peak_mb": peak / 1024,
        "added_mb": (peak - before) / 1024,
        "gap": solution.gap,
        "status": solution.status,
    }


def quick(width: int, samples: int) -> bool:
    """Whether a program takes so little that one call, or one process, says too little."""
    return width <= 100 and samples <= 10_000


def _kilobytes(field: str) -> int:
    """Of this process, as Linux tells it."""
    return int(Path("/proc/self/status").read_text().partition(f"{field}:")[2].split()[0])


def sweep(data: str, hidden: Sequence[int], loss: str) -> dict[str, Any]:
    """One sweep over all layers, of a network that weight decay has trained."""
    from studies.deep import classes, networks

    if data == "images":
        rng = np.random.default_rng(0)
        X, y = rng.normal(size=(2000, 784)), rng.integers(10, size=2000)
    elif loss == "cross_entropy":
        X, y = classes.load(data, 0, 5000)[:2]
    else:
        found = lipsnn.load_dataset(data)
        X, y = found.X_train, found.y_train[:, None]
    sizes = [X.shape[1], *hidden, int(y.max()) + 1 if y.ndim == 1 else 1]
    net = networks.trained(sizes, X, y, loss, 0, 0.1, 100)
    start = time.process_time()
    swept = lipsnn.refine(net, X, y, bound="own", loss=loss, method="layers", rounds=1)
    return {
        "network": "-".join(map(str, sizes)),
        "data": data,
        "n": len(X),
        "cpu_seconds": time.process_time() - start,
        "before": swept.initial_objective,
        "after": swept.objective,
        "steps": "; ".join(f"{entry.step}: {entry.status}" for entry in swept.history[1:]),
    }


def dsyrk(width: int, samples: int) -> dict[str, Any]:
    """CPU seconds of BLAS for the same Gram matrix, rows formed beforehand, and of the least work.

    That is one pass over the data, a product with the weights of all units, and 25 factorisations
    of the Newton system.
    """
    rng = np.random.default_rng(0)
    order = width * (INPUTS + 1)
    rows, X1 = rng.normal(size=(512, order)), rng.normal(size=(4096, INPUTS + 1))
    total = np.zeros((order, order), order="F")
    start = time.process_time()
    for _ in range(-(-samples // 512)):
        total = blas.dsyrk(1.0, rows.T, beta=1.0, c=total, lower=1, overwrite_c=1)
    gram = time.process_time() - start
    weights, start = rng.normal(size=(INPUTS + 1, width)), time.process_time()
    for _ in range(-(-samples // 4096)):
        X1 @ weights
    read = time.process_time() - start
    system = np.eye(order + width + 1, order="F")
    start = time.process_time()
    for _ in range(3):
        lapack.dpotrf(system, lower=1, overwrite_a=0, clean=0)
    factor = (time.process_time() - start) / 3
    least = read + 25 * factor
    return {"cpu_seconds": gram, "least_seconds": least, "status": "done"}


def apart(
    limit: float, *arguments: Any, path: str | None = None, threads: int | None = None
) -> dict[str, Any]:
    """A row measured in a process of its own; its status says why there is no number."""
    command = [sys.executable, __file__, "--one", *map(str, arguments)]
    if "structured" not in arguments and arguments[0] not in ("grow", "dsyrk"):
        command = ["nice", *command]
    inherited = os.environ.get("PYTHONPATH", str(ROOT))
    environment = os.environ | {"PYTHONPATH": inherited if path is None else path}
    if threads is not None:
        environment |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads))
    try:
        answer = subprocess.run(
            command, capture_output=True, text=True, timeout=limit, env=environment
        )
    except subprocess.TimeoutExpired:
        return {"status": f"stopped after {limit:g} s"}
    if answer.returncode:
        lines = answer.stderr.strip().splitlines() or [f"exit status {answer.returncode}"]
        return {"status": f"failed: {lines[-1][:120]}"}
    return json.loads(answer.stdout.splitlines()[-1])


def compare(datasets: list[str], widths: list[int], limit: float) -> pd.DataFrame:
    """Every program by every method, the structured solver first."""
    rows = []
    for data in datasets:
        for width in widths:
            for program, peers in PEERS.items():
                ours = apart(limit, program, "structured", data, width)
                for method in ("structured", *peers):
                    row = {"program": program, "data": data, "m": width, "method": method}
                    if method == "structured":
                        row |= ours
                    elif method.startswith("mosek") and (reason := mosek_licence()):
                        row |= {"status": f"skipped: {reason}"}
                    else:
                        row |= apart(limit, program, method, data, width)
                    if "value" in row and "excess" not in row:
                        row["excess"] = row["value"] / ours["value"] - 1
                    if "seconds" in row:
                        own = row.get("structured_seconds", ours["seconds"])
                        row["times_structured"] = row["seconds"] / own
                    rows.append(row)
                    print(json.dumps(row), flush=True)
    return pd.DataFrame(rows)


def growth(widths: list[int], samples: list[int], limit: float) -> tuple[pd.DataFrame, Any]:
    """Seconds and memory over m and n, and the slopes of log seconds."""
    rows, slopes = [], {}
    for n in samples:
        for m in widths if n <= SAMPLES[-1] else [100]:
            rows.append({"m": m, "n": n, **apart(limit, "grow", "random", m, n)})
            print(json.dumps(rows[-1]), flush=True)
    table = pd.DataFrame(rows)
    for fixed, free in (("n", "m"), ("m", "n")):
        for value, part in table.dropna(subset=["seconds"]).groupby(fixed):
            if len(part) > 1:
                slope = np.polyfit(np.log(part[free]), np.log(part["seconds"]), 1)[0]
                slopes[f"{fixed} = {value}"] = f"seconds grow as {free}^{slope:.2f}"
    print(*(f"{key}: {text}" for key, text in slopes.items()), sep="\n", flush=True)
    return table, slopes


def on_threads(limit: float) -> pd.DataFrame:
    """The joint program of the most units on one BLAS thread and on two."""
    width, samples = WIDTHS[-1], 10_000
    rows = []
    for count in (1, 2):
        row = apart(limit, "grow", "random", width, samples, threads=count)
        rows.append({"m": width, "n": samples, "threads": count, **row})
        print(json.dumps(rows[-1]), flush=True)
    return pd.DataFrame(rows)


def beside_before(cases: list[str], limit: float) -> pd.DataFrame:
    """Our solver now and at its last commit without a working set, a case after the other.

    A case is "wine" (its three programs) or kind-m-n, as in "random-100-10000". Up to 1e4
    samples either is measured three times, in turns, and the middle one counts.
    """
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        archive = subprocess.run(
            ["git", "archive", BEFORE, "lipsnn"], cwd=ROOT, stdout=subprocess.PIPE, check=True
        )
        subprocess.run(["tar", "x"], cwd=folder, input=archive.stdout, check=True)
        for case in cases:
            calls: dict[str, tuple[Any, ...]] = {}
            if case == "wine":
                calls = {program: (program, "structured", "wine", 100) for program in PEERS}
            else:
                kind, width, samples = case.split("-")
                calls = {"joint": ("grow", kind, width, samples)}
            for program, call in calls.items():
                rounds = 3 if case == "wine" or int(samples) <= 10_000 else 1
                both = [
                    {"now": apart(limit, *call), "before": apart(limit, *call, path=folder)}
                    for _ in range(rounds)
                ]
                found = {name: _middle([pair[name] for pair in both]) for name in both[0]}
                if case != "wine":
                    found["dsyrk"] = apart(limit, "dsyrk", width, samples)
                now = found["now"]
                for method, row in found.items():
                    row = {"case": case, "program": program, "method": method, **row}
                    if {"cpu_seconds"} <= row.keys() & now.keys():
                        row["times_now"] = row["cpu_seconds"] / now["cpu_seconds"]
                    if {"value"} <= row.keys() & now.keys():
                        row["excess"] = row["value"] / now["value"] - 1
                    rows.append(row)
                    print(json.dumps(row), flush=True)
    return pd.DataFrame(rows)


def _middle(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The row of median CPU time, a row without one being the slowest."""
    return sorted(rows, key=lambda row: row.get("cpu_seconds", np.inf))[len(rows) // 2]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--part", choices=PARTS, nargs="+", default=list(PARTS))
    parser.add_argument("--limit", type=float, default=300.0, help="seconds for one measurement")
    parser.add_argument("--datasets", nargs="+", default=["wine", "servo"])
    parser.add_argument("--widths", nargs="+", type=int, default=[100, 30])
    parser.add_argument("--growth-widths", nargs="+", type=int, default=list(WIDTHS))
    parser.add_argument("--growth-samples", nargs="+", type=int, default=[*SAMPLES, 10**6, 10**7])
    parser.add_argument("--cases", nargs="+", default=list(CASES), help="of the part before")
    parser.add_argument("--output", type=Path, default=ROOT / "results", help="a folder")
    parser.add_argument("--one", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        kind, *rest = options.one
        if kind == "grow":
            print(json.dumps(grow(rest[0], *map(int, rest[1:]))))
        elif kind == "dsyrk":
            print(json.dumps(dsyrk(*map(int, rest))))
        else:
            print(json.dumps(measure(kind, rest[0], rest[1], int(rest[2]))))
        return
    from studies.common.provenance import commit, write_table  # needs lipsnn as it is now

    code = commit(ROOT)
    for part in options.part:
        begun, busy, slopes = time.perf_counter(), os.getloadavg()[0], {}
        if part == "peers":
            table = compare(options.datasets, options.widths, options.limit)
        elif part == "before":
            table = beside_before(options.cases, options.limit)
        elif part == "threads":
            table = on_threads(options.limit)
        elif part == "sweeps":
            table = pd.DataFrame([sweep(*case) for case in SWEPT])
        else:
            table, slopes = growth(options.growth_widths, options.growth_samples, options.limit)
        write_table(
            options.output / f"refine-{part}.csv",
            table,
            commit=code,
            seconds=time.perf_counter() - begun,
            made_by="benchmarks/refine.py",
            strength=STRENGTH if part == "peers" else 1.0,
            **({"before": BEFORE} if part == "before" else {}),
            limit_seconds=options.limit,
            slopes=slopes,
            packages=("pyscnn", "adelie", "scs"),
            load_average=[round(busy, 1), round(os.getloadavg()[0], 1)],
        )


if __name__ == "__main__":
    main()
