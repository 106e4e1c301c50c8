"""What a page was made with: versions, solver, and a digest of all inputs."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from book.layout import Layout
from studies.common import provenance

# What the book's own output depends on, besides what any result does.
_BOOK = ("papermill", "jupyter-book")
# Written from executed notebooks, never read by one.
_OWN_RESULTS = ("results/full/claims.csv", "results/full/claims.json")


def versions() -> dict[str, str]:
    """Version of Python and of each package that a page depends on; absent ones left out."""
    return provenance.versions(*_BOOK)


def solver(parameters: dict[str, Any]) -> str:
    """The solver of a notebook: its parameter `solver` if that names one, else lipsnn's choice."""
    if named := parameters.get("solver"):
        return str(named).upper()
    from lipsnn.solvers import default_solver

    return default_solver()


def digest(layout: Layout, source: Path, parameters: dict[str, Any]) -> str:
    """A hash of all that an executed notebook depends on: to know whether it is stale."""
    state = hashlib.sha256()
    state.update(json.dumps([parameters, versions()], sort_keys=True, default=str).encode())
    inputs = [source]
    for folder in ("lipsnn", "studies", "results"):
        paths = (layout.root / folder).rglob("*")
        inputs += sorted(p for p in paths if p.is_file() and "__pycache__" not in p.parts)
    for path in inputs:
        if layout.relative(path) in _OWN_RESULTS:
            continue
        state.update(layout.relative(path).encode() + b"\0" + path.read_bytes() + b"\0")
    return state.hexdigest()
