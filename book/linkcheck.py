"""`python -m book.linkcheck`: follow every link that leads out of the built book."""

from __future__ import annotations

import re
import sys
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from html import unescape
from pathlib import Path

from book.layout import REPOSITORY

_AGENT = "Mozilla/5.0 (link check of a book)"
# Answers of hosts that refuse programs, or ask to wait: no sign of a broken link.
_PATIENT = {401, 403, 405, 429}


def outward(book: Path) -> dict[str, str]:
    """Every address that a page links to, with the page that does."""
    found: dict[str, str] = {}
    for path in sorted(book.rglob("*.html")):
        if "_static" not in path.parts:
            for link in re.findall(r'<a [^>]*?href="(https?://[^"#]+)', path.read_text("utf8")):
                found.setdefault(unescape(link), path.relative_to(book).as_posix())
    return found


def problem(address: str) -> str | None:
    """Why an address cannot be read; None if it can, or its host only dislikes programs."""
    request = urllib.request.Request(address, headers={"User-Agent": _AGENT})
    try:
        with urllib.request.urlopen(request, timeout=30):
            return None
    except urllib.error.HTTPError as error:
        return None if error.code in _PATIENT else f"{error.code} {error.reason}"
    except OSError as error:
        return str(error)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; the exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    book = Path(given[0]) if given else REPOSITORY / "_build" / "html"
    if not (book / "index.html").is_file():
        print(f"error: no book in {book}: run make book first", file=sys.stderr)
        return 2
    links = outward(book)
    with ThreadPoolExecutor(8) as pool:
        problems = dict(zip(links, pool.map(problem, links), strict=True))
    for address, why in problems.items():
        if why:
            print(f"{links[address]}: {address}: {why}", file=sys.stderr)
    broken = sum(why is not None for why in problems.values())
    print(f"{len(links)} links, {broken} broken")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
