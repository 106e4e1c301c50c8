"""Random networks with everything that makes a certificate hard."""

from __future__ import annotations

import numpy as np

from lipsnn import ShallowNet

KINDS = (
    "plain",
    "dead units",
    "duplicated units",
    "parallel units",
    "zero outer weights",
    "one sign",
    "rank-deficient",
    "opposite units",
    "uneven scales",
)


def draw(rng: np.random.Generator, kind: str, width: int, dim: int) -> ShallowNet:
    """A network of `width` units and `dim` inputs of one of `KINDS`."""
    weights = rng.normal(size=(width, dim + 1))
    outer = rng.normal(size=width)
    half = width // 2
    if kind == "dead units":
        weights[rng.random(width) < 0.4, :-1] = 0.0
    elif kind == "duplicated units":
        weights[half : 2 * half], outer[half : 2 * half] = weights[:half], outer[:half]
    elif kind == "parallel units":
        weights[:] = np.outer(rng.normal(size=width), weights[0])
    elif kind == "zero outer weights":
        outer[rng.random(width) < 0.4] = 0.0
    elif kind == "one sign":
        weights, outer = np.abs(weights), np.abs(outer)
    elif kind == "rank-deficient":
        weights[:, : dim - (dim + 1) // 2] = 0.0
    elif kind == "opposite units":
        weights[half : 2 * half], outer[half : 2 * half] = weights[:half], -outer[:half]
    elif kind == "uneven scales":
        weights *= np.exp(4 * rng.normal(size=(width, 1)))
    return ShallowNet(weights, outer)
