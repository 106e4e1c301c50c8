"""Between a network and the variables of the convex programs: (7), (13) and (14)."""

from __future__ import annotations

import numpy as np

from lipsnn._checks import Array
from lipsnn.convex.samples import Patterns, Samples, unpacked
from lipsnn.network import ShallowNet


def from_products(products: Array, signs: Array, offset: float) -> ShallowNet:
    """The network whose unit i is ``s_i |z_i|``-balanced: mapping (7).

    With ``products`` the u_i and v_j of (6), or s_i z_i of the joint program (s_i z_i lies in
    the same cone): ``w_i = u_i / sqrt|u_i|``, ``a_i = s_i sqrt|u_i|``. Zero units stay zero.
    Among all rescalings of a unit this one has the smallest ``|w_i|^2 + a_i^2``.
    """
    root = np.sqrt(np.linalg.norm(products, axis=1))
    weights = products / np.where(root > 0, root, 1.0)[:, None]
    return ShallowNet(weights, np.where(root > 0, signs * root, 0.0), offset)


def sample_half(net: ShallowNet, seed: int) -> ShallowNet:
    """Half of the units, drawn at random, each taken once with either sign: P+ = P-.

    The start of samp-l2 and samp-lip. Its units cancel, so that it is zero everywhere; what
    counts is that it has the sampled patterns, their |a_i|, and a T of its own from (2).
    """
    if net.width < 2:
        raise ValueError("half of the patterns can only be drawn from at least two units")
    chosen = np.random.default_rng(seed).choice(net.width, net.width // 2, replace=False)
    weights, outer = net.weights[chosen], np.abs(net.outer[chosen])
    return ShallowNet(np.vstack([weights, weights]), np.concatenate([outer, -outer]), net.offset)


def cone_violation(net: ShallowNet, samples: Samples, target: Array, patterns: Patterns) -> float:
    """How far `net` has left the cones (5), as an error of its output, relative.

    The largest ``-|a_i| (2 D_i - I) X w_i``, divided by the largest target or, if that is more,
    by the largest ``|x_k| |a_i w_i|``; 0 when every unit still has its pattern, or one on its
    boundary.
    """
    products = np.abs(net.outer)[:, None] * net.weights

    def furthest(X1: Array, bits: Array) -> tuple[float, float]:
        signed = np.where(unpacked(bits, len(products)), 1.0, -1.0) * (X1 @ products.T)
        return -float(signed.min()), float(np.linalg.norm(X1, axis=1).max())

    found = [one for _, one in samples.map(furthest, patterns.bits)]
    outside, reach = np.max(found, axis=0)
    scale = max(float(np.abs(target).max()), reach * np.linalg.norm(products, axis=1).max())
    return float(max(outside, 0.0) / scale) if scale > 0 else 0.0


def fitted(samples: Samples, patterns: Patterns, weights: Array, outer: Array) -> Array:
    """``sum_i a_i D_i X w_i`` (n,), each unit with its given pattern."""

    def outputs(X1: Array, bits: Array) -> Array:
        return (unpacked(bits, outer.size) * (X1 @ weights.T)) @ outer

    return np.concatenate([one for _, one in samples.map(outputs, patterns.bits)])
