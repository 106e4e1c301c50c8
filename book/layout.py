"""Where everything of the book lies, below one root."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import yaml

REPOSITORY = Path(__file__).resolve().parent.parent
_EXECUTED = "book/executed/"


@dataclass(frozen=True)
class Layout:
    """The folders of a book whose `_config.yml` lies in `root`."""

    root: Path = REPOSITORY

    @property
    def notebooks(self) -> Path:
        """The sources, Jupytext MyST."""
        return self.root / "notebooks"

    @property
    def executed(self) -> Path:
        """Their executed twins, and the logs of those that failed; never in git."""
        return self.root / "book" / "executed"

    @property
    def generated(self) -> Path:
        """Pages and pictures made from code and data; never in git."""
        return self.root / "book" / "generated"

    @property
    def profiles(self) -> Path:
        return self.root / "book" / "profiles"

    def sources(self) -> list[Path]:
        """All notebook sources, by name."""
        return sorted(self.notebooks.glob("*.md"))

    def twin(self, source: Path) -> Path:
        """Where the executed notebook of `source` belongs."""
        return self.executed / f"{source.stem}.ipynb"

    def log(self, source: Path) -> Path:
        """Where the traceback of a failed run of `source` belongs."""
        return self.executed / f"{source.stem}.log"

    def relative(self, path: Path) -> str:
        """`path` as written below the root, with forward slashes."""
        path = path.resolve()
        root = self.root.resolve()
        return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)

    def pages(self) -> list[str]:
        """Every page in `_toc.yml`, by its path without suffix."""
        toc = yaml.safe_load((self.root / "_toc.yml").read_text(encoding="utf8"))
        names = [toc["root"], *_files(toc)]
        return [name.removesuffix(".md").removesuffix(".ipynb") for name in names]

    def executed_pages(self) -> list[str]:
        """The notebooks in `_toc.yml`, by the stem of their file, in reading order."""
        pages = self.pages()
        return [name.removeprefix(_EXECUTED) for name in pages if name.startswith(_EXECUTED)]

    def check_toc(self) -> None:
        """Every notebook has its page in `_toc.yml`, and every such page its notebook.

        Raises
        ------
        ValueError
            Naming the notebooks that are in one place only.
        """
        listed = set(self.executed_pages())
        present = {source.stem for source in self.sources()}
        if missing := sorted(present - listed):
            lines = ", ".join(f"`- file: {_EXECUTED}{stem}`" for stem in missing)
            raise ValueError(f"these notebooks have no page: add {lines} to _toc.yml")
        if orphans := sorted(listed - present):
            names = ", ".join(f"notebooks/{stem}.md" for stem in orphans)
            raise ValueError(f"_toc.yml lists pages whose notebook does not exist: {names}")


def _files(node: object) -> list[str]:
    """All values of `file` keys in a table of contents."""
    if isinstance(node, list):
        return [name for item in node for name in _files(item)]
    if isinstance(node, dict):
        own = [str(node["file"])] if "file" in node else []
        return own + [name for value in node.values() for name in _files(value)]
    return []
