"""JSON documents of numbers, read in memory that does not grow beyond a few times the file.

A JSON object of strings, numbers, objects of one more level, and arrays. `json` would make a
Python object of every number, and of every pair of brackets: here a large array is parsed piece by
piece into float64. What is not such a document is refused, whatever its size.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from typing import Any

import numpy as np

Span = tuple[int, int]
Fields = dict[str, Any]  # of each key its span, or the fields of an inner object

# Bytes of an array that are parsed at a time.
_PIECE = 2**20
_KEY = re.compile(rb'\s*"([A-Za-z0-9_]{1,64})"\s*:\s*')
_SCALAR = re.compile(rb'"(?:[^"\\\x00-\x1f]|\\.)*"|-?[0-9][0-9.eE+-]*|true|false|null')
_BRACKETS = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]]')
_NUMBERS = re.compile(rb"[][0-9.eE+,\sulnN-]*")
_SPACE = re.compile(rb"\s*")
_COMMA = re.compile(rb"\s*,\s*")
_DEPTH = 4


class Document:
    """The fields of a JSON object in `text`; a ValueError with the reason if it is none."""

    def __init__(self, text: bytes) -> None:
        self.text = text
        self.fields, end = self._object(0, 0)
        if self.text[end:].strip():
            raise ValueError("not JSON: there is something after the object")

    def _object(self, at: int, level: int) -> tuple[Fields, int]:
        at = self._skip(at)
        if self.text[at : at + 1] != b"{" or level > 1:
            raise ValueError("not JSON of a certificate: expected an object")
        fields: Fields = {}
        at = self._skip(at + 1)
        while self.text[at : at + 1] != b"}":
            key = _KEY.match(self.text, at)
            if key is None:
                raise ValueError(f"not JSON: no field begins at byte {at}")
            name = key[1].decode()
            if name in fields:
                raise ValueError(f"the field {name!r} stands there twice")
            fields[name], at = self._value(key.end(), level)
            at = self._skip(at)
            if self.text[at : at + 1] == b",":
                at = self._skip(at + 1)
                if self.text[at : at + 1] == b"}":
                    raise ValueError(f"not JSON: a comma too many at byte {at}")
            elif self.text[at : at + 1] != b"}":
                raise ValueError(f"not JSON: expected a comma or the end at byte {at}")
        return fields, at + 1

    def _value(self, at: int, level: int) -> tuple[Any, int]:
        first = self.text[at : at + 1]
        if first == b"{":
            return self._object(at, level + 1)
        if first == b"[":
            depth = 0
            for found in _BRACKETS.finditer(self.text, at):
                depth += {b"[": 1, b"]": -1}.get(found[0], 0)
                if depth > _DEPTH:
                    raise ValueError("an array is nested too deeply")
                if depth == 0:
                    return (at, found.end()), found.end()
            raise ValueError("not JSON: an array has no end")
        scalar = _SCALAR.match(self.text, at)
        if scalar is None:
            raise ValueError(f"not JSON: no value begins at byte {at}")
        return (at, scalar.end()), scalar.end()

    def _skip(self, at: int) -> int:
        found = _SPACE.match(self.text, at)
        return at if found is None else found.end()

    def get(self, field: Any) -> Any:
        """The value of a field: a number, string, list or array, or a dict of such values."""
        if isinstance(field, dict):
            return {name: self.get(inner) for name, inner in field.items()}
        return _load(self.text, field)

    def digest(self) -> str:
        """sha256 of the document without its field sha256: keys sorted, no space between."""
        digest = hashlib.sha256()
        for piece in self._canonical({k: v for k, v in self.fields.items() if k != "sha256"}):
            digest.update(piece)
        return digest.hexdigest()

    def _canonical(self, field: Any) -> Iterator[bytes]:
        if isinstance(field, dict):
            yield b"{"
            for i, name in enumerate(sorted(field)):
                yield (b"," if i else b"") + b'"' + name.encode() + b'":'
                yield from self._canonical(field[name])
            yield b"}"
            return
        start, stop = field
        if self.text[start : start + 1] != b"[":
            yield self.text[start:stop]
            return
        for at in range(start, stop, _PIECE):
            yield self.text[at : min(at + _PIECE, stop)].translate(None, b" \t\r\n")


def _load(text: bytes, span: Span) -> Any:
    """A JSON value; a large array piece by piece."""
    start, stop = span
    if stop - start <= _PIECE:
        return json.loads(text[start:stop], parse_constant=_refuse)
    if text[start : start + 1] != b"[" or not _NUMBERS.fullmatch(text, start, stop):
        raise ValueError("a large field is not an array of numbers")
    found: list[Any] = []
    for piece in _pieces(text, start + 1, stop - 1):
        large = piece[1] - piece[0] > 2 * _PIECE
        if large:
            found.append([_load(text, piece)])
            continue
        part = json.loads(b"[" + text[piece[0] : piece[1]] + b"]", parse_constant=_refuse)
        try:
            found.append(np.array(part, dtype=np.float64))
        except (ValueError, TypeError):  # rows of several lengths, or null
            found.append(part)
    if all(isinstance(part, np.ndarray) and part.shape[1:] == found[0].shape[1:] for part in found):
        return np.concatenate(found)
    return [row for part in found for row in part]


def _pieces(text: bytes, start: int, stop: int) -> Iterator[Span]:
    """Runs of whole elements of an array's inside, of about `_PIECE` bytes or one element."""
    while text[start : start + 1].isspace():
        start += 1
    begin = start
    if text[start : start + 1] != b"[":
        while stop - begin > _PIECE:
            comma = text.find(b",", begin + _PIECE, stop)
            if comma < 0:
                break
            yield begin, comma
            begin = comma + 1
        yield begin, stop
        return
    depth = 0
    for found in _BRACKETS.finditer(text, start, stop):
        depth += 1 if found[0] == b"[" else -1
        if depth == 0 and (found.end() - begin > _PIECE or found.end() == stop):
            yield begin, found.end()
            gap = _COMMA.match(text, found.end(), stop)
            if gap is None:
                if text[found.end() : stop].strip():
                    raise ValueError("not JSON: expected a comma between two rows")
                return
            begin = gap.end()
    if begin < stop:
        yield begin, stop


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not a number of JSON")
