"""Resolve pyproject.toml in a fresh environment and write requirements.lock and environment.yml.

Run by `make lock`. torch is installed first, by the pin below, because other packages would
otherwise pull the newest one.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TORCH = "torch==2.13.0"
EXTRAS = ("mosek", "book", "dask", "dev")


def canonical(name: str) -> str:
    """A distribution's name in the one spelling that the indexes compare."""
    return re.sub(r"[-_.]+", "-", name).lower()


def direct_packages() -> list[str]:
    """Names that pyproject.toml asks for, in the package itself and the locked extras."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    listed = [*project["dependencies"]]
    for extra in EXTRAS:
        listed += project["optional-dependencies"][extra]
    return sorted({canonical(re.split(r"[\[<>=!~; ]", entry)[0]) for entry in listed})


def frozen() -> dict[str, str]:
    """Exact versions of a fresh resolution, torch's own machine-dependent packages left out."""
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        python = str(Path(folder) / "bin" / "python")
        pip = [python, "-m", "pip", "--disable-pip-version-check", "--quiet"]
        subprocess.run([*pip, "install", TORCH], check=True)
        extras = ",".join(EXTRAS)
        subprocess.run([*pip, "install", f"{ROOT}[{extras}]", TORCH], check=True)
        listing = subprocess.run([*pip, "freeze"], check=True, capture_output=True, text=True)
    pairs = (line.split("==") for line in listing.stdout.splitlines() if "==" in line)
    return {
        canonical(name): version.split("+")[0]
        for name, version in pairs
        if not canonical(name).startswith(("nvidia-", "cuda-", "triton"))
    }


def main() -> None:
    versions = frozen()
    lock = "".join(f"{name}=={version}\n" for name, version in sorted(versions.items()))
    note = "# Written by `make lock` with Python {}.{}: do not edit.\n".format(*sys.version_info)
    (ROOT / "requirements.lock").write_text(note + lock)
    pins = "".join(f"      - {name}=={versions[name]}\n" for name in direct_packages())
    (ROOT / "environment.yml").write_text(
        f"{note}name: lipsnn\nchannels:\n  - conda-forge\ndependencies:\n"
        f"  - python>=3.11\n  - pip\n  - pip:\n{pins}      - -e .\n"
    )


if __name__ == "__main__":
    main()
