"""Sphinx extension: pages made from executed notebooks know their source.

Their edit and launch links point at `notebooks/NAME.md` instead of the build product, and a
footer says what the page was run with and the one line that runs it again. Claims that a page
checks can be linked to. Pages generated from code have nothing to edit, so their edit link goes.
The page that leads from `index.html` to the first page gets the book's icon, which a browser would
otherwise miss.
"""

from __future__ import annotations

import html
import json
import shlex
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

EXECUTED = "book/executed/"
GENERATED = "book/generated/"
CLAIMS = "book/generated/claims.json"
# lipsnn.claims.MEDIA_TYPE: the data beside a displayed table
CLAIMS_MEDIA_TYPE = "application/vnd.lipsnn.claims+json"
EDIT_LABELS = {"source-edit-button", "source-file-button"}
# These open .ipynb files only, and the source is none.
NOTEBOOK_ONLY = {"Colab", "Deepnote", "JupyterLite"}


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("source-read", on_source)
    app.connect("doctree-read", on_doctree)
    # after the theme has made its buttons
    app.connect("html-page-context", on_page, priority=900)
    # after sphinx_external_toc has written its bare one
    app.connect("build-finished", write_index, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def on_source(app: Sphinx, docname: str, source: list[str]) -> None:
    """Drop the claims' data, a media type that myst_nb would warn of, from what is rendered."""
    if not docname.startswith(EXECUTED) or CLAIMS_MEDIA_TYPE not in source[0]:
        return
    notebook = json.loads(source[0])
    for cell in notebook["cells"]:
        for output in cell.get("outputs", []):
            output.get("data", {}).pop(CLAIMS_MEDIA_TYPE, None)
    source[0] = json.dumps(notebook)


def on_doctree(app: Sphinx, doctree: nodes.document) -> None:
    """Give the section around each cell that checks a claim the id to which its links lead."""
    path = Path(app.srcdir, CLAIMS)
    page = app.env.docname.removeprefix(EXECUTED)
    if page == app.env.docname or not path.exists():
        return
    places = [p for p in json.loads(path.read_text(encoding="utf8")) if p["page"] == page]
    for cell in doctree.findall(nodes.container):
        for place in places:
            if cell.get("cell_index") == place["cell"]:
                section(cell)["ids"].append(f"claim-{place['id']}")


def section(node: nodes.Element) -> nodes.Element:
    """The innermost section around `node`, or the document."""
    while not isinstance(node, nodes.section | nodes.document):
        node = node.parent
    return node


def on_page(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: Any
) -> None:
    """Rewrite the buttons of a page that is no source itself; add the footer of a run."""
    buttons = context.get("header_buttons")
    if pagename.startswith(GENERATED) and buttons is not None:
        context["header_buttons"] = without(buttons, EDIT_LABELS)
    if not pagename.startswith(EXECUTED):
        return
    record = read_record(Path(app.srcdir, f"{pagename}.ipynb"))
    if buttons is not None:
        kept = without(buttons, NOTEBOOK_ONLY)
        context["header_buttons"] = redirected(kept, f"{pagename}.ipynb", record["notebook"])
    context["body"] = context["body"] + footer(record)


def write_index(app: Sphinx, exception: Exception | None) -> None:
    """`index.html` at the top of the book, leading to the root of the table of contents."""
    if exception is not None or app.builder.name != "html":
        return
    root = html.escape(f"{app.config.root_doc}.html")
    title = html.escape(app.config.html_title)
    icon = html.escape(Path(app.config.html_favicon).name)
    Path(app.outdir, "index.html").write_text(
        f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{title}</title>
<link rel="icon" href="_static/{icon}">
<meta http-equiv="refresh" content="0; url={root}">
</head>
<body><a href="{root}">{title}</a></body>
</html>
""",
        encoding="utf8",
    )


def read_record(path: Path) -> dict[str, Any]:
    """What the pipeline recorded of the run, from the notebook's metadata."""
    record: dict[str, Any] = json.loads(path.read_text(encoding="utf8"))["metadata"]["lipsnn"]
    return record


def without(buttons: list[dict[str, Any]], names: set[str]) -> list[dict[str, Any]]:
    """The buttons, in groups too, except those with one of these labels or texts."""
    kept = []
    for button in buttons:
        if button.get("label") in names or button.get("text") in names:
            continue
        if "buttons" in button:
            button = {**button, "buttons": without(button["buttons"], names)}
            if not button["buttons"]:
                continue
        kept.append(button)
    return kept


def redirected(buttons: list[dict[str, Any]], old: str, new: str) -> list[dict[str, Any]]:
    """The buttons with `old` replaced by `new` in links into the repository.

    The download buttons keep the executed notebook: their links are page-relative, below _sources.
    """
    changed = []
    for button in buttons:
        button = dict(button)
        if "buttons" in button:
            button["buttons"] = redirected(button["buttons"], old, new)
        if "://" in str(button.get("url", "")):
            button["url"] = button["url"].replace(old, new)
        changed.append(button)
    return changed


def rerun_line(record: dict[str, Any]) -> str:
    """The command that runs this page's notebook again as it was run."""
    words = ["python", "-m", "book.run", record["notebook"]]
    if record["profile"] != "quick":
        words += ["--profile", record["profile"]]
    return shlex.join(words)


def footer(record: dict[str, Any]) -> str:
    """One paragraph of HTML: source, profile, parameters, seconds, solver, commit, command."""

    def code(text: object) -> str:
        return f"<code>{html.escape(str(text))}</code>"

    values = ", ".join(code(f"{k} = {v!r}") for k, v in record["parameters"].items()) or "none"
    facts = [
        f"Source {code(record['notebook'])}",
        f"profile {html.escape(record['profile'])}",
        f"parameters {values}",
        f"{record['seconds']:.1f} s",
        f"solver {html.escape(record['solver'])}",
        f"commit {code(record['commit'])}",
    ]
    line = " · ".join(facts)
    return (
        f'<footer class="run-record"><p>{line}</p>'
        f"<p>Run this page again: {code(rerun_line(record))}</p></footer>"
    )
