"""What a reader meets on every page of the built book: tables, figures, words, notebooks."""

from __future__ import annotations

import html
import json
import re
from base64 import b64decode
from functools import cache
from pathlib import Path

import jupytext
import pytest
from bs4 import BeautifulSoup, Tag

from book import captions, plain
from book.layout import REPOSITORY, Layout

pytestmark = [pytest.mark.book]

PAGES = Layout().pages()
# a name of a column in code, or a tuple of names; numbers that nobody reads to the end
RAW = re.compile(r"\w_\w|^\(['\"]|^(?:mse|rms|50%)$")
NAME = re.compile(r"admm|l2|linf|lipschitz|mnist|pgd|sgd|[a-z\d]+(?:_[a-z\d]+)+")
LONG = re.compile(r"\d\.\d{7,}|\d\.\d{5,}e")
# "1 workers", "a 1.9th": a count of one with a plural, an ordinal of a fraction
WRONG = re.compile(r"(?<![\d.,/^-])\b1 (?:workers|seeds|trials|draws|units|samples)\b|\d\.\d+th\b")


@cache
def article(built_book: Path, name: str) -> Tag:
    text = (built_book / f"{name}.html").read_text(encoding="utf8")
    found = BeautifulSoup(text, "html.parser").select_one("article.bd-article")
    assert found is not None
    for node in found.select(".page-foot, script, a.headerlink"):
        node.decompose()
    return found


def words(node: Tag) -> str:
    return " ".join(node.get_text().split())


def of_reading(page: Tag) -> list[Tag]:
    """The tables but lists of names, which Sphinx sets as tables."""
    return [t for t in page.select("table") if "autosummary" not in (t.get("class") or [])]


@pytest.mark.parametrize("name", PAGES)
def test_tables_are_for_people(built_book: Path, name: str) -> None:
    for table in of_reading(article(built_book, name)):
        caption = table.find("caption")
        assert isinstance(caption, Tag), words(table)[:200]
        assert re.match(r"Tab\. \d+ \S", words(caption)), words(caption)
        here = words(caption)
        heads = [words(th) for th in table.select("th")]
        assert [h for h in heads if RAW.search(h) and not h.startswith("results/")] == [], here
        cells = [words(td) for td in table.select("td")]
        assert [c for c in cells + heads if NAME.fullmatch(c)] == [], here
        assert [c for c in cells if c in ("nan", "NaN", "None", "NaT", "<NA>")] == [], here
        assert [c for c in cells if LONG.search(c)] == [], here
        if "claims" not in (table.get("class") or []):
            assert [c for c in cells if re.search(r"\de\+0[1-4]", c)] == [], here


def test_tables_are_numbered_through_the_book(built_book: Path) -> None:
    shown = [
        words(caption)
        for name in PAGES
        for caption in article(built_book, name).select("table caption")
    ]
    numbers = [int(re.match(r"Tab\. (\d+)", text)[1]) for text in shown]
    assert numbers == list(range(1, len(shown) + 1))
    assert len(shown) > 80


@pytest.mark.parametrize("name", PAGES)
def test_figures_have_captions_and_counts_agree(built_book: Path, name: str) -> None:
    page = article(built_book, name)
    for image in page.select("img"):
        figure = image.find_parent("figure")
        # the picture of the front page is what its paragraph says
        assert name == "book/intro" or (figure and figure.find("figcaption")), image.get("src")
    assert WRONG.findall(page.get_text()) == []
    text = BeautifulSoup(str(page), "html.parser")
    for node in text.select("pre, code"):
        node.decompose()
    assert "`" not in text.get_text(), "code in what a cell glued or displayed"
    assert re.findall(r"\w x \d\S*", text.get_text()) == [], "a letter for the sign of times"


PROSE = [
    name
    for name in PAGES
    if not name.startswith("book/generated/") and name not in ("book/glossary", "book/references")
]


@pytest.mark.parametrize("name", PROSE)
def test_first_use_of_a_term_leads_to_the_glossary(
    built_book: Path, glossary_links, name: str
) -> None:
    page = BeautifulSoup(str(article(built_book, name)), "html.parser")
    linked = {words(a) for a in page.select("a")}
    # captions are set after the links are made
    for node in page.select("h1, h2, h3, h4, pre, code, table, .math, .claims-here, .cell, a"):
        node.decompose()
    text = words(page)
    missing = [
        term
        for term, looks in glossary_links.terms(REPOSITORY / "book" / "glossary.md").items()
        if looks.search(text) and not any(looks.search(link) for link in linked)
    ]
    assert missing == []


def test_terms_are_met_in_the_singular_and_in_the_plural(glossary_links) -> None:
    cell, base = glossary_links.pattern("cell"), glossary_links.pattern("base network")
    assert cell.search("Cells are cones")
    assert cell.search("two cells.")
    assert not cell.search("a subcell, cell-wise, excellent")
    assert base.search("the base\nnetworks")


@pytest.mark.parametrize("source", Layout().sources(), ids=lambda path: path.stem)
def test_notebooks_to_take_along_are_plain_markdown(built_book: Path, source: Path) -> None:
    path = built_book / "_sources" / "book" / "executed" / f"{source.stem}.ipynb"
    notebook = json.loads(path.read_text(encoding="utf8"))
    text = "\n".join(
        "".join(c["source"]) for c in notebook["cells"] if c["cell_type"] == "markdown"
    )
    assert re.findall(r"\{[\w:]+\}`|^:::.*|^```\{.*|^\([\w-]+\)=", text, re.MULTILINE) == []
    page = (built_book / "book" / "executed" / f"{source.stem}.html").read_text(encoding="utf8")
    count = len(re.findall("<caption", page)) - text.count("*\n\n|")
    own = json.dumps(notebook).count("<caption")
    assert own <= count + text.count("*\n\n|")
    # what the page says with a number, the notebook says with the same
    for name, value in plain.glued(notebook).items():
        if f"{{glue:text}}`{name}`" in source.read_text(encoding="utf8"):
            assert value in text


def test_plain_markdown_of_what_only_the_book_understands() -> None:
    names = {"a": "Doe and Roe, 2020", "b": "Poe et al., 2021"}
    given = (
        "It is {glue:text}`x`, says {cite:t}`a` {cite}`a,b`, for {math}`y`.\n\n"
        ":::{admonition} Proof\n:class: dropdown\nBy $z$.\n\n*End.*\n:::\n\n"
        "```{table} Two.\n| a |\n|---|\n| b |\n```\n"
    )
    assert plain.rewritten(given, {"x": "3 %"}, names) == (
        "It is 3 %, says Doe and Roe (2020) (Doe and Roe, 2020; Poe et al., 2021), for $y$.\n\n"
        "> **Proof**\n>\n> By $z$.\n>\n> *End.*\n\n*Two.*\n\n| a |\n|---|\n| b |\n"
    )


def test_captions_go_to_the_tables_of_their_cell_in_turn() -> None:
    def shown(*tables: str) -> list[dict]:
        return [{"output_type": "display_data", "data": {"text/html": t}} for t in tables]

    cell = {
        "metadata": {"caption": ["First, `x` < y.", "Second."]},
        "outputs": shown("<table a>1</table>", "<b>no table</b>", "<table>2</table>"),
    }
    captions.add(cell)
    first, _, second = (o["data"]["text/html"] for o in cell["outputs"])
    assert first == "<table a><caption>First, <code>x</code> &lt; y.</caption>1</table>"
    assert second == "<table><caption>Second.</caption>2</table>"
    captions.add({"metadata": {"caption": "None yet."}, "outputs": shown("<p>no table</p>")})
    code = "<td>round_limit</td><th >l2</th><td>C-l2, pgd</td><td>servo</td>"
    words_for = "<td>round limit</td><th >ℓ₂</th><td>C-l2, pgd</td><td>servo</td>"
    assert captions.worded(code) == words_for
    long = "<td class=x>Adam at 0.001, full batch, 1000 epochs</td>"
    assert captions.worded(long) == long.replace("<td", "<td data-words")
    numbers = "<td>holds, 0.1 (0.0 to 0.2)</td><td>1.234 (1.111 to 1.345), 2.222</td>"
    assert captions.worded(numbers) == numbers


# what the first sentence of a caption says, if it is no result that a claim of the page holds
NO_RESULT = {"how to read it", "definition or theorem", "another case"}


@pytest.mark.parametrize("source", Layout().sources(), ids=lambda path: path.stem)
def test_first_sentence_of_a_figure_is_held_by_a_claim(built_book: Path, source: Path) -> None:
    page = (built_book / "book" / "executed" / f"{source.stem}.html").read_text(encoding="utf8")
    for cell in jupytext.read(source, fmt="md:myst").cells:
        if "figure" not in cell.metadata.get("mystnb", {}):
            continue
        held = cell.metadata.get("held-by")
        caption = cell.metadata["mystnb"]["figure"]["caption"]
        if isinstance(held, list) and held:
            assert [name for name in held if f'"claim-{name}"' not in page] == [], caption
        else:
            assert held in NO_RESULT, caption


# symbols in words or in ASCII; what stands between dollars is typeset, names such as C-l2 are names
GREEK = "alpha|beta|gamma|kappa|lambda|mu|phi|rho|sigma|theta"
SYMBOL = re.compile(rf"(?<![\w'’-])(?:[b-zB-Z]|[a-z]\d|{GREEK})(?![\w'’-])|\^|_")


def texts(picture: bytes) -> set[str]:
    """The texts in a picture by matplotlib, which draws them as outlines and notes each."""
    notes = re.findall(r"<!-- (.*?) -->", picture.decode(), re.DOTALL)
    return {re.sub(r"\$[^$]*\$", "", html.unescape(note)) for note in notes}


@pytest.mark.parametrize("name", PAGES)
def test_figures_typeset_their_symbols(built_book: Path, name: str) -> None:
    folder, found = (built_book / name).parent, set()
    for image in article(built_book, name).select("img[src*=svg]"):
        source = str(image["src"])
        embedded = source.startswith("data:")
        picture = (
            b64decode(source.partition(",")[2]) if embedded else (folder / source).read_bytes()
        )
        found |= texts(picture)
    text = BeautifulSoup(str(article(built_book, name)), "html.parser")
    for node in text.select("code, .math"):
        node.decompose()
    found |= {words(caption) for caption in text.select("figcaption .caption-text")}
    assert {text for text in found if SYMBOL.search(text)} == set()


@pytest.mark.parametrize("name", PAGES)
def test_nothing_stands_beside_the_text_that_was_not_written_for_it(
    built_book: Path, name: str
) -> None:
    page = article(built_book, name)
    assert page.select(".output.stderr, .stderr") == [], "warnings of a run are no prose"
    # formulas have the sources' numbers; Sphinx would give its own beside them
    assert page.select(".eqno") == []
    text = BeautifulSoup(str(page), "html.parser")
    for node in text.select("code, pre, table"):
        node.decompose()
    prose = [words(p) for p in text.select("section > p, figcaption p")]
    assert [p for p in prose if re.search(r"\d[eE][-+]?\d", p)] == [], (
        "a power of ten as code has it"
    )
