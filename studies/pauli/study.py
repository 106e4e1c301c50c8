"""The two toy examples of Pauli et al. (2020): Table I, Figure 1, Table II and Figure 2.

    python -m studies.pauli --profile full [--output results/full] [--table 1 2]

The settings are those of the authors' code (`studies.pauli.toys`). The Lipschitz network
starts from the L2 network, and its reported L is LipSDP solved anew.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from lipsnn._checks import Array
from lipsnn.train.admm.engine import Iteration
from studies.common.provenance import commit, write_table
from studies.pauli.descent import TanhNet, descend
from studies.pauli.printed import TABLE_1, TABLE_2
from studies.pauli.toys import (
    certificate,
    direct,
    initial_nets,
    lipschitz_net,
    mse,
    noisy_sine,
    points,
    steepest,
    steps_target,
)

ROOT = Path(__file__).resolve().parents[2]
STRENGTH = 8e-4  # mu of example 1
NETWORKS = ("nominal", "l2", "lipschitz")
_UNPRINTED = (float("nan"), float("nan"))


@dataclass(frozen=True)
class Profile:
    """Steps of the nominal and L2 descents of both examples, of ADMM, and how many starts."""

    nominal: int
    l2_first: int
    l2_second: int
    rounds: int
    steps: int
    starts: int


PROFILES = {
    "quick": Profile(100_000, 100_000, 50_000, 10, 5_000, 2),
    "full": Profile(1_000_000, 1_000_000, 500_000, 100, 10_000, 24),
}


@dataclass(frozen=True, eq=False)
class Example:
    """The three networks of one example from one start, and how they came about.

    Attributes
    ----------
    nets : dict of TanhNet
        "nominal", "l2" and "lipschitz".
    descents : dict of (ndarray, ndarray)
        Steps and mean squared errors of the first two.
    history : tuple of Iteration
        Of ADMM.
    certified : tuple of float
        LipSDP of Wbar, T free, after each round of it.
    seconds : dict of float
        Of processor time: the machine may be shared.
    """

    nets: dict[str, TanhNet]
    descents: dict[str, tuple[Array, Array]]
    history: tuple[Iteration, ...]
    certified: tuple[float, ...]
    seconds: dict[str, float]


def example(
    number: int, profile: Profile, starts: Sequence[TanhNet], y: Array, every: int | None = None
) -> Example:
    """Train the three networks of example 1 or 2 from a nominal and an L2 start."""
    x = points()
    decay = {1: 5e-4, 2: 0.01}[number]
    plans = {
        "nominal": (profile.nominal, 0.0),
        "l2": (profile.l2_first if number == 1 else profile.l2_second, decay),
    }
    nets, descents, seconds = {}, {}, {}
    descend(starts[0], x, y, 1)  # compiles it, outside of the seconds
    for (name, (steps, weight)), start in zip(plans.items(), starts, strict=True):
        begun = time.process_time()
        found = descend(start, x, y, steps, decay=weight, every=every)
        nets[name], descents[name] = found.net, (found.steps, found.mse)
        seconds[name] = time.process_time() - begun
    rounds: list[list[Array]] = []
    begun = time.process_time()
    outcome = lipschitz_net(
        nets["l2"],
        x,
        y,
        rounds=profile.rounds,
        steps=profile.steps,
        strength=STRENGTH if number == 1 else None,
        enforce=None if number == 1 else certificate(nets["l2"]).bound,
        callback=rounds.append,
    )
    nets["lipschitz"] = outcome.net
    seconds["lipschitz"] = time.process_time() - begun
    certified = tuple(certificate(nets["l2"].with_weights(bar)).bound for bar in rounds)
    return Example(nets, descents, outcome.history, certified, seconds)


def trade_off(done: Example, y: Array, profile: Profile) -> pd.DataFrame:
    """An example by `direct` at several strengths, from the L2 network and with ADMM's steps."""
    rows = []
    for factor in (0.5, 1.0, 2.0, 4.0, 8.0, 16.0):
        strength = STRENGTH * factor
        net, seconds = direct(done.nets["l2"], y, profile.rounds * profile.steps, strength)
        row = {"strength": strength, "mse": mse(net, points(), y)}
        row |= {"bound": certificate(net).bound, "steepest": steepest(net)}
        rows.append(row | {"seconds": seconds})
    return pd.DataFrame(rows)


def rows_1(done: Example) -> list[dict[str, object]]:
    """Rows of Table I."""
    x, y = points(), steps_target()
    return [
        {
            "network": name,
            "mse": mse(net, x, y),
            "bound": certificate(net).bound,
            "steepest": steepest(net),
            "paper_mse": TABLE_1.get(name, _UNPRINTED)[0],
            "paper_bound": TABLE_1.get(name, _UNPRINTED)[1],
            "seconds": done.seconds[name],
        }
        for name, net in done.nets.items()
    ]


def rows_2(done: Example, init: str) -> list[dict[str, object]]:
    """Rows of Table II for one start."""
    x = points()
    targets = {
        "train_mse": noisy_sine(2),
        "test_mse": noisy_sine(3),
        "sine_mse": np.sin(x.astype(float)) + 0.5,
    }
    rows = []
    for name, net in done.nets.items():
        row: dict[str, object] = {"network": name, "init": init}
        row |= {column: mse(net, x, y) for column, y in targets.items()}
        row |= {"bound": certificate(net).bound, "steepest": steepest(net)}
        columns = ("paper_train_mse", "paper_test_mse", "paper_sine_mse", "paper_bound")
        row |= dict(zip(columns, TABLE_2[name], strict=True))
        rows.append(row | {"seconds": done.seconds[name]})
    return rows


def table_1(profile: Profile) -> tuple[pd.DataFrame, Example]:
    """Table I from the code's own seed with `direct` as a fourth row, and the networks."""
    starts = initial_nets(2, 2)
    y = steps_target()
    done = example(1, profile, starts, y, max(profile.nominal // 200, 1))
    steps = profile.rounds * profile.steps
    done.nets["direct"], done.seconds["direct"] = direct(done.nets["l2"], y, steps, STRENGTH)
    return pd.DataFrame(rows_1(done)), done


def table_2(profile: Profile, progress: bool = False) -> tuple[pd.DataFrame, Example]:
    """Table II from the code's own draws, then from other starts on the same data."""
    every = max(profile.nominal // 200, 1)
    y = noisy_sine(2)
    first = example(2, profile, initial_nets(2, 2, noise_first=True), y, every)
    rows = rows_2(first, "code")
    for seed in range(profile.starts):
        # one network starts both descents
        (start,) = initial_nets(seed, 1)
        rows += rows_2(example(2, profile, [start, start], y), str(seed))
        if progress:
            print(f"start {seed}: " + ", ".join(f"{row['bound']:.3f}" for row in rows[-3:]))
    return pd.DataFrame(rows), first


def curves(done: Example, y: Array) -> pd.DataFrame:
    """The graphs of Figures 1 and 2: network, x, output, and the data as "data"."""
    x = np.linspace(0.0, 10.0, 401)
    parts = [
        pd.DataFrame({"network": name, "x": x, "y": net(x)}) for name, net in done.nets.items()
    ]
    return pd.concat([*parts, pd.DataFrame({"network": "data", "x": points(), "y": y})])


def convergence(done: Example) -> pd.DataFrame:
    """What the paper does not plot: loss, bounds and residuals of each round of ADMM."""
    table = pd.DataFrame([vars(entry) for entry in done.history])
    table["certified"] = done.certified
    table.insert(0, "round", np.arange(1, len(table) + 1))
    return table


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the tables, the curves and the convergence with their provenance."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--profile", choices=tuple(PROFILES), default="quick")
    parser.add_argument("--output", type=Path, default=None, help="results/<profile> by default")
    parser.add_argument("--table", type=int, nargs="+", choices=(1, 2), default=(1, 2))
    options = parser.parse_args(arguments)
    profile = PROFILES[options.profile]
    output = options.output or ROOT / "results" / options.profile
    for number in options.table:
        begun, code = time.perf_counter(), commit(ROOT)
        table, done = table_1(profile) if number == 1 else table_2(profile, progress=True)
        y = steps_target() if number == 1 else noisy_sine(2)
        parts = {"": table, "_curves": curves(done, y), "_admm": convergence(done)}
        parts["_direct"] = trade_off(done, y, profile)
        for part, rows in parts.items():
            write_table(
                output / f"pauli_table{number}{part}.csv",
                rows,
                commit=code,
                seconds=time.perf_counter() - begun,
                made_by=f"python -m studies.pauli --profile {options.profile} --table {number}",
                profile=options.profile,
                settings=vars(profile),
            )
        print(table.to_string(index=False))
