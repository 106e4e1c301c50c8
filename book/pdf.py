"""`python -m book.pdf`: the built book as one PDF, printed by Chromium.

The pages of `_build/html` are put into one document for each part of the book, and each is printed
once MathJax has set it: the whole book at once is more than Chromium bears. The prints are joined,
links from one part to another included. All is printed twice: the second time the contents and the
links to other chapters say the page, which the first has shown.
What is looked up at a screen rather than read (the API, all claims, the status) is left out.
"""

from __future__ import annotations

import argparse
import base64
import io
import re
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import yaml

from book import browser, citation
from book.chapters import INSIDE, SCREEN_PAGES, Chapter, page_of, slug
from book.layout import REPOSITORY, Layout
from studies.common import provenance

PAPER = {"printBackground": True, "preferCSSPageSize": True, "generateDocumentOutline": True}
# What a reader can print and send: pages, MB.
LONGEST, HEAVIEST = 200, 12
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
    size = output.stat().st_size / 1e6
    print(f"The book: {output} ({count} pages, {size:.1f} MB)")
    if count >= LONGEST or size >= HEAVIEST:
        print(f"error: longer than {LONGEST} pages or {HEAVIEST} MB", file=sys.stderr)
        return 1
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
    parts = [
        (caption, [p for p in of if (p not in SCREEN_PAGES if pages is None else p in pages)])
        for caption, of in _parts(layout)
    ]
    parts = [(caption, of) for caption, of in parts if of]
    chapters = [Chapter(folder, page) for _, of in parts for page in of]
    inside = {chapter.page for chapter in chapters}
    head = chapters[0].head()
    texts = {chapter.page: chapter.text(inside) for chapter in chapters}
    titles = {chapter.page: chapter.title for chapter in chapters}
    # Chromium names a place only if the same document links to it
    targets = {slug(page) for page in texts}
    targets.update(*(re.findall(f'{re.escape(INSIDE)}([^"]+)', text) for text in texts.values()))
    links = "".join(f'<a href="#{target}"></a>' for target in sorted(targets))
    anchors = f"<nav hidden>{links}</nav>"
    with tempfile.TemporaryDirectory() as profile:
        driver = browser.launch(Path(profile), timeout=900)
        try:
            numbers: dict[str, int] = {}
            for _ in ("to find the page of each place", "to say it"):
                front = _front(layout, parts, titles, numbers)
                prints = [_print(driver, folder, head, front, 0)]
                begins = 1 + _count(prints[0])
                found: dict[str, int] = {}
                for caption, of in parts:
                    title = f'<h1 class="part">{caption}</h1>\n' if caption else ""
                    body = title + "\n".join(_referred(texts[page], numbers) for page in of)
                    prints.append(_print(driver, folder, head, body + anchors, begins - 1))
                    here = _places(prints[-1]).items()
                    found |= {place.removeprefix("/"): begins + at for place, at in here}
                    begins += _count(prints[-1])
                numbers = found
        finally:
            driver.quit()
    output.parent.mkdir(parents=True, exist_ok=True)
    _join(prints, output)
    return begins - 1


def _front(
    layout: Layout,
    parts: list[tuple[str, list[str]]],
    titles: dict[str, str],
    numbers: dict[str, int],
) -> str:
    """The cover and the contents, with the page on which each chapter begins."""
    lines = []
    for caption, pages in parts:
        if caption:
            lines.append(f'<li class="part">{caption}</li>')
        for page in pages:
            link = f'<a href="{INSIDE}{slug(page)}">{titles[page]}</a>'
            at = f'<span class="leader"></span><span>{numbers.get(slug(page), 999)}</span>'
            lines.append(f"<li>{link}{at}</li>")
    contents = f'<h1 class="part">Contents</h1>\n<ul class="contents">{"".join(lines)}</ul>'
    return f"{_title_page(layout)}\n{contents}"


def _referred(text: str, numbers: dict[str, int]) -> str:
    """The text of a chapter, in which links to others say on which page these are."""

    def said(match: re.Match[str]) -> str:
        return page_of(match[1], numbers.get(match[1], ""))

    return re.sub(page_of('([^"]*)'), said, text)


def _parts(layout: Layout) -> Iterator[tuple[str, list[str]]]:
    toc = yaml.safe_load((layout.root / "_toc.yml").read_text(encoding="utf8"))
    yield "", [toc["root"]]
    for part in toc.get("parts", [{"chapters": toc.get("chapters", [])}]):
        yield part.get("caption", ""), [chapter["file"] for chapter in part["chapters"]]


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


def _print(driver: Any, folder: Path, head: str, body: str, before: int) -> bytes:
    """A document of the book as PDF, its pages numbered on from those `before` it."""
    text = (
        f'<!DOCTYPE html>\n<html lang="en" data-theme="light" data-mode="light" '
        f'style="counter-reset: page {before}">\n{head}\n'
        '<body><main class="bd-main"><div class="bd-content"><div class="bd-article-container">'
        f'<div class="bd-article">{body}</div></div></div></main></body></html>\n'
    )
    # beside the pages, whose style sheets and pictures it uses
    with tempfile.NamedTemporaryFile("w", suffix=".html", dir=folder, encoding="utf8") as file:
        file.write(text)
        file.flush()
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", _SCREEN)
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
        driver.get(f"file://{quote(file.name)}")
        if wrong := driver.execute_async_script(_READY):
            raise ValueError(f"not fit to print: {wrong}")
        return base64.b64decode(driver.execute_cdp_cmd("Page.printToPDF", PAPER)["data"])


def _places(pdf: bytes) -> dict[str, int]:
    """The page, from 0, of each named place."""
    reader = _reader(pdf)
    return {
        name: reader.get_destination_page_number(place) or 0
        for name, place in reader.named_destinations.items()
    }


def _count(pdf: bytes) -> int:
    return len(_reader(pdf).pages)


def _join(prints: Iterable[bytes], output: Path) -> None:
    """One file of all prints, in which links lead from one to another."""
    from pypdf import PdfWriter
    from pypdf.generic import ArrayObject, DictionaryObject, NameObject, TextStringObject

    writer = PdfWriter()
    for pdf in prints:
        writer.append(_reader(pdf))
    for page in writer.pages:
        for link in (a.get_object() for a in page.get("/Annots", ArrayObject())):
            url = str(link.get("/A", DictionaryObject()).get("/URI", ""))
            if url.startswith(INSIDE):
                del link["/A"]
                link[NameObject("/Dest")] = TextStringObject("/" + url.removeprefix(INSIDE))
    writer.compress_identical_objects()
    writer.write(output)


def _reader(pdf: bytes) -> Any:
    from pypdf import PdfReader

    return PdfReader(io.BytesIO(pdf))


if __name__ == "__main__":
    sys.exit(main())
