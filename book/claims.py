"""The claims of all pages: gathered from the executed notebooks, checked, and set in one table."""

from __future__ import annotations

import ast
import html
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any
from urllib.parse import quote

import nbformat
import pandas as pd
from nbformat import NotebookNode

from book.layout import Layout
from studies.common.claims import MEDIA_TYPE, Claim
from studies.common.provenance import write_table

# whose claims `results/` keeps
PROFILE = "full"


@dataclass(frozen=True)
class Entry:
    """A claim, and where: the notebook (stem of its file) and the index of its cell.

    The cell is the one that checks the claim, or, where the source does not show which one
    that is (an id made up in a loop), the one that displays it.
    """

    claim: Claim
    page: str
    cell: int
    apart: bool = True  # from the table that displays it


def gather(layout: Layout) -> list[Entry]:
    """The claims of all executed notebooks, in reading order.

    Raises
    ------
    ValueError
        Naming every notebook whose claims `read` refuses, and every id that two pages use.
    """
    entries: dict[str, Entry] = {}
    problems = []
    for page in layout.executed_pages():
        try:
            found = read(nbformat.read(layout.executed / f"{page}.ipynb", as_version=4), page)
        except ValueError as error:
            problems.append(str(error))
            continue
        for entry in found:
            first = entries.setdefault(entry.claim.id, entry)
            if first is not entry:
                problems.append(
                    f"{page}: the claim id {entry.claim.id!r} is used by {first.page} too"
                )
    if problems:
        raise ValueError("\n".join(problems))
    return list(entries.values())


def read(notebook: NotebookNode, page: str) -> list[Entry]:
    """The claims that an executed notebook displays.

    Raises
    ------
    ValueError
        If a claim does not hold or lacks its verdict, is another page's, is recorded twice, or
        is checked where no later cell displays it.
    """
    places: dict[str | None, int] = {}
    last_check, last_display = -1, -1
    for last_check, name in _checks(notebook):
        places.setdefault(name, last_check)
    entries: dict[str, Entry] = {}
    for last_display, records in _displays(notebook):
        for record in records:
            claim = _claim(record, page)
            cell = places.get(claim.id, last_display)
            entry = Entry(claim, page, cell, apart=cell != last_display)
            # the same object may be displayed again, with more rows
            if entries.setdefault(claim.id, entry).claim != claim:
                raise ValueError(f"{page}: the claim id {claim.id!r} is used twice")
    if last_check > last_display:
        raise ValueError(
            f"{page}: claims are checked in cell {last_check}, and no cell from there on displays "
            "them: end the notebook with one that shows the Claims object"
        )
    return list(entries.values())


def _displays(notebook: NotebookNode) -> Iterator[tuple[int, list[dict[str, Any]]]]:
    for index, cell in enumerate(notebook.cells):
        for output in cell.get("outputs", []):
            if MEDIA_TYPE in output.get("data", {}):
                yield index, json.loads(output["data"][MEDIA_TYPE])


def _checks(notebook: NotebookNode) -> Iterator[tuple[int, str | None]]:
    """Which cells check claims, `X.check(ID, ..., at_most=...)`, with the id if it is a text."""
    for index, cell in enumerate(notebook.cells):
        try:
            tree = ast.parse(cell.source if cell.cell_type == "code" else "")
        except SyntaxError:  # a line of IPython's own
            continue
        for node in ast.walk(tree):
            match node:
                case ast.Call(func=ast.Attribute(attr="check"), args=[first, *_], keywords=named):
                    if any(keyword.arg in ("at_most", "at_least") for keyword in named):
                        name = first.value if isinstance(first, ast.Constant) else None
                        yield index, name if isinstance(name, str) else None


def _claim(record: dict[str, Any], page: str) -> Claim:
    try:
        fields = dict(record)
        verdict, owner = fields.pop("holds"), fields.pop("page")
        claim = Claim(**fields)
    except (KeyError, TypeError) as error:
        raise ValueError(f"{page}: a claim lacks its verdict or another field: {error}") from None
    if owner != page:
        raise ValueError(
            f"{page}: the claims say they are of the page {owner!r}: write Claims({page!r})"
        )
    if not (verdict is True and claim.holds):
        raise ValueError(
            f"{page}: the claim {claim.id!r} does not hold: {claim.quantity} is "
            f"{claim.value:.6g}, not {claim.relation} {claim.threshold:.6g}"
        )
    return claim


def write_all(layout: Layout, entries: list[Entry], records: list[dict[str, Any]]) -> None:
    """Write what the front page includes, and the places for the Sphinx extension."""
    layout.generated.mkdir(parents=True, exist_ok=True)
    titles = {record["notebook"]: record["title"] for record in records}
    profiles = {record["profile"] for record in records}
    text = claims_page(
        entries, {page: titles[f"notebooks/{page}.md"] for page in _pages(entries)}, profiles
    )
    (layout.generated / "claims.md").write_text(text, encoding="utf8")
    (layout.generated / "claims-count.md").write_text(count_line(entries), encoding="utf8")
    places = [
        {"id": e.claim.id, "page": e.page, "cell": e.cell, "row": _checked(e.claim) * e.apart}
        for e in entries
    ]
    text = json.dumps(places, indent=1, ensure_ascii=False)
    (layout.generated / "claims.json").write_text(text + "\n", encoding="utf8")


def write_results(layout: Layout, entries: list[Entry], records: list[dict[str, Any]]) -> None:
    """Write `results/full/claims.csv` with its provenance, from runs of the full profile."""
    rows = [
        {
            **asdict(e.claim),
            "verdict": e.claim.cells["Verdict"],
            "notebook": f"notebooks/{e.page}.md",
        }
        for e in entries
    ]
    columns = [*Claim.__dataclass_fields__, "verdict", "notebook"]
    used = [r for r in records if r["notebook"] in {row["notebook"] for row in rows}]
    facts = ("parameters", "solver", "seconds", "finished", "commit")
    # what pages compare with and draw
    results = layout.root / "results"
    tables = [layout.relative(p) for p in sorted(results.rglob("*.csv")) if p.stem != "claims"]
    write_table(
        layout.root / "results" / "full" / "claims.csv",
        pd.DataFrame(rows, columns=columns),
        commit=", ".join(sorted({r["commit"] for r in used})),
        seconds=sum(r["seconds"] for r in used),
        sources=sorted({row["notebook"] for row in rows}),
        reads=[f"book/profiles/{PROFILE}.yml", *tables],
        made_by=f"python -m book.build --profile {PROFILE} --reuse",
        profile=PROFILE,
        notebooks={r["notebook"]: {fact: r[fact] for fact in facts} for r in used},
    )


def count_line(entries: list[Entry]) -> str:
    """Markdown: how much is checked, for the front page; a comment if nothing is."""
    if not entries:
        return "% no page of this build records a claim\n"
    pages = len(set(_pages(entries)))
    return (
        f"{len(entries)} statements on {pages} page{'s' * (pages > 1)} were each "
        "[checked by a number](generated/claims.md) when this book was built; one that fails stops "
        "the build.\n"
    )


def claims_page(entries: list[Entry], titles: dict[str, str], profiles: Iterable[str]) -> str:
    """Markdown: the table of all claims, grouped by page, with their number by source."""
    columns = list(entries[0].claim.cells) if entries else []
    head = "".join(f'<th scope="col">{column}</th>' for column in columns)
    body = []
    for page, group in groupby(entries, key=lambda entry: entry.page):
        link = _link(f"../executed/{quote(page)}.html", titles[page])
        rows = [_row(entry) for entry in group]
        body.append(
            f'<tbody>\n<tr><th scope="rowgroup" colspan="{len(columns)}">{link}</th></tr>\n'
            + "\n".join(rows)
            + "\n</tbody>"
        )
    table = "\n".join(body)
    counts = Counter(_origin(entry.claim.source) for entry in entries)
    listing = ", ".join(f"{source} ({number})" for source, number in counts.most_common())
    return f"""# What was checked

{len(entries)} claim{"s" * (len(entries) != 1)} of the sources and of this book, each by a number
that was computed when the book was built (profile {" and ".join(sorted(profiles))}); a claim that
fails stops the build. Each links to the section that checks it. By source: {listing}.

```{{raw}} html
<div class="claims-box" role="region" aria-label="Table of claims" tabindex="0">
<label class="claims-search">Show the claims with
<input type="search" placeholder="Lemma 6, certificate, CLIP ..." data-filters="all-claims">
</label>
<table class="claims" id="all-claims">
<caption>All claims, page by page, and the number that each was checked by.</caption>
<thead><tr>{head}</tr></thead>
{table}
</table>
</div>
```
"""


# How the sources of the claims are counted: by the first of these words in what a claim cites.
ORIGINS = {
    "Yin and Lesage-Landry": "Yin and Lesage-Landry",
    "letter": "the letter of Pauli et al.",
    "Pauli": "Pauli et al.",
    "CLIP": "CLIP",
    "authors' code": "the authors' code",
}


def _origin(source: str) -> str:
    return next((name for word, name in ORIGINS.items() if word in source), "this book and others")


def _checked(claim: Claim) -> str:
    """The line of a claim beside the text that states it."""
    cells = {name: html.escape(text) for name, text in claim.cells.items()}
    return (
        f"<li>{cells['Statement']} <span>{cells['Quantity']}: {cells['Value']} "
        f"({cells['Threshold']})</span></li>"
    )


def _row(entry: Entry) -> str:
    cells = dict(entry.claim.cells)
    # book/_ext/executed_pages.py gives the section this id
    href = f"../executed/{quote(entry.page)}.html#claim-{quote(entry.claim.id)}"
    first = _link(href, cells.pop("Statement"))
    return (
        f"<tr><td>{first}</td>"
        + "".join(f"<td>{html.escape(c)}</td>" for c in cells.values())
        + "</tr>"
    )


def _link(href: str, text: str) -> str:
    return f'<a href="{href}">{html.escape(text)}</a>'


def _pages(entries: list[Entry]) -> list[str]:
    return [page for page, _ in groupby(entries, key=lambda entry: entry.page)]
