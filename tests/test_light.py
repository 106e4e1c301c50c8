"""`import lipsnn` is light, and the core alone certifies, verifies and refines."""

import ast
import importlib
import pkgutil
import subprocess
import sys
import venv
from pathlib import Path

import numpy as np
import pytest

import lipsnn
from lipsnn import _optional

ROOT = Path(__file__).resolve().parent.parent
HEAVY = ("cvxpy", "joblib", "matplotlib", "onnx", "pandas", "pyarrow", "sklearn", "torch", "tqdm")
# Modules whose classes are torch's own.
TORCH = ("lipsnn.autograd", "lipsnn.convert.torch", "lipsnn.convert.tracked", "lipsnn.torch")

# With arrays alone; prints the proved bound.
CORE = """
import sys, numpy as np, lipsnn
rng = np.random.default_rng(0)
X = rng.standard_normal((60, 3))
y = np.sin(X[:, 0]) + X[:, 1]
net = lipsnn.ShallowNet(rng.standard_normal((8, 4)), rng.standard_normal(8))
certificate = lipsnn.certify(net)
certificate.to_json(sys.argv[1])
assert certificate.verify() <= certificate.bound * (1 + 1e-8)
result = lipsnn.refine(net, X, y, 0.1, method="joint")
assert result.status == "optimal" and result.objective < result.initial_objective
assert lipsnn.load_dataset("servo").X_train.shape == (150, 4)
"""


def run(code: str, *arguments: str, python: str = sys.executable, cwd: Path = ROOT) -> str:
    command = [python, "-c", code, *arguments]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def loaded(statement: str, *arguments: str) -> set[str]:
    """Which packages a fresh interpreter has loaded after `statement`."""
    code = f"{statement}\nimport sys; print('\\n'.join(sys.modules))"
    return {name.split(".")[0] for name in run(code, *arguments).splitlines()}


@pytest.mark.parametrize(
    "statement",
    [
        "import lipsnn",
        "from lipsnn import *; import lipsnn.train",
        "import lipsnn; lipsnn.refine; lipsnn.certify(lipsnn.ShallowNet([[1, 2]], [1]))",
    ],
)
def test_imports_are_light(statement):
    assert not loaded(statement) & {*HEAVY, "flint"}


def test_verify_needs_no_solver(tmp_path):
    net = lipsnn.ShallowNet(np.arange(12.0).reshape(3, 4), [1.0, -2.0, 0.5])
    path = tmp_path / "certificate.json"
    lipsnn.certify(net).to_json(path)
    for main in ("lipsnn.verify import main; main(", "lipsnn.cli import main; main(['verify'] + "):
        modules = loaded(f"import sys; from {main}sys.argv[1:])", str(path))
        assert not modules & set(HEAVY)
        assert "flint" in modules


def test_every_module_is_light_but_those_of_torch():
    names = [
        module.name
        for module in pkgutil.walk_packages(lipsnn.__path__, "lipsnn.")
        if module.name not in (*TORCH, "lipsnn.__main__")
    ]
    assert len(names) > 50
    assert not loaded("\n".join(f"import {name}" for name in names)) & {*HEAVY, "flint"}


def test_stub_and_runtime_name_the_same():
    stub = ast.parse(Path(lipsnn.__file__).with_suffix(".pyi").read_text())
    (names,) = [
        ast.literal_eval(node.value)
        for node in stub.body
        if isinstance(node, ast.Assign) and node.targets[0].id == "__all__"
    ]
    assert sorted(names) == sorted(lipsnn.__all__)
    submodules = {module.name for module in pkgutil.iter_modules(lipsnn.__path__)}
    for name in submodules - {"cli"}:
        if not name.startswith("_"):
            assert getattr(lipsnn, name) is importlib.import_module(f"lipsnn.{name}")


def test_a_missing_package_is_one_line_that_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "cvxpy", None)
    with pytest.raises(ModuleNotFoundError) as raised:
        lipsnn.certify(lipsnn.ShallowNet([[1.0, 2.0]], [1.0]), method="lmi")
    assert str(raised.value) == (
        'cvxpy is not installed, and is needed here: pip install "lipsnn[reference]"'
    )
    assert hasattr(_optional.torch, "nn")
    assert not hasattr(_optional.torch, "no_such_name")


def test_core_alone_in_a_fresh_environment(tmp_path):
    venv.create(tmp_path / "venv", with_pip=True)
    python = str(tmp_path / "venv" / "bin" / "python")
    install = [python, "-m", "pip", "install", "--quiet", str(ROOT)]
    done = subprocess.run(install, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    certificate = str(tmp_path / "certificate.json")
    run(CORE, certificate, python=python, cwd=tmp_path)
    command = [str(tmp_path / "venv" / "bin" / "lipsnn"), "verify", certificate]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("proved")
    installed = run(
        "import importlib.metadata as m; print([d.name for d in m.distributions()])",
        python=python,
        cwd=tmp_path,
    )
    assert not [name for name in HEAVY if name != "tqdm" and f"'{name}'" in installed]
