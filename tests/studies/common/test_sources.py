"""Which code a script may use: all that runs, and not the rest of its modules."""

from __future__ import annotations

import ast
import sys
from functools import partial
from pathlib import Path

import pytest

from studies.common import freshness, sources

FILES = {
    "benchmarks/run.py": "import helper\nimport lipsnn\nlipsnn.refine(helper.x)\n",
    "benchmarks/helper.py": "x = 1\nunused = 2\n",
    "lipsnn/__init__.py": "from lipsnn.convex import refine\nfrom lipsnn.net import N\n",
    "lipsnn/net.py": "class N:\n    def f(self):\n        return helper()\ndef helper(): ...\n",
    "lipsnn/convex/__init__.py": "from .entry import refine\nfrom .entry import other\n",
    "lipsnn/convex/entry.py": (
        "from lipsnn import net\nfrom lipsnn.tools import *\n"
        "TABLE = {'a': chosen}\nprint('import')\n"
        "def refine(x: Kind) -> int:\n    from lipsnn import late\n    return late.go(TABLE)\n"
        "def chosen(): return net.N\n"
        "def other(): return 3\n"
        "def star(): return tool()\n"
        "if __name__ == '__main__':\n    other()\n"
    ),
    "lipsnn/late.py": "def go(t): return t\ndef stay(): ...\n",
    "lipsnn/tools.py": "def tool(): ...\n",
    "studies/common/provenance.py": "y = 1\n",
    "notebooks/page.md": (
        "# Title\n\n```{code-cell} python3\n---\nmystnb:\n  figure:\n    caption: it's\n---\n"
        "%matplotlib inline\nfrom lipsnn.late import go\n```\n\n"
        "```{code-cell} python3\n:tags: [a]\n:  alt: it's\n\ngo(1)\n```\n\n"
        "```python\nnot run\n```\n"
    ),
}


def reached(entry: str, **changes: str) -> dict[str, str]:
    files = FILES | {name.replace("__", "/", 1) + ".py": text for name, text in changes.items()}
    return sources.reached([entry], lambda path: files[path].encode() if path in files else None)


def test_names_are_followed_through_re_exports_and_nothing_else_counts() -> None:
    found = reached("benchmarks/run.py")
    assert set(found) == {
        "benchmarks/run.py",
        "benchmarks/helper.py",
        "lipsnn/convex/entry.py",
        "lipsnn/late.py",
        "lipsnn/net.py",
        "lipsnn/tools.py",
    }
    assert found["benchmarks/helper.py"] == "x = 1"
    entry = found["lipsnn/convex/entry.py"]
    for piece in ("def refine(x):", "TABLE", "def chosen", "print('import')"):
        assert piece in entry
    for piece in ("other", "star"):
        assert piece not in entry
    assert "def helper" in found["lipsnn/net.py"]  # by a class that is reached as a whole
    assert "stay" not in found["lipsnn/late.py"]

    assert "def tool" in found["lipsnn/tools.py"]  # by a star


def test_scripts_of_the_package_and_modules_handed_about() -> None:
    found = reached("lipsnn/convex/entry.py")  # as a script: all of it
    assert "other()" in found["lipsnn/convex/entry.py"]
    found = reached("benchmarks/run.py", benchmarks__run="from lipsnn import late\nf(late)\n")
    assert "stay" in found["lipsnn/late.py"]


def test_notebook_is_its_code_cells() -> None:
    found = reached("notebooks/page.md")
    assert found == {"lipsnn/late.py": "def go(t):\n    return t", "notebooks/page.md": "go(1)"}


def test_layout_and_types_do_not_count() -> None:
    text = 'def go(t: int) -> int:  # a comment\n    """Doc."""\n\n    return t\n'
    same = text.replace(": int", "").replace(" -> int", "")
    a, b = (
        reached("benchmarks/run.py", lipsnn__late=one)["lipsnn/late.py"] for one in (text, same)
    )
    assert a == b


def test_every_function_that_a_trial_runs_is_reached() -> None:
    """The real thing: what a profiler sees is among what was found in the text."""
    from studies.paper import grid, trial
    from studies.paper.settings import load_settings

    settings = load_settings("quick") | {"datasets": ["servo"], "trials": 1, "width": 3}
    settings["training"] |= {"epochs": 3}
    settings["admm"] |= {"iterations": 2, "epochs": 1}
    settings["refine"] |= {"rounds": 1, "walk": 1, "tol": 1e-2}
    settings["attack"] |= {"radii": [0.0, 0.1], "steps": 2}
    tasks = grid.tasks("table1", settings)
    ran: set[tuple[str, str]] = set()
    root = freshness.ROOT

    def see(frame, event: str, _: object) -> None:
        path = Path(frame.f_code.co_filename)
        if event == "call" and path.is_relative_to(root / "lipsnn"):
            ran.add((path.relative_to(root).as_posix(), frame.f_code.co_name))

    sys.setprofile(see)
    try:
        for task in tasks:
            trial.run(task)
    finally:
        sys.setprofile(None)
    read = partial(freshness._on_disk, root)
    found = sources.reached(["studies/paper/__main__.py"], read)
    named = {
        (path, node.name)
        for path, code in found.items()
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
    }
    functions = {
        (path, name)
        for path, name in ran
        if not name.startswith("<") and path != "lipsnn/_optional.py"  # imports alone
    }
    assert len(functions) > 100
    assert functions <= named, sorted(functions - named)


@pytest.mark.parametrize("path", sources.BOOKKEEPING)
def test_bookkeeping_exists(path: str) -> None:
    assert (freshness.ROOT / path).is_file()
