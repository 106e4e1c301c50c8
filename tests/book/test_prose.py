"""No page types a result."""

from __future__ import annotations

import re

import jupytext
import pytest

from book import prose
from book.layout import Layout


def test_every_result_in_prose_is_glued() -> None:
    allowed = prose.allowed()
    typed = sorted(set(prose.of_book(Layout())))
    offenders = [f"{source}: {n}" for source, n in typed if n not in allowed.get(source, {})]
    assert offenders == [], "glue these from a result, or say in book/prose.yml why they are none"


def test_list_of_exceptions_holds_only_what_pages_type() -> None:
    listed = {(source, n) for source, numbers in prose.allowed().items() for n in numbers}
    assert listed <= set(prose.of_book(Layout()))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("falls by 12.5 % to 3.1", ["12.5 %", "3.1"]),
        ("in 7 ms, three times, 40 times faster", ["7 ms", "40 times"]),
        ("a gap of $10^{-7}$ or 1e-8", ["10^{-7}", "1e-8"]),
        (":::{admonition} Facts\nIt is $L = 0.93$.\n:::", ["0.93"]),
        ("```{admonition} Facts\nIt takes 3 s.\n```", ["3 s"]),
        ("equation (12), Lemma 6, Section 2.2, in 2026, two or 10 units", []),
        ("$\\tfrac12$, $x_1$, $2 x^2$, $3 \\times 3$, [0, 1]", []),
        ("{glue:text}`a0.5` and `0.5` and [a 1.x page](b-0.5.md)", []),
        ("$$\nf(x) = 0.5 x\n$$", []),
        ("```python\nx = 0.5\n```", []),
        ("% 0.5 in a comment", []),
    ],
)
def test_what_counts_as_a_result(text: str, found: list[str]) -> None:
    assert prose.literals(text) == found


@pytest.mark.parametrize("source", Layout().sources(), ids=lambda path: path.stem)
def test_page_is_read_in_ten_minutes(source) -> None:
    cells = jupytext.read(source, fmt="md:myst").cells
    text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    text = re.sub(r"\$\$.*?\$\$|\\begin\{(\w+\*?)\}.*?\\end\{\1\}", " ", text, flags=re.DOTALL)
    assert len(re.findall(r"[^\W\d_]{2,}", text)) <= 10 * 200  # words a minute


def test_formula_is_displayed_once() -> None:
    """What two pages need, a matrix of it too, one of them shows and the other refers to."""
    shown: dict[str, set[str]] = {}
    for source in Layout().sources():
        text = re.sub(r"```.*?```", "", source.read_text(encoding="utf8"), flags=re.DOTALL)
        matrices = re.findall(r"\\begin\{bmatrix\}.*?\\end\{bmatrix\}", text, re.DOTALL)
        formulas = re.findall(r"\$\$.*?\$\$|\\begin\{equation\*\}.*?\\end", text, re.DOTALL)
        for formula in formulas + matrices:
            # without its number and what only spaces it
            bare = re.sub(r"\\tag\{.*?\}|\\q?quad\b|\\[,;! ]|[\s{}.,$]|_d", "", formula)
            if len(bare) >= 40:
                shown.setdefault(bare, set()).add(source.stem)
    assert len(shown) > 50
    assert [pages for pages in shown.values() if len(pages) > 1] == []


@pytest.mark.parametrize("source", Layout().sources(), ids=lambda path: path.stem)
def test_page_opens_with_its_takeaways(source) -> None:
    text = source.read_text(encoding="utf8").split("\n---\n", 1)[1]
    title, _, rest = text.strip().partition("\n")
    assert title.startswith("# ")
    assert rest.strip().startswith(":::{admonition} Key takeaways\n:class: tip\n- ")


def test_every_page_that_is_linked_is_there() -> None:
    names = {source.stem for source in Layout().sources()}
    for source in Layout().sources():
        linked = set(re.findall(r"\]\(([\w-]+)\.ipynb", source.read_text(encoding="utf8")))
        assert linked <= names, f"{source.stem}: {sorted(linked - names)}"


def test_matrices_in_a_line_are_small() -> None:
    """On a phone the columns of larger ones cover one another."""
    for source in Layout().sources():
        text = re.sub(
            r"```.*?```|\$\$.*?\$\$", "", source.read_text(encoding="utf8"), flags=re.DOTALL
        )
        for formula in re.findall(r"\$[^$]+\$", text):
            for body in re.findall(r"\\begin\{bmatrix\}(.*?)\\end", formula):
                assert len(body) < 40, f"{source.stem}: {formula}"
