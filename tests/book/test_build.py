"""The build as a whole, on tiny books: it refuses what is incomplete, and the rest goes on."""

from __future__ import annotations

import re

import pytest
import yaml

from book import build, pictures
from book.layout import REPOSITORY, Layout


def test_failed_notebook_stops_the_book_but_not_the_others(tiny, capsys) -> None:
    tiny.notebook("bad", "raise RuntimeError('the reason')")
    tiny.notebook("good", "print('fine')")
    tiny.toc("book/executed/bad", "book/executed/good")
    output = tiny.layout.root / "out"
    assert build.main(["--root", str(tiny.layout.root), "--output", str(output)]) == 1
    assert (tiny.layout.executed / "good.ipynb").exists()
    assert not (tiny.layout.executed / "bad.ipynb").exists()
    assert not output.exists()
    text = capsys.readouterr().err
    assert "FAILED notebooks/bad.md" in text
    assert str(tiny.layout.executed / "bad.log") in text


def test_notebook_without_a_page_is_an_error(tiny, capsys) -> None:
    tiny.notebook("one")
    tiny.toc()
    assert build.main(["--root", str(tiny.layout.root)]) == 2
    assert "`- file: book/executed/one` to _toc.yml" in capsys.readouterr().err


def test_page_without_a_notebook_is_an_error(tiny) -> None:
    tiny.toc("book/executed/gone.ipynb")
    with pytest.raises(ValueError, match=r"notebooks/gone\.md"):
        tiny.layout.check_toc()


def test_table_of_contents_and_notebooks_agree() -> None:
    Layout().check_toc()


def test_configuration_excludes_what_is_no_page() -> None:
    config = yaml.safe_load((REPOSITORY / "_config.yml").read_text())
    excluded = set(config["exclude_patterns"])
    # only_build_toc_files alone overlooks hidden folders
    assert {".*", "**/.*", "notebooks", "tests", "lipsnn", "_build"} <= excluded
    assert config["execute"]["execute_notebooks"] == "off"
    assert config["sphinx"]["recursive_update"] is True


def test_everything_the_build_writes_is_ignored_by_git() -> None:
    ignored = (REPOSITORY / ".gitignore").read_text().split()
    assert {"_build/", "book/executed/", "book/generated/", ".venv/"} <= set(ignored)


@pytest.mark.book
def test_buttons_and_foot_of_a_published_book(tiny) -> None:
    """The real configuration, with the repository's address given, on a two-page book."""
    root = tiny.layout.root
    tiny.book("book/executed/one", "book/generated/page")
    tiny.layout.generated.mkdir()
    (tiny.layout.generated / "page.md").write_text("# Generated\n")
    source = tiny.notebook("one", "print(width)")
    assert build.run(tiny.job(source, width=4)).error is None
    repository, address = "https://github.com/owner/lipsnn", "https://owner.github.io/lipsnn/v1"
    config = build.published_config(tiny.layout, repository, "v1-executed", address)
    assert build.build_html(tiny.layout, root, config) == 0
    html = root / "_build" / "html"
    intro, page = (
        (html / "book" / name).read_text() for name in ("intro.html", "executed/one.html")
    )
    assert f"{repository}/edit/main/book/intro.md" in intro
    assert f"{repository}/edit/main/notebooks/one.md" in page
    binder = (
        "https://mybinder.org/v2/gh/owner/lipsnn/v1-executed"
        "?urlpath=lab/tree/book/executed/one.ipynb"
    )
    colab = (
        "https://colab.research.google.com/github/owner/lipsnn/blob/v1-executed"
        "/book/executed/one.ipynb"
    )
    # the button at the top, and the link at the foot
    assert page.count(f'href="{binder}"') == 2
    assert page.count(f'href="{colab}"') == 2
    assert f"lipsnn[book] @ git+{repository}@v1-executed" in page
    assert f"{repository}/blob/abc123/notebooks/one.md" in page
    assert f"url = {{{address}/book/executed/one.html}}" in page
    assert "mybinder" not in intro
    assert "main/book/executed" not in page
    assert "edit/main" not in (html / "book" / "generated" / "page.html").read_text()
    # what papermill injected is no part of the page
    assert "Parameters</span>" not in page
    for text in (intro, page):
        foot = text.partition('class="page-foot"')[2]
        links = re.findall(r'href="([^"]*_(?:downloads|sources)/[^"]*)"', foot)
        assert len(links) == 3 + (text is page)
        for link in links:
            assert (html / "book" / ("executed" if text is page else "") / link).is_file(), link


@pytest.mark.book
def test_book_that_is_not_public_has_no_buttons_that_lead_out(tiny) -> None:
    tiny.book("book/executed/one")
    source = tiny.notebook("one")
    assert build.run(tiny.job(source)).error is None
    assert build.build_html(tiny.layout, tiny.layout.root) == 0
    html = tiny.layout.root / "_build" / "html" / "book"
    page = (html / "executed" / "one.html").read_text()
    assert 'class="page-foot"' in page
    for text in (page, (html / "intro.html").read_text()):
        assert not re.search(r'<(a|link|script|img)[^>]*(href|src)="(https?:)?//', text)


def test_pictures_are_the_same_each_time(tmp_path) -> None:
    toy = pictures.make_toy()
    before, after = toy.refined.initial_certificate, toy.refined.certificate
    # what the picture claims
    assert after.bound < before.bound
    assert toy.refined.objective < toy.refined.initial_objective
    layouts = [Layout(tmp_path / name) for name in "ab"]
    for layout in layouts:
        pictures.write_all(layout)
    names = sorted(p.name for p in layouts[0].generated.iterdir())
    assert names == [f"idea-{s}-{t}.svg" for s in ("tall", "wide") for t in ("dark", "light")]
    for name in names:
        first, second = ((layout.generated / name).read_bytes() for layout in layouts)
        assert first == second
