"""Sphinx extension: pages know what they were made from.

The edit links of pages made from executed notebooks point at `notebooks/NAME.md` instead of the
build product, their launch links at the executed notebook where it is published. Pages generated
from code have nothing to edit, so their edit link goes. Every page gets its foot (`book.foot`).
Claims that a page checks can be linked to. The page that leads from `index.html` to the first page
gets the book's icon, which a browser would otherwise miss.
"""

from __future__ import annotations

import datetime
import functools
import html
import json
import shutil
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

from book import captions, citation, folding, foot, plain
from studies.common import provenance

EXECUTED = "book/executed/"
GENERATED = "book/generated/"
CLAIMS = "book/generated/claims.json"
# studies.common.claims.MEDIA_TYPE: the data beside a displayed table
CLAIMS_MEDIA_TYPE = "application/vnd.lipsnn.claims+json"
EDIT_LABELS = {"source-edit-button", "source-file-button"}
LAUNCH_LABEL = "launch-buttons"


def setup(app: Sphinx) -> dict[str, Any]:
    # the branch or tag where the executed notebooks are published beside their sources
    app.add_config_value("executed_ref", "", "html")
    app.connect("source-read", on_source)
    app.connect("doctree-read", on_doctree)
    # after the theme has made its buttons
    app.connect("html-page-context", on_page, priority=900)
    # after sphinx_external_toc has written its bare one
    app.connect("build-finished", write_index, priority=900)
    app.connect("build-finished", copy_downloads)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def on_source(app: Sphinx, docname: str, source: list[str]) -> None:
    """Fold what a reader would not copy, and leave out what is not for reading.

    That is the claims' data, a media type that myst_nb would warn of, and the solvers' notices,
    whose fact stands in the foot of the page.
    """
    if not docname.startswith(EXECUTED):
        return
    notebook = json.loads(source[0])
    for cell in notebook["cells"]:
        if cell["cell_type"] != "code":
            continue
        given = cell["metadata"].get("tags", [])
        draws = "figure" in cell["metadata"].get("mystnb", {})
        cell["metadata"]["tags"] = folding.tags("".join(cell["source"]), given, draws=draws)
        cell["outputs"] = [o for o in cell["outputs"] if not is_notice(o)]
        captions.add(cell)
        for output in cell["outputs"]:
            output.get("data", {}).pop(CLAIMS_MEDIA_TYPE, None)
    source[0] = json.dumps(notebook)


def is_notice(output: dict[str, Any]) -> bool:
    """Whether a cell's output is nothing but lines that say which solver is used."""
    lines = "".join(output.get("text", [])).splitlines()
    return output["output_type"] == "stream" and all("solving with " in line for line in lines)


def on_doctree(app: Sphinx, doctree: nodes.document) -> None:
    """Give the section around each cell that checks a claim the id to which its links lead."""
    path = Path(app.srcdir, CLAIMS)
    page = app.env.docname.removeprefix(EXECUTED)
    if page == app.env.docname or not path.exists():
        return
    places = [p for p in json.loads(path.read_text(encoding="utf8")) if p["page"] == page]
    for cell in list(doctree.findall(nodes.container)):
        here = [p for p in places if p["cell"] == cell.get("cell_index")]
        for place in here:
            section(cell)["ids"].append(f"claim-{place['id']}")
        rows = "".join(place["row"] for place in here)
        if rows and "cell" in cell["classes"]:
            text = f'<ul class="claims-here" aria-label="Checked here">{rows}</ul>'
            cell.parent.insert(cell.parent.index(cell) + 1, nodes.raw("", text, format="html"))


def section(node: nodes.Element) -> nodes.Element:
    """The innermost section around `node`, or the document."""
    while not isinstance(node, nodes.section | nodes.document):
        node = node.parent
    return node


def on_page(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: Any
) -> None:
    """Rewrite the buttons of a page that is no source itself; add the foot of every page."""
    if doctree is None:  # the index, the search page
        return
    site = read_site(app)
    buttons = context.get("header_buttons")
    if pagename.startswith(GENERATED) and buttons is not None:
        context["header_buttons"] = without(buttons, EDIT_LABELS)
    title = app.env.titles[pagename].astext()
    cff = citation.read(Path(app.srcdir))
    if pagename.startswith(EXECUTED):
        record = {"title": title, **read_record(Path(app.srcdir, f"{pagename}.ipynb"))}
        if buttons is not None:
            context["header_buttons"] = rewritten(buttons, pagename, record["notebook"], site)
        text = foot.of_run(record, pagename, cff, site, context["pathto"])
    else:
        source = "book/pages.py" if pagename.startswith(GENERATED) else f"{pagename}.md"
        commit = commit_of(app.srcdir)
        date = datetime.datetime.now(datetime.UTC).date().isoformat()
        text = foot.of_page(title, pagename, source, commit, date, cff, site, context["pathto"])
    context["body"] = context["body"] + text


commit_of = functools.cache(provenance.commit)


def read_site(app: Sphinx) -> foot.Site:
    """Where the book is published, from the theme's options."""
    options = app.config.html_theme_options
    launch = options.get("launch_buttons") or {}
    return foot.Site(
        repository=options.get("repository_url", ""),
        executed_ref=app.config.executed_ref,
        binder=launch.get("binderhub_url", ""),
        colab=launch.get("colab_url", ""),
        address=app.config.html_baseurl or "",
    )


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
    """The buttons, in groups too, except those with one of these labels."""
    kept = []
    for button in buttons:
        if button.get("label") in names:
            continue
        if "buttons" in button:
            button = {**button, "buttons": without(button["buttons"], names)}
            if not button["buttons"]:
                continue
        kept.append(button)
    return kept


def rewritten(
    buttons: list[dict[str, Any]], pagename: str, source: str, site: foot.Site
) -> list[dict[str, Any]]:
    """The buttons of an executed page: edit links to `source`, launch links as published.

    The download buttons keep the executed notebook: their links are page-relative, below _sources.
    """
    links = site.launch_links(f"{pagename}.ipynb")
    changed = []
    for button in buttons:
        button = dict(button)
        if button.get("label") == LAUNCH_LABEL:
            services = [b for b in button["buttons"] if b["text"] in links]
            if not services:
                continue
            button["buttons"] = [{**b, "url": links[b["text"]]} for b in services]
        elif "buttons" in button:
            button["buttons"] = rewritten(button["buttons"], pagename, source, site)
        elif "://" in str(button.get("url", "")):
            button["url"] = button["url"].replace(f"{pagename}.ipynb", source)
        changed.append(button)
    return changed


def copy_downloads(app: Sphinx, exception: Exception | None) -> None:
    """The files that each page's foot offers, to where it links; notebooks in plain Markdown."""
    if exception is not None or app.builder.name != "html":
        return
    names = plain.sources(Path(app.srcdir, "book", "references.bib"))
    for path in Path(app.outdir, "_sources", EXECUTED).glob("*.ipynb"):
        notebook = plain.plain(json.loads(path.read_text(encoding="utf8")), names)
        path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False), encoding="utf8")
    folder = Path(app.outdir, foot.FOLDER)
    folder.mkdir(exist_ok=True)
    for name in foot.DOWNLOADS:
        shutil.copy(Path(app.srcdir, name), folder / name)
