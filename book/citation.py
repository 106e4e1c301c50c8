"""BibTeX of the paper, of the software and of a page, from CITATION.cff."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml


def read(root: Path) -> dict[str, Any]:
    """The CITATION.cff that lies in `root`; software without a release is of this year."""
    citation: dict[str, Any] = yaml.safe_load((root / "CITATION.cff").read_text(encoding="utf8"))
    return {"year": datetime.datetime.now(datetime.UTC).year, **citation}


def bibtex(entry: dict[str, Any]) -> str:
    """One BibTeX entry from the software or a reference of a CITATION.cff."""
    kind = {"software": "software", "article": "article"}.get(entry.get("type", "software"), "misc")
    year = str(entry.get("date-released") or entry.get("year") or "")[:4]
    first = entry["authors"][0]
    stem = first.get("family-names") or entry["title"].split()[0]
    fields = {
        "title": f"{{{entry['title']}}}",
        "author": _authors(entry),
        "year": year,
        "journal": entry.get("journal"),
        "volume": entry.get("volume"),
        "version": entry.get("version"),
        "doi": entry.get("doi"),
        "url": entry.get("url") or entry.get("repository-code"),
    }
    for identifier in entry.get("identifiers", []):
        value = str(identifier["value"])
        if value.lower().startswith("arxiv:"):
            fields |= {"eprint": value[6:], "archiveprefix": "arXiv"}
    return _entry(kind, "".join(c for c in stem.lower() if c.isalnum()) + year, fields)


def page_bibtex(
    citation: dict[str, Any], title: str, name: str, *, date: str, commit: str, url: str = ""
) -> str:
    """The BibTeX entry of one page of the book.

    Parameters
    ----------
    citation : dict
        Of the software.
    title, name : str
        The page's heading, and the last part of its address, which makes the entry's key.
    date : str
        ISO, of the run or of the build.
    commit : str
    url : str
        Of the page, where it is known.
    """
    paper = citation["preferred-citation"]
    note = f"Executed {date}, commit {commit}" if commit else f"Built {date}"
    fields = {
        "title": f"{{{title}}}",
        "author": _authors(citation),
        "year": date[:4],
        "booktitle": f"{{{paper['title']}: the executable companion}}",
        "howpublished": f"Jupyter Book of {citation['title'].split(':')[0]} {citation['version']}",
        "note": note.replace("_", r"\_"),
        "url": url,
    }
    return _entry("misc", f"{citation['title'].split(':')[0]}-{name}", fields)


def _entry(kind: str, key: str, fields: Mapping[str, str | None]) -> str:
    body = ",\n".join(f"  {name} = {{{value}}}" for name, value in fields.items() if value)
    return f"@{kind}{{{key},\n{body}\n}}"


def _authors(entry: dict[str, Any]) -> str:
    return " and ".join(_author(author) for author in entry["authors"])


def _author(author: dict[str, str]) -> str:
    """A person as "family, given", whatever is known of it; a group in braces."""
    if "family-names" not in author:
        return f"{{{author['name']}}}"
    return ", ".join(author[part] for part in ("family-names", "given-names") if part in author)
