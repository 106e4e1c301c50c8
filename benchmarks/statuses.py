"""Does any of the three programs degrade on the paper's data? All sets, splits and bases.

    python benchmarks/statuses.py [--profile full] [--datasets ...] [--trials 10]

For every data set, trial and base of Figure 1, programs (6), (12) and the joint one are solved at
the chosen strengths, by the structured solver at its default tolerance of 1e-8: with the working
set of rows that a refinement starts from, and with every row. `excess` is the value of the former
relative to the latter's.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from lipsnn import certify
from lipsnn.convex import structured
from lipsnn.datasets import load_dataset
from lipsnn.network import with_bias
from studies.common.provenance import commit, write_table
from studies.paper import grid, trial
from studies.paper.settings import load_settings

ROOT = Path(__file__).resolve().parents[1]


def solve_all(task: grid.Task) -> list[trial.Row]:
    """A row per program at the base of a task."""
    data = load_dataset(**task["data"])
    X, y = data.X_train, data.y_train
    net = trial.train_base(task, data)
    cells = (with_bias(X), y, net.patterns(X), net.signs)
    kappa, t = np.abs(net.outer), certify(net).multipliers
    programs = {
        "(6)": (structured.solve_l2, task["l2"]),
        "(12)": (structured.solve_lipschitz, kappa, t, task["lipschitz"]),
        "joint": (structured.solve_joint, task["lipschitz"]),
    }
    rows = []
    for program, (solve, *arguments) in programs.items():
        solution = solve(*cells, *arguments, inside=net.weights)
        whole = solve(*cells, *arguments)
        rows.append(
            {
                "dataset": task["dataset"],
                "trial": task["trial"],
                "base": task["base"],
                "program": program,
                "status": solution.status,
                "iterations": solution.iterations,
                "gap": solution.gap,
                "primal_residual": solution.primal_residual,
                "dual_residual": solution.dual_residual,
                "seconds": solution.seconds,
                "excess": solution.value / whole.value - 1,
                "seconds_every_row": whole.seconds,
            }
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--profile", default="full")
    parser.add_argument("--datasets", nargs="+")
    parser.add_argument("--trials", type=int)
    parser.add_argument("--output", type=Path, default=ROOT / "results" / "refine-statuses.csv")
    options = parser.parse_args()
    settings = load_settings(options.profile)
    settings["datasets"] = options.datasets or settings["datasets"]
    settings["trials"] = options.trials or settings["trials"]
    code, begun = commit(ROOT), time.perf_counter()
    rows = [row for task in tqdm(grid.tasks("figure1", settings)) for row in solve_all(task)]
    table = pd.DataFrame(rows)
    write_table(
        options.output,
        table,
        commit=code,
        seconds=time.perf_counter() - begun,
        made_by="benchmarks/statuses.py",
        profile=options.profile,
    )
    print(table.groupby(["program", "status"]).agg(
        programs=("gap", "size"), worst_gap=("gap", "max"), most_iterations=("iterations", "max"),
        worst_excess=("excess", lambda excess: excess.abs().max()),
    ))  # fmt: skip


if __name__ == "__main__":
    main()
