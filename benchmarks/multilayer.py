"""Bounds of deep networks side by side: LipSDP-Neuron by `certify_layers` and by a plain LMI in
CVXPY, ECLipsE in both variants, and the product of norms.

    python benchmarks/multilayer.py [--limit 60] [--output FILE] [--rows PRINTED]

Networks are Gaussian ReLU networks of 10 inputs and one output: `rng = default_rng(0)`, weights of
variance 1 / (number of inputs of the layer), drawn layer by layer. Each measurement
is a process of its own with one BLAS thread, timed once, after a call on a tiny network for the
imports. A method is left out where it stopped at a network that is no deeper and no wider. The
limit is on CPU seconds, so that what else the machine does moves no method out of the table.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lipsnn import Network
from lipsnn.certificate import certify_layers, norm_product
from studies.common.provenance import commit, write_table

ROOT = Path(__file__).resolve().parents[1]
DEPTHS, WIDTHS = (2, 5, 10, 20), (20, 50, 80, 100)
METHODS = ("lipsdp-neuron", "eclipse", "eclipse-fast", "product", "plain-lmi")
MEASURED = ("seconds", "cpu_seconds", "bound", "gap", "iterations", "status")


def network(depth: int, width: int) -> Network:
    """The Gaussian network of a row: `depth` hidden layers of `width` units."""
    rng = np.random.default_rng(0)
    sizes = [10, *[width] * depth, 1]
    weights = [rng.normal(size=(b, a)) / np.sqrt(a) for a, b in itertools.pairwise(sizes)]
    return Network(weights)


def call(method: str, net: Network) -> Callable[[], dict[str, Any]]:
    """The measured call of a method: a function without arguments."""
    if method == "product":
        return lambda: {"bound": norm_product(net), "status": "closed form"}
    if method.startswith("eclipse"):
        import torch
        from eclipse_nn.LipConstEstimator import LipConstEstimator

        weights = [torch.from_numpy(np.array(w)) for w in net.weights]
        variant = "ECLipsE" if method == "eclipse" else "ECLipsE_Fast"

        def estimate() -> dict[str, Any]:
            with contextlib.redirect_stdout(io.StringIO()) as said:
                value = LipConstEstimator(weights=weights).estimate(variant)
            status = "fell back to fast" if "Falling back" in said.getvalue() else "done"
            return {"bound": float(value), "status": status}

        return estimate
    chosen = "lmi" if method == "plain-lmi" else "chordal"

    def certify() -> dict[str, Any]:
        c = certify_layers(net, method=chosen)
        return {"bound": c.bound, "gap": c.gap, "iterations": c.iterations, "status": c.status}

    return certify


def measure(method: str, depth: int, width: int, limit: float = 0.0) -> dict[str, Any]:
    """One row, in this process, which dies by SIGPROF after `limit` CPU seconds, if not 0."""
    run = call(method, network(depth, width))
    call(method, network(2, 2))()
    signal.setitimer(signal.ITIMER_PROF, limit)
    start, start_cpu = time.perf_counter(), time.process_time()
    result = run()
    seconds, cpu = time.perf_counter() - start, time.process_time() - start_cpu
    return {"seconds": seconds, "cpu_seconds": cpu, **result}


def row(
    method: str, depth: int, width: int, limit: float, stopped: list[tuple[str, int, int]]
) -> dict[str, Any]:
    """One row, in a process of its own; its `status` says why there is no number."""
    base = {"method": method, "depth": depth, "width": width}
    for name, deep, wide in stopped:
        if name == method and deep <= depth and wide <= width:
            return base | {"status": f"skipped: stopped at depth {deep}, width {wide}"}
    arguments = [sys.executable, __file__, "--one", method, str(depth), str(width)]
    arguments += ["--limit", str(limit)]
    one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    answer = subprocess.run(arguments, capture_output=True, text=True, env=os.environ | one)
    if answer.returncode == -signal.SIGPROF:
        stopped.append((method, depth, width))
        return base | {"status": f"stopped after {limit:g} CPU seconds"}
    if answer.returncode:
        stopped.append((method, depth, width))
        lines = answer.stderr.strip().splitlines() or [f"exit status {answer.returncode}"]
        return base | {"status": f"failed: {lines[-1][:120]}"}
    return base | json.loads(answer.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--limit", type=float, default=60.0, help="CPU seconds for one call")
    parser.add_argument("--output", type=Path, default=ROOT / "results/multilayer-benchmark.csv")
    parser.add_argument("--depths", type=int, nargs="+", default=DEPTHS)
    parser.add_argument("--widths", type=int, nargs="+", default=WIDTHS)
    parser.add_argument("--rows", type=Path, help="rows that an earlier run printed: kept")
    parser.add_argument(
        "--one", nargs=3, metavar=("METHOD", "DEPTH", "WIDTH"), help=argparse.SUPPRESS
    )
    options = parser.parse_args()
    if options.one:
        method, depth, width = options.one
        print(json.dumps(measure(method, int(depth), int(width), options.limit)))
        return
    begun, code, busy = time.perf_counter(), commit(ROOT), os.getloadavg()[0]
    stopped: list[tuple[str, int, int]] = []
    lines = options.rows.read_text().splitlines() if options.rows else []
    kept = {(r["method"], r["depth"], r["width"]): r for r in map(json.loads, lines)}
    rows = []
    for key in itertools.product(METHODS, options.depths, options.widths):
        rows.append(kept.get(key) or row(*key, options.limit, stopped))
        if str(rows[-1]["status"]).startswith(("stopped", "failed")) and key not in stopped:
            stopped.append(key)
        print(json.dumps(rows[-1]), flush=True)
    rows.sort(key=lambda r: (r["depth"], r["width"], METHODS.index(r["method"])))
    write_table(
        options.output,
        pd.DataFrame(rows, columns=["method", "depth", "width", *MEASURED]),
        commit=code,
        seconds=time.perf_counter() - begun,
        made_by="benchmarks/multilayer.py",
        rows_of_an_earlier_run=len(kept),
        limit_cpu_seconds=options.limit,
        load_average=[round(busy, 1), round(os.getloadavg()[0], 1)],
        threads="one BLAS thread",
    )


if __name__ == "__main__":
    main()
