"""Which cells a page shows, folds or hides."""

from pathlib import Path

import jupytext
import pytest

from book import folding
from book.layout import REPOSITORY, Layout


@pytest.mark.parametrize(
    ("source", "added"),
    [
        ("result = lipsnn.refine(net, X, y)\nprint(result)", None),
        ("lipsnn.certify(net)", None),
        ("net(X)", None),
        ("table", "remove-input"),
        ("table.round(2).T", "remove-input"),
        ("runs.loc[0]['a'].head()", "remove-input"),
        ("import numpy as np\nfrom lipsnn import refine", "hide-input"),
        ("def f(x):\n    return x", "hide-input"),
        ("claims.check('a', 'b', 'c', 'd', 1.0, at_most=2.0)", "hide-input"),
        ("fig, ax = plt.subplots()", "hide-input"),
        ("x = 1\nglue('x', x)", "hide-input"),
        ("x = 1\n" * (folding.LONGEST + 1), "hide-input"),
        ("x = 1\n" * folding.LONGEST, None),
        (f"x = '{'a' * folding.WIDEST}'", "hide-input"),
        ("%timeit f(x)", None),
        ("", None),
    ],
)
def test_one_rule_for_all_cells(source: str, added: str | None) -> None:
    assert folding.tags(source, []) == ([added] if added else [])


def test_parameters_are_folded_and_a_tag_decides() -> None:
    assert folding.tags("n = 3", ["parameters"]) == ["parameters", "hide-input"]
    assert folding.tags("claims.check()", ["show"]) == ["show"]
    assert folding.tags("x = 1", ["hide-input"]) == ["hide-input"]


@pytest.mark.parametrize("source", Layout(REPOSITORY).sources(), ids=lambda path: path.stem)
def test_code_that_is_shown_fits_the_column(source: Path) -> None:
    for cell in jupytext.read(source).cells:
        if cell.cell_type == "code" and "show" in cell.metadata.get("tags", []):
            assert max(map(len, cell.source.splitlines())) <= folding.WIDEST, cell.source
