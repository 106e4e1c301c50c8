"""The certificate side by side with its peers, in one run: seconds, value, gap, peak memory.

    python benchmarks/certificate.py [--part grid published] [--limit 300] [--output results]

`auto` is `lipsnn.certify`; `clarabel`, `scs` and `moreau` are program (2) as printed, in CVXPY;
`eclipse` and `eclipse-fast` the two variants of the package eclipse-nn; `product` the product of
norms. The part `published` has the shape for which LipDiff's authors report seconds, 784-256-10:
one label, each of the ten, and all together; their figures, of a network that they trained on
MNIST, stand beside ours. Networks
are Gaussian: `rng = default_rng(0)`, weights, then outer weights. Each measurement is a process of
its own, on as many cores as there are, its memory what it adds to the network's. What takes less
than two seconds is the median of five calls after a first one. A peer is left out where
the fourth power of the order of its matrix, from the last size that it did, says that it would
pass the limit. Rows are kept as they come in a .jsonl beside the table, from which an interrupted
run goes on.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import itertools
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lipsnn import Network, ShallowNet, certify
from lipsnn.certificate import norm_product
from lipsnn.certificate.lmi import lmi_matrix
from lipsnn.certificate.threads import one_blas_thread
from studies.common.provenance import commit, write_table

ROOT = Path(__file__).resolve().parents[1]
WIDTHS = (10, 30, 100, 300, 1_000, 10_000, 100_000, 1_000_000)
DIMS = (11, 784)
PARTS = ("grid", "published")
METHODS = ("auto", "clarabel", "scs", "moreau", "eclipse", "eclipse-fast", "product")
PEERS = ("eclipse-nn", "scs", "moreau")
SHAPE, LABEL = (784, 256, 10), 8
# As the README of github.com/z1w/LipDiff prints them: method, seconds, value.
REPORTED = (
    ("product, reported", 0.0399, 9.3086),
    ("LipSDP by MOSEK, reported", 46.96, 4.8217),
    ("LipDiff on a GPU, reported", 9.848, 4.9786),
)
# Of a network and of what a method may add to it, in GiB.
MEMORY = 12
MEASURED = (
    "seconds",
    "cpu_seconds",
    "value",
    "gap",
    "peak_mb",
    "iterations",
    "form",
    "status",
    "repeats",
)


def network(width: int, dim: int) -> ShallowNet:
    """The Gaussian network of a row."""
    rng = np.random.default_rng(0)
    return ShallowNet(rng.normal(size=(width, dim + 1)), rng.normal(size=width))


def tolerance(width: int, dim: int) -> float:
    """The gap asked of `auto`: looser where both sizes are large."""
    if dim < 100 or width < 1_000:
        return 1e-7
    return {1_000: 1e-6, 10_000: 1e-4}.get(width, 1e-3)


def order(method: str, width: int, dim: int) -> int:
    """Order of the largest matrix that a peer factorises."""
    whole = method in ("clarabel", "scs", "moreau")
    return dim + width + 1 if whole else width * (2 if method == "eclipse" else 1)


def call(method: str, net: ShallowNet, tol: float) -> Callable[[], dict[str, Any]]:
    """The measured call of a method: a function without arguments."""
    if method == "product":
        product = one_blas_thread(norm_product)
        return lambda: {"value": product(net), "status": "closed form"}
    if method.startswith("eclipse"):
        import torch
        from eclipse_nn.LipConstEstimator import LipConstEstimator

        layers = [torch.from_numpy(net.weights[:, :-1].copy()), torch.from_numpy(net.outer[None])]
        variant = "ECLipsE" if method == "eclipse" else "ECLipsE_Fast"

        def estimate() -> dict[str, Any]:
            with contextlib.redirect_stdout(io.StringIO()) as said:
                value = LipConstEstimator(weights=layers).estimate(variant)
            status = "fell back to fast" if "Falling back" in said.getvalue() else "done"
            return {"value": float(value), "status": status}

        return estimate

    if method == "auto":

        def solve() -> dict[str, Any]:
            c = certify(net, tol=tol)
            return {
                "value": c.bound,
                "gap": c.gap,
                "iterations": c.iterations,
                "form": c.method,
                "status": c.status,
            }

        return solve
    return lambda: _by_cvxpy(method.upper(), net)


def _by_cvxpy(solver: str, net: ShallowNet) -> dict[str, Any]:
    """Program (2) as printed; SCS to 1e-6, which is what it reaches in a reasonable time."""
    import cvxpy as cp

    rho, t = cp.Variable(), cp.Variable(net.width, nonneg=True)
    lmi = lmi_matrix(rho, t, net.weights[:, :-1], net.outer)
    problem = cp.Problem(cp.Minimize(rho), [lmi << 0])
    problem.solve(solver, **({"eps": 1e-6, "max_iters": 100_000} if solver == "SCS" else {}))
    return {
        "value": float(problem.value) ** 0.5,
        "iterations": problem.solver_stats.num_iters,
        "form": "lmi",
        "status": problem.status,
    }


def published(task: str) -> dict[str, Any]:
    """Seconds and value of the network of the published shape, in this process."""
    rng = np.random.default_rng(0)
    weights = [rng.normal(size=(b, a)) * np.sqrt(2 / a) for a, b in itertools.pairwise(SHAPE)]
    net = Network(weights)
    certify(net.select(0), tol=0.5)  # first calls of the libraries
    start, start_cpu = time.perf_counter(), time.process_time()
    if task == "each of ten labels":
        found = [certify(net, outputs=i) for i in range(SHAPE[-1])]
    else:
        found = [certify(net, outputs=LABEL if task == "one label" else None)]
    return {
        "seconds": time.perf_counter() - start,
        "cpu_seconds": time.process_time() - start_cpu,
        "value": max(c.bound for c in found),
        "gap": max(c.gap for c in found),
        "status": ", ".join(sorted({str(c.status) for c in found})),
    }


def as_published() -> pd.DataFrame:
    """Ours, each in a process of its own, and what the authors report."""
    rows = []
    for task in ("one label", "each of ten labels", "all ten together"):
        command = [sys.executable, __file__, "--one", "published", task, "0"]
        answer = subprocess.run(command, capture_output=True, text=True, check=True)
        found = json.loads(answer.stdout.splitlines()[-1])
        rows.append({"method": "lipsnn", "task": task, **found})
        print(json.dumps(rows[-1]), flush=True)
    for method, seconds, value in REPORTED:
        row = {"method": method, "task": "one label", "seconds": seconds, "value": value}
        rows.append(row | {"status": "of a trained network, on another machine"})
    return pd.DataFrame(rows)


def measure(method: str, width: int, dim: int) -> dict[str, Any]:
    """One row, in this process."""
    net = network(width, dim)
    run = call(method, net, tolerance(width, dim))
    if width <= 100:  # imports and first calls of the libraries
        call(method, network(3, 2), 1e-7)()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    limit = (MEMORY << 30) + (before << 10)
    resource.setrlimit(resource.RLIMIT_AS, (max(limit, 16 << 30), resource.RLIM_INFINITY))
    times: list[float] = []
    cpu: list[float] = []
    while not times or (len(times) < 6 and times[0] < 2):
        start, start_cpu = time.perf_counter(), time.process_time()
        result = run()
        times.append(time.perf_counter() - start)
        cpu.append(time.process_time() - start_cpu)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    kept = times[1:] or times
    return {
        "seconds": statistics.median(kept),
        "cpu_seconds": statistics.median(cpu[1:] or cpu),
        "peak_mb": peak / 1024,
        "repeats": len(kept),
        **result,
    }


def row(
    method: str, width: int, dim: int, limit: float, done: dict[str, tuple[int, float]]
) -> dict[str, Any]:
    """One row, in a process of its own; its `status` says why there is no number."""
    base = {"method": method, "m": width, "d": dim, "tol": tolerance(width, dim)}
    if width * (dim + 1) * 8 * 4 > MEMORY << 30:
        return base | {"status": "skipped: the network and its slopes alone need too much memory"}
    size = order(method, width, dim)
    if method in done:
        last, seconds = done[method]
        if seconds * (size / last) ** 4 > limit and method not in ("auto", "product"):
            reached = "stopped or failed" if seconds == np.inf else f"{seconds:.2g} CPU s"
            reason = f"would pass {limit:g} s ({reached} at order {last}, here {size})"
            return base | {"status": f"skipped: {reason}"}
    arguments = [sys.executable, __file__, "--one", method, str(width), str(dim)]
    try:
        answer = subprocess.run(arguments, capture_output=True, text=True, timeout=limit + 30)
    except subprocess.TimeoutExpired:
        done[method] = (size, np.inf)
        return base | {"status": f"stopped after {limit + 30:g} s"}
    if answer.returncode:
        lines = answer.stderr.strip().splitlines() or [f"exit status {answer.returncode}"]
        done[method] = (size, np.inf)
        return base | {"status": f"failed: {lines[-1][:120]}"}
    measured = json.loads(answer.stdout.splitlines()[-1])
    done[method] = (size, measured["cpu_seconds"])
    return base | measured


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--limit", type=float, default=300.0, help="seconds for one call")
    parser.add_argument("--part", choices=PARTS, nargs="+", default=list(PARTS))
    parser.add_argument("--output", type=Path, default=ROOT / "results", help="a folder")
    parser.add_argument("--one", nargs=3, metavar=("METHOD", "M", "D"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        method, width, dim = options.one
        found = published(width) if method == "published" else measure(method, int(width), int(dim))
        print(json.dumps(found))
        return
    if "published" in options.part:
        begun, code, busy = time.perf_counter(), commit(ROOT), os.getloadavg()[0]
        table = as_published()
        write_table(
            options.output / "certificate-published.csv",
            table,
            commit=code,
            seconds=time.perf_counter() - begun,
            made_by="benchmarks/certificate.py --part published",
            load_average=[round(busy, 1), round(os.getloadavg()[0], 1)],
            threads="one BLAS thread",
        )
    if "grid" in options.part:
        grid(options.output / "certificate-benchmark.csv", options.limit)


def grid(output: Path, peers_limit: float) -> None:
    """All methods over widths and inputs."""
    begun, code, busy = time.perf_counter(), commit(ROOT), os.getloadavg()[0]
    done: dict[str, tuple[int, float]] = {}
    kept = output.with_suffix(".jsonl")
    rows = [json.loads(line) for line in kept.read_text().splitlines()] if kept.exists() else []
    resumed = {(r["method"], r["d"], r["m"]): r for r in rows}
    for method, dim, width in itertools.product(METHODS, DIMS, WIDTHS):
        earlier = resumed.get((method, dim, width))
        if earlier is not None:
            if not earlier["status"].startswith("skipped"):
                seconds = earlier.get("cpu_seconds", np.inf)
                done[method] = (order(method, width, dim), seconds)
            continue
        # the limit is the peers': what we cannot do in time is our row to show
        limit = peers_limit if method != "auto" else 3 * peers_limit
        rows.append(row(method, width, dim, limit, done))
        print(json.dumps(rows[-1]), flush=True)
        with kept.open("a") as file:
            file.write(json.dumps(rows[-1]) + "\n")
    rows.sort(key=lambda r: (r["d"], r["m"], METHODS.index(r["method"])))
    table = pd.DataFrame(rows, columns=["method", "m", "d", "tol", *MEASURED])
    write_table(
        output,
        table,
        commit=code,
        seconds=time.perf_counter() - begun,
        made_by="benchmarks/certificate.py",
        packages=PEERS,
        limit_seconds=peers_limit,
        resumed=bool(resumed),
        load_average=[round(busy, 1), round(os.getloadavg()[0], 1)],
        threads="lipsnn limits itself to one BLAS thread; the peers use what they take",
    )
    kept.unlink()


if __name__ == "__main__":
    main()
