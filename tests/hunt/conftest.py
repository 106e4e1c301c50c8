"""How long the hunt goes on, and its figures.

Within the test suite each kind gets a few examples, the same each time. With LIPSNN_HUNT_SECONDS
set (`make hunt`) all kinds share that time, with new examples each time round; the figures are
printed and, if nothing was left out, written to `results/hunt.csv`. Failures are in
`_build/hunt-failures.txt` at once.
"""

from __future__ import annotations

import os
import time
import traceback
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pandas as pd
import pytest
from hypothesis import HealthCheck

from lipsnn import Network
from studies.common import provenance

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SECONDS = float(os.environ.get("LIPSNN_HUNT_SECONDS", 0))
# Examples of each kind, in the short run and between two looks at the clock.
EXAMPLES = 5
FAILURES = ROOT / "_build" / "hunt-failures.txt"
COLUMNS = ("cases", "bounds", "exact", "attained", "proofs", "refused", "failures")


class Hunt:
    """What was tried so far, by property and kind, and a search for more."""

    def __init__(self, share: float) -> None:
        self.share = share
        self.began, self.commit = time.monotonic(), provenance.commit(ROOT)
        self.seed = time.time_ns() % 2**32
        self.counts: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)

    def search(
        self, what: str, kind: str, cases: Any, check: Callable[[Any, Counter[str]], None]
    ) -> None:
        """Check cases of a kind, counted by `check`, as long as its share of the time is."""
        counts = self.counts[what, kind]
        options: dict[str, Any] = {
            "max_examples": EXAMPLES,
            "report_multiple_bugs": False,
            "suppress_health_check": list(HealthCheck),
        }
        if SECONDS:
            options |= {"derandomize": False, "database": None}

        @hypothesis.settings(**options)
        @hypothesis.given(cases)
        def tried(case: Any) -> None:
            nonlocal last
            last = case
            counts["cases"] += 1
            check(case, counts)

        last, ends = None, time.monotonic() + self.share
        try:
            while True:
                if SECONDS:
                    self.seed += 1
                    hypothesis.seed(self.seed)(tried)
                tried()
                if time.monotonic() >= ends:
                    return
        except Exception:
            counts["failures"] += 1
            if SECONDS:  # what was found outlives a hunt that is stopped
                FAILURES.parent.mkdir(exist_ok=True)
                with FAILURES.open("a") as file:
                    file.write(f"{what}, {kind}: {_said(last)}\n{traceback.format_exc()}\n")
            raise

    def table(self) -> pd.DataFrame:
        """A row for each property and kind."""
        rows = [
            {"property": what, "kind": kind, **{name: counts[name] for name in COLUMNS}}
            for (what, kind), counts in self.counts.items()
        ]
        return pd.DataFrame(rows, columns=["property", "kind", *COLUMNS])


def _said(case: Any) -> str:
    """A case with all numbers of its network."""
    net = getattr(case, "net", None)
    parts = [W.tolist() for W in (*net.weights, *net.biases)] if isinstance(net, Network) else ""
    return f"{case} {parts}"


@pytest.fixture(scope="session")
def hunt(request: pytest.FixtureRequest) -> Iterator[Hunt]:
    mine = [item for item in request.session.items if _hunts(item)]
    found = request.config.stash[FOUND] = Hunt(SECONDS / len(mine))
    yield found
    # files or tests of the folder are not all of it
    chosen = request.config.option.keyword or any(
        HERE in Path(each).resolve().parents for each in request.config.args
    )
    if SECONDS and len(found.counts) == len(mine) and not chosen:
        provenance.write_table(
            ROOT / "results" / "hunt.csv",
            found.table(),
            commit=found.commit,
            seconds=time.monotonic() - found.began,
            sources=[path.relative_to(ROOT).as_posix() for path in sorted(HERE.glob("*.py"))],
            made_by="python tests/hunt/__main__.py",
        )


def _hunts(item: pytest.Item) -> bool:
    """Whether a test looks for errors, and is run."""
    left_out = any(mark.kwargs.get("run") is False for mark in item.iter_markers("xfail"))
    return "hunt" in getattr(item, "fixturenames", ()) and not left_out


FOUND = pytest.StashKey[Hunt]()


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    found = config.stash.get(FOUND, None)
    if found is not None and SECONDS:
        table = found.table()
        terminalreporter.section("hunt")
        terminalreporter.write_line(table.to_string(index=False))
        terminalreporter.write_line(
            f"cases tried {table['cases'].sum()}, failures {table['failures'].sum()}"
        )
