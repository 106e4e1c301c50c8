"""Descent on loss + strength L^2 of a ReLU network of any depth, by the certificate's gradient."""

from __future__ import annotations

from typing import Any

import numpy as np

from lipsnn import _checks
from lipsnn._checks import Array
from lipsnn.certificate import certify
from lipsnn.certificate.gradient import gradient_of
from lipsnn.certificate.threads import one_blas_thread
from lipsnn.losses import Loss, as_loss
from lipsnn.network import Network
from lipsnn.train.descent import Adam, Steps


@one_blas_thread
def descend(
    net: Network,
    X: Any,
    y: Any,
    strength: float,
    loss: str | Loss = "squared",
    *,
    decay: float = 0.0,
    epochs: int = 300,
    learning_rate: float = 1e-2,
    output_bias: bool = True,
    tol: float = 1e-2,
) -> Network:
    """Full-batch Adam from a given network, with a cosine schedule (fact H).

    Minimises the loss summed over the samples, plus ``strength L^2``, plus
    ``decay/2 sum |W_i|^2 + |b_i|^2``. L is certified anew at each step, unless `strength` is 0.

    Parameters
    ----------
    net : Network
        Of ReLU.
    X : array_like, (n, d)
    y : array_like, (n, k), or class numbers (n,)
    strength, decay : float
        Not negative.
    loss : str or Loss
        With a gradient: any but "mse".
    learning_rate : float
        Relative to the largest weight of each layer.
    output_bias : bool
        Whether b_l is trained too.
    tol : float
        Relative gap of the certificates.

    Raises
    ------
    ValueError
        For bad input.
    RuntimeError
        If the weights diverge.
    """
    kind: Any = as_loss(loss)
    X, y = _checks.inputs(X, net.dim), kind.targets(y, (net.outputs,))
    strength, decay = (_checks.nonnegative(v, "strength and decay") for v in (strength, decay))
    steps = Steps(0, epochs, None, learning_rate, "adam")
    parts = [*net.weights, *net.biases]
    point = np.concatenate([part.ravel() for part in parts])
    # views, which the steps change
    ends = np.cumsum([part.size for part in parts])[:-1]
    views = [v.reshape(p.shape) for v, p in zip(np.split(point, ends), parts, strict=True)]
    weights, biases = views[: len(net.weights)], views[len(net.weights) :]
    sizes = [np.abs(W).max() for W in weights] * 2
    if not output_bias:
        sizes[-1] = 0.0
    scale = np.concatenate([np.full(v.size, size) for v, size in zip(views, sizes, strict=True)])

    def gradient() -> Array:
        """That of loss + strength L^2, by all weights and then all biases."""
        values = [X]
        for W, b in zip(weights[:-1], biases, strict=False):
            values.append(np.maximum(values[-1] @ W.T + b, 0.0))
        by = kind.gradient(values[-1] @ weights[-1].T + biases[-1], y)
        slopes: list[Any] = [0.0] * len(weights)
        if strength > 0:
            certificate = certify(Network(weights), tol=tol)
            found = gradient_of(certificate, certificate.form())
            slopes = [2 * strength * certificate.bound * slope for slope in found]
        ends = []
        for i in range(len(weights) - 1, -1, -1):
            slopes[i] = slopes[i] + by.T @ values[i]
            ends.append(by.sum(axis=0))
            by = (by @ weights[i]) * (values[i] > 0)
        return np.concatenate([part.ravel() for part in [*slopes, *ends[::-1]]])

    step = Adam(point.size)
    for epoch in range(steps.epochs):
        step(point, gradient() + decay * point, scale * steps.rate(epoch))
        if not np.isfinite(point).all():
            raise steps.diverged()
    return Network(weights, biases, net.activations, net.dtype)
