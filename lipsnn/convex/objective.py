"""The value of problem (4) at a network."""

from __future__ import annotations

from typing import Any

import numpy as np

from lipsnn import _checks
from lipsnn._checks import Array
from lipsnn.certificate import Certificate, certify
from lipsnn.convert import as_shallow
from lipsnn.network import ShallowNet

REGULARIZERS = ("l2", "lipschitz")


def loss(net: ShallowNet, X: Array, y: Array) -> float:
    """Half the SUM of squared errors, the first term of (4a)."""
    return 0.5 * float(np.sum((net(X) - y) ** 2))


def objective(
    net: Any,
    X: Any,
    y: Any,
    strength: float,
    regularizer: str,
    certificate: Certificate | None = None,
) -> float:
    """The value of problem (4) at `net`.

    Half the sum of squared errors, plus ``strength * L^2`` (lam_lip, regularizer
    "lipschitz") or ``strength/2 * sum(|w_i|^2 + a_i^2)`` (lam_reg, regularizer "l2", bias
    entries included; the offset is not regularised).

    Parameters
    ----------
    net : ShallowNet or torch.nn.Sequential
    X : array_like, (n, d)
    y : array_like, (n,)
    strength : float
        Positive.
    regularizer : {"l2", "lipschitz"}
    certificate : Certificate, optional
        Of this very network, to save computing L again.

    Returns
    -------
    float
    """
    net = as_shallow(net, X)
    X, y = _checks.data_pair(X, y, net.dim)
    strength = _checks.positive(strength, "strength")
    _checks.one_of(regularizer, "regularizer", REGULARIZERS)
    if regularizer == "l2":
        penalty = 0.5 * float(np.sum(net.weights**2) + np.sum(net.outer**2))
    else:
        penalty = (certificate or certify(net)).bound ** 2
    return loss(net, X, y) + strength * penalty
