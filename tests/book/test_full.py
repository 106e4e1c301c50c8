"""`make full`: only what is not current runs, in order, and after an interruption the rest."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from book import full
from book.layout import REPOSITORY

SCRIPT = """
import json, sys
from pathlib import Path
name, seconds = sys.argv[1], 1
log = Path("log")
log.write_text(log.read_text() + name + "\\n" if log.exists() else name + "\\n")
if Path("broken").exists() and name == "second":
    sys.exit(3)
from studies.common.provenance import write_table
import pandas as pd
write_table(f"results/{name}.csv", pd.DataFrame({"a": [1]}), commit="abc", seconds=seconds,
            sources="studies/common/claims.py")
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "results").mkdir()
    (tmp_path / "script.py").write_text(SCRIPT)
    makers = "".join(
        f'[[maker]]\ncommand = "python script.py {name}"\ntables = ["{table}"]\n'
        for name, table in (
            ("first", "first.csv"),
            ("second", "second.csv"),
            ("book", full.CLAIMS),
        )
    )
    (tmp_path / "results" / "makers.toml").write_text(makers)
    return tmp_path


def test_interrupted_it_goes_on_and_redoes_only_what_is_not_current(root, monkeypatch, capfd):
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))

    def ran() -> list[str]:
        log = root / "log"
        lines = log.read_text().split() if log.exists() else []
        log.unlink(missing_ok=True)
        return lines

    assert full.main(["--dry-run"], root) == 0
    assert ran() == []
    assert "first.csv: not there" in capfd.readouterr().out
    (root / "broken").touch()
    assert full.main([], root) == 1
    assert ran() == ["first", "second"]
    assert "python script.py second failed with 3" in capfd.readouterr().err
    (root / "broken").unlink()
    assert full.main([], root) == 0
    assert ran() == ["second", "book"]
    assert full.main([], root) == 0
    assert ran() == ["book"]  # it keeps by itself what is unchanged
    path = root / "results" / "first.json"
    path.write_text(re.sub(r'("studies/common/claims.py": ")\w', r"\1x", path.read_text()))
    assert full.main([], root) == 0
    assert ran() == ["first", "book"]
    (root / "results" / "second.csv").unlink()
    assert full.main([], root) == 0
    assert ran() == ["second", "book"]


def test_command_that_leaves_its_table_stale_is_an_error(root, monkeypatch, capfd) -> None:
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    (root / "script.py").write_text("")
    assert full.main([], root) == 1
    assert "after python script.py first, first.csv is not there" in capfd.readouterr().err


def test_two_commands_for_one_table_are_refused(root) -> None:
    path = root / "results" / "makers.toml"
    path.write_text(path.read_text().replace("second.csv", "first.csv"))
    with pytest.raises(ValueError, match=r"two commands make first\.csv"):
        full.makers(root)


def test_every_committed_table_has_a_command_and_every_command_its_script() -> None:
    results = REPOSITORY / "results"
    known = {table for maker in full.makers() for table in maker.tables}
    there = {path.relative_to(results).as_posix() for path in results.rglob("*.csv")}
    assert there - known == set(), "say in results/makers.toml which command makes these"
    for maker in full.makers():
        words = maker.command.split()[1:]
        if words[0] == "-m":
            stem = words[1].replace(".", "/")
            paths = [f"{stem}.py", f"{stem}/__main__.py"]
        else:
            paths = [words[0]]
        path = next((REPOSITORY / p for p in paths if (REPOSITORY / p).is_file()), None)
        assert path is not None, maker.command
        # a command of a study is in one of its modules
        files = path.parent.glob("*.py") if path.name == "__main__.py" else [path]
        text = "".join(file.read_text() for file in files)
        if "studies.common.command" in text:  # which has --profile and --output
            text += (REPOSITORY / "studies" / "common" / "command.py").read_text()
        for flag in re.findall(r"--[\w-]+", maker.command):
            assert f'"{flag}"' in text, maker.command


def test_recorded_commands_are_those_of_the_list() -> None:
    """A table whose provenance names its command names the listed one's script."""
    listed = {f"results/{t}": m.command for m in full.makers() for t in m.tables}
    from book.layout import Layout
    from book.pages import read_results

    for name, record in read_results(Layout()).items():
        entry = record.get("sources", {}).get("entry")
        if isinstance(entry, str):
            script = entry.removesuffix(".py")
            if entry.startswith("studies/"):
                script = script.rpartition("/")[0].replace("/", ".")
            assert script in listed[name], name
