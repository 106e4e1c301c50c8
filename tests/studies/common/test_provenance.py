import json
import platform

import pandas as pd
import pytest

from studies.common import provenance


def test_a_table_is_written_with_what_it_was_made_with(tmp_path):
    table = pd.DataFrame({"model": ["joint", "a, b"], "bound": [0.1 + 0.2, 1e-300]})
    path = tmp_path / "results" / "full" / "bounds.csv"
    provenance.write_table(path, table, commit="abc", seconds=1.26, solver="SCS", sizes=[1, 2])
    pd.testing.assert_frame_equal(pd.read_csv(path), table)
    record = json.loads(path.with_suffix(".json").read_text())
    assert (record["table"], record["rows"]) == ("bounds.csv", 2)
    assert (record["commit"], record["seconds"]) == ("abc", 1.3)
    assert (record["solver"], record["sizes"]) == ("SCS", [1, 2])
    assert {"python", "lipsnn", "numpy"} <= set(record["versions"])
    assert record["machine"]["cores"] >= 1
    assert platform.node() not in record["machine"].values()
    assert sorted(p.name for p in path.parent.iterdir()) == ["bounds.csv", "bounds.json"]


def test_a_result_is_a_csv(tmp_path):
    with pytest.raises(ValueError, match=r"\.csv"):
        provenance.write_table(tmp_path / "x.txt", pd.DataFrame(), commit="abc", seconds=0.0)


def test_packages_that_are_not_installed_are_left_out():
    found = provenance.versions("pytest", "no-such-package-of-anyone")
    assert found["pytest"] == pytest.__version__
    assert "no-such-package-of-anyone" not in found


def test_commit_of_a_folder_outside_git(tmp_path):
    assert provenance.commit(tmp_path) == "unknown"
