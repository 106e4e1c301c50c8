"""The book in print: pages of the real one, as Chromium sets them."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from book import browser, pdf
from book.layout import Layout

# one worker: two would see one another's pages in the book that they share
pytestmark = [pytest.mark.book, pytest.mark.browser, pytest.mark.xdist_group("pdf")]

# they link to one another
PAGES = ["book/executed/network-and-rescaling", "book/glossary"]


@pytest.fixture(scope="module")
def printed(built_book: Path, tmp_path_factory: pytest.TempPathFactory):
    if not browser.is_there():
        if os.environ.get("LIPSNN_REQUIRE_BROWSER") == "1":
            pytest.fail(browser.MISSING)
        pytest.skip(browser.MISSING)
    path = tmp_path_factory.mktemp("pdf") / "book.pdf"
    before = sorted(built_book.iterdir())
    assert pdf.main(["--html", str(built_book), "--output", str(path), "--pages", *PAGES]) == 0
    assert sorted(built_book.iterdir()) == before
    return pdf._reader(path.read_bytes())


def test_contents_give_the_pages_on_which_chapters_begin(printed) -> None:
    contents = printed.pages[1].extract_text()
    assert "Contents" in contents
    for name, title in zip(PAGES, ("The network and its rescaling", "Glossary"), strict=True):
        place = printed.named_destinations[f"/{pdf.slug(name)}"]
        number = printed.get_destination_page_number(place) + 1
        assert number > 2
        assert re.search(rf"{title}\s*{number}\b", contents)
        assert title in printed.pages[number - 1].extract_text()


def test_links_lead_within_the_document_or_to_the_net(printed) -> None:
    inner = 0
    for page in printed.pages:
        for link in (a.get_object() for a in page.get("/Annots") or []):
            if "/Dest" in link:
                inner += 1
                assert link["/Dest"] in printed.named_destinations
            else:
                assert link["/A"]["/URI"].startswith("http")
    assert inner > 4
    # from the glossary to a section of the chapter, not only to its beginning
    assert any("--" in name for name in printed.named_destinations)


def test_links_to_other_chapters_say_the_page(printed) -> None:
    place = printed.named_destinations[f"/{pdf.slug(PAGES[0])}"]
    number = printed.get_destination_page_number(place) + 1
    glossary = printed.named_destinations[f"/{pdf.slug(PAGES[1])}"]
    first = printed.get_destination_page_number(glossary)
    text = " ".join(page.extract_text() for page in printed.pages[first:])
    assert re.search(rf"its page\s*p\. {number}\b", text)
    # and of words that are explained, the page on which they are
    text = "".join(page.extract_text() for page in printed.pages[2:first])
    pages = {int(said) for said in re.findall(r"\bp\. (\d+)", text)}
    assert pages
    assert pages <= set(range(first + 1, len(printed.pages) + 1))


def test_pages_are_numbered_through_all_parts(printed) -> None:
    numbers = [page.extract_text().split() for page in printed.pages]
    assert all(str(k) in (text[0], text[-1]) for k, text in enumerate(numbers[1:], 2))


def test_folded_code_and_what_is_looked_up_at_a_screen_stay_out(printed) -> None:
    text = "".join(page.extract_text() for page in printed.pages)
    assert "from studies" not in text
    assert "claims.check(" not in text
    pages = {page for _, pages in pdf._parts(Layout()) for page in pages}
    assert set(pdf.SCREEN_PAGES) < pages


def test_outline_figures_and_formulas_are_there(printed) -> None:
    titles = [entry.title for entry in printed.outline if not isinstance(entry, list)]
    assert {"Background", "Reference"} <= set(titles)
    text = "".join(page.extract_text() for page in printed.pages)
    assert "\\(" not in text  # a formula that was not set
    assert "Hide code cell" not in text
    # letters of formulas come from a font of their own: the sum's sign is in no other
    assert "∑" in text
    assert "Fig." in text


def test_it_needs_a_built_book(tmp_path: Path, capsys) -> None:
    assert pdf.main(["--html", str(tmp_path)]) == 1
    assert "make book" in capsys.readouterr().err


def test_chapters_are_the_table_of_contents() -> None:
    pages = [page for _, pages in pdf._parts(Layout()) for page in pages]
    assert pages == Layout().pages()
