"""What is run: bounds by one rule, and profiles that are parts of one grid."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from studies.peers.data import LARGER, NAMES
from studies.peers.methods import METHODS, TRIALS

# Each bound is a third of the next; the largest is the unconstrained network's.
FRACTIONS = tuple(3.0**-k for k in range(4, -1, -1))
# Steps on a larger data set, in those of the others: there the loose bounds are still far from
# trained where the others begin to overfit (split 0, 500 to 3000 steps).
LONGER = 3

_FULL: dict[str, Any] = {
    "datasets": NAMES,
    "splits": 10,
    "methods": METHODS,
    "fractions": FRACTIONS,
    "trials": TRIALS,
    "steps": 1000,
    "batch": 128,
    "width": 32,
    "seed": 0,
}
PROFILES: dict[str, dict[str, Any]] = {
    "quick": _FULL
    | {
        "datasets": ("servo",),
        "splits": 1,
        "methods": ("sandwich", "weight decay", "refine"),
        "fractions": FRACTIONS[1:4],
        "trials": 2,
        "steps": 200,
    },
    "full": _FULL,
}


def bounds(free: float, fractions: tuple[float, ...] = FRACTIONS) -> list[float]:
    """The bounds of a data set, ascending, to two digits.

    Parameters
    ----------
    free : float
        The certified bound of the unconstrained network on split 0.
    fractions : tuple of float
        Of the rule's five; the least is 1/81, where a network is all but constant.

    Raises
    ------
    ValueError
        If the network is constant.
    """
    if not (math.isfinite(free) and free > 0):
        raise ValueError(f"the unconstrained network has the bound {free}: there is no grid")
    return [float(f"{free * fraction:.2g}") for fraction in fractions]


def shared(profile: Mapping[str, Any], dataset: str) -> dict[str, Any]:
    """What all tasks of a data set have in common."""
    found = {name: profile[name] for name in ("batch", "width", "seed")}
    steps = profile["steps"] * (LONGER if dataset in LARGER else 1)
    return {"dataset": dataset, "steps": steps, **found}


def tasks(profile: Mapping[str, Any], free: Mapping[str, float]) -> list[dict[str, Any]]:
    """A task for each split, data set and method; split k has seed k.

    Parameters
    ----------
    profile : mapping
        One of `PROFILES`.
    free : mapping
        By data set, the certified bound of its unconstrained network.
    """
    return [
        shared(profile, name)
        | {
            "split": split,
            "seed": split,
            "method": method,
            "bounds": bounds(free[name], profile["fractions"]),
            "trials": profile["trials"],
        }
        for split in range(profile["splits"])
        for name in profile["datasets"]
        for method in profile["methods"]
    ]
