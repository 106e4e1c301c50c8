"""Put a built book on the branch gh-pages, under its version: what was there stays.

`publish_pages.py _build/html v1.2.3 --site pages` works in the folder `pages`, a worktree of the
branch that it makes, and pushes. The newest version gets the site's front door and its 404 page.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
from pathlib import Path

BRANCH = "gh-pages"
DOOR = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>lipsnn</title>
<link rel="icon" href="data:,">
<meta http-equiv="refresh" content="0; url={newest}/index.html">
</head>
<body>
<main>
<p>The newest version: <a href="{newest}/index.html">{newest}</a>{pdf}. All versions:</p>
<ul>
{items}
</ul>
</main>
</body>
</html>
"""


def order(version: str) -> tuple[int, ...]:
    """Version vX.Y.Z as numbers, to sort by."""
    return tuple(int(part) for part in version.removeprefix("v").split("."))


def place(book: Path, version: str, site: Path) -> None:
    """Copy the book into `site`/`version`, and write the door to the newest one."""
    target = site / version
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(book, target)
    versions = sorted((p.name for p in site.glob("v*") if p.is_dir()), key=order, reverse=True)
    items = "\n".join(f'<li><a href="{v}/index.html">{v}</a></li>' for v in versions)
    printed = site / versions[0] / "lipsnn.pdf"
    pdf = f' (<a href="{versions[0]}/{printed.name}">PDF</a>)' if printed.exists() else ""
    door = DOOR.format(newest=versions[0], pdf=pdf, items=items)
    (site / "index.html").write_text(door, encoding="utf8")
    shutil.copy(site / versions[0] / "404.html", site / "404.html")
    (site / ".nojekyll").touch()


def git(*arguments: str, cwd: Path, check: bool = True) -> int:
    return subprocess.run(["git", *arguments], cwd=cwd, check=check).returncode


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("book", type=Path)
    parser.add_argument("version")
    parser.add_argument("--site", type=Path, required=True, help="a folder that does not exist")
    parser.add_argument("--remote", default="origin")
    options = parser.parse_args()
    order(options.version)  # an odd one fails here, before anything is touched
    here, site = Path.cwd(), options.site.resolve()
    if git("fetch", "--depth=1", options.remote, BRANCH, cwd=here, check=False) == 0:
        git("worktree", "add", "--detach", str(site), "FETCH_HEAD", cwd=here)
    else:  # the first time
        git("worktree", "add", "--detach", str(site), cwd=here)
        git("checkout", "--quiet", "--orphan", BRANCH, cwd=site)
        git("rm", "-r", "--quiet", "--force", ".", cwd=site)
    place(options.book.resolve(), options.version, site)
    git("add", "--all", ".", cwd=site)
    identity = ["-c", "user.name=publish", "-c", "user.email=publish@localhost"]
    git(*identity, "commit", "--quiet", "-m", f"Book {options.version}", cwd=site)
    git("push", options.remote, f"HEAD:refs/heads/{BRANCH}", cwd=site)


if __name__ == "__main__":
    main()
