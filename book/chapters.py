"""Pages of the built book as chapters of the printed one."""

from __future__ import annotations

import posixpath
from pathlib import Path
from urllib.parse import unquote, urlsplit

from bs4 import BeautifulSoup, Tag

# What a page shows on a screen only: folded code, and the table of its claims, each of which stands
# beside the text that makes it.
_SCREEN_ONLY = (
    "script, noscript, a.headerlink, .only-dark, .only-narrow, .cite-box, .d-print-none, "
    ".tableofcontents-wrapper, .toctree-wrapper, div.cell details, table.claims"
)
# Pages that are for looking things up, at a screen: they are long, and searched, not read.
SCREEN_PAGES = ("book/generated/api", "book/generated/claims", "book/generated/status")
# Where links lead until the parts are joined: an address that exists nowhere.
INSIDE = "https://book.invalid/#"


class Chapter:
    """A built page, and what the print takes of it.

    Raises
    ------
    FileNotFoundError
        If the page is not built.
    ValueError
        If it has no article.
    """

    def __init__(self, folder: Path, page: str) -> None:
        path = folder / f"{page}.html"
        if not path.is_file():
            raise FileNotFoundError(f"{path} is not there: build the book first (make book)")
        self.page = page
        self.soup = BeautifulSoup(path.read_text(encoding="utf8"), "html.parser")
        article = self.soup.select_one("article.bd-article")
        if article is None:
            raise ValueError(f"{page}.html has no article: was it built by jupyter-book?")
        self.article = article
        heading = article.find("h1")
        for link in heading.select("a.headerlink") if isinstance(heading, Tag) else ():
            link.decompose()
        self.title = heading.decode_contents().strip() if isinstance(heading, Tag) else page

    def text(self, inside: set[str]) -> str:
        """The article as a chapter, whose ids begin with the page's slug; spends the soup."""
        for node in self.article.select(_SCREEN_ONLY):
            node.decompose()
        # what only held folded code
        for node in self.article.select("div.cell"):
            if not node.get_text(strip=True) and not node.select("img, svg"):
                node.decompose()
        for node in self.article.select(".run-record dt"):
            if node.get_text() in ("Download", "Open"):
                for row in (node.find_next_sibling("dd"), node):
                    if row is not None:
                        row.decompose()
        for node in self.article.find_all(True):
            _move(node, self.page, inside)
        return f'<article id="{slug(self.page)}">{self.article.decode_contents()}</article>'

    def head(self) -> str:
        """The style sheets of the book, its formulas' script, and the style of the print."""
        links = [
            f'<link rel="stylesheet" href="{_local(str(link["href"]), self.page)}">'
            for link in self.soup.select('head link[rel="stylesheet"]')
        ]
        scripts = self.soup.select("head script[src]")
        maths = _local(str(next(s["src"] for s in scripts if "mathjax" in s["src"])), self.page)
        style = Path(__file__).with_name("pdf.css").read_text(encoding="utf8")
        # what only a reader at a screen needs of MathJax doubles its work
        setting = (
            'window.MathJax = {options: {processHtmlClass: "math", ignoreHtmlClass: "bd-article", '
            "enableMenu: false, enableEnrichment: false, enableSpeech: false, "
            "enableBraille: false, enableExplorer: false, "
            "menuOptions: {settings: {enrich: false, speech: false, braille: false}}}, "
            'loader: {paths: {fonts: "[mathjax]/fonts"}}, output: {displayOverflow: "linebreak"}}'
        )
        title = self.soup.select_one("title")
        name = title.get_text().rpartition(" — ")[2] if title else ""
        return (
            f'<head><meta charset="utf-8"><title>{name}</title>{"".join(links)}'
            f"<style>{style}</style><script>{setting}</script>"
            f'<script defer src="{maths}"></script></head>'
        )


def _move(node: Tag, page: str, inside: set[str]) -> None:
    """Make an element fit for a document that holds other pages, too."""
    if node.name in ("h1", "h2", "h3", "h4", "h5"):
        if node.name == "h1":
            node["class"] = "page"
        node.name = f"h{int(node.name[1]) + 1}"
    for attribute in ("id", "name"):
        if node.get(attribute):
            node[attribute] = f"{slug(page)}--{node[attribute]}"
    if node.get("src") and not str(node["src"]).startswith("data:"):
        node["src"] = _local(str(node["src"]), page)
    if node.name == "a" and node.get("href"):
        link = urlsplit(str(node["href"]))
        if link.scheme:
            return
        target = page if not link.path else _local(link.path, page).removesuffix(".html")
        if unquote(target) in inside:
            fragment = f"--{link.fragment}" if link.fragment else ""
            place = f"{slug(unquote(target))}{fragment}"
            node["href"] = f"{INSIDE}{place}"
            if unquote(target) != page:
                node.insert_after(BeautifulSoup(page_of(place), "html.parser"))
        else:  # downloads, and pages of the site that are none of the book
            del node["href"]


def _local(url: str, page: str) -> str:
    """An address on a page, seen from the folder of the book."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(page), url))


def slug(page: str) -> str:
    """The id of a page's chapter, with which all ids in it begin."""
    return page.replace("/", "-")


def page_of(place: str, number: int | str = "") -> str:
    """Where a link says on which page its place is, as wide with the number as without."""
    return f'<span class="page-of" data-place="{place}">{f"p. {number}" if number else ""}</span>'
