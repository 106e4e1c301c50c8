"""papermill reads the sources of the notebooks: `papermill notebooks/first-light.md out.ipynb`.

Registered for paths that begin with ``notebooks/`` by the entry point ``papermill.io`` of the
package; papermill itself reads JSON only.
"""

from __future__ import annotations

from pathlib import Path


class Sources:
    """Where papermill reads a notebook's Jupytext source."""

    def read(self, path: str) -> str:
        """The notebook as JSON."""
        text = Path(path).read_text(encoding="utf8")
        if not path.endswith(".md"):
            return text
        import jupytext
        import nbformat

        found: str = nbformat.writes(jupytext.reads(text, fmt="md:myst"))
        return found

    def listdir(self, path: str) -> list[str]:
        """The files of a folder."""
        return sorted(str(found) for found in Path(path).iterdir())

    def write(self, buf: str, path: str) -> None:
        """Keep an executed notebook, never in the place of a source."""
        if path.endswith(".md"):
            raise ValueError(f"{path} is a source: give an output that ends in .ipynb")
        Path(path).write_text(buf, encoding="utf8")

    def pretty_path(self, path: str) -> str:
        """The path in messages."""
        return path
