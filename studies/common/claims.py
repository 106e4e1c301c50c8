"""Claims of the sources, each with the number that shows it to hold.

A page of the book keeps one `Claims`; every check is an assertion and a row of its table. The
table's displayed form carries the rows as data, from which the book gathers its front page.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

import pandas as pd

from studies.common.symbols import typeset

# The media type under which a displayed table carries its rows.
MEDIA_TYPE = "application/vnd.lipsnn.claims+json"


@dataclass(frozen=True)
class Claim:
    """One statement and its check.

    Attributes
    ----------
    id : str
        Unique in the book, such as "lemma-6-sharp".
    statement : str
        In one line.
    source : str
        Which text and number, such as "Yin and Lesage-Landry, Lemma 6".
    quantity : str
        What was measured.
    value, threshold : float
    relation : str
        "<=" or ">=": value against threshold.
    """

    id: str
    statement: str
    source: str
    quantity: str
    value: float
    relation: str
    threshold: float

    @property
    def holds(self) -> bool:
        """Whether the value keeps its threshold; never for NaN."""
        return (
            self.value <= self.threshold if self.relation == "<=" else self.value >= self.threshold
        )

    @property
    def cells(self) -> dict[str, str]:
        """What a reader sees of it, by column title."""
        return {
            "Statement": typeset(self.statement),
            "Source": self.source,
            "Quantity": typeset(self.quantity),
            "Value": f"{self.value:.3g}",
            "Threshold": f"{'≤' if self.relation == '<=' else '≥'} {self.threshold:.3g}",
            "Verdict": "holds" if self.holds else "fails",
        }


@dataclass
class Claims:
    """The checked claims of one page.

    Parameters
    ----------
    page : str
        Name of the notebook.
    """

    page: str
    rows: list[Claim] = field(default_factory=list)

    def check(
        self,
        id: str,
        statement: str,
        source: str,
        quantity: str,
        value: float,
        *,
        at_most: float | None = None,
        at_least: float | None = None,
    ) -> None:
        """Record a claim, and fail if it does not hold.

        Raises
        ------
        AssertionError
            If the value is beyond its threshold, or NaN.
        ValueError
            If not exactly one of `at_most` and `at_least` is given, or the id is used already.
        """
        if (at_most is None) == (at_least is None):
            raise ValueError("give exactly one of at_most and at_least")
        if any(row.id == id for row in self.rows):
            raise ValueError(f"the claim id {id!r} is used twice on this page")
        relation, threshold = ("<=", at_most) if at_most is not None else (">=", at_least)
        claim = Claim(id, statement, source, quantity, float(value), relation, float(threshold))  # type: ignore[arg-type]
        self.rows.append(claim)
        if not claim.holds:
            raise AssertionError(
                f"{id}: {statement} -- {quantity} is {claim.value:.6g}, "
                f"not {relation} {claim.threshold:.6g}"
            )

    @property
    def table(self) -> pd.DataFrame:
        """Statement, source, quantity, value, relation and threshold, a row per claim."""
        rows = [{**asdict(row), "verdict": "holds" if row.holds else "fails"} for row in self.rows]
        return pd.DataFrame(rows).set_index("id") if rows else pd.DataFrame()

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        records = [{**asdict(row), "holds": row.holds, "page": self.page} for row in self.rows]
        shown = pd.DataFrame([row.cells for row in self.rows])
        with pd.option_context("display.max_colwidth", None):  # cut no sentence short
            html = shown.to_html(index=False, classes="claims", border=0)
        return {
            MEDIA_TYPE: json.dumps(records),
            "text/html": html,
            "text/plain": shown.to_string(index=False),
        }
