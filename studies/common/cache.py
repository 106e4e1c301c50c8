"""What finished trials gave, one file each: written whole or not at all, checked when read."""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from studies.common.files import whole

Task = Mapping[str, Any]
Record = dict[str, Any]


@dataclass(frozen=True)
class Cache:
    """A folder of records, named by what each was made from.

    Parameters
    ----------
    folder : Path
        It exists.
    version : str
        Of whatever else the records depend on, the code say: with another version, none of them
        is found.
    """

    folder: Path
    version: str = ""

    def path(self, task: Task) -> Path:
        """Where the record of `task` is or would be.

        Raises
        ------
        ValueError
            If the task is no JSON.
        """
        return self.folder / f"{hashlib.sha256(self._key(task).encode()).hexdigest()[:24]}.json"

    def read(self, task: Task) -> Record | None:
        """The record of `task`, or None if there is none.

        One that is damaged is set aside, with a warning, and counts as none.
        """
        path = self.path(task)
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None
        try:
            checksum, _, body = content.partition(b"\n")
            if checksum.decode() != hashlib.sha256(body).hexdigest():
                raise ValueError("its checksum does not fit")
            entry = json.loads(body)
            if entry["key"] != self._key(task):
                raise ValueError("it belongs to another trial")
        except (ValueError, KeyError, TypeError) as error:
            aside = path.with_suffix(".corrupt")
            os.replace(path, aside)
            warnings.warn(
                f"the cached result {path} is damaged ({error}): it is set aside as {aside.name} "
                "and computed again",
                stacklevel=2,
            )
            return None
        return entry["record"]

    def write(self, task: Task, record: Record) -> Record:
        """Keep `record`, safely on the disk when this returns; as `read` will give it back.

        Raises
        ------
        TypeError
            If the record is no JSON; numpy's numbers and arrays count as numbers and lists.
        """
        entry = {"key": self._key(task), "record": record}
        body = json.dumps(entry, default=_plain).encode()
        path = self.path(task)
        with whole(path) as file:
            file.write(hashlib.sha256(body).hexdigest().encode() + b"\n" + body)
        return json.loads(body)["record"]

    def _key(self, task: Task) -> str:
        try:
            return json.dumps([self.version, task], sort_keys=True, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise ValueError(f"a task must be JSON, got {task!r}: {error}") from None


def _plain(value: Any) -> Any:
    """What json does not know: numpy's numbers and arrays, as Python's."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"a result must be JSON, got a {type(value).__name__}: {value!r}")
