"""The value of problem (4) at a network."""

from __future__ import annotations

from typing import Any

import numpy as np

from lipsnn import _checks
from lipsnn._checks import Array
from lipsnn.certificate import Certificate, certify
from lipsnn.convert import as_network
from lipsnn.convex.samples import Samples, checked, checked_outputs
from lipsnn.losses import SQUARED, Loss, scalar_loss, smooth_loss
from lipsnn.network import ShallowNet

REGULARIZERS = ("l2", "lipschitz")
REDUCTIONS = ("sum", "mean")


def outputs(net: Any, X: Array | Samples) -> Array:
    """f(x_k) of all samples, (n,), or (n, k) of a `Network`."""
    samples = X if isinstance(X, Samples) else Samples(X)
    return np.concatenate([one for _, one in samples.map(lambda X1: net(X1[:, :-1]))])


def loss(
    net: Any,
    X: Array | Samples,
    y: Array,
    reduction: str = "sum",
    kind: Any = SQUARED,
) -> float:
    """Half the sum of squared errors, the first term of (4a), or another loss; or the mean."""
    with np.errstate(over="ignore", invalid="ignore"):
        total = float(np.sum(kind.value(outputs(net, X), y)))
    return total / len(y) if reduction == "mean" else total


def objective(
    net: Any,
    X: Any,
    y: Any,
    strength: float,
    regularizer: str,
    certificate: Certificate | None = None,
    reduction: str = "sum",
    loss: str | Loss = "squared",
) -> float:
    """The value of problem (4) at `net`.

    Half the sum of squared errors (their mean with ``reduction="mean"``), plus ``strength * L^2``
    (lam_lip, regularizer "lipschitz") or ``strength/2 * sum(|w_i|^2 + a_i^2)`` (lam_reg,
    regularizer "l2", bias entries included; the offset is not regularised).

    Parameters
    ----------
    net : ShallowNet, Network, torch.nn.Module or anything that `as_network` takes
    X : array_like, (n, d)
        A memory-mapped file or Dask array is read chunk by chunk.
    y : array_like, (n,)
        Or (n, k) for k outputs, or class numbers (n,).
    strength : float
        Positive.
    regularizer : {"l2", "lipschitz"}
    certificate : Certificate, optional
        Of this very network, to save computing L again.
    reduction : {"sum", "mean"}
        "mean" divides the loss by n, so that a strength means the same at every n: it is "sum" at
        n times the strength, divided by n.
    loss : {"squared", "huber", "logistic", "cross_entropy"} or Loss
        The paper's half of the squared error, or another of `lipsnn.losses`.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        For bad input, and where a square overflows, so that float64 has no such value.
    """
    strength = _checks.positive(strength, "strength")
    _checks.one_of(regularizer, "regularizer", REGULARIZERS)
    _checks.one_of(reduction, "reduction", REDUCTIONS)
    if not isinstance(net, ShallowNet):
        net = as_network(net, X)
        net = net.to_shallow() if net.is_shallow else net
    kind: Any
    if isinstance(net, ShallowNet):
        samples, y = checked(X, y, net.dim)
        kind = scalar_loss(loss)
        y = kind.targets(y, ())
    elif regularizer == "l2":
        raise ValueError('deep networks and several outputs take regularizer="lipschitz"')
    else:
        kind = smooth_loss(loss)
        samples, y = checked_outputs(net, X, y, kind)
    if regularizer == "lipschitz" and certificate is None:
        certificate = certify(net)
    if regularizer == "l2":
        certificate = None
    return representable(value(net, samples, y, strength, certificate, reduction, kind)[0])


def value(
    net: Any,
    samples: Samples,
    y: Array,
    strength: float | None,
    certificate: Certificate | None,
    reduction: str,
    kind: Any,
) -> tuple[float, float]:
    """Problem (4) and its first term, the l2 one without a certificate; without a strength the
    loss alone. Infinity or NaN where float64 has no such value."""
    fit = loss(net, samples, y, reduction, kind)
    with np.errstate(over="ignore", invalid="ignore"):
        if strength is None:
            penalty = 0.0
        elif certificate is None:
            penalty = strength * 0.5 * (np.sum(net.weights**2) + np.sum(net.outer**2))
        else:
            penalty = strength * np.square(certificate.bound)
        return float(fit + penalty), fit


def representable(found: float) -> float:
    """A value of problem (4), or the ValueError that says why there is none."""
    if not np.isfinite(found):
        raise ValueError(
            "the objective is beyond float64, as the square of an error, weight or bound is: "
            "scale X and y, and with them the network's weights, to order one"
        )
    return found
