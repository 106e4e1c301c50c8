"""`python -m book.pdf`: the built book as one PDF, printed by Chromium.

The pages of `_build/html` are put into one document in reading order, so that their links lead
within it, and printed once MathJax has set it. The contents get their page numbers from a first
print, in which each chapter is looked up.
"""

from __future__ import annotations

import argparse
import base64
import io
import posixpath
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import yaml
from bs4 import BeautifulSoup, Tag

from book import browser, citation
from book.layout import REPOSITORY, Layout
from studies.common import provenance

PAPER = {"printBackground": True, "preferCSSPageSize": True, "generateDocumentOutline": True}
# What a page shows on a screen only.
_SCREEN_ONLY = (
    "script, noscript, a.headerlink, .only-dark, .only-narrow, .cite-box, .d-print-none, "
    ".tableofcontents-wrapper, .toctree-wrapper"
)
# Wait for formulas, fonts and pictures, and tell what does not come; then narrow what is too wide.
_READY = """
const done = arguments[0];
const fit = () => {
  for (const math of document.querySelectorAll('mjx-container[display="true"] > mjx-math')) {
    const room = math.closest('.math').clientWidth, wide = math.scrollWidth;
    if (wide > room) math.style.fontSize = `${100 * room / wide}%`;
  }
  for (const table of document.querySelectorAll('table')) {
    const room = table.parentElement.clientWidth, wide = table.scrollWidth;
    if (wide > room) table.style.zoom = room / wide;
  }
};
Promise.all([MathJax.startup.promise, document.fonts.ready,
  ...[...document.images].map(i => i.decode().catch(() => null))]).then(() => (fit(), done(
  [...document.images].filter(i => !i.naturalWidth).map(i => i.src)
  .concat([...document.querySelectorAll('mjx-merror')].map(e => e.textContent)))));
"""
# A4 without its margins, in CSS pixels: what the screen must measure to lay out as the print does.
_SCREEN = {"width": 657, "height": 1000, "deviceScaleFactor": 1, "mobile": False}


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m book.pdf", description=__doc__)
    parser.add_argument(
        "--html", type=Path, default=REPOSITORY / "_build" / "html", help="the built book"
    )
    parser.add_argument("--output", type=Path, help="the file (lipsnn.pdf beside that folder)")
    parser.add_argument("--pages", nargs="+", help="only these, such as book/intro")
    options = parser.parse_args(arguments)
    folder: Path = options.html.resolve()
    output: Path = options.output or folder.parent / "lipsnn.pdf"
    try:
        count = write(Layout(), folder, output, options.pages)
    except (FileNotFoundError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"The book: {output} ({count} pages, {output.stat().st_size / 1e6:.1f} MB)")
    return 0


def write(layout: Layout, folder: Path, output: Path, pages: list[str] | None = None) -> int:
    """Print the book built in `folder` to `output`; how many pages it has.

    Raises
    ------
    FileNotFoundError
        If there is no such book, or no Chromium.
    ValueError
        If a picture does not load or a formula cannot be set.
    """
    text = document(layout, folder, pages)
    # beside the pages, whose style sheets and pictures it uses
    with tempfile.NamedTemporaryFile("w", suffix=".html", dir=folder, encoding="utf8") as file:
        file.write(text)
        file.flush()
        pdf = _print(Path(file.name))
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_bytes(pdf)
    return len(_reader(pdf).pages)


def document(layout: Layout, folder: Path, only: list[str] | None = None) -> str:
    """One HTML page: a title page, the contents, and every chapter."""
    parts = [
        (caption, [page for page in pages if only is None or page in only])
        for caption, pages in _parts(layout)
    ]
    inside = [page for _, pages in parts for page in pages]
    contents, chapters, head = [], [], ""
    for caption, pages in parts:
        if caption and pages:
            contents.append(f'<li class="part">{caption}</li>')
            chapters.append(f'<h1 class="part">{caption}</h1>')
        for page in pages:
            path = folder / f"{page}.html"
            if not path.is_file():
                raise FileNotFoundError(f"{path} is not there: build the book first (make book)")
            soup = BeautifulSoup(path.read_text(encoding="utf8"), "html.parser")
            head = head or _head(soup, page)
            chapter, title = _chapter(soup, page, inside)
            link = f'<a href="#{slug(page)}">{title}</a><span class="leader"></span>'
            contents.append(f'<li>{link}<span class="at" data-of="{slug(page)}"></span></li>')
            chapters.append(chapter)
    return (
        f'<!DOCTYPE html>\n<html lang="en" data-theme="light" data-mode="light">\n{head}\n'
        '<body><main class="bd-main"><div class="bd-content"><div class="bd-article-container">'
        f'<div class="bd-article">{_title_page(layout)}\n'
        f'<h1 class="part">Contents</h1>\n<ul class="contents">{"".join(contents)}</ul>\n'
        + "\n".join(chapters)
        + "</div></div></div></main></body></html>\n"
    )


def slug(page: str) -> str:
    """The id of a page's chapter, with which all ids in it begin."""
    return page.replace("/", "-")


def _parts(layout: Layout) -> Iterator[tuple[str, list[str]]]:
    toc = yaml.safe_load((layout.root / "_toc.yml").read_text(encoding="utf8"))
    yield "", [toc["root"]]
    for part in toc.get("parts", [{"chapters": toc.get("chapters", [])}]):
        yield part.get("caption", ""), [chapter["file"] for chapter in part["chapters"]]


def _head(soup: BeautifulSoup, page: str) -> str:
    """The style sheets of the book, its formulas' script, and the style of the print."""
    links = [
        f'<link rel="stylesheet" href="{_local(str(link["href"]), page)}">'
        for link in soup.select('head link[rel="stylesheet"]')
    ]
    maths = next(s["src"] for s in soup.select("head script[src]") if "mathjax" in s["src"])
    style = Path(__file__).with_suffix(".css").read_text(encoding="utf8")
    # what only a reader at a screen needs of MathJax doubles its work
    setting = (
        'window.MathJax = {options: {processHtmlClass: "math", ignoreHtmlClass: "bd-article", '
        "enableMenu: false, enableEnrichment: false, enableSpeech: false, enableBraille: false, "
        "enableExplorer: false, "
        "menuOptions: {settings: {enrich: false, speech: false, braille: false}}}, "
        'loader: {paths: {fonts: "[mathjax]/fonts"}}, output: {displayOverflow: "linebreak"}}'
    )
    title = soup.select_one("title")
    name = title.get_text().rpartition(" — ")[2] if title else ""
    return (
        f'<head><meta charset="utf-8"><title>{name}</title>{"".join(links)}<style>{style}</style>'
        f'<script>{setting}</script><script defer src="{_local(str(maths), page)}"></script></head>'
    )


def _title_page(layout: Layout) -> str:
    config = yaml.safe_load((layout.root / "_config.yml").read_text(encoding="utf8"))
    cff = citation.read(layout.root)
    paper = cff["preferred-citation"]
    names = " and ".join(author["family-names"] for author in paper["authors"])
    return (
        f'<header class="title-page"><p class="title">{config["title"]}</p>'
        f"<p>The executable companion to <cite>{paper['title']}</cite>, "
        f"{names} ({paper['year']}), {paper['journal']}</p>"
        f"<p>lipsnn {cff['version']}, commit {provenance.commit(layout.root)}</p></header>"
    )


def _chapter(soup: BeautifulSoup, page: str, inside: list[str]) -> tuple[str, str]:
    """A page's article as a chapter, and its title; ids begin with the page's slug."""
    article = soup.select_one("article.bd-article")
    if article is None:
        raise ValueError(f"{page}.html has no article: was it built by jupyter-book?")
    for node in article.select(_SCREEN_ONLY):
        node.decompose()
    for node in article.select("details"):
        node["open"] = ""
    for node in article.select(".run-record dt"):
        if node.get_text() in ("Download", "Open"):
            for row in (node.find_next_sibling("dd"), node):
                if row is not None:
                    row.decompose()
    for node in article.find_all(True):
        _move(node, page, inside)
    heading = article.find("h2", class_="page")
    title = heading.decode_contents().strip() if isinstance(heading, Tag) else page
    return f'<article id="{slug(page)}">{article.decode_contents()}</article>', title


def _move(node: Tag, page: str, inside: list[str]) -> None:
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
            node["href"] = f"#{slug(unquote(target))}{fragment}"
        else:  # downloads, and pages of the site that are none of the book
            del node["href"]


def _local(url: str, page: str) -> str:
    """An address on a page, seen from the folder of the book."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(page), url))


def _print(path: Path) -> bytes:
    with tempfile.TemporaryDirectory() as profile:
        driver = browser.launch(Path(profile), timeout=900)
        try:
            driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", _SCREEN)
            driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
            driver.get(f"file://{quote(str(path))}")
            if wrong := driver.execute_async_script(_READY):
                raise ValueError(f"not fit to print: {wrong}")
            driver.execute_script(
                "for (const [id, page] of Object.entries(arguments[0]))"
                " document.querySelector(`[data-of='${id}']`).textContent = page",
                _page_numbers(_printed(driver)),
            )
            return _printed(driver)
        finally:
            driver.quit()


def _printed(driver: Any) -> bytes:
    return base64.b64decode(driver.execute_cdp_cmd("Page.printToPDF", PAPER)["data"])


def _page_numbers(pdf: bytes) -> dict[str, int]:
    """The page on which each chapter begins, by its slug; the contents link to all of them."""
    reader = _reader(pdf)
    return {
        name.removeprefix("/"): (reader.get_destination_page_number(place) or 0) + 1
        for name, place in reader.named_destinations.items()
        if "--" not in name
    }


def _reader(pdf: bytes) -> Any:
    from pypdf import PdfReader

    return PdfReader(io.BytesIO(pdf))


if __name__ == "__main__":
    sys.exit(main())
