"""How near to the global optimum of problem (4)? On tiny data, where it can be found.

    python benchmarks/global_gap.py [--jobs 2] [--output results/global-gap.csv]

Data are `n` Gaussian samples of `d` inputs with target ``sum sin 3 x``; the base networks are
`train_sgd` from several seeds. For each: the gap of the objective to the global optimum, relative,
for the base, Algorithm 1, the joint program, the walk and the polish. The strengths are 0.01 and
0.1 times |y|^2, stated here before anything was run.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from joblib import Parallel, delayed

import lipsnn
from studies.common.provenance import commit, write_table
from studies.theory.enumerate import global_optimum

ROOT = Path(__file__).resolve().parents[1]
SIZES = [(6, 1, 2), (8, 1, 2), (8, 1, 3), (6, 2, 2), (8, 2, 2), (8, 2, 3)]  # n, d, m
METHODS = ("alternating", "joint", "walk", "polish")


def instance(n: int, d: int, m: int, draw: int, factor: float, starts: int) -> list[dict[str, Any]]:
    """All rows of one data set at one strength."""
    rng = np.random.default_rng([n, d, draw])
    X = rng.normal(size=(n, d))
    y = np.sin(3 * X).sum(axis=1)
    strength = factor * float(y @ y)
    best = global_optimum(X, y, m, strength, progress=False)
    facts = {"n": n, "d": d, "m": m, "draw": draw, "strength": strength}
    facts |= {"global": best.objective, "combinations": best.combinations}
    facts |= {"programs": best.programs, "failures": best.failures}
    rows = []
    for seed in range(starts):
        base = lipsnn.train_sgd(X, y, m, 0.01, seed=seed)
        objective = lipsnn.objective(base, X, y, strength, "lipschitz")
        rows.append({**facts, "start": seed, "method": "base", "objective": objective})
        for method in METHODS:
            try:
                result = lipsnn.refine(base, X, y, strength, method=method, progress=False)
            except ValueError:  # a base network that is dead on these few samples
                continue
            rows.append({**facts, "start": seed, "method": method, "objective": result.objective})
    return [{**row, "gap": row["objective"] / row["global"] - 1} for row in rows]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--starts", type=int, default=5)
    parser.add_argument("--output", type=Path, default=ROOT / "results" / "global-gap.csv")
    options = parser.parse_args()
    began = time.perf_counter()
    tasks = [
        delayed(instance)(n, d, m, draw, factor, options.starts)
        for n, d, m in SIZES
        for draw in range(options.draws)
        for factor in (0.01, 0.1)
    ]
    rows = [row for part in Parallel(options.jobs, verbose=5)(tasks) for row in part]
    table = pd.DataFrame(rows)
    write_table(
        options.output, table, commit=commit(ROOT), seconds=time.perf_counter() - began,
        script="benchmarks/global_gap.py", jobs=options.jobs,
    )  # fmt: skip
    order = ["base", *METHODS]
    print(table.groupby(["n", "d", "m", "method"])["gap"].median().unstack()[order].to_string())
    print("\nbelow the global optimum, relative:", f"{-table['gap'].min():.1e}")


if __name__ == "__main__":
    main()
