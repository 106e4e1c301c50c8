"""Full-batch gradient descent of a tanh network with two hidden layers, compiled.

On cross-entropy, in float64; for the letter's example in the plane, where torch's steps cost some
thirty times what their arithmetic does.
"""

from __future__ import annotations

from collections.abc import Sequence

import numba
import numpy as np

from lipsnn._checks import Array

# W_0, b_0, W_1, b_1, W_2, b_2, with the weights (units out, units in).
Parameters = list[Array]


def descend(
    start: Parameters,
    X: Array,
    y: Array,
    steps: int,
    *,
    learning_rate: float,
    decay: float = 0.0,
    penalty: float = 0.0,
    anchor: Sequence[Array] | None = None,
) -> Parameters:
    """Descent on the mean cross-entropy + decay/2 |all|^2 + penalty/2 |W - anchor|^2.

    Parameters
    ----------
    start : list of ndarray
        W_0, b_0, W_1, b_1, W_2, b_2; not changed.
    X : ndarray, (n, d)
    y : ndarray of int, (n,)
    steps : int
    learning_rate : float
    decay : float
        Of all parameters, biases too.
    penalty : float
        Of the weights alone.
    anchor : sequence of ndarray, optional
        Like the three W; zeros if None.
    """
    now = [np.array(part, dtype=float) for part in start]
    pulls = [np.zeros_like(W) for W in now[::2]] if anchor is None else anchor
    targets = np.zeros((len(y), len(now[-1])))
    targets[np.arange(len(y)), y] = 1.0
    inputs = np.ascontiguousarray(X, dtype=float)
    pulls = [np.ascontiguousarray(pull, dtype=float) for pull in pulls]
    W0, b0, W1, b1, W2, b2 = now
    rates = (learning_rate, decay, penalty)
    _descend(W0, b0, W1, b1, W2, b2, inputs, targets, steps, *rates, *pulls)
    return now


@numba.njit(cache=True)
def _descend(  # type: ignore[no-untyped-def]
    W0, b0, W1, b1, W2, b2, X, targets, steps, rate, decay, penalty, A0, A1, A2
):
    n = len(X)
    for _ in range(steps):
        first = np.tanh(X @ W0.T + b0)
        second = np.tanh(first @ W1.T + b1)
        out = second @ W2.T + b2
        for k in range(n):
            row = np.exp(out[k] - out[k].max())
            out[k] = (row / row.sum() - targets[k]) / n
        back = (out @ W2) * (1 - second * second)
        deep = (back @ W1) * (1 - first * first)
        W2 -= rate * (out.T @ second + decay * W2 + penalty * (W2 - A2))
        b2 -= rate * (out.sum(axis=0) + decay * b2)
        W1 -= rate * (back.T @ first + decay * W1 + penalty * (W1 - A1))
        b1 -= rate * (back.sum(axis=0) + decay * b1)
        W0 -= rate * (deep.T @ X + decay * W0 + penalty * (W0 - A0))
        b0 -= rate * (deep.sum(axis=0) + decay * b0)
