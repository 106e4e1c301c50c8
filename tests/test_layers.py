"""A module may import only from rooms before its own: the order in which data flows."""

import ast
from pathlib import Path

import pytest

import lipsnn

ORDER = [
    "_checks",
    "sources",
    "freshness",
    "provenance",
    "activations",
    "network",
    "images",
    "datasets",
    "solvers",
    "certificate",
    "verify",
    "attack",
    "autograd",
    "train",
    "convex",
    "experiments",
    "claims",
    "plot",
]
ROOT = Path(lipsnn.__file__).parent
MODULES = sorted(path for path in ROOT.rglob("*.py") if path != ROOT / "__init__.py")


# what a network is made of and from, one room: the types know how to convert
NETWORK = ("shallow", "network", "convert")


def room(parts: tuple[str, ...]) -> str:
    name = parts[0].removesuffix(".py")
    return "network" if name in NETWORK else name


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_backwards(path):
    here = room(path.relative_to(ROOT).parts)
    assert here in ORDER, f"say in ORDER where {here} stands"
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("lipsnn"):
            names = node.module.split(".")[1:] or [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [a.name.split(".")[1] for a in node.names if a.name.startswith("lipsnn.")]
        else:
            continue
        for name in names[:1]:
            assert ORDER.index(room((name,))) <= ORDER.index(here), f"{here} imports {name}"
