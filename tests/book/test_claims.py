"""Claims from executed notebooks to the front page: complete, checked, linked, kept."""

from __future__ import annotations

import json
import shutil

import nbformat
import pandas as pd
import pytest
import yaml

from book import build, claims, execute, foot, pages, provenance
from book.layout import REPOSITORY
from studies.common.claims import MEDIA_TYPE, Claim

CLAIM = {
    "id": "one",
    "statement": "x < y | holds",
    "source": "A & B, (1)",
    "quantity": "|x|",
    "value": 1e-9,
    "relation": "<=",
    "threshold": 1e-6,
}
ROW = {**CLAIM, "holds": True, "page": "page"}
CHECK = "claims.check('one', 'statement', 'source', 'quantity', 1.0, at_most=2.0)"


def notebook(*cells: str | tuple[str, list[dict]]) -> nbformat.NotebookNode:
    """Code cells; one given with rows displays them."""
    made = []
    for cell in cells:
        source, rows = (cell, None) if isinstance(cell, str) else cell
        made.append(nbformat.v4.new_code_cell(source, execution_count=1))
        if rows is not None:
            data = {MEDIA_TYPE: json.dumps(rows), "text/plain": ""}
            made[-1].outputs.append(nbformat.v4.new_output("display_data", data))
    return nbformat.v4.new_notebook(cells=made)


def source_cells(page: str, *ids: str) -> list[str]:
    """The code of a page that checks and displays claims with these ids."""
    start = f"from studies.common.claims import Claims\nclaims = Claims({page!r})"
    check = "claims.check({!r}, 'x < y', 'Text, (1)', '|x|', 0.5, at_most=1.0)"
    return [start, *(check.format(name) for name in ids), "claims"]


def write_executed(tiny, **rows: list[dict]) -> None:
    """Executed notebooks, a page each, as if they had displayed these rows."""
    tiny.layout.executed.mkdir()
    tiny.toc(*(f"book/executed/{page}" for page in rows))
    for page, displayed in rows.items():
        nbformat.write(notebook(("claims", displayed)), tiny.layout.executed / f"{page}.ipynb")


def test_a_claim_is_placed_in_the_cell_that_checks_it() -> None:
    loop = "for k in 'ab':\n    claims.check(f'loop-{k}', 's', 's', 'q', 1.0, at_least=0.0)"
    rows = [ROW, *({**ROW, "id": f"loop-{k}"} for k in "ab")]
    found = claims.read(notebook("%matplotlib inline", CHECK, loop, ("claims", rows)), "page")
    # the id made up in the loop is placed where it is displayed
    assert [(e.claim.id, e.cell) for e in found] == [("one", 1), ("loop-a", 3), ("loop-b", 3)]
    assert found[0].claim == Claim(**CLAIM)


def test_claims_displayed_again_count_once() -> None:
    rows = [ROW, {**ROW, "id": "two"}]
    found = claims.read(notebook(("claims", rows[:1]), ("claims", rows)), "page")
    assert [e.claim.id for e in found] == ["one", "two"]


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ([("", [{**ROW, "holds": False}])], "'one' does not hold"),
        # the verdict is not taken on trust
        ([("", [{**ROW, "value": 1.0}])], r"\|x\| is 1, not <= 1e-06"),
        ([("", [{**ROW, "value": float("nan")}])], "does not hold"),
        ([("", [CLAIM | {"page": "page"}])], "lacks its verdict"),
        ([("", [{"id": "one", "holds": True, "page": "page"}])], "another field"),
        ([("", [{**ROW, "page": "other"}])], r"write Claims\('page'\)"),
        ([("", [ROW]), ("", [{**ROW, "value": 2e-9}])], "used twice"),
        ([CHECK], "no cell from there on displays"),
        ([("", [ROW]), CHECK], "no cell from there on displays"),
    ],
)
def test_refused(cells, message) -> None:
    with pytest.raises(ValueError, match=f"^page: .*{message}"):
        claims.read(notebook(*cells), "page")


def test_checks_that_are_no_claims_need_no_display() -> None:
    assert claims.read(notebook("job.check('one')", "checker.check(x, y)"), "page") == []


def test_gathered_in_reading_order_and_other_runs_left_out(tiny) -> None:
    write_executed(tiny, b=[{**ROW, "page": "b"}], a=[{**ROW, "id": "two", "page": "a"}])
    shutil.copy(tiny.layout.executed / "a.ipynb", tiny.layout.executed / "a-width-50.ipynb")
    assert [(e.page, e.claim.id) for e in claims.gather(tiny.layout)] == [
        ("b", "one"),
        ("a", "two"),
    ]


def test_every_problem_of_the_book_is_named(tiny) -> None:
    write_executed(
        tiny,
        a=[{**ROW, "page": "a"}],
        b=[{**ROW, "page": "b"}],
        c=[{**ROW, "page": "c", "holds": False}],
    )
    with pytest.raises(ValueError, match="used by a too") as caught:
        claims.gather(tiny.layout)
    assert "c: the claim 'one' does not hold" in str(caught.value)


def test_build_stops_at_a_claim_that_two_pages_use(tiny, capsys, monkeypatch) -> None:
    write_executed(tiny, a=[{**ROW, "page": "a"}], b=[{**ROW, "page": "b"}])
    for page in "ab":
        tiny.notebook(page)
    monkeypatch.setattr(build, "execute_all", lambda *_, **__: [])
    output = tiny.layout.root / "out"
    assert build.main(["--root", str(tiny.layout.root), "--output", str(output)]) == 1
    assert "b: the claim id 'one' is used by a too" in capsys.readouterr().err
    assert not output.exists()


def test_a_notebook_is_published_with_its_claims_or_not_at_all() -> None:
    made = notebook(CHECK)
    made.metadata.update(papermill={"duration": 1.0}, kernelspec={"name": "python3"})
    with pytest.raises(ValueError, match="no cell from there on displays"):
        execute.check(made, "notebooks/page.md")


def test_claims_page_groups_by_page_counts_and_escapes() -> None:
    entries = [
        claims.Entry(Claim(**CLAIM | {"id": name}), page, 0)
        for name, page in (("one", "p"), ("two", "p"), ("three", "q"))
    ]
    text = claims.claims_page(entries, {"p": "Page <p>", "q": "Page q"}, {"quick"})
    assert "3 claims" in text
    assert "profile quick" in text
    assert "By source: this book and others (3)." in text
    count = claims.count_line(entries)
    assert count.startswith("3 statements on 2 pages ")
    assert text.count('scope="rowgroup"') == 2
    assert text.index("Page &lt;p&gt;") < text.index("#claim-two") < text.index("Page q")
    row = next(line for line in text.splitlines() if "#claim-one" in line)
    assert 'href="../executed/p.html#claim-one">x &lt; y | holds</a>' in row
    for fact in ("A &amp; B, (1)", "|x|", "1e-09", "≤ 1e-06", "holds"):
        assert f"<td>{fact}</td>" in row


def test_results_of_the_full_profile_are_kept(tiny) -> None:
    write_executed(tiny, a=[{**ROW, "page": "a"}, {**ROW, "id": "two", "page": "a"}], first=[])
    facts = {"parameters": {"width": 7}, "solver": "SCS", "finished": "", "commit": "abc123"}
    records = [
        {"notebook": f"notebooks/{page}.md", "seconds": seconds, **facts}
        for page, seconds in (("a", 2.5), ("first", 4.0))
    ]
    claims.write_results(tiny.layout, claims.gather(tiny.layout), records)
    folder = tiny.layout.root / "results" / "full"
    table = pd.read_csv(folder / "claims.csv")
    assert table["id"].tolist() == ["one", "two"]
    assert set(table["verdict"]) == {"holds"}
    assert set(table["notebook"]) == {"notebooks/a.md"}
    record = json.loads((folder / "claims.json").read_text())
    assert (record["profile"], record["commit"], record["seconds"]) == ("full", "abc123", 2.5)
    assert list(record["notebooks"]) == ["notebooks/a.md"]
    assert record["notebooks"]["notebooks/a.md"]["parameters"] == {"width": 7}


def test_kept_claims_make_no_page_stale_but_other_results_do(tiny) -> None:
    source = tiny.notebook("a")
    before = provenance.digest(tiny.layout, source, {})
    folder = tiny.layout.root / "results" / "full"
    folder.mkdir(parents=True)
    for name in ("claims.csv", "claims.json"):
        (folder / name).write_text("x")
    assert provenance.digest(tiny.layout, source, {}) == before
    (folder / "trials.csv").write_text("x")
    assert provenance.digest(tiny.layout, source, {}) != before


def test_extension_knows_the_media_type(extension) -> None:
    assert extension.CLAIMS_MEDIA_TYPE == MEDIA_TYPE


@pytest.mark.book
@pytest.mark.parametrize("ids", [("one", "two"), ()], ids=["claims", "no-claims"])
def test_book_shows_the_claims_and_links_them(tiny, ids) -> None:
    """The real configuration and extension on a two-page book, without a warning."""
    root = tiny.layout.root
    config = yaml.safe_load((REPOSITORY / "_config.yml").read_text())
    (root / "_config.yml").write_text(yaml.safe_dump(config))
    for folder in ("_ext", "_static"):
        shutil.copytree(REPOSITORY / "book" / folder, root / "book" / folder)
    for name in (*foot.DOWNLOADS, "book/references.bib"):
        shutil.copy(REPOSITORY / name, root / name)
    include = "```{include} generated/claims-count.md\n```\n"
    assert include in (REPOSITORY / "book" / "intro.md").read_text()
    (root / "book" / "intro.md").write_text(f"# Intro\n\n{include}")
    cells = source_cells("page", *ids) if ids else []
    source = tiny.notebook("page", *cells)
    # the checks lie in a section of their own
    text = source.read_text()
    source.write_text(
        text.replace(
            "\n```{code-cell} python3\nclaims.check",
            "\n## Check\n\n```{code-cell} python3\nclaims.check",
            1,
        )
    )
    tiny.toc("book/executed/page", "book/generated/claims")
    assert build.run(tiny.job(source)).error is None
    entries, records = claims.gather(tiny.layout), pages.read_records(tiny.layout)
    claims.write_all(tiny.layout, entries, records)
    assert build.build_html(tiny.layout, root) == 0
    html = root / "_build" / "html" / "book"
    intro = (html / "intro.html").read_text()
    page = (html / "executed" / "page.html").read_text()
    table = (html / "generated" / "claims.html").read_text()
    assert ("checked by a number" in intro) == bool(ids)
    for name in ids:
        assert f'href="../executed/page.html#claim-{name}"' in table
        # within the section, before its heading
        assert page.index('<section id="check">') < page.index(f'id="claim-{name}"')
        assert page.index(f'id="claim-{name}"') < page.index("<h2>Check")
    assert ('class="dataframe claims"' in page) == bool(ids)
    # the line of a claim stands where it is checked
    assert page.count("<li>") >= len(ids)
    assert ('class="claims-here"' in page) == bool(ids)
    assert MEDIA_TYPE not in page
