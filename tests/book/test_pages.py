"""Pages made from data, and the footer of executed pages."""

from __future__ import annotations

import html

import pandas as pd

import lipsnn
from book import citation, foot, pages
from book.layout import REPOSITORY

RECORD = {
    "title": "First | light",
    "notebook": "notebooks/first-light.md",
    "profile": "full",
    "parameters": {"width": 50, "name": "<servo>"},
    "seconds": 12.34,
    "finished": "2026-11-21 08:00",
    "solver": "CLARABEL",
    "versions": {"python": "3.11.7", "numpy": "2.0.0"},
    "commit": "abc123+dirty",
}


def test_status_page_has_a_row_for_each_run_and_its_facts() -> None:
    other = {**RECORD, "title": "Other", "notebook": "notebooks/other.md"}
    other["versions"] = {"python": "3.11.7", "numpy": "2.1.0"}
    result = {"rows": 7, "seconds": 12.3, "commit": "abc", "versions": {}}
    command = {"results/x.csv": "python x.py"}
    page = pages.status_page([RECORD, other], {"results/x.csv": result}, command, "the hunt")
    assert "| `results/x.csv` | `python x.py` | 7 | 12 | `abc` | sources not recorded |" in page
    row = next(line for line in page.splitlines() if "first-light.ipynb" in line)
    for fact in ("full", "12.3", "CLARABEL", "2026-11-21 08:00", "abc123+dirty"):
        assert fact in row
    assert r"First \| light" in row  # a bar in a title does not add a column
    assert "../executed/other.ipynb" in page
    assert "`width = 50`" in page
    assert "| numpy | 2.0.0, 2.1.0 |" in page
    assert "## The standing hunt\n\nthe hunt\n" in page


def test_figures_of_the_hunt() -> None:
    rows = [["bound", "one unit", 1200, 0], ["bound", "deep", 5, 2]]
    figures = pd.DataFrame(rows, columns=["property", "kind", "cases", "failures"])
    section = pages.hunt_section(figures, {"seconds": 3600.4, "commit": "abc"})
    assert "arithmetic: 3,600 seconds at commit `abc`, 1,205 cases, 2 failures" in section
    assert "| Property | Kind | Cases | Failures |" in section
    assert "| bound | one unit | 1,200 | 0 |" in section
    assert "make hunt" in pages.hunt_section(pd.DataFrame(), {})


def test_api_page_documents_every_public_name() -> None:
    page = pages.api_page()
    for name in lipsnn.__all__:
        kind = "autoclass" if isinstance(getattr(lipsnn, name), type) else "autofunction"
        assert f".. {kind}:: {name}\n" in page
    titles = [line for line in page.splitlines() if line.startswith("## ")]
    assert len(set(titles)) == len(titles)
    assert all(title[3:] in pages.ROOMS.values() for title in titles)


def test_cite_page_is_made_from_the_citation_file() -> None:
    cff = citation.read(REPOSITORY)
    page = pages.cite_page(cff)
    assert cff["preferred-citation"]["title"] in page
    assert cff["title"] in page
    assert "2606.19652" in page
    # people, year and version of both
    assert "{Yin, Chao and Lesage-Landry, Antoine}" in page
    assert page.count("  year = {20") == 2
    assert f"  version = {{{cff['version']}}}" in page


def test_bibtex_of_people_and_groups() -> None:
    entry = {
        "type": "article",
        "title": "On nets",
        "authors": [
            {"family-names": "Yin"},
            {"family-names": "Doe", "given-names": "Jo"},
            {"name": "The group"},
        ],
        "year": 2026,
        "journal": "J",
        "identifiers": [{"type": "other", "value": "arXiv:1234.5678"}],
    }
    assert citation.bibtex(entry) == (
        "@article{yin2026,\n"
        "  title = {{On nets}},\n"
        "  author = {Yin and Doe, Jo and {The group}},\n"
        "  year = {2026},\n"
        "  journal = {J},\n"
        "  eprint = {1234.5678},\n"
        "  archiveprefix = {arXiv}\n}"
    )


def pathto(path: str, resource: int) -> str:
    return f"up/{path}"


def test_foot_says_what_ran_and_how_to_run_and_cite_it() -> None:
    cff = citation.read(REPOSITORY)
    record = {**RECORD, "machine": {"processor": "A chip", "cores": 2, "system": "Linux"}}
    text = foot.of_run(record, "book/executed/first-light", cff, foot.Site(), pathto)
    for fact in ("notebooks/first-light.md", "full", "width = 50", "12.3 s", "CLARABEL", "numpy"):
        assert fact in text
    assert "abc123+dirty" in text
    assert "A chip, 2 cores" in text
    assert "python -m book.run notebooks/first-light.md --profile full" in text
    assert "<servo>" not in text  # escaped
    assert 'href="up/_sources/book/executed/first-light.ipynb" download' in text
    assert 'href="up/_downloads/environment.yml" download' in text
    assert "@misc{lipsnn-first-light," in text
    for entry in (cff, cff["preferred-citation"]):
        assert html.escape(citation.bibtex(entry)) in text
    assert "http" not in text  # nowhere public, no link that leads there, and why
    assert "an issue need the address of the repository" in text
    public = foot.Site(repository="https://github.com/owner/name")
    text = foot.of_run(record, "book/executed/first-light", cff, public, pathto)
    assert "need the address" not in text


def test_links_of_a_site_need_what_they_are_made_from() -> None:
    public = {"binder": "https://b.org/", "colab": "https://c.org"}
    assert foot.Site(**public, executed_ref="x").launch_links("a.ipynb") == {}
    github = "https://github.com/owner/name"
    assert foot.Site(**public, repository=github).launch_links("a.ipynb") == {}
    site = foot.Site(**public, repository=f"{github}.git", executed_ref="v1/x")
    assert site.launch_links("a b.ipynb") == {
        "Binder": "https://b.org/v2/gh/owner/name/v1%2Fx?urlpath=lab/tree/a%20b.ipynb",
        "Colab": "https://c.org/github/owner/name/blob/v1%2Fx/a%20b.ipynb",
    }
    assert site.source_link("a.md", "unknown") == ""
    assert foot.Site().source_link("a.md", "abc") == ""


def test_page_without_a_run_has_a_foot_too() -> None:
    cff = citation.read(REPOSITORY)
    text = foot.of_page(
        "Title", "book/intro", "book/intro.md", "abc", "2026-11-21", cff, foot.Site(), pathto
    )
    assert "<code>book/intro.md</code> at commit <code>abc</code>" in text
    assert "Built 2026-11-21" in text


def test_buttons_are_rewritten_or_dropped_also_inside_groups(extension) -> None:
    link = {"label": "source-edit-button", "url": "https://x.org/edit/main/book/executed/a.ipynb"}
    binder = {"text": "Binder", "url": "https://binder/main/book/executed/a.ipynb"}
    other = {"text": "Deepnote", "url": "https://deepnote/book/executed/a.ipynb"}
    launch = {"label": "launch-buttons", "buttons": [binder, other]}
    download = {"label": "download", "url": "_sources/book/executed/a.ipynb"}
    edits = {"label": "g", "buttons": [link]}
    assert extension.without([edits, download], {"source-edit-button"}) == [download]
    site = foot.Site("https://github.com/o/n", "v1", binder="https://b.org")
    arguments = ("book/executed/a", "notebooks/a.md")
    edit, launched, kept = extension.rewritten([edits, launch, download], *arguments, site)
    assert edit["buttons"][0]["url"] == "https://x.org/edit/main/notebooks/a.md"
    assert kept == download
    assert [b["url"] for b in launched["buttons"]] == [
        "https://b.org/v2/gh/o/n/v1?urlpath=lab/tree/book/executed/a.ipynb"
    ]
    assert extension.rewritten([launch], *arguments, foot.Site()) == []
    assert link["url"].endswith("a.ipynb")  # the caller's are not changed
