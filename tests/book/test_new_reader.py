"""The book tried as a new reader would, on a fresh copy: re-run pages, refine a net, cite."""

from __future__ import annotations

import html
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from book.layout import REPOSITORY

pytestmark = [pytest.mark.book]

# pages, and the parameters that they are run again with
PAGES = {
    "network-and-rescaling": "-p width 5 -p seed 4",
    "coupled-multipliers": "-p claimed 0.02",
    "certificate-benchmark": "-p live_dim 4",  # reads a committed table
    "your-own-network": "-p width 12",  # every snippet of it
}
LISTING = re.compile(r"```python\n(.*?)```", re.DOTALL)


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory, built_book: Path) -> Path:
    """What git keeps, and the executed notebooks as the pages offer them for download."""
    target = tmp_path_factory.mktemp("clone")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "README.md", "book", "lipsnn", "notebooks", "results", "studies"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    if not listed:
        pytest.skip("not in a git repository")
    for name in filter(None, listed.split("\0")):
        if (REPOSITORY / name).exists():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(REPOSITORY / name, target / name)
    shutil.copytree(built_book / "_sources" / "book" / "executed", target / "book" / "executed")
    return target


def run(clone: Path, *words: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(clone), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *words],
        cwd=clone,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def papermill_line() -> list[str]:
    """The line of "How to reproduce" for an executed notebook, without the program."""
    text = (REPOSITORY / "book" / "reproduce.md").read_text(encoding="utf8")
    (line,) = re.findall(r"^\.venv/bin/papermill (.*\bbook/executed/.*)$", text, re.MULTILINE)
    return shlex.split(line)


@pytest.mark.parametrize("page", PAGES)
def test_page_runs_again_with_other_parameters(clone: Path, page: str) -> None:
    line = papermill_line()
    source = next(word for word in line if word.endswith("first-light.ipynb"))
    assert (clone / source).is_file()
    words = [*line[: line.index(source)], f"book/executed/{page}.ipynb", f"{page}.out.ipynb"]
    given = shlex.split(PAGES[page])
    run(clone, "-m", "papermill", *words, *given)
    notebook = nbformat.read(clone / f"{page}.out.ipynb", as_version=4)
    injected = next(
        cell for cell in notebook.cells if "injected-parameters" in cell.metadata.get("tags", [])
    )
    for name, value in zip(given[1::3], given[2::3], strict=True):
        assert f"{name} = {value}\n" in injected.source + "\n"
    outputs = [o for cell in notebook.cells for o in cell.get("outputs", [])]
    assert not any(output.output_type == "error" for output in outputs)
    assert "There is no committed table" not in str(outputs)


def test_own_network_by_the_listing_of_the_readme(clone: Path) -> None:
    (listing,) = LISTING.findall((clone / "README.md").read_text(encoding="utf8"))
    load = 'data = lipsnn.load_dataset("servo")'
    width = "Linear(4, 50)"
    assert load in listing
    assert width in listing
    own = (
        "import types, numpy as np; rng = np.random.default_rng(0);"
        " inputs = rng.normal(size=(40, 3));"
        " data = types.SimpleNamespace(X_train=inputs, y_train=np.sin(inputs).sum(axis=1))"
    )
    script = listing.replace(load, own).replace(width, "Linear(3, 50)")
    script = script.replace("print(lipsnn.refine(", "print(result := lipsnn.refine(") + (
        "\nbetter = result.net.to_torch()\nassert better(X).shape == y.shape\n"
        "print(lipsnn.certify(better).bound)\n"
    )
    out = run(clone, "-c", script)
    before, after = map(float, re.search(r"objective ([\d.]+) -> ([\d.]+)", out).groups())
    assert after < before
    bound = float(re.search(r"bound L +[\d.]+ -> ([\d.]+)", out)[1])
    assert float(out.splitlines()[-1]) == pytest.approx(bound, abs=0.01)


def test_own_network_by_the_shell_lines_of_the_readme(clone: Path) -> None:
    make = (
        "import numpy as np, torch; torch.manual_seed(0);"
        " X = np.random.default_rng(0).normal(size=(40, 3));"
        " table = np.column_stack([X, np.sin(X).sum(axis=1)]);"
        " np.savetxt('train.csv', table, delimiter=',', header='a,b,c,price', comments='');"
        " layers = torch.nn.Linear(3, 10), torch.nn.ReLU(), torch.nn.Linear(10, 1);"
        " torch.save(torch.nn.Sequential(*layers).state_dict(), 'net.pt')"
    )
    run(clone, "-c", make)
    text = (clone / "README.md").read_text(encoding="utf8")
    lines = re.findall(r"^lipsnn (.*)$", text, re.MULTILINE)
    assert [line.split()[0] for line in lines] == ["certify", "verify", "refine"]
    certified, proved, refined = (run(clone, "-m", "lipsnn", *shlex.split(line)) for line in lines)
    assert "bound" in certified
    assert "proved" in proved
    found = re.findall(r"^objective(?: before)? +([\d.]+)", refined, re.MULTILINE)
    before, after = map(float, found)
    assert after < before
    assert (clone / "better.pt").is_file()


def test_own_network_of_scikit_learn(clone: Path) -> None:
    script = (
        "import numpy as np, lipsnn; from sklearn.neural_network import MLPRegressor;"
        " X = np.random.default_rng(0).normal(size=(40, 3)); y = np.sin(X).sum(axis=1);"
        " mlp = MLPRegressor(hidden_layer_sizes=(10,), solver='lbfgs', max_iter=100);"
        " mlp = mlp.set_params(random_state=0).fit(X, y);"
        " result = lipsnn.refine(mlp, X, y, strength=1.0);"
        " print(result.initial_objective, result.objective);"
        " print(result.certificate.verify() <= lipsnn.certify(mlp).bound)"
    )
    before, after, smaller = run(clone, "-W", "ignore", "-c", script).split()
    assert float(after) < float(before)
    assert smaller == "True"


def test_page_can_be_cited(built_book: Path) -> None:
    from pybtex.database import parse_string

    page = (built_book / "book" / "executed" / "first-light.html").read_text(encoding="utf8")
    box = page[page.index('class="cite-box"') :]
    entries = [html.unescape(text) for text in re.findall(r"<pre>(@.*?)</pre>", box, re.DOTALL)]
    parsed = parse_string("\n".join(re.sub("<[^>]*>", "", entry) for entry in entries), "bibtex")
    assert len(parsed.entries) == 3
    own = parsed.entries["lipsnn-first-light"]
    assert "First light" in own.fields["title"]
    assert re.fullmatch(r"20\d\d", own.fields["year"])
    assert own.persons["author"]
