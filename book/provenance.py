"""What a result was made with: versions, commit, solver, and a digest of all inputs."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import json
import platform
import subprocess
from pathlib import Path
from typing import Any

from book.layout import Layout

PACKAGES = (
    "lipsnn",
    "numpy",
    "scipy",
    "torch",
    "cvxpy",
    "clarabel",
    "mosek",
    "papermill",
    "jupyter-book",
)


@functools.cache
def versions() -> dict[str, str]:
    """Version of Python and of each package that a result depends on; absent ones left out."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def commit(root: Path) -> str:
    """The commit checked out in `root`, "+dirty" if files differ from it, or "unknown"."""

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        return git("rev-parse", "--short=12", "HEAD") + (
            "+dirty" if git("status", "--porcelain") else ""
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


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
    for folder in ("lipsnn", "results"):
        paths = (layout.root / folder).rglob("*")
        inputs += sorted(p for p in paths if p.is_file() and "__pycache__" not in p.parts)
    for path in inputs:
        state.update(layout.relative(path).encode() + b"\0" + path.read_bytes() + b"\0")
    return state.hexdigest()
