"""Lipschitz bounds on balls side by side, in one run: value and CPU seconds.

    python benchmarks/local.py [--limit 30] [--output results/local-benchmark.csv]

`lipsnn` is ``certify(net, ball=(x0, r))``. `eclipse-*` is `estimate_gen_local` of the package
eclipse-nn in its three variants; `lirpa` the Jacobian bounds of auto_LiRPA (linear relaxation), and
`lirpa-norm` its bound of the squared length of the Jacobian; `interval` interval arithmetic through
layers and Jacobian; of Jacobian bounds entry by entry the l2 norm is taken. `global` is the
certificate without the ball, and `sampled` the steepest slope at 2,000 points of the ball, a value
from below. `lipsnn-many` is given 200 centres in one call, for one hidden layer, and takes the
time of one of them; the first is that of the other rows. Networks are Gaussian
ReLU networks of 10 inputs and one output: `rng = default_rng(0)`, weights of variance 2 / (number
of inputs of the layer) and biases of variance 1/4, layer by layer, then the centre. Each method
has a process of its own, on one thread; after a first call it is called again until 0.1 s of CPU
time are spent, and the mean counts. Where a method takes more CPU time than the limit, it is left
out from there on, small networks first.
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

from lipsnn import Network, certify
from studies.common.provenance import commit, write_table

ROOT = Path(__file__).resolve().parents[1]
DEPTHS, WIDTHS, RADII = (1, 2, 3, 4, 5), (50, 200), (0.01, 0.1, 1.0)
METHODS = ("lipsnn", "eclipse-cf", "eclipse-fast", "eclipse-acc", "lirpa", "lirpa-norm")
METHODS += ("lipsnn-many", "interval", "global", "sampled")
INPUTS, MANY = 10, 200
PEERS = ("eclipse-nn", "auto_LiRPA")
Call = Callable[[float], dict[str, Any]]


def network(depth: int, width: int) -> tuple[Network, np.ndarray]:
    """The network of a row, and the centre of its balls."""
    rng = np.random.default_rng(0)
    sizes = [INPUTS, *[width] * depth, 1]
    weights, biases = [], []
    for a, b in itertools.pairwise(sizes):
        weights.append(rng.normal(size=(b, a)) * np.sqrt(2 / a))
        biases.append(0.5 * rng.normal(size=b))
    return Network(weights, biases), rng.normal(size=INPUTS)


def interval(net: Network, center: np.ndarray, radius: float) -> float:
    """Interval arithmetic: values forwards from the ball's own range, then slopes forwards."""
    W, b = net.weights[0], net.biases[0]
    reach = radius * np.linalg.norm(W, axis=1)
    low, high = W @ center + b - reach, W @ center + b + reach
    slope_low = slope_high = W
    for W, b in zip(net.weights[1:], net.biases[1:], strict=True):
        on, off = (low >= 0)[:, None], (high <= 0)[:, None]
        slope_low = np.where(on, slope_low, np.where(off, 0.0, np.minimum(slope_low, 0.0)))
        slope_high = np.where(on, slope_high, np.where(off, 0.0, np.maximum(slope_high, 0.0)))
        up, down = np.maximum(W, 0.0), np.minimum(W, 0.0)
        low, high = np.maximum(low, 0.0), np.maximum(high, 0.0)
        low, high = up @ low + down @ high + b, up @ high + down @ low + b
        slope_low, slope_high = (
            up @ slope_low + down @ slope_high,
            up @ slope_high + down @ slope_low,
        )
    return float(np.linalg.norm(np.maximum(np.abs(slope_low), np.abs(slope_high))))


def by_eclipse(algorithm: str, net: Network, center: np.ndarray) -> Call:
    import torch
    from eclipse_nn.LipConstEstimator import LipConstEstimator

    weights = [torch.from_numpy(np.array(W)) for W in net.weights]
    biases = [torch.from_numpy(np.array(b)) for b in net.biases]
    estimator = LipConstEstimator(weights=weights, biases=biases)

    def estimate(radius: float) -> dict[str, Any]:
        with contextlib.redirect_stdout(io.StringIO()) as said:
            value, _, code = estimator.estimate_gen_local(center, radius, "relu", algorithm)
        fell = ("Failed in initial try" in said.getvalue()) * "fell back to CF"
        return {"bound": float(value), "status": "failed" if code else fell or "done"}

    return estimate


def by_lirpa(norm: bool, net: Network, center: np.ndarray) -> Call:
    import torch
    from auto_LiRPA import BoundedModule, BoundedTensor, PerturbationLpNorm
    from auto_LiRPA.jacobian import GradNorm, JacobianOP

    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    inner, length = net.to_torch(), GradNorm(norm=2)

    class Slopes(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = inner

        def forward(self, x: Any) -> Any:
            slopes = JacobianOP.apply(self.net(x), x)
            return length(slopes) if norm else slopes

    x0 = torch.from_numpy(center[None].copy())
    model = BoundedModule(Slopes(), x0)

    def bound(radius: float) -> dict[str, Any]:
        x = BoundedTensor(x0, PerturbationLpNorm(norm=2, eps=radius))
        low, high = model.compute_jacobian_bounds(x, bound_lower=not norm)
        if norm:
            value = float(high.max().clip(min=0) ** 0.5)
        else:
            value = float(torch.maximum(low.abs(), high.abs()).norm())
        return {"bound": value, "status": "done"}

    return bound


def call(method: str, net: Network, center: np.ndarray) -> Call:
    """The measured call of a method: a function of the radius."""
    if method.endswith("-many"):
        others = np.random.default_rng(2).normal(size=(MANY - 1, INPUTS))
        center, method = np.vstack([center, others]), method.removesuffix("-many")
    if method.startswith("eclipse"):
        name = {"cf": "CF", "fast": "Fast", "acc": "Acc"}[method.removeprefix("eclipse-")]
        return by_eclipse(name, net, center)
    if method.startswith("lirpa"):
        return by_lirpa(method == "lirpa-norm", net, center)
    if method == "interval":
        return lambda radius: {"bound": interval(net, center, radius), "status": "done"}
    if method == "sampled":
        return lambda radius: {"bound": sampled(net, center, radius), "status": "from below"}

    def certified(radius: float) -> dict[str, Any]:
        found = certify(net) if method == "global" else certify(net, ball=(center, radius))
        found = found[0] if isinstance(found, list) else found
        free = sum(int((np.isfinite(t) & (t > 0)).sum()) for t in found.layers)
        return {"bound": found.bound, "gap": found.gap, "free": free, "status": found.status}

    return certified


def sampled(net: Network, center: np.ndarray, radius: float) -> float:
    """The steepest slope at points drawn uniformly from the ball."""
    rng = np.random.default_rng(1)
    steps = rng.normal(size=(2_000, INPUTS))
    steps *= rng.uniform(size=(2_000, 1)) ** (1 / INPUTS) / np.linalg.norm(steps, axis=1)[:, None]
    parts = np.array_split(center + radius * steps, 4)
    return max(float(np.linalg.norm(net.gradient(X), axis=(1, 2)).max()) for X in parts)


def measure(method: str, networks: list[tuple[int, int]], limit: float = 0.0) -> None:
    """Print rows as they come; dies by SIGPROF where one takes more than `limit` CPU seconds."""
    call(method, *network(1, 3))(0.1)  # imports, and first calls of the libraries
    for (depth, width), radius in itertools.product(networks, RADII):
        signal.setitimer(signal.ITIMER_PROF, limit)
        run = call(method, *network(depth, width))
        start = time.process_time()
        result = run(radius)
        seconds, calls, begun = time.process_time() - start, 0, time.process_time()
        while seconds < 0.1 and time.process_time() < begun + 0.1 and calls < 1000:
            run(radius)
            calls += 1
        if calls:
            seconds = (time.process_time() - begun) / calls
        if method.endswith("-many"):
            seconds /= MANY
        row = {"method": method, "depth": depth, "width": width, "radius": radius}
        print(json.dumps(row | {"cpu_seconds": seconds} | result), flush=True)


def rows_of(method: str, networks: list[tuple[int, int]], limit: float) -> list[dict[str, Any]]:
    """Of each network and radius; `status` says why there is no number."""
    if method.endswith("-many"):
        networks = [shape for shape in networks if shape[0] == 1]
    shapes = [f"{depth}-{width}" for depth, width in networks]
    command = [sys.executable, __file__, "--limit", str(limit), "--one", method, *shapes]
    one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    answer = subprocess.run(command, capture_output=True, text=True, env=os.environ | one)
    rows = [json.loads(x) for x in answer.stdout.splitlines() if x.startswith('{"method"')]
    reason = f"stopped after {limit:g} CPU seconds"
    if answer.returncode not in (0, -signal.SIGPROF):
        reason = f"failed: {(answer.stderr.strip().splitlines() or ['?'])[-1][:120]}"
    left = list(itertools.product(networks, RADII))[len(rows) :]
    for (depth, width), radius in left:
        row = {"method": method, "depth": depth, "width": width, "radius": radius}
        rows.append(row | {"status": reason})
        reason = "left out after that"
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--limit", type=float, default=30.0, help="CPU seconds for one radius")
    parser.add_argument("--output", type=Path, default=ROOT / "results/local-benchmark.csv")
    parser.add_argument("--depths", type=int, nargs="+", default=DEPTHS)
    parser.add_argument("--widths", type=int, nargs="+", default=WIDTHS)
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    parser.add_argument("--rows", type=Path, help="rows that an earlier run printed: kept")
    parser.add_argument("--one", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        method, *shapes = options.one
        measure(method, [tuple(map(int, x.split("-"))) for x in shapes], options.limit)
        return
    begun, code, busy = time.perf_counter(), commit(ROOT), os.getloadavg()[0]
    networks = sorted(itertools.product(options.depths, options.widths), key=lambda x: x[::-1])
    lines = options.rows.read_text().splitlines() if options.rows else []
    rows: list[dict[str, Any]] = [json.loads(line) for line in lines]
    kept = {row["method"] for row in rows}
    for method in (method for method in options.methods if method not in kept):
        found = rows_of(method, networks, options.limit)
        print(*map(json.dumps, found), sep="\n", flush=True)
        rows += found
    table = pd.DataFrame(rows).sort_values(["depth", "width", "radius"], kind="stable")
    columns = ["depth", "width", "radius", "method", "bound", "cpu_seconds", "free", "gap"]
    write_table(
        options.output,
        table[[*columns, "status"]],
        commit=code,
        seconds=time.perf_counter() - begun,
        made_by="benchmarks/local.py",
        limit_cpu_seconds=options.limit,
        methods=list(options.methods),
        rows_of_an_earlier_run=len(lines),
        load_average=[round(busy, 1), round(os.getloadavg()[0], 1)],
        threads="one thread each",
        packages=PEERS,
    )


if __name__ == "__main__":
    main()
