"""The peers' own packages: each is imported when it is first used, or says what to install."""

from __future__ import annotations

import importlib.metadata
from typing import Any

from lipsnn._optional import _Package

INSTALL = "lipsnn[peers]"

torchlip: Any = _Package("deel.torchlip", INSTALL)
orthogonium: Any = _Package("orthogonium.layers", INSTALL)
residual: Any = _Package("orthogonium.layers.conv.SLL", INSTALL)
monotonic: Any = _Package("monotonicnetworks", INSTALL)

# What each is called where it is installed from.
DISTRIBUTIONS = ("deel-torchlip", "orthogonium", "monotonicnetworks", "scikit-posthocs")


def missing() -> list[str]:
    """The packages of the extra `peers` that are not installed."""
    found = {name.lower() for name in _installed()}
    return [name for name in (*DISTRIBUTIONS, "statsmodels") if name not in found]


def _installed() -> list[str]:
    return [d.metadata["Name"] or "" for d in importlib.metadata.distributions()]
