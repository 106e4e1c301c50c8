"""What the front page says of each source and of what is new: one line each, from results."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd

from book.claims import Entry
from book.layout import Layout
from studies.common.results import committed
from studies.paper.printed import LOWEST_THROUGHOUT

# What this book adds: the page, and a line into which the values of its claims go.
NEW: tuple[tuple[str, str], ...] = (
    (
        "small-certificate",
        "The certificate, an LMI that grows with the network, is a $d \\times d$ problem: the same "
        "value to {fact-a-near-lmi:.0e}, in milliseconds.",
    ),
    (
        "small-certificate",
        "It is never more than $\\sqrt{{\\pi/2}}$ above the largest slope of any pattern; that "
        "factor is reached up to {fact-a-factor-sharp:.2%}.",
    ),
    (
        "joint-program",
        "The restriction is convex with the multipliers free: the alternation of Algorithm 1 can "
        "end {fact-c-alternation-above:.1%} above this optimum, and never below it.",
    ),
    (
        "solver-benchmark",
        "A solver made for it, {solver-joint-arrow:.0f} times faster than a general one at the "
        "paper's size.",
    ),
    (
        "walking-cells",
        "Past the point where the paper stops: walking on into neighbouring patterns lowers the "
        "objective by up to {fact-e-past-the-joint:.0%} more.",
    ),
    (
        "local-certificates",
        "On a ball the bound is the same small problem, and a mean error under attack is enclosed "
        "to {fact-j2-tight:.1%}.",
    ),
    (
        "refining-deep-networks",
        "Deep networks are refined one layer at a time, each a convex program with every "
        "multiplier free: on one network the objective falls to {fact-f-sweeps-help:.0%} of its "
        "start.",
    ),
    (
        "errata",
        "Slips of the sources, each shown by a check: {errata} of them.",
    ),
)


_POWER = re.compile(r"\b(\d)e-0*(\d+)")


def write_all(layout: Layout, entries: list[Entry]) -> None:
    """Write the two lists that `book/intro.md` includes."""
    layout.generated.mkdir(parents=True, exist_ok=True)
    values = {entry.claim.id: entry.claim.value for entry in entries}
    values["errata"] = len([name for name in values if name.startswith("erratum-")])
    titles = {"sources": sources(layout), "new": new(values)}
    for name, lines in titles.items():
        text = "\n".join(f"- {line}" for line in lines) or f"% no {name} in this build"
        (layout.generated / f"{name}.md").write_text(text + "\n", encoding="utf8")


def new(values: Mapping[str, float]) -> list[str]:
    """The lines of `NEW` whose claims this build has."""
    lines = []
    for page, text in NEW:
        try:
            said = _POWER.sub(r"$\1 \\times 10^{-\2}$", text.format_map(values))
            lines.append(f"{said} [Page](executed/{page}.ipynb)")
        except KeyError:
            continue
    return lines


def sources(layout: Layout) -> list[str]:
    """How closely each source was reproduced, from the committed tables that there are."""
    folder = layout.root / "results" / "full"
    lines = []
    for name, describe in SOURCES.items():
        tables = [committed(folder, table)[0] for table in TABLES[name]]
        if not any(table.empty for table in tables):
            lines.append(f"**{name}**: {describe(*tables)}")
    return lines


def _paper(table: pd.DataFrame) -> str:
    printed = table.dropna(subset=["paper_percent"])
    parts = []
    for regime, rows in printed.groupby("regime", sort=False) if "regime" in printed else []:
        same = np.sign(rows["reduction_percent"]) == np.sign(rows["paper_percent"])
        off = (rows["reduction_percent"] - rows["paper_percent"]).abs().median()
        parts.append(
            f"{int(same.sum())} of its {len(rows)} signs with a median difference of {off:.1f} "
            f"points {REGIMES[str(regime)]}"
        )
    return (
        f"Table 1: {', and '.join(parts)}. The printed gains are mostly what the networks had "
        "not yet learnt ([why](executed/table-1.ipynb)); the statement on Figure 1, "
        f"{len(LOWEST_THROUGHOUT)} rows of lowest error under attack, depends on the sizes of the "
        "attacks ([which rows hold](executed/figure-1.ipynb))."
    )


def _pauli(one: pd.DataFrame, two: pd.DataFrame) -> str:
    gap = max(float((one[c] / one[f"paper_{c}"] - 1).abs().max()) for c in ("mse", "bound"))
    row = two[two["network"] == "l2"]
    columns = ("train_mse", "test_mse", "sine_mse", "bound")
    near = min(max(abs(r[c] / r[f"paper_{c}"] - 1) for c in columns) for _, r in row.iterrows())
    return (
        f"[Table I](executed/pauli-tables.ipynb) within {gap:.1%} in every number; "
        f"[Table II](executed/pauli-tables.ipynb) depends on a local minimum: from one start "
        f"its weight-decay row within {near:.2%}."
    )


def _letter(plane: pd.DataFrame, digits: pd.DataFrame) -> str:
    count = int(digits["example"].nunique())
    return (
        f"its [plane](executed/letter.ipynb) from {plane['seed'].nunique()} starts and its "
        f"[{count} networks on MNIST](executed/letter.ipynb); its printed tables are not to "
        "hand, so there is nothing to compare with."
    )


def _clip(slopes: pd.DataFrame, table: pd.DataFrame) -> str:
    rms = float(slopes["rms_to_paper"].median())
    mnist = table[(table["dataset"] == "mnist") & (table["units"] == "pixel")]
    rows = mnist[mnist["model"].str.startswith("CLIP")]
    target = rows["model"].str.extract(r"(\d+)$")[0].astype(float)
    kept = (rows["last_accuracy"] - target).abs() < 1.5
    mean = rows["model"].str.contains("mean")
    return (
        f"[Figure 2](executed/clip-figure-2.ipynb) with curves {rms:.2f} apart (RMS, median); "
        f"[Table 1](executed/clip-table-1.ipynb) on MNIST: with the worst pair, as printed, "
        f"{int(kept[~mean].sum())} of {int((~mean).sum())} settings end at their target accuracy, "
        f"with the mean over pairs {int(kept[mean].sum())} of {int(mean.sum())}."
    )


REGIMES = {
    "paper": "in the regime found to be the paper's",
    "validated": "with networks trained to the end and strengths chosen on validation data",
}
SOURCES: dict[str, Callable[..., str]] = {
    "Yin and Lesage-Landry": _paper,
    "Pauli et al.": _pauli,
    "Pauli et al., letter": _letter,
    "CLIP": _clip,
}
TABLES = {
    "Yin and Lesage-Landry": ("table1",),
    "Pauli et al.": ("pauli_table1", "pauli_table2"),
    "Pauli et al., letter": ("letter_2d", "letter_mnist"),
    "CLIP": ("clip_slopes", "clip_table1"),
}
