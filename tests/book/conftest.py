"""Tiny books for the pipeline's tests, and the real one, built once."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from filelock import FileLock

from book import foot
from book.execute import Job
from book.layout import REPOSITORY, Layout

HEADER = """---
kernelspec:
  display_name: Python 3
  language: python
  name: python3
---
"""

PARAMETERS = """
```{code-cell} python3
:tags: [parameters]

width = 3  # units
rate = 0.5
name = "servo"
```
"""


def cell(code: str) -> str:
    """A code cell of a MyST notebook."""
    return f"\n```{{code-cell}} python3\n{code}\n```\n"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The first test of `pytest -n` has the book built; the others that look at it come last."""
    shown = [item for item in items if "built_book" in getattr(item, "fixturenames", ())]
    items[:] = shown[:1] + [item for item in items if item not in set(shown)] + shown[1:]


class TinyBook:
    """A layout in a temporary folder, with notebooks as they are added."""

    def __init__(self, root: Path) -> None:
        self.layout = Layout(root)
        self.layout.notebooks.mkdir()
        self.layout.profiles.mkdir(parents=True)
        self.profile("{}")

    def profile(self, text: str, name: str = "quick") -> None:
        (self.layout.profiles / f"{name}.yml").write_text(text)

    def notebook(self, stem: str, *cells: str, header: str = HEADER) -> Path:
        """Write notebooks/STEM.md: a title, the parameters and these code cells."""
        path = self.layout.notebooks / f"{stem}.md"
        path.write_text(f"{header}\n# Page {stem}\n{PARAMETERS}" + "".join(map(cell, cells)))
        return path

    def job(self, source: Path, **parameters: object) -> Job:
        return Job(self.layout, source, self.layout.twin(source), "quick", parameters, "abc123")

    def book(self, *names: str) -> None:
        """What a build needs beside its pages: the real configuration, and these as contents."""
        root = self.layout.root
        for name in ("_config.yml", *foot.DOWNLOADS, "book/references.bib"):
            shutil.copy(REPOSITORY / name, root / name)
        for folder in ("_ext", "_static"):
            shutil.copytree(REPOSITORY / "book" / folder, root / "book" / folder)
        (root / "book" / "intro.md").write_text("# Intro\n\n$x$\n")
        self.toc(*names)

    def toc(self, *names: str) -> None:
        chapters = "".join(f"  - file: {name}\n" for name in names)
        (self.layout.root / "_toc.yml").write_text(
            f"format: jb-book\nroot: book/intro\nchapters:\n{chapters}"
        )


@pytest.fixture
def tiny(tmp_path: Path) -> TinyBook:
    return TinyBook(tmp_path)


def _local_extension(name: str) -> ModuleType:
    """A local Sphinx extension, which is no package."""
    path = REPOSITORY / "book" / "_ext" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def extension() -> ModuleType:
    return _local_extension("executed_pages")


@pytest.fixture(scope="session")
def glossary_links() -> ModuleType:
    return _local_extension("glossary_links")


@pytest.fixture(scope="session")
def site_files() -> ModuleType:
    return _local_extension("site_files")


@pytest.fixture(scope="session")
def built_book(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """The HTML folder of the real book, quick profile, built by the command that users run.

    LIPSNN_BUILT_BOOK names one that was just built, to test what will be published.
    """
    if built := os.environ.get("LIPSNN_BUILT_BOOK"):
        return Path(built).resolve()
    base = tmp_path_factory.getbasetemp()
    output = (base if worker_id == "master" else base.parent) / "book"
    said = output / "said.json"
    with FileLock(f"{output}.lock"):  # one worker builds, the other waits
        if not said.exists():
            output.mkdir()
            command = [sys.executable, "-m", "book.build", "--reuse", "--output", str(output)]
            done = subprocess.run(
                command, cwd=REPOSITORY, capture_output=True, text=True, timeout=1800, check=False
            )
            said.write_text(json.dumps([done.returncode, done.stdout, done.stderr]))
    code, out, err = json.loads(said.read_text())
    assert code == 0, (out + err)[-6000:]
    html = output / "_build" / "html"
    assert str(html / "index.html") in out.splitlines()[-1]
    return html
