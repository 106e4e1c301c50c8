"""Committed tables, read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd


def committed(folder: str | Path, name: str) -> tuple[pd.DataFrame, dict[str, Any]]:
    """A committed table and its provenance; both empty if it is not there."""
    path = Path(folder) / f"{name}.csv"
    if not path.is_file():
        return pd.DataFrame(), {}
    return pd.read_csv(path), json.loads(path.with_suffix(".json").read_text(encoding="utf8"))
