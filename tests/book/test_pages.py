"""Pages made from data, and the footer of executed pages."""

from __future__ import annotations

import yaml

import lipsnn
from book import pages
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
    page = pages.status_page([RECORD, other])
    row = next(line for line in page.splitlines() if "first-light.ipynb" in line)
    for fact in ("full", "12.3", "CLARABEL", "2026-11-21 08:00", "abc123+dirty"):
        assert fact in row
    assert r"First \| light" in row  # a bar in a title does not add a column
    assert "../executed/other.ipynb" in page
    assert "`width = 50`" in page
    assert "| numpy | 2.0.0, 2.1.0 |" in page


def test_api_page_documents_every_public_name() -> None:
    page = pages.api_page()
    for name in lipsnn.__all__:
        kind = "autoclass" if isinstance(getattr(lipsnn, name), type) else "autofunction"
        assert f".. {kind}:: {name}\n" in page


def test_cite_page_is_made_from_the_citation_file() -> None:
    citation = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text())
    page = pages.cite_page(citation)
    assert citation["preferred-citation"]["title"] in page
    assert citation["title"] in page
    assert "2606.19652" in page


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
    assert pages.bibtex(entry) == (
        "@article{yin2026,\n"
        "  title = {{On nets}},\n"
        "  author = {Yin and Doe, Jo and {The group}},\n"
        "  year = {2026},\n"
        "  journal = {J},\n"
        "  eprint = {1234.5678},\n"
        "  archiveprefix = {arXiv}\n}"
    )


def test_footer_says_what_ran_and_how_to_run_it_again(extension) -> None:
    text = extension.footer(RECORD)
    for fact in ("notebooks/first-light.md", "full", "width = 50", "12.3 s", "CLARABEL"):
        assert fact in text
    assert "abc123+dirty" in text
    assert "python -m book.run notebooks/first-light.md --profile full" in text
    assert "<servo>" not in text  # escaped


def test_buttons_are_redirected_or_dropped_also_inside_groups(extension) -> None:
    link = {"label": "source-edit-button", "url": "https://x.org/edit/main/book/executed/a.ipynb"}
    colab = {"text": "Colab", "url": "https://colab/book/executed/a.ipynb"}
    download = {"label": "download", "url": "_sources/book/executed/a.ipynb"}
    buttons = [{"label": "group", "buttons": [link, colab]}, {"label": "g", "buttons": [colab]}]
    kept = extension.without([*buttons, download], {"Colab"})
    assert kept == [{"label": "group", "buttons": [link]}, download]
    new = extension.redirected(kept, "book/executed/a.ipynb", "notebooks/a.md")
    assert new[0]["buttons"][0]["url"] == "https://x.org/edit/main/notebooks/a.md"
    assert new[1] == download
    assert link["url"].endswith("a.ipynb")  # the caller's are not changed
