"""Checkpoints of a training run: whole or not there, and only for the run that wrote them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lipsnn._files import whole
from lipsnn._optional import torch


def save(path: Path, state: dict[str, Any]) -> None:
    """Write `state` so that a kill at any time leaves the old file or the new one."""
    with whole(path) as file:
        torch.save(state, file)


def load(path: Path, settings: dict[str, Any]) -> dict[str, Any] | None:
    """The state of the run with these settings, or None where there is no file.

    Raises
    ------
    ValueError
        If the file is no checkpoint or of a run with other settings.
    """
    if not path.exists():
        return None
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        written = state["settings"]
    except Exception as error:  # whatever torch raises for bytes that it cannot read
        raise ValueError(f"{path} is no checkpoint of train_clip ({error}): name another") from None
    changed = sorted(key for key in {*settings, *written} if settings.get(key) != written.get(key))
    if changed:
        raise ValueError(
            f"{path} is of a run with other settings ({', '.join(changed)}): delete it or name "
            "another"
        )
    return state
