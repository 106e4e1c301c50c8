"""The foot of every page: what it was made with, how to run, take along and cite it."""

from __future__ import annotations

import html
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from book import citation as cite

# Copied beside the pages, and offered for download at their foot.
DOWNLOADS = ("environment.yml", "requirements.lock", "CITATION.cff")
FOLDER = "_downloads"
_NO_REPOSITORY = (
    "not from here: links to Colab, Binder, the source and an issue need the address of the "
    "repository, <code>python -m book.build --repository URL</code>"
)


@dataclass(frozen=True)
class Site:
    """Where the book is published, as far as it is known; by default nowhere.

    Attributes
    ----------
    repository : str
        Its address, such as https://github.com/OWNER/NAME.
    executed_ref : str
        The branch or tag that holds the sources and, with them, the executed notebooks.
    binder, colab : str
        Addresses of the services.
    address : str
        Of the folder that holds `index.html`, with a slash at its end.
    """

    repository: str = ""
    executed_ref: str = ""
    binder: str = ""
    colab: str = ""
    address: str = ""

    def launch_links(self, path: str) -> dict[str, str]:
        """Links that open the published notebook at `path`, by the service's name.

        None if the repository is not set, or not on GitHub.
        """
        host, _, name = self.repository.rstrip("/").removesuffix(".git").partition("github.com/")
        if not (host and name and self.executed_ref):
            return {}
        ref, path = quote(self.executed_ref, safe=""), quote(path)
        links = {}
        if self.binder:
            links["Binder"] = (
                f"{self.binder.rstrip('/')}/v2/gh/{name}/{ref}?urlpath=lab/tree/{path}"
            )
        if self.colab:
            links["Colab"] = f"{self.colab.rstrip('/')}/github/{name}/blob/{ref}/{path}"
        return links

    def source_link(self, path: str, commit: str) -> str:
        """The source at its commit; nothing if either is not public."""
        commit = commit.removesuffix("+dirty")
        if not self.repository or commit in ("", "unknown"):
            return ""
        return f"{self.repository.rstrip('/')}/blob/{commit}/{quote(path)}"


def rerun_line(record: dict[str, Any]) -> str:
    """The command that runs this page's notebook again as it was run."""
    words = ["python", "-m", "book.run", record["notebook"]]
    if record["profile"] != "quick":
        words += ["--profile", record["profile"]]
    return shlex.join(words)


def of_run(
    record: dict[str, Any], pagename: str, citation: dict[str, Any], site: Site, pathto: Pathto
) -> str:
    """The foot of an executed page, as HTML; `record` is the notebook's `lipsnn` metadata."""
    notebook = f"{pagename}.ipynb"
    values = ", ".join(_code(f"{k} = {v!r}") for k, v in record["parameters"].items()) or "none"
    machine = record.get("machine", {})
    environment = [f"{name} {version}" for name, version in record["versions"].items()]
    if machine:
        environment.append(f"{machine['processor']}, {machine['cores']} cores, {machine['system']}")
    facts = {
        "Source": _source(record["notebook"], record["commit"], site),
        "Parameters": f"{values} (profile {_text(record['profile'])})",
        "Environment": _text(" · ".join(environment)),
        "Solver": _text(record["solver"]),
        "Run time": f"{record['seconds']:.1f} s, finished {_text(record['finished'])} UTC",
        "Run it again": _block(rerun_line(record), "console"),
        "Download": _downloads({"executed notebook": f"_sources/{notebook}"}, pathto),
    }
    if links := site.launch_links(notebook):
        opened = ", ".join(_link(url, name) for name, url in links.items())
        install = f'%pip install "lipsnn[book] @ git+{site.repository}@{site.executed_ref}"'
        facts["Open"] = f"{opened} (Colab: run {_code(install)} first)"
    elif not site.repository:
        facts["Open"] = _NO_REPOSITORY
    page = cite.page_bibtex(
        citation,
        record["title"],
        pagename.rpartition("/")[2],
        date=record["finished"][:10],
        commit=record["commit"],
        url=_address(site, pagename),
    )
    return _foot(facts, page, citation)


def of_page(
    title: str,
    pagename: str,
    source: str,
    commit: str,
    date: str,
    citation: dict[str, Any],
    site: Site,
    pathto: Pathto,
) -> str:
    """The foot of a page that runs nothing; `source` is the file or command that makes it."""
    facts = {
        "Source": _source(source, commit, site),
        "Build it again": _block("make book", "console"),
        "Download": _downloads({}, pathto),
    }
    if not site.repository:
        facts["Open"] = _NO_REPOSITORY
    name, url = pagename.rpartition("/")[2], _address(site, pagename)
    page = cite.page_bibtex(citation, title, name, date=date, commit="", url=url)
    return _foot(facts, page, citation)


Pathto = Callable[[str, int], str]


def _foot(facts: dict[str, str], page: str, citation: dict[str, Any]) -> str:
    rows = "".join(f"<dt>{name}</dt><dd>{value}</dd>\n" for name, value in facts.items())
    entries = {
        "This page": page,
        "The software": cite.bibtex(citation),
        "The paper": cite.bibtex(citation["preferred-citation"]),
    }
    boxes = "".join(f"<p>{name}</p>{_block(text, 'bibtex')}\n" for name, text in entries.items())
    return (
        '<section class="page-foot" aria-label="About this page">\n'
        f'<dl class="run-record">\n{rows}</dl>\n'
        f'<details class="cite-box"><summary>Cite this page</summary>\n{boxes}</details>\n'
        "</section>"
    )


def _source(path: str, commit: str, site: Site) -> str:
    url = site.source_link(path, commit)
    return f"{_link(url, _code(path)) if url else _code(path)} at commit {_code(commit)}"


def _downloads(own: dict[str, str], pathto: Pathto) -> str:
    files = own | {name: f"{FOLDER}/{name}" for name in DOWNLOADS}
    return ", ".join(
        f'<a href="{html.escape(pathto(path, 1))}" download>{_text(name)}</a>'
        for name, path in files.items()
    )


def _address(site: Site, pagename: str) -> str:
    return f"{site.address.rstrip('/')}/{quote(pagename)}.html" if site.address else ""


def _block(text: str, language: str) -> str:
    """A block like the theme's own code blocks, which get a copy button."""
    return (
        f'<div class="highlight-{language} notranslate"><div class="highlight">'
        f"<pre>{_text(text)}</pre></div></div>"
    )


def _link(url: str, content: str) -> str:
    return f'<a href="{html.escape(url)}">{content}</a>'


def _code(text: object) -> str:
    return f"<code>{_text(text)}</code>"


def _text(text: object) -> str:
    return html.escape(str(text))
