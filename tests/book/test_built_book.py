"""The real book, as built: complete, labelled, and free of anything from other hosts."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import lipsnn
from book.layout import Layout

pytestmark = [pytest.mark.book]

LAYOUT = Layout()
# what a browser fetches when it opens a page, as opposed to links that a reader may follow
FETCHED = re.compile(r"<(?:script|img|iframe|source)\b[^>]*\bsrc=\"([^\"]+)\"")
LINKED = re.compile(r"<link\b[^>]*>")


def test_index_leads_to_the_intro(built_book: Path) -> None:
    assert "book/intro.html" in (built_book / "index.html").read_text()


@pytest.mark.parametrize("name", LAYOUT.pages())
def test_page_exists_and_fetches_nothing_from_other_hosts(built_book: Path, name: str) -> None:
    text = (built_book / f"{name}.html").read_text(encoding="utf8")
    fetched = FETCHED.findall(text)
    for tag in LINKED.findall(text):
        if 'rel="canonical"' not in tag:
            fetched += re.findall(r"href=\"([^\"]+)\"", tag)
    assert fetched
    for url in fetched:
        assert "//" not in url.split("?")[0], url
        if not url.startswith("data:"):
            path = (built_book / f"{name}.html").parent / url.split("?")[0].split("#")[0]
            assert path.exists(), url


@pytest.mark.parametrize("source", LAYOUT.sources(), ids=lambda path: path.stem)
def test_executed_page_carries_its_record(built_book: Path, source: Path) -> None:
    text = (built_book / "book" / "executed" / f"{source.stem}.html").read_text(encoding="utf8")
    footer = text[text.index('<dl class="run-record">') :]
    records = json.loads((LAYOUT.generated / "status.json").read_text(encoding="utf8"))
    record = next(r for r in records if r["notebook"] == f"notebooks/{source.name}")
    for fact in (record["notebook"], record["solver"], record["commit"], "book.run"):
        assert fact in footer
    status = (built_book / "book" / "generated" / "status.html").read_text(encoding="utf8")
    assert f"../executed/{source.stem}.html" in status
    assert f"{record['seconds']:.1f}" in status


@pytest.mark.parametrize("source", LAYOUT.sources(), ids=lambda path: path.stem)
def test_numbers_are_shown_without_their_type(built_book: Path, source: Path) -> None:
    text = (built_book / "book" / "executed" / f"{source.stem}.html").read_text(encoding="utf8")
    assert re.findall(r"np\.(?:u?int|float|bool|str)\d*_?\(", text) == []


def test_api_page_has_an_anchor_for_every_public_name(built_book: Path) -> None:
    text = (built_book / "book" / "generated" / "api.html").read_text(encoding="utf8")
    missing = [name for name in lipsnn.__all__ if f'id="lipsnn.{name}"' not in text]
    assert missing == []


def test_references_list_the_paper(built_book: Path) -> None:
    text = (built_book / "book" / "references.html").read_text(encoding="utf8")
    assert "arxiv.org/abs/2606.19652" in text
