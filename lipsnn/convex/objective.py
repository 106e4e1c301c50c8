"""The value of problem (4) at a network."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from lipsnn import _checks
from lipsnn._checks import Array
from lipsnn.certificate import Certificate, certify
from lipsnn.convert import as_shallow
from lipsnn.convex.samples import Samples, checked
from lipsnn.network import ShallowNet

REGULARIZERS = ("l2", "lipschitz")
REDUCTIONS = ("sum", "mean")


def outputs(net: ShallowNet, X: Array | Samples) -> Array:
    """f(x_k) of all samples, (n,)."""
    samples = X if isinstance(X, Samples) else Samples(X)
    return np.concatenate([one for _, one in samples.map(partial(_outputs, net))])


def loss(net: ShallowNet, X: Array | Samples, y: Array, reduction: str = "sum") -> float:
    """Half the sum of squared errors, the first term of (4a), or half their mean."""
    with np.errstate(over="ignore", invalid="ignore"):
        half = 0.5 * float(np.sum((outputs(net, X) - y) ** 2))
    return half / len(y) if reduction == "mean" else half


def _outputs(net: ShallowNet, X1: Array) -> Array:
    return net(X1[:, :-1])


def objective(
    net: Any,
    X: Any,
    y: Any,
    strength: float,
    regularizer: str,
    certificate: Certificate | None = None,
    reduction: str = "sum",
) -> float:
    """The value of problem (4) at `net`.

    Half the sum of squared errors (their mean with ``reduction="mean"``), plus ``strength * L^2``
    (lam_lip, regularizer "lipschitz") or ``strength/2 * sum(|w_i|^2 + a_i^2)`` (lam_reg,
    regularizer "l2", bias entries included; the offset is not regularised).

    Parameters
    ----------
    net : ShallowNet or torch.nn.Sequential
    X : array_like, (n, d)
        A memory-mapped file or Dask array is read chunk by chunk.
    y : array_like, (n,)
    strength : float
        Positive.
    regularizer : {"l2", "lipschitz"}
    certificate : Certificate, optional
        Of this very network, to save computing L again.
    reduction : {"sum", "mean"}
        "mean" divides the loss by n, so that a strength means the same at every n: it is "sum" at
        n times the strength, divided by n.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        For bad input, and where a square overflows, so that float64 has no such value.
    """
    net = as_shallow(net, X)
    samples, y = checked(X, y, net.dim)
    strength = _checks.positive(strength, "strength")
    _checks.one_of(regularizer, "regularizer", REGULARIZERS)
    _checks.one_of(reduction, "reduction", REDUCTIONS)
    if regularizer == "lipschitz" and certificate is None:
        certificate = certify(net)
    return representable(value(net, samples, y, strength, certificate, reduction))


def value(
    net: ShallowNet,
    samples: Samples,
    y: Array,
    strength: float,
    certificate: Certificate | None,
    reduction: str,
) -> float:
    """Problem (4), the l2 one without a certificate; inf or NaN where float64 has no such value."""
    with np.errstate(over="ignore", invalid="ignore"):
        if certificate is None:
            penalty = 0.5 * (np.sum(net.weights**2) + np.sum(net.outer**2))
        else:
            penalty = np.square(certificate.bound)
        return float(loss(net, samples, y, reduction) + strength * penalty)


def representable(found: float) -> float:
    """A value of problem (4), or the ValueError that says why there is none."""
    if not np.isfinite(found):
        raise ValueError(
            "the objective is beyond float64, as the square of an error, weight or bound is: "
            "scale X and y, and with them the network's weights, to order one"
        )
    return found
