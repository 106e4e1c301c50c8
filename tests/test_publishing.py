"""The publishing workflows, dry: their steps on a repository of this machine, and their form."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def git(*arguments: str, cwd: Path) -> str:
    identity = ["-c", "user.name=test", "-c", "user.email=test@localhost"]
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=cwd, check=True, capture_output=True, text=True
    )
    return done.stdout


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A clone with one commit, a built book, an executed notebook and a remote to publish to."""
    if shutil.which("git") is None:
        pytest.skip("git is needed")
    git("init", "--quiet", "--bare", str(tmp_path / "remote"), cwd=tmp_path)
    clone = tmp_path / "clone"
    git("init", "--quiet", "-b", "main", str(clone), cwd=tmp_path)
    git("remote", "add", "origin", str(tmp_path / "remote"), cwd=clone)
    (clone / ".gitignore").write_text("_build/\nbook/executed/\n")
    (clone / "code.py").write_text("x = 1\n")
    git("add", ".", cwd=clone)
    git("commit", "--quiet", "-m", "first", cwd=clone)
    for path in ("_build/html/index.html", "_build/html/404.html", "book/executed/one.ipynb"):
        (clone / path).parent.mkdir(parents=True, exist_ok=True)
        (clone / path).write_text(path)
    return clone


def test_executed_notebooks_are_published_beside_their_sources(repository: Path) -> None:
    script = str(ROOT / "tools" / "publish_executed.sh")
    subprocess.run(["bash", script, "v1.0.0"], cwd=repository, check=True, capture_output=True)
    remote = repository.parent / "remote"
    files = git("ls-tree", "-r", "--name-only", "v1.0.0-executed", cwd=remote).split()
    assert files == [".gitignore", "book/executed/one.ipynb", "book/results", "code.py"]
    # tables are found from there as from notebooks/
    assert git("show", "v1.0.0-executed:book/results", cwd=remote) == "../results"
    assert git("status", "--porcelain", cwd=repository) == ""  # nothing here has changed


def test_each_version_has_its_path_and_the_door_leads_to_the_newest(repository: Path) -> None:
    script = str(ROOT / "tools" / "publish_pages.py")
    for version in ("v1.2.0", "v1.10.0", "v1.9.0"):
        (repository / "_build/html/index.html").write_text(version)
        (repository / "_build/html/lipsnn.pdf").write_text(version)
        command = [sys.executable, script, "_build/html", version, "--site", f"../site-{version}"]
        subprocess.run(command, cwd=repository, check=True, capture_output=True)
    remote = repository.parent / "remote"

    def show(path: str) -> str:
        return git("show", f"gh-pages:{path}", cwd=remote)

    assert [show(f"{v}/index.html") for v in ("v1.2.0", "v1.9.0")] == ["v1.2.0", "v1.9.0"]
    assert 'url=v1.10.0/index.html"' in show("index.html")
    assert '<a href="v1.10.0/lipsnn.pdf">' in show("index.html")
    assert show("404.html")
    assert "code.py" not in git("ls-tree", "--name-only", "gh-pages", cwd=remote)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_name_what_exists(path: Path) -> None:
    text = path.read_text(encoding="utf8")
    workflow = yaml.safe_load(text)
    assert workflow["permissions"]
    for job in workflow["jobs"].values():
        assert job["timeout-minutes"] <= 120
    for name in re.findall(r"(?:tools|tests|\.ci)/[\w./]*\w", text):
        assert (ROOT / name).exists(), name
    for module in re.findall(r"-m (book\.\w+)", text):
        assert (ROOT / f"{module.replace('.', '/')}.py").exists(), module
    for target in re.findall(r"\bmake ([.\w]+)", text):
        if target not in ("lint",):
            assert re.search(rf"^{re.escape(target)}:", (ROOT / "Makefile").read_text(), re.M)


def test_link_check_reads_the_links_that_lead_out(tmp_path: Path, monkeypatch, capsys) -> None:
    from book import linkcheck

    (tmp_path / "index.html").write_text(
        '<a href="https://a.org/x?a=1&amp;b=2#part">a</a> <a class="c" href="page.html">p</a>'
        '<a href="https://b.org/">b</a><link href="https://c.org/">'
    )
    assert list(linkcheck.outward(tmp_path)) == ["https://a.org/x?a=1&b=2", "https://b.org/"]
    monkeypatch.setattr(linkcheck, "problem", lambda a: "404 Not Found" if "b.org" in a else None)
    assert linkcheck.main([str(tmp_path)]) == 1
    assert "index.html: https://b.org/: 404 Not Found" in capsys.readouterr().err
    assert linkcheck.main([str(tmp_path / "none")]) == 2
