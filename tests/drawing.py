"""Random networks and data for tests."""

from __future__ import annotations

import numpy as np

import lipsnn


def draw_network(seed: int, width: int, dim: int) -> lipsnn.ShallowNet:
    """A random network with a positive and a negative unit wherever the width allows."""
    rng = np.random.default_rng(seed)
    outer = rng.normal(size=width)
    outer[: min(2, width)] = np.array([1.0, -1.0])[: min(2, width)]
    return lipsnn.ShallowNet(rng.normal(size=(width, dim + 1)), outer)
