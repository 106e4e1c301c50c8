"""What the front page says of each source and of what is new: one line each, from results."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import pandas as pd

from book.claims import Entry
from book.layout import Layout
from studies.common.results import committed
from studies.paper import recover_report, statement
from studies.paper.tables import in_regime

# What this book adds: the page, and a line into which the values of its claims go.
NEW: tuple[tuple[str, str], ...] = (
    (
        "small-certificate",
        "The certificate, an LMI that grows with the network, is a $d \\times d$ problem: the same "
        "value to {fact-a-near-lmi:.0e}, in milliseconds.",
    ),
    (
        "small-certificate",
        "It is never more than $\\sqrt{{\\pi/2}}$ times the largest slope of any pattern; that "
        "factor is reached up to {fact-a-factor-sharp:.2%}.",
    ),
    (
        "joint-program",
        "The restriction is convex with the multipliers free: the alternation of Algorithm 1 can "
        "end above this optimum ({fact-c-alternation-above:.1%} in a small run), never below it.",
    ),
    (
        "solver-benchmark",
        "A solver made for it, {solver-joint-arrow:.0f} times faster than a general one at the "
        "paper's size.",
    ),
    (
        "walking-cells",
        "Past the point where the paper stops: walking on into neighbouring patterns lowers the "
        "objective by another {fact-e-past-the-joint:.0%} on one network.",
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


def _paper(table: pd.DataFrame, attacks: pd.DataFrame) -> str:
    parts = []
    for regime, (part, words) in REGIMES.items():
        found = recover_report.halves(in_regime(table, regime)).set_index("part").loc[part]
        parts.append(
            f"{found['signs']:.0f} of {found['entries']:.0f} signs with a median difference of "
            f"{found['points']:.1f} points {words}"
        )
    margins = statement.margins(attacks[attacks["norm"] == "l2"], (0.0,))
    holds = margins[margins["named"]].groupby("regime", sort=False)["holds"].agg(["sum", "size"])
    rows = [f"{int(r['sum'])} of {int(r['size'])} hold in `{n}`" for n, r in holds.iterrows()]
    return (
        f"Table 1: {', and '.join(parts)}. Under the first the printed gains are mostly what the "
        "networks had not yet learnt ([why](executed/table-1.ipynb)). Of the rows of Figure 1 in "
        "which the paper finds C-lip lowest at every size of attack, "
        f"{' and '.join(rows)} ([row by row](executed/figure-1.ipynb))."
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


# The part of Table 1 to count, and the settings in words.
REGIMES = {
    "paper": ("held out", "under settings recovered from the other half of the table (`paper`)"),
    "validated": (
        "all",
        "with networks trained to the end and strengths chosen on validation data (`validated`)",
    ),
}
SOURCES: dict[str, Callable[..., str]] = {
    "Yin and Lesage-Landry": _paper,
    "Pauli et al.": _pauli,
    "Pauli et al., letter": _letter,
    "CLIP": _clip,
}
TABLES = {
    "Yin and Lesage-Landry": ("table1", "figure1"),
    "Pauli et al.": ("pauli_table1", "pauli_table2"),
    "Pauli et al., letter": ("letter_2d", "letter_mnist"),
    "CLIP": ("clip_slopes", "clip_table1"),
}
