"""What importing lipsnn costs, as a ratio to `import scipy.linalg`: python benchmarks/imports.py

Each import has a fresh interpreter, all take turns, warm, in one run; the interpreter's own start
is subtracted. Medians are printed; exits with 1 if a ratio is above 2.
"""

from __future__ import annotations

import subprocess
import sys
import time
from statistics import median

RUNS = 7
MOST = 2.0
BASE = "import scipy.linalg"
OURS = (
    "import lipsnn",
    "from lipsnn import certify",
    "from lipsnn import certify, refine",
    "import lipsnn.verify",
)


def seconds(statement: str) -> float:
    """Wall time of a fresh interpreter that runs `statement`."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True, stderr=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> int:
    statements = ["pass", BASE, *OURS]
    taken: dict[str, list[float]] = {statement: [] for statement in statements}
    for run in range(RUNS + 1):
        for statement in statements:
            wall = seconds(statement)
            if run:  # the first warms up
                taken[statement].append(wall)
    idle = median(taken.pop("pass"))
    cost = {statement: median(walls) - idle for statement, walls in taken.items()}
    for statement, value in cost.items():
        print(f"{statement:36} {1e3 * value:8.1f} ms   ratio {value / cost[BASE]:6.2f}")
    return int(max(cost[statement] for statement in OURS) > MOST * cost[BASE])


if __name__ == "__main__":
    sys.exit(main())
