"""The three convex programs by the structured solver and its peers, in one run; then its growth.

    python benchmarks/refine.py [--part peers|growth|both] [--limit 300] [--widths 30 100] ...

`structured` is lipsnn's own method, to 1e-8. `printed` is the program in CVXPY as the paper (or
fact C) prints it, `arrow` with the LMI decomposed into one block of order d + 1 per unit. `pyscnn`
is the augmented Lagrangian of the package of that name at its default tolerances, for (6) with
every pattern under both signs, the one form it has: half as many patterns, so that the number of
units is the same. Each measurement is a process of its own with a limit on its time.

`seconds` is the wall time of a call, `solver_seconds` without CVXPY's compilation. `excess` is the
value against the structured one, both at the returned weights, and `violation` by how much these
leave their cones, relative to the largest preactivation.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lipsnn import certify, load_dataset, train_sgd
from lipsnn.convex import programs, structured
from lipsnn.network import with_bias
from lipsnn.provenance import commit, write_table
from lipsnn.solvers import mosek_licence

ROOT = Path(__file__).resolve().parents[1]
STRENGTH = 0.1
PEERS = {
    "joint": ("clarabel-arrow", "clarabel-printed", "scs-arrow", "mosek-printed"),
    "(12)": ("clarabel-arrow", "clarabel-printed", "scs-arrow", "mosek-printed"),
    "(6)": ("clarabel-printed", "scs-printed", "mosek-printed", "pyscnn"),
}
WIDTHS, SAMPLES, INPUTS = (25, 50, 100, 200, 400), (100, 1_000, 10_000, 100_000), 11


def restriction(program: str, data: str, width: int) -> tuple[Any, ...]:
    """The arguments of a program at a briefly trained network, the same in every process."""
    split = load_dataset(data)
    X, y = split.X_train, split.y_train
    net = train_sgd(X, y, width, 0.1, epochs=1 + 20_000 // len(y))
    arguments = (with_bias(X), y, net.patterns(X), net.signs)
    if program == "(12)":
        return (*arguments, np.abs(net.outer), certify(net).multipliers, STRENGTH)
    return (*arguments, STRENGTH)


def both_signs(X1: np.ndarray, y: np.ndarray, gates: np.ndarray) -> tuple[Any, ...]:
    """Program (6) as pyscnn has it: every pattern once with each sign."""
    patterns, count = X1 @ gates > 0, gates.shape[1]
    return X1, y, np.hstack([patterns] * 2), np.repeat([1.0, -1.0], count), STRENGTH


def exact(program: str, arguments: tuple[Any, ...], solution: Any) -> dict[str, float]:
    """Value at the weights themselves, and how far they leave their cones."""
    X1, y, patterns, signs = arguments[:4]
    weights, outer = solution.weights, np.ones(len(signs))
    if program == "(6)":
        outer, penalty = signs, np.linalg.norm(weights, axis=1).sum()
    else:
        penalty = solution.rho
    if program == "(12)":
        outer = signs * arguments[4]
    loss = 0.5 * np.sum((((X1 @ weights.T) * patterns) @ outer - y) ** 2)
    side = np.where(patterns, 1.0, -1.0) * (signs if program == "joint" else 1.0)
    hidden = X1 @ weights.T
    violation = max(0.0, -float((side * hidden).min())) / float(np.abs(hidden).max())
    return {"value": float(loss + STRENGTH * penalty), "violation": violation}


def by_arrow(program: str, solver: str, arguments: tuple[Any, ...]) -> dict[str, Any]:
    """The LMI as ``sum_i H_i <= rho I``, ``[[H_i, zbar_i], [zbar_i', 4 q_i]] >= 0``."""
    import cvxpy as cp

    X1, y, patterns, signs = arguments[:4]
    (m, p), d = (len(signs), X1.shape[1]), X1.shape[1] - 1
    z, rho = cp.Variable((m, p)), cp.Variable()
    if program == "joint":
        q = cp.Variable(m, nonneg=True)
    else:
        q = cp.Constant(arguments[4] ** 2 / (2 * arguments[5]))
    slopes = cp.vstack([cp.sum(z[:, :d], axis=0, keepdims=True), z[:, :d]])
    shares = cp.hstack([1 - cp.sum(q), q])
    hub: Any = 0
    cones = [cp.multiply((2.0 * patterns - 1.0) * signs, X1 @ z.T) >= 0]
    for i in range(m + 1):
        block = cp.Variable((p, p), PSD=True)
        cones += [block[:d, d] == slopes[i], block[d, d] == 4 * shares[i]]
        hub = hub + block[:d, :d]
    fitted = cp.sum(cp.multiply(patterns.astype(float), X1 @ z.T), axis=1)
    objective = 0.5 * cp.sum_squares(fitted - y) + STRENGTH * rho
    problem = cp.Problem(cp.Minimize(objective), [*cones, rho * np.eye(d) - hub >> 0])
    problem.solve(solver, **({"eps": 1e-6, "max_iters": 100_000} if solver == "SCS" else {}))
    weights = z.value if program == "joint" else z.value / (signs * arguments[4])[:, None]
    solution = argparse.Namespace(weights=weights, rho=float(rho.value))
    return {
        **exact(program, arguments, solution),
        "solver_seconds": problem.solver_stats.solve_time,
        "iterations": problem.solver_stats.num_iters,
        "status": problem.status,
    }


def by_pyscnn(data: str, width: int) -> dict[str, Any]:
    """pyscnn, and the structured solver on the very program that pyscnn solved."""
    from scnn.metrics import Metrics
    from scnn.models import ConvexReLU
    from scnn.optimize import optimize_model
    from scnn.regularizers import NeuronGL1
    from scnn.solvers import AL

    X1, y, *_ = restriction("(6)", data, width)
    model = ConvexReLU(np.random.default_rng(0).normal(size=(X1.shape[1], width // 2)))
    start = time.perf_counter()
    model, _ = optimize_model(
        model, AL(model), Metrics(), X1, y, regularizer=NeuronGL1(STRENGTH / len(y)),
        return_convex=True, unitize_data=False, dtype="float64",
    )  # fmt: skip
    seconds = time.perf_counter() - start
    arguments = both_signs(X1, y, model.G)
    weights = np.vstack([part[0] for part in model.get_parameters()])
    ours = structured.solve_l2(*arguments)
    found = exact("(6)", arguments, argparse.Namespace(weights=weights))
    reference = exact("(6)", arguments, ours)["value"]
    return {
        **found,
        "seconds": seconds,
        "structured_seconds": ours.seconds,
        "excess": found["value"] / reference - 1,
        "status": "done",
    }


def measure(program: str, method: str, data: str, width: int) -> dict[str, Any]:
    """One row of the comparison, in this process."""
    if method == "pyscnn":
        return by_pyscnn(data, width)
    arguments = restriction(program, data, width)
    if method == "structured":
        call = {"joint": structured.solve_joint, "(12)": structured.solve_lipschitz}
        solve = call.get(program, structured.solve_l2)
        runs = [(time.process_time(), solve(*arguments), time.process_time()) for _ in range(6)]
        solution = runs[-1][1]
        return {
            **exact(program, arguments, solution),
            "seconds": statistics.median(run.seconds for _, run, _ in runs[1:]),
            "fastest": min(run.seconds for _, run, _ in runs),
            "cpu_seconds": statistics.median(after - before for before, _, after in runs[1:]),
            "iterations": solution.iterations,
            "gap": solution.gap,
            "primal_residual": solution.primal_residual,
            "dual_residual": solution.dual_residual,
            "status": solution.status,
        }
    solver, form = method.split("-")
    start, start_cpu = time.perf_counter(), time.process_time()
    if form == "arrow":
        row = by_arrow(program, solver.upper(), arguments)
    else:
        call = {"joint": programs.solve_joint, "(12)": programs.solve_lipschitz}
        solution = call.get(program, programs.solve_l2)(*arguments, solver=solver.upper())
        row = {"status": solution.status, "iterations": solution.iterations}
        if solution.weights is not None:
            row |= exact(program, arguments, solution)
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
