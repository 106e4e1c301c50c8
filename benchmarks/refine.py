"""The three convex programs by the structured solver and its peers, in one run; then its growth.

    python benchmarks/refine.py [--part peers|growth|both] [--limit 300] [--widths 30 100] ...

`structured` is lipsnn's own method, to 1e-8. `printed` is the program in CVXPY as the paper (or
fact C) prints it, `arrow` with the LMI decomposed into one block of order d + 1 per unit. `pyscnn`
is the augmented Lagrangian of the package of that name, for (6) with every pattern under both
signs, the one form it has: half as many patterns, so that the number of units is the same. It is
asked for its default tolerances and, because it then ends above the optimum, for a tenth and for
a hundredth of them. Each measurement is a process of its own with a limit on its time.

`seconds` is the wall time of a call, `solver_seconds` without CVXPY's compilation. `excess` is the
value against the structured one, both at the returned weights, and `violation` by how much these
leave their cones, relative to the largest preactivation.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from peers import (
    PYSCNN,
    STRENGTH,
    by_arrow,
    by_printed,
    by_pyscnn,
    by_structured,
    exact,
    restriction,
)

from lipsnn.convex import structured
from lipsnn.network import with_bias
from lipsnn.solvers import mosek_licence
from studies.common.provenance import commit, write_table

ROOT = Path(__file__).resolve().parents[1]
PEERS = {
    "joint": ("clarabel-arrow", "clarabel-printed", "scs-arrow", "mosek-printed"),
    "(12)": ("clarabel-arrow", "clarabel-printed", "scs-arrow", "mosek-printed"),
    "(6)": ("clarabel-printed", "scs-printed", "mosek-printed", *PYSCNN),
}
WIDTHS, SAMPLES, INPUTS = (25, 50, 100, 200, 400), (100, 1_000, 10_000, 100_000), 11


def measure(program: str, method: str, data: str, width: int) -> dict[str, Any]:
    """One row of the comparison, in this process."""
    if method in PYSCNN:
        return by_pyscnn(data, width, PYSCNN[method])
    arguments = restriction(program, data, width)
    if method == "structured":
        solution, seconds = by_structured(program, arguments)
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


def grow(width: int, samples: int) -> dict[str, Any]:
    """One row of the growth: the joint program on Gaussian data and patterns, in this process."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(samples, INPUTS))
    X1, gates = with_bias(X), rng.normal(size=(INPUTS + 1, width))
    y = np.sin(X).sum(axis=1) + 0.1 * rng.normal(size=samples)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.process_time()
    solution = structured.solve_joint(X1, y, X1 @ gates >= 0, rng.choice([-1.0, 1.0], width), 1.0)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "seconds": solution.seconds,
        "cpu_seconds": time.process_time() - start,
        "iterations": solution.iterations,
        "peak_mb": peak / 1024,
        "added_mb": (peak - before) / 1024,
        "gap": solution.gap,
        "status": solution.status,
    }


def apart(limit: float, *arguments: Any) -> dict[str, Any]:
    """A row measured in a process of its own; its status says why there is no number."""
    command = [sys.executable, __file__, "--one", *map(str, arguments)]
    if "structured" not in arguments and arguments[0] != "grow":
        command = ["nice", *command]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=limit)
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
        for m in widths:
            rows.append({"m": m, "n": n, **apart(limit, "grow", m, n)})
            print(json.dumps(rows[-1]), flush=True)
    table = pd.DataFrame(rows)
    for fixed, free in (("n", "m"), ("m", "n")):
        for value, part in table.dropna(subset=["seconds"]).groupby(fixed):
            if len(part) > 1:
                slope = np.polyfit(np.log(part[free]), np.log(part["seconds"]), 1)[0]
                slopes[f"{fixed} = {value}"] = f"seconds grow as {free}^{slope:.2f}"
    print(*(f"{key}: {text}" for key, text in slopes.items()), sep="\n", flush=True)
    return table, slopes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--part", choices=("peers", "growth", "both"), default="both")
    parser.add_argument("--limit", type=float, default=300.0, help="seconds for one measurement")
    parser.add_argument("--datasets", nargs="+", default=["wine", "servo"])
    parser.add_argument("--widths", nargs="+", type=int, default=[100, 30])
    parser.add_argument("--growth-widths", nargs="+", type=int, default=list(WIDTHS))
    parser.add_argument("--growth-samples", nargs="+", type=int, default=list(SAMPLES))
    parser.add_argument("--output", type=Path, default=ROOT / "results", help="a folder")
    parser.add_argument("--one", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        kind, *rest = options.one
        if kind == "grow":
            print(json.dumps(grow(*map(int, rest))))
        else:
            print(json.dumps(measure(kind, rest[0], rest[1], int(rest[2]))))
        return
    code = commit(ROOT)
    for part in ("peers", "growth"):
        if options.part not in (part, "both"):
            continue
        begun, busy, slopes = time.perf_counter(), os.getloadavg()[0], {}
        if part == "peers":
            table = compare(options.datasets, options.widths, options.limit)
        else:
            table, slopes = growth(options.growth_widths, options.growth_samples, options.limit)
        write_table(
            options.output / f"refine-{part}.csv",
            table,
            commit=code,
            seconds=time.perf_counter() - begun,
            made_by="benchmarks/refine.py",
            strength=STRENGTH if part == "peers" else 1.0,
            limit_seconds=options.limit,
            slopes=slopes,
            load_average=[round(busy, 1), round(os.getloadavg()[0], 1)],
        )


if __name__ == "__main__":
    main()
