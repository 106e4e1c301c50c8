"""pyproject.toml, requirements.lock and environment.yml name the same packages."""

import re
import sys
import tomllib
from pathlib import Path

import yaml
from packaging.requirements import Requirement

import lipsnn

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LOCKED_EXTRAS = ("mosek", "book", "dask", "dev")


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(lines: list[str]) -> dict[str, str]:
    return {canonical(name): version for name, version in (line.split("==") for line in lines)}


def direct() -> dict[str, Requirement]:
    found, extras = [*map(Requirement, PROJECT["dependencies"])], [*LOCKED_EXTRAS]
    for extra in extras:
        for requirement in map(Requirement, PROJECT["optional-dependencies"][extra]):
            if requirement.name == "lipsnn":  # an extra that contains others
                extras += requirement.extras
            else:
                found.append(requirement)
    return {canonical(r.name): r for r in found}


LOCK = pins(
    [x for x in (ROOT / "requirements.lock").read_text().splitlines() if not x.startswith("#")]
)
ENVIRONMENT = yaml.safe_load((ROOT / "environment.yml").read_text())


def test_lock_satisfies_pyproject():
    for name, requirement in direct().items():
        assert requirement.specifier.contains(LOCK[name]), name


def test_environment_takes_its_versions_from_the_lock():
    pip = next(entry["pip"] for entry in ENVIRONMENT["dependencies"] if isinstance(entry, dict))
    assert pip == ["-r requirements.lock", "-e ."]


def test_the_core_is_small():
    core = {canonical(Requirement(entry).name) for entry in PROJECT["dependencies"]}
    small = {"lazy-loader", "threadpoolctl", "python-flint", "tqdm"}
    assert core == {"numpy", "scipy"} | small


def test_the_packages_that_are_fixed_are_there():
    fixed = {"jupyter-book", "jupytext", "papermill", "matplotlib", "seaborn"}
    assert fixed | {"torch", "cvxpy", "mosek", "numpy"} <= set(direct())
    assert LOCK["jupyter-book"].startswith("1.")


def test_extras():
    named = {"torch", "reference", "mosek", "onnx", "studies", "book", "bench", "dask", "dev"}
    assert {*named, "peers", "all"} == set(PROJECT["optional-dependencies"])


def test_python_versions_agree():
    assert Requirement(f"x{PROJECT['requires-python']}").specifier.contains(
        ".".join(map(str, sys.version_info[:3]))
    )
    assert f"python{PROJECT['requires-python']}" in ENVIRONMENT["dependencies"]


def test_citation():
    cff = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert cff["cff-version"] == "1.2.0"
    assert cff["version"] == PROJECT["version"] == lipsnn.__version__
    assert "Lipschitz-regularized" in cff["preferred-citation"]["title"]


def test_public_names_exist_and_are_documented():
    for name in lipsnn.__all__:
        assert getattr(lipsnn, name).__doc__, name
