"""What may import what is kept by import-linter: its contracts are in pyproject.toml."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LINT = Path(sys.executable).with_name("lint-imports")


def lint(folder: Path) -> subprocess.CompletedProcess:
    command = [str(LINT), "--no-cache", "--config", str(ROOT / "pyproject.toml")]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_imports_keep_to_their_contracts():
    done = lint(ROOT)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr


def test_a_forbidden_import_is_seen(tmp_path):
    for package in ("lipsnn", "studies", "book"):
        (tmp_path / package).symlink_to(ROOT / package)
    (tmp_path / "lipsnn").unlink()
    (tmp_path / "lipsnn").mkdir()
    for path in (ROOT / "lipsnn").iterdir():
        if path.name != "verify.py":
            (tmp_path / "lipsnn" / path.name).symlink_to(path)
    (tmp_path / "lipsnn" / "verify.py").write_text("import studies.common.style\n")
    done = lint(tmp_path)
    assert done.returncode == 1
    assert "lipsnn.verify -> studies.common.style" in done.stdout
