"""papermill and the sources of the notebooks."""

from __future__ import annotations

import json
import tomllib
from importlib import import_module

import pytest

from book.layout import REPOSITORY, Layout
from studies.common.notebook_io import Sources


def test_package_registers_it_with_papermill() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf8"))["project"]
    ((prefix, place),) = project["entry-points"]["papermill.io"].items()
    module, name = place.split(":")
    assert getattr(import_module(module), name) is Sources
    assert all(Layout().relative(source).startswith(prefix) for source in Layout().sources())


def test_papermill_finds_the_parameters_of_a_source(monkeypatch: pytest.MonkeyPatch) -> None:
    from papermill import inspect_notebook
    from papermill.iorw import papermill_io

    monkeypatch.chdir(REPOSITORY)
    monkeypatch.setattr(papermill_io, "_handlers", list(papermill_io._handlers))
    papermill_io.register("notebooks/", Sources())
    with pytest.warns(UserWarning, match="does not end in"):
        found = inspect_notebook("notebooks/first-light.md")
    assert {"dataset", "width", "seed"} <= set(found)


def test_a_source_is_read_as_json_and_never_written(tmp_path) -> None:
    source = Layout().sources()[0]
    assert json.loads(Sources().read(str(source)))["nbformat"] == 4
    with pytest.raises(ValueError, match=r"ends in \.ipynb"):
        Sources().write("{}", str(tmp_path / "x.md"))
    Sources().write("{}", str(tmp_path / "x.ipynb"))
    assert Sources().read(str(tmp_path / "x.ipynb")) == "{}"
    assert Sources().listdir(str(tmp_path)) == [str(tmp_path / "x.ipynb")]
