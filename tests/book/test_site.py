"""The built site as files: links, weight, icons, the page for wrong addresses."""

from __future__ import annotations

import json
import posixpath
import re
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from book.layout import REPOSITORY, Layout

pytestmark = [pytest.mark.book]


class _Page(HTMLParser):
    """Ids, links and images of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.images: list[dict[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.ids |= {value for name in ("id", "name") if (value := found.get(name))}
        self.links += [value for name in ("href", "src") if (value := found.get(name))]
        if tag == "img":
            self.images.append(found)


@cache
def parsed(path: Path) -> _Page:
    page = _Page()
    page.feed(path.read_text(encoding="utf8"))
    return page


def html_files(book: Path) -> list[Path]:
    return sorted(p for p in book.rglob("*.html") if "_static" not in p.parts)


def test_every_link_within_the_book_leads_somewhere(built_book) -> None:
    broken = []
    for path in html_files(built_book):
        for link in parsed(path).links:
            url = urlsplit(link)
            if url.scheme or url.netloc:
                continue
            target = path
            if url.path:
                target = Path(posixpath.normpath(path.parent / unquote(url.path)))
            if not target.is_file() or (
                url.fragment
                and target.suffix == ".html"
                and unquote(url.fragment) not in parsed(target).ids
            ):
                broken.append(f"{path.relative_to(built_book)}: {link}")
    assert broken == []


def test_every_picture_says_what_it_shows(built_book) -> None:
    for path in html_files(built_book):
        for image in parsed(path).images:
            alt = (image.get("alt") or "").strip()
            where = f"{path.name}: {image.get('src')}"
            assert len(alt) > 20, where
            assert not re.fullmatch(r"\S+\.(svg|png)", alt), where


def test_icons_that_pages_use_are_there_and_the_others_are_not(built_book, site_files) -> None:
    script = (built_book / site_files.ICONS).read_text(encoding="utf8")
    kept = {m["quoted"] or m["bare"] for m in site_files._ICON.finditer(script)}
    assert {"magnifying-glass", "circle-half-stroke", "bars", "download"} <= kept
    assert len(kept) < 100
    assert not list(built_book.glob("_static/**/*.map"))


def test_icons_go_by_their_aliases_too(site_files) -> None:
    script = 'x={expand:[4,5,[],"f0","M0"],"pen":[1,2,["pencil-alt"],"f1","M1"],n:[1,2,[],"f","M"]}'
    assert site_files.with_icons(script, {"pencil-alt"}) == (
        'x={"pen":[1,2,["pencil-alt"],"f1","M1"],}'
    )


def test_page_for_wrong_addresses(built_book, site_files) -> None:
    page = (built_book / "404.html").read_text(encoding="utf8")
    assert 'href="book/intro.html"' in page
    published = site_files.missing_page("Title", "book/intro", "https://o.github.io/b/v1/")
    assert 'href="https://o.github.io/b/v1/book/intro.html"' in published
    # it is served at any depth: nothing relative but what is inside
    links = re.findall(r'(?:href|src|action)="([^"]*)"', published)
    assert all(urlsplit(link).scheme in ("https", "data") for link in links)


def test_search_index_covers_every_page(built_book) -> None:
    text = (built_book / "searchindex.js").read_text(encoding="utf8")
    index = json.loads(text.removeprefix("Search.setIndex(").removesuffix(")"))
    assert set(Layout().pages()) <= set(index["docnames"])


def test_glossary_links_and_terms(built_book) -> None:
    page = parsed(built_book / "book" / "glossary.html")
    assert {"term-certificate", "term-activation-pattern", "term-walk"} <= page.ids
    source = (REPOSITORY / "book" / "glossary.md").read_text(encoding="utf8")
    rows = [line for line in source.splitlines() if line.startswith("| $")]
    assert len(rows) > 15
    for row in rows:  # each says where it comes from: an equation, or the page of a fact
        assert re.search(r"\(\d+\)|\(executed/", row.split("|")[3]), row
