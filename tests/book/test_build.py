"""The build as a whole, on tiny books: it refuses what is incomplete, and the rest goes on."""

from __future__ import annotations

import shutil

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
def test_buttons_of_an_executed_page_point_at_its_source(tiny) -> None:
    """The real configuration, with the repository's address set, on a two-page book."""
    root = tiny.layout.root
    config = yaml.safe_load((REPOSITORY / "_config.yml").read_text())
    config["repository"] = {"url": "https://github.com/owner/lipsnn", "branch": "main"}
    config["html"]["use_edit_page_button"] = True
    config["launch_buttons"] = {
        "notebook_interface": "jupyterlab",
        "binderhub_url": "https://hub.example.org",
        "colab_url": "https://colab.example.org",
    }
    (root / "_config.yml").write_text(yaml.safe_dump(config))
    for folder in ("_ext", "_static"):
        shutil.copytree(REPOSITORY / "book" / folder, root / "book" / folder)
    shutil.copy(REPOSITORY / "book" / "references.bib", root / "book")
    (root / "book" / "intro.md").write_text("# Intro\n\n$x$\n")
    tiny.layout.generated.mkdir()
    (tiny.layout.generated / "page.md").write_text("# Generated\n")
    source = tiny.notebook("one", "print(width)")
    tiny.toc("book/executed/one", "book/generated/page")
    assert build.run(tiny.job(source, width=4)).error is None
    assert build.build_html(tiny.layout, root) == 0
    html = root / "_build" / "html" / "book"
    intro, page = (html / "intro.html").read_text(), (html / "executed" / "one.html").read_text()
    assert "https://github.com/owner/lipsnn/edit/main/book/intro.md" in intro
    assert "https://github.com/owner/lipsnn/edit/main/notebooks/one.md" in page
    assert (
        "https://hub.example.org/v2/gh/owner/lipsnn/main?urlpath=lab/tree/notebooks/one.md" in page
    )
    assert "colab.example.org" not in page  # it opens no Markdown notebook
    assert "main/book/executed" not in page
    assert "edit/main" not in (html / "generated" / "page.html").read_text()
    # what papermill injected is no part of the page
    assert "Parameters</span>" not in page
    assert 'class="run-record"' in page


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
