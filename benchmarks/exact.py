"""Exact Lipschitz constants side by side, in one run: both sides and CPU seconds.

    python benchmarks/exact.py [--limit 60] [--output results/exact-benchmark.csv]
    python benchmarks/exact.py --part sizes --output results/exact-sizes.csv
    python benchmarks/exact.py --part deep --output results/exact-deep.csv

`milp`, the first: on the box [-1, 1]^2, to a gap of 1e-3. `lipsnn` is
``exact_constant(net, box=(-1, 1))``; `milp` a mixed-integer program in HiGHS (scipy.optimize.milp)
with a binary number for each unit, as LipMIP (Jordan and Dimakis, 2020). Its norms are linear; the
l2 norm is put between ``max_k u_k'g`` and that over cos(pi / n), of n directions u_k with a binary
number each, hence the two inputs. `exlipbab`, where it is installed (from its authors' repository,
ExLipBaB_Code; the package pycddlib needs cddlib and gmp): branch and bound over the pieces, in
floating point, with linear programs by GLPK.
Networks are Gaussian ReLU networks: `rng = default_rng(seed)`, weights, biases and outer weights
standard normal.
Each call has one thread and stops after the limit (wall time); a method that leaves a gap is left
out from the next size on.

`sizes`: `exact_constant` in the whole space, to the same gap, of networks with 100 units trained on
the data sets (with the penalty that validation chose, refined from there, and with next to none)
and of Gaussian ones; `goal` are the seconds that we set ourselves, `jobs` the processes.

`deep`: networks of the size 13-20-16-8-3 that ExLipBaB's authors publish, in a box and in the whole
space: ExLipBaB's two sides within the limit, beside `certify` and the steepest slope found, since
`exact_constant` takes one hidden layer only.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import io
import os
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import Bounds, LinearConstraint, milp

from lipsnn import Network, ShallowNet, certify, exact_constant, load_dataset, refine, train_sgd
from studies.common.provenance import commit, write_table
from studies.paper.settings import load_settings

ROOT = Path(__file__).resolve().parents[1]
UNITS, SEEDS, GAP, DIRECTIONS = (10, 20, 40, 80, 160), (0, 1, 2), 1e-3, 100
WEAK = 0.01  # a strength of the l2 penalty far below the chosen ones


def network(units: int, seed: int) -> ShallowNet:
    """The network of a row."""
    rng = np.random.default_rng(seed)
    return ShallowNet(rng.normal(size=(units, 3)), rng.normal(size=units))


def by_milp(net: ShallowNet, limit: float) -> tuple[float, float]:
    """Both sides, as far as the limit allows; numbers are HiGHS's, nothing is proved."""
    m, n = net.width, DIRECTIONS
    W, b = net.weights[:, :-1], net.weights[:, -1]
    most = np.abs(W).sum(axis=1)
    high, low = np.maximum(b + most, 0.0), np.minimum(b - most, 0.0)
    angles = 2 * np.pi * np.arange(n) / n
    along = np.column_stack([np.cos(angles), np.sin(angles)]) @ net.slopes.T  # (n, m)
    far = np.abs(along).sum(axis=1).max()
    # variables: x (2), a binary for each unit, a binary for each direction, t
    zero, one = np.zeros, np.ones
    rows = [
        # low (1 - active) <= w'x + b <= high active
        LinearConstraint(np.hstack([W, -np.diag(high), zero((m, n + 1))]), -np.inf, -b),
        LinearConstraint(np.hstack([W, np.diag(low), zero((m, n + 1))]), low - b, np.inf),
        # t <= u_k'g where direction k is chosen, and one is
        LinearConstraint(
            np.hstack([zero((n, 2)), -along, 2 * far * np.eye(n), one((n, 1))]), -np.inf, 2 * far
        ),
        LinearConstraint(np.hstack([zero(2 + m), one(n), 0.0])[None], 1, 1),
    ]
    found = milp(
        -np.eye(3 + m + n)[-1],
        constraints=rows,
        integrality=np.repeat([0, 1, 0], [2, m + n, 1]),
        bounds=Bounds([-1, -1, *zero(m + n), -far], [1, 1, *one(m + n), far]),
        options={"time_limit": limit, "mip_rel_gap": GAP / 2},
    )
    if found.x is None:
        return 0.0, np.inf
    slope = np.rint(found.x[2 : 2 + m]) @ net.slopes
    return float(np.linalg.norm(slope)), float(-found.mip_dual_bound / np.cos(np.pi / n))


def by_lipsnn(net: ShallowNet, limit: float) -> tuple[float, float]:
    """Both sides, each proved up to the exactness of float64 that `exact_constant` states."""
    found = exact_constant(net, box=(-1, 1), gap=GAP, time_limit=limit)
    return found.lower, found.upper


def by_exlipbab(net: Any, limit: float, half: float | None = 1.0) -> tuple[float, float]:
    """Both sides on the box [-half, half]^d, or in the whole space if half is None."""
    from exlipbab.exlipbab_main import exlipbab_main
    from exlipbab.helper_classes import piece_wise_linear_function as pieces
    from exlipbab.helper_classes import polyhedron

    net = net.to_network() if isinstance(net, ShallowNet) else net
    layers: list[Any] = []
    for i, (W, b) in enumerate(zip(net.weights, net.biases, strict=True)):
        kind = pieces.PWL_Relu if i < len(net.widths) else pieces.PWL_Identity
        layers += [(W, b), kind(len(b))]
    region = polyhedron.FullPolyhedron(net.dim)
    if half is not None:
        region = polyhedron.Polyhedron.from_intervals(np.array([(-half, half)] * net.dim))
    settings = {"solver": "glpk", "k": 1 + GAP, "timeout": limit, "verbose": False}
    quiet = io.StringIO()
    with contextlib.redirect_stdout(quiet), contextlib.redirect_stderr(quiet):
        found = exlipbab_main(layers, region, **settings)
    return float(found[0]), float(found[1])


METHODS = {"lipsnn": by_lipsnn, "milp": by_milp}
if importlib.util.find_spec("exlipbab"):
    METHODS["exlipbab"] = by_exlipbab


def deep(number: int) -> Network:
    """A network of the page on exact constants."""
    rng, layers = np.random.default_rng(number), (13, 20, 16, 8, 3)
    weights = [rng.normal(size=(n, m)) / np.sqrt(m) for m, n in pairwise(layers)]
    return Network(weights, [rng.normal(size=n) for n in layers[1:]])


def beside_deep(limit: float) -> Iterator[dict[str, Any]]:
    """Both sides of deep networks, in a small box and in the whole space."""
    for number in SEEDS:
        net = deep(number)
        for half, region in ((0.1, {"box": (-0.1, 0.1)}), (None, {})):
            points = np.random.default_rng(0).normal(size=(5000, net.dim))
            points = np.clip(points, -1, 1) * half if half else points
            start = time.process_time()
            bound = certify(net, **region).bound
            row = {"number": number, "box": half, "method": "lipsnn"}
            found = np.linalg.norm(net.gradient(points), 2, axis=(1, 2)).max()
            cpu = time.process_time() - start
            yield row | {"lower": found, "upper": bound, "cpu_seconds": cpu}
            start = time.process_time()
            lower, upper = by_exlipbab(net, limit, half)
            cpu = time.process_time() - start
            yield row | {"method": "exlipbab", "lower": lower, "upper": upper, "cpu_seconds": cpu}


def trained(name: str, weak: bool) -> list[ShallowNet]:
    """Networks of the page on exact constants, with 100 units: trained, and refined unless weak."""
    settings = load_settings("full")
    more = settings["rastrigin"] if name == "rastrigin" else {}
    data, chosen = load_dataset(name, variant=settings["variant"], **more), settings["chosen"][name]
    X, y, strength = data.X_train, data.y_train, WEAK if weak else chosen["l2"]
    net = train_sgd(X, y, 100, strength, 4, **{**settings["training"], "epochs": 100})
    return [net] if weak else [net, refine(net, X, y, chosen["lipschitz"]).net]


def sizes() -> Iterator[dict[str, Any]]:
    """What the search takes at the sizes that were named for it."""
    asked: list[tuple[str, float, int, list[ShallowNet]]] = []
    for name in ("servo", "machine", "solar", "rastrigin", "wine"):
        asked.append((f"{name}, chosen penalty", 2.0, 1, trained(name, weak=False)))
    asked += [
        (f"{name}, weak penalty", 5.0, 1, trained(name, True)) for name in ("servo", "machine")
    ]
    for d, m in ((4, 200), (7, 100)):
        drawn = [np.random.default_rng(seed) for seed in SEEDS]
        nets = [ShallowNet(rng.normal(size=(m, d + 1)), rng.normal(size=m)) for rng in drawn]
        asked.append((f"random, {d} inputs, {m} units", 30.0, 1, nets))
    asked.append(("wine, weak penalty", 300.0, 2, trained("wine", weak=True)))
    for what, goal, jobs, nets in asked:
        for number, net in enumerate(nets):
            start, cpu = time.perf_counter(), time.process_time()
            limit = goal if jobs > 1 else 4 * goal
            found = exact_constant(net, gap=GAP, time_limit=limit, jobs=jobs)
            seconds = {"cpu_seconds": time.process_time() - cpu if jobs == 1 else np.nan}
            seconds["seconds"] = time.perf_counter() - start
            row = {"network": what, "number": number, "goal": goal, "jobs": jobs, **seconds}
            yield row | {"lower": found.lower, "upper": found.upper, "nodes": found.nodes}


def main() -> None:
    """Time all methods, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--limit", type=float, default=60.0, help="seconds of a call")
    parser.add_argument("--units", nargs="+", type=int, default=UNITS)
    parser.add_argument("--output", type=Path, default=ROOT / "results/exact-benchmark.csv")
    parser.add_argument("--part", choices=("milp", "sizes", "deep"), default="milp")
    options = parser.parse_args()
    begun, code, busy = time.perf_counter(), commit(ROOT), os.getloadavg()[0]
    rows, over = [], set()
    if options.part != "milp":
        for row in sizes() if options.part == "sizes" else beside_deep(options.limit):
            rows.append(row)
            print(row, flush=True)
    for units in options.units if options.part == "milp" else ():
        for method in METHODS.keys() - over:
            for seed in SEEDS:
                start = time.process_time()
                lower, upper = METHODS[method](network(units, seed), options.limit)
                seconds = time.process_time() - start
                row = {"units": units, "seed": seed, "method": method}
                rows.append(row | {"lower": lower, "upper": upper, "cpu_seconds": seconds})
                print(rows[-1], flush=True)
                if upper > (1 + 2 * GAP) * lower:
                    over.add(method)
    table = pd.DataFrame(rows)
    if options.part == "milp":
        table = table.sort_values(["units", "seed", "method"])
    write_table(
        options.output,
        table,
        commit=code,
        seconds=time.perf_counter() - begun,
        made_by="benchmarks/exact.py" + f" --part {options.part}" * (options.part != "milp"),
        limit_seconds=options.limit,
        load_average=[round(busy, 1), round(os.getloadavg()[0], 1)],
        threads="one thread each",
        packages=("scipy", *(["exlipbab"] if "exlipbab" in METHODS else [])),
    )


if __name__ == "__main__":
    main()
