"""The same certificate from one and from eight joblib workers: CPU and elapsed time per call.

    python benchmarks/certificate_workers.py

With deliberate BLAS threads the CPU time per call stays the same, and the elapsed time grows by
workers / cores only.
"""

from __future__ import annotations

import os
import statistics
import time

import numpy as np
from joblib import Parallel, delayed

from lipsnn import ShallowNet, certify

WORKERS, CALLS = 8, 60


def per_call(seed: int) -> tuple[float, float]:
    """Median CPU and elapsed seconds of a call in this process."""
    rng = np.random.default_rng(seed)
    net = ShallowNet(rng.normal(size=(100, 12)), rng.normal(size=100))
    certify(net)
    cpu, elapsed = [], []
    for _ in range(CALLS):
        start, start_cpu = time.perf_counter(), time.process_time()
        certify(net)
        cpu.append(time.process_time() - start_cpu)
        elapsed.append(time.perf_counter() - start)
    return statistics.median(cpu), statistics.mean(elapsed)


def main() -> None:
    for workers in (1, WORKERS):
        seconds = Parallel(n_jobs=workers)(delayed(per_call)(seed) for seed in range(workers))
        cpu, elapsed = np.mean(seconds, axis=0)
        print(
            f"{workers} workers on {os.cpu_count()} cores: "
            f"{1e3 * cpu:.2f} ms CPU, {1e3 * elapsed:.2f} ms elapsed per call"
        )


if __name__ == "__main__":
    main()
