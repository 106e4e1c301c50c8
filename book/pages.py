"""The pages that are made from data: status, API, how to cite."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import nbformat
import pandas as pd

from book import citation as cite
from book.full import makers
from book.layout import Layout
from studies.common import freshness
from studies.common.results import committed

# Titles of the API page's sections, by the room of the package that a name comes from.
ROOMS = {
    "network": "Networks",
    "shallow": "Networks",
    "convert": "Networks of other libraries",
    "files": "Files",
    "datasets": "Data",
    "images": "Data",
    "losses": "Losses",
    "certificate": "Certificates",
    "autograd": "The bound as a scalar to differentiate",
    "status": "Statuses",
    "solvers": "Solvers",
    "attack": "Attacks",
    "enclosure": "Attacks",
    "train": "Training",
    "convex": "Convex refinement",
}


def write_all(layout: Layout, records: list[dict[str, Any]]) -> None:
    """Write every generated page (the pictures are `book.pictures`, the claims `book.claims`)."""
    layout.generated.mkdir(parents=True, exist_ok=True)
    text = json.dumps(records, indent=1, ensure_ascii=False)
    (layout.generated / "status.json").write_text(text + "\n", encoding="utf8")
    for name, page in {
        "status": status_page(
            records,
            read_results(layout),
            made_by(layout),
            hunt_section(*committed(layout.root / "results", "hunt")),
        ),
        "api": api_page(),
        "cite": cite_page(cite.read(layout.root)),
    }.items():
        (layout.generated / f"{name}.md").write_text(page, encoding="utf8")


def read_records(layout: Layout) -> list[dict[str, Any]]:
    """What each executed notebook says of its own run, with its title, in the sources' order."""
    records = []
    for source in layout.sources():
        notebook = nbformat.read(layout.twin(source), as_version=4)
        record = dict(notebook.metadata["lipsnn"])
        records.append({"title": _title(notebook, source), **record})
    return records


def _title(notebook: nbformat.NotebookNode, source: Path) -> str:
    for cell in notebook.cells:
        for line in cell.source.splitlines() if cell.cell_type == "markdown" else ():
            if line.startswith("# "):
                return line[2:].strip()
    return source.stem


def table(caption: str, header: list[str], rows: list[list[str]]) -> str:
    """A Markdown table with its caption."""
    lines = [header, ["---"] * len(header), *rows]
    body = "\n".join(
        "| " + " | ".join(c.replace("|", "\\|") for c in line) + " |" for line in lines
    )
    return f"```{{table}} {caption}\n{body}\n```"


def read_results(layout: Layout) -> dict[str, dict[str, Any]]:
    """The provenance of each committed table, by the table's path."""
    paths = sorted((layout.root / "results").rglob("*.csv"))
    return {
        layout.relative(path): json.loads(path.with_suffix(".json").read_text(encoding="utf8"))
        for path in paths
        if path.with_suffix(".json").exists()
    }


def made_by(layout: Layout) -> dict[str, str]:
    """The command that makes each table, by the table's path; none where no list of them is."""
    if not (layout.root / "results" / "makers.toml").exists():
        return {}
    return {f"results/{t}": maker.command for maker in makers(layout.root) for t in maker.tables}


def results_table(results: dict[str, dict[str, Any]], made_by: dict[str, str]) -> str:
    """Which committed tables are what the present code would make, and the command of each."""
    rows = [
        [
            f"`{name}`",
            f"`{made_by[name]}`" if name in made_by else "",
            f"{record['rows']}",
            f"{record['seconds']:.0f}",
            f"`{record['commit']}`",
            # names of files are code
            re.sub(r"[\w.-]+/[\w./-]*\w", r"`\g<0>`", freshness.verdict(record)),
        ]
        for name, record in results.items()
    ]
    return table(
        "The committed tables.", ["Table", "Made by", "Rows", "Seconds", "Commit", "Current?"], rows
    )


def hunt_section(figures: pd.DataFrame, record: dict[str, Any]) -> str:
    """What `make hunt` tried last, a row for each property and kind of network."""
    if figures.empty:
        return "No hunt is recorded in `results/`: `make hunt` makes one."
    rows = [
        [f"{cell:,}" if isinstance(cell, int) else cell for cell in row]
        for row in figures.astype(object).values.tolist()
    ]
    return "\n\n".join(
        [
            f"Networks of nasty kinds against exact arithmetic: {record['seconds']:,.0f} seconds "
            f"at commit `{record['commit']}`, {figures['cases'].sum():,} cases, "
            f"{figures['failures'].sum():,} failures. What is asked is on the page "
            "[What the certificate promises](../executed/certificate-promises.ipynb).",
            table(
                "What the last hunt tried.",
                [name.capitalize() for name in figures.columns],
                rows,
            ),
        ]
    )


def status_page(
    records: list[dict[str, Any]],
    results: dict[str, dict[str, Any]],
    made_by: dict[str, str],
    hunt: str,
) -> str:
    """Which notebooks this book shows, what each was run with, and which results are current."""
    rows = [
        [
            f"[{r['title']}](../executed/{Path(r['notebook']).stem}.ipynb)",
            r["profile"],
            f"{r['seconds']:.1f}",
            r["solver"],
            r["finished"],
            f"`{r['commit']}`",
        ]
        for r in records
    ]
    header = ["Notebook", "Profile", "Seconds", "Solver", "Finished (UTC)", "Commit"]
    used = [
        [f"`{r['notebook']}`", ", ".join(f"`{k} = {v!r}`" for k, v in r["parameters"].items())]
        for r in records
    ]
    versions: dict[str, set[str]] = {}
    for record in records:
        for package, version in record["versions"].items():
            versions.setdefault(package, set()).add(version)
    return "\n\n".join(
        [
            "# Status",
            "Each page with code was executed from its source before this book was built; "
            "a notebook that fails stops the build. This page is made from what each run "
            "recorded.",
            table("The runs of this build.", header, rows),
            "## Committed results",
            "Tables that take longer than the build are committed in `results/`, each with a hash "
            "of the code and settings that made it. A table is current if these are unchanged: "
            "every definition that its command can reach counts, comments and docstrings do not. "
            "`python -m studies` prints the same, and `make full` runs the commands of "
            "those that are not current.",
            results_table(results, made_by),
            "## The standing hunt",
            hunt,
            "## Parameters",
            table("The parameters of each run.", ["Notebook", "Values"], used),
            "## Versions",
            table(
                "The packages of this build.",
                ["Package", "Version"],
                [[p, ", ".join(sorted(v))] for p, v in versions.items()],
            ),
            "A commit marked `+dirty` had local changes on top.\n",
        ]
    )


def api_page() -> str:
    """The public names of lipsnn, from `lipsnn.__all__`, by the room they live in."""
    import lipsnn

    found: dict[str, list[str]] = {}
    for name in lipsnn.__all__:
        room = getattr(lipsnn, name).__module__.split(".")[1]
        found.setdefault(ROOMS.get(room, room), []).append(name)
    # in the order of the titles; a room without one last, under its own name
    order = [title for title in dict.fromkeys([*ROOMS.values(), *found]) if title in found]
    names = "\n".join(f"   {name}" for title in order for name in found[title])
    parts = [
        "# API",
        # before a paragraph, which then takes the module's id
        "```{eval-rst}\n.. module:: lipsnn\n```",
        "The public names of `lipsnn`. Symbols and equation numbers are those of "
        "{cite:t}`yin2026convex`.",
        f"```{{eval-rst}}\n.. autosummary::\n   :nosignatures:\n\n{names}\n```",
    ]
    for title in order:
        parts.append(f"## {title}")
        for name in found[title]:
            is_class = isinstance(getattr(lipsnn, name), type)
            directive = (
                f".. autoclass:: {name}\n   :members:\n   :inherited-members:"
                if is_class
                else (f".. autofunction:: {name}")
            )
            parts.append(f"```{{eval-rst}}\n.. currentmodule:: lipsnn\n\n{directive}\n```")
    return "\n\n".join(parts) + "\n"


def cite_page(citation: dict[str, Any]) -> str:
    """How to cite, with BibTeX made from CITATION.cff."""
    paper = citation["preferred-citation"]
    return "\n\n".join(
        [
            "# How to cite",
            "If you use the method, cite the paper:",
            f"```bibtex\n{cite.bibtex(paper)}\n```",
            "If you use this code or its numbers, cite the software as well:",
            f"```bibtex\n{cite.bibtex(citation)}\n```",
            "Both are made from the file `CITATION.cff` at the root of the repository.\n",
        ]
    )
