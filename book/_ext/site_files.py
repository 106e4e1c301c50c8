"""Sphinx extension: the finishing of a built site.

Markup of the theme that screen readers stumble over is mended, tables are numbered, the theme's
script of icons is cut down to those in use, the search gets its excerpts, and a page for wrong
addresses is added.
"""

from __future__ import annotations

import html
import json
import re
from pathlib import Path
from typing import Any

from bs4 import BeautifulSoup
from sphinx.application import Sphinx

from book import captions
from book.layout import Layout

ICONS = Path("_static", "scripts", "fontawesome.js")
# one icon of Font Awesome's script, NAME:[width,height,[aliases],"code",paths],
_ICON = re.compile(
    r'(?:"(?P<quoted>[\w-]+)"|(?P<bare>[\w$]+)):\[[\d.]+,\d+,\[(?P<aliases>[^\]]*)\],'
    r'"[0-9a-f]+",(?:"[^"]*"|\[[^\]]*\])\],?'
)

# Markup, and what axe-core accepts in its place.
_REPAIRS = (
    # labels that hide the text that is there to be read
    (re.compile(r'<summary aria-label="Toggle hidden content">'), "<summary>"),
    (re.compile(r'(<i class="theme-switch [^>]*?) title="[^"]*"'), r"\1"),
    # roles whose children are not what they announce
    (re.compile(r'<div role="list" class="citation-list">'), '<div class="citation-list">'),
    (re.compile(r'(<div class="citation"[^>]*?) role="doc-biblioentry"'), r"\1"),
)
# a signature over several lines, which Sphinx sets as a list of definitions without terms
_SIGNATURE = re.compile(r'<dl>\s*(<dd><em class="sig-param">.*?)</dl>', re.DOTALL)


def setup(app: Sphinx) -> dict[str, Any]:
    # after all pages are there
    app.connect("build-finished", finish, priority=950)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def finish(app: Sphinx, exception: Exception | None) -> None:
    """Mend the pages, trim what the theme brings, and write 404.html."""
    if exception is not None or app.builder.name != "html":
        return
    outdir = Path(app.outdir)
    for path in outdir.rglob("*.html"):
        path.write_text(mended(path.read_text(encoding="utf8")), encoding="utf8")
    order = Layout(Path(app.srcdir)).pages()
    captions.number(path for page in order if (path := outdir / f"{page}.html").is_file())
    give_excerpts(outdir, order)
    # for debugging the theme; no page asks for them
    for path in outdir.glob("_static/**/*.map"):
        path.unlink()
    for path in outdir.glob("_static/scripts/*.js"):
        text = path.read_text(encoding="utf8")
        path.write_text(re.sub(r"\n//# sourceMappingURL=\S+\s*$", "\n", text), encoding="utf8")
    script = outdir / ICONS
    script.write_text(
        with_icons(script.read_text(encoding="utf8"), icons_of(outdir)), encoding="utf8"
    )
    page = missing_page(app.config.html_title, app.config.root_doc, app.config.html_baseurl or "")
    (outdir / "404.html").write_text(page, encoding="utf8")


def give_excerpts(outdir: Path, pages: list[str]) -> None:
    """Give the search page the text of all pages, from which it takes its excerpts.

    It would fetch each page that it finds, which a browser forbids where the book is opened from a
    folder, and would begin with the labels of the page's buttons.
    """
    texts = {}
    for name in pages:
        path = outdir / f"{name}.html"
        if path.is_file():
            soup = BeautifulSoup(path.read_text(encoding="utf8"), "html.parser")
            article = soup.select_one("article.bd-article")
            for node in soup.select(".page-foot, .headerlink, details, script"):
                node.decompose()
            texts[name] = " ".join(article.get_text(" ").split()) if article else ""
    text = json.dumps(texts, ensure_ascii=False)
    (outdir / "_static" / "texts.js").write_text(f"window.pageTexts = {text};\n", encoding="utf8")
    search = outdir / "search.html"
    page = search.read_text(encoding="utf8")
    scripts = (f'<script src="_static/{name}.js"></script>' for name in ("texts", "excerpts"))
    # before the search's own scripts
    search.write_text(page.replace("</title>", "</title>" + "".join(scripts), 1), encoding="utf8")


def mended(page: str) -> str:
    """A page without what axe-core finds in the theme's and Sphinx's own markup."""
    for found, better in _REPAIRS:
        page = found.sub(better, page)
    return _SIGNATURE.sub(lambda match: _as_lines(match[1]), page)


def _as_lines(parameters: str) -> str:
    lines = parameters.replace("<dd>", '<span class="sig-line">').replace("</dd>", "</span>")
    return f'<span class="sig-lines">{lines}</span>'


def icons_of(folder: Path) -> set[str]:
    """Names of the icons that pages and scripts ask for."""
    files = [*folder.rglob("*.html"), *folder.glob("_static/**/*.js")]
    texts = (path.read_text(encoding="utf8") for path in files if path.name != ICONS.name)
    return {name for text in texts for name in re.findall(r"\bfa-([a-z][\w-]*)", text)}


def with_icons(script: str, names: set[str]) -> str:
    """Font Awesome's script with these icons only: all of them are most of a page's weight."""

    def keep(match: re.Match[str]) -> str:
        own = {match["quoted"] or match["bare"], *re.findall(r'"([^"]+)"', match["aliases"])}
        return match[0] if own & names else ""

    return _ICON.sub(keep, script)


def missing_page(title: str, root: str, address: str) -> str:
    """A page that stands alone, because it is served for addresses of any depth.

    `address` is that of the published book; its links are relative where none is known.
    """
    title, home = html.escape(title), html.escape(f"{address}{root}.html")
    search = html.escape(f"{address}search.html")
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Page not found: {title}</title>
<link rel="icon" href="data:,">
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 1.1rem/1.6 system-ui, sans-serif; margin: 15vh auto; max-width: 34rem; }}
input, button {{ font: inherit; padding: 0.2rem 0.6rem; }}
</style>
</head>
<body>
<main>
<h1>There is no such page</h1>
<p>It may have moved when the book grew. Start from the <a href="{home}">front page of
<cite>{title}</cite></a>, or search:</p>
<form action="{search}" method="get" role="search">
<label>Search <input type="search" name="q"></label> <button>Go</button>
</form>
</main>
</body>
</html>
"""
