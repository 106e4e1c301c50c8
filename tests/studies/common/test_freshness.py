"""A result knows when the code that made it has changed, and when only its comments have."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from studies.common import freshness, provenance

FILES = {
    "benchmarks/run.py": "import helper\nimport lipsnn\nlipsnn.refine(helper.x, lipsnn.Net)\n",
    "benchmarks/helper.py": "x = 1\n",
    "lipsnn/__init__.py": "from lipsnn.convex import refine\nfrom lipsnn.network import Net\n",
    "lipsnn/network.py": "class Net:\n    pass\n",
    "lipsnn/convex/__init__.py": "from lipsnn.convex.refine import refine\n",
    "lipsnn/convex/refine.py": 'def refine():\n    """Doc."""\n    return 1\n',
    "lipsnn/plot.py": "y = 1\n",
    "settings.toml": "width = 3\n",
}


def reader(**changes: str):
    files = FILES | {name.replace("__", "/", 1) + ".py": text for name, text in changes.items()}
    return lambda path: files[path].encode() if path in files else None


@pytest.fixture
def record() -> dict:
    files = freshness.hashes("benchmarks/run.py", ["settings.toml"], reader())
    return {
        "settings": "settings.toml",
        "sources": {"entry": "benchmarks/run.py", "files": files},
    }


def test_sources_are_all_that_the_script_may_use_and_no_more(record) -> None:
    without = {"lipsnn/plot.py", "lipsnn/__init__.py", "lipsnn/convex/__init__.py"}
    assert set(record["sources"]["files"]) == set(FILES) - without


def test_tables_that_a_result_reads_count_too() -> None:
    record = {"reads": ["a.csv"], "sources": {"entry": ["x.py"], "files": {"a.csv": "0" * 16}}}
    assert freshness.changed(record, lambda path: b"1\n" if path == "a.csv" else None) == ["a.csv"]


def test_comments_docstrings_and_layout_do_not_count(record) -> None:
    same = reader(lipsnn__network='class Net:  # a comment\n\n    """Doc."""\n')
    assert freshness.changed(record, same) == []
    shown = '    def __repr__(self):\n        return "Net"\n'
    same = reader(lipsnn__network=f'class Net:\n    """Doc."""\n\n{shown}')
    assert freshness.changed(record, same) == []


def test_changed_code_and_settings_are_named(record) -> None:
    assert freshness.changed(record, reader(lipsnn__network="class Net:\n    z = 1\n")) == [
        "lipsnn/network.py"
    ]
    assert freshness.changed(record, reader(lipsnn__plot="y = 2\n")) == []

    def other(path: str) -> bytes | None:
        return b"width = 4\n" if path == "settings.toml" else reader()(path)

    assert freshness.changed(record, other) == ["settings.toml"]
    without = {**record, "sources": {}}
    assert freshness.changed(without) is None
    assert freshness.verdict(without) == "sources not recorded"


def test_written_table_is_current_until_its_sources_change(tmp_path, capsys) -> None:
    path = tmp_path / "x.csv"
    provenance.write_table(
        path,
        pd.DataFrame({"a": [1]}),
        commit="abc",
        seconds=0.0,
        sources="studies/paper/__main__.py",
    )
    record = json.loads(path.with_suffix(".json").read_text())
    assert {"lipsnn/network.py", "studies/paper/__main__.py"} <= set(record["sources"]["files"])
    assert freshness.main([str(path)]) == 0
    record["sources"]["files"]["lipsnn/network.py"] = "0" * 16
    path.with_suffix(".json").write_text(json.dumps(record))
    assert freshness.main([str(path)]) == 1
    assert "older than lipsnn/network.py" in capsys.readouterr().out
    assert freshness.main([str(tmp_path / "none.csv")]) == 1
