"""Full-batch gradient descent of a small tanh network, compiled: a million steps in seconds.

The same steps in float32 as a plain torch loop, up to the rounding of sums. For scalar inputs
and outputs only, which is what the toy examples of Pauli et al. are.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numba
import numpy as np

from lipsnn._checks import Array

# tanh(u) = u p(u^2) / q(u^2) on [-_LARGE, _LARGE], +-1 beyond it: Eigen's rational function, good
# to about one unit in the last place of a float32.
_LARGE = np.float32(7.90531110763549805)
_P = tuple(
    np.float32(c)
    for c in (
        -2.76076847742355e-16,
        2.00018790482477e-13,
        -8.60467152213735e-11,
        5.12229709037114e-08,
        1.48572235717979e-05,
        6.37261928875436e-04,
        4.89352455891786e-03,
    )
)
_Q = tuple(
    np.float32(c)
    for c in (
        1.19825839466702e-06,
        1.18534705686654e-04,
        2.26843463243900e-03,
        4.89352518554385e-03,
    )
)


@dataclass(frozen=True, eq=False)
class TanhNet:
    """``f(x) = sum_i outer_i tanh(inner_i x + shift_i) + offset``, float32 arrays (m,).

    Attributes
    ----------
    inner, shift, outer : ndarray, (m,)
        W^0 as a vector, b^0 and W^1.
    offset : float32
        b^1.
    """

    inner: Array
    shift: Array
    outer: Array
    offset: np.float32

    def __call__(self, x: Array) -> Array:
        """Outputs (n,) for inputs (n,), in float64."""
        hidden = np.tanh(np.outer(x, self.inner.astype(float)) + self.shift.astype(float))
        return hidden @ self.outer.astype(float) + float(self.offset)

    def slope(self, x: Array) -> Array:
        """Derivatives f'(x) (n,) in float64."""
        hidden = np.tanh(np.outer(x, self.inner.astype(float)) + self.shift.astype(float))
        return (1 - hidden**2) @ (self.outer.astype(float) * self.inner.astype(float))

    @property
    def weights(self) -> list[Array]:
        """W^0 (m, 1) and W^1 (1, m) in float64."""
        return [self.inner.astype(float)[:, None], self.outer.astype(float)[None]]

    def with_weights(self, weights: list[Array]) -> TanhNet:
        """The same biases with other matrices."""
        inner, outer = weights[0][:, 0], weights[1][0]
        return replace(self, inner=inner.astype(np.float32), outer=outer.astype(np.float32))


@dataclass(frozen=True, eq=False)
class Descended:
    """The network after the steps, and the mean squared error (without decay) before and along.

    Attributes
    ----------
    net : TanhNet
    steps : ndarray of int, (k,)
    mse : ndarray, (k,)
        After so many steps.
    """

    net: TanhNet
    steps: Array
    mse: Array


def descend(
    net: TanhNet,
    x: Array,
    y: Array,
    steps: int,
    *,
    learning_rate: float = 0.01,
    decay: float = 0.0,
    penalty: float = 0.0,
    anchor: list[Array] | None = None,
    strength: float = 0.0,
    every: int | None = None,
) -> Descended:
    """Descent on mean squared error + decay/2 |all|^2 + penalty/2 |W - anchor|^2 + strength L^2.

    L is the certificate itself, T free, which for one input is the larger of the sums of the
    positive and of the negative outer_i inner_i (fact A); where they are equal a subgradient is
    taken.

    Parameters
    ----------
    net : TanhNet
        Where to start; not changed.
    x, y : ndarray, (n,)
    steps : int
    learning_rate : float
    decay : float
        Of all parameters, biases too.
    penalty : float
        Of the two weight matrices, not the biases.
    anchor : list of ndarray, optional
        As `TanhNet.weights`; zeros if None.
    strength : float
    every : int, optional
        Steps between two entries of the history; only the end if None.
    """
    m = len(net.inner)
    anchor = [np.zeros((m, 1)), np.zeros((1, m))] if anchor is None else anchor
    every = steps if every is None else every
    inner, shift, outer = net.inner.copy(), net.shift.copy(), net.outer.copy()
    offset = np.array([net.offset], dtype=np.float32)
    inputs, targets = x.astype(np.float32), y.astype(np.float32)
    record = np.empty(-(-steps // max(every, 1)) + 1)
    _descend(
        inner,
        shift,
        outer,
        offset,
        inputs,
        targets,
        steps,
        every,
        np.float32(learning_rate),
        np.float32(decay),
        np.float32(penalty),
        anchor[0][:, 0].astype(np.float32),
        anchor[1][0].astype(np.float32),
        np.float32(strength),
        record,
    )
    at = np.minimum(np.arange(len(record)) * every, steps)
    return Descended(TanhNet(inner, shift, outer, offset[0]), at, record)


@numba.njit(inline="always", fastmath=True)
def _tanh(u):  # type: ignore[no-untyped-def]
    u = max(min(u, _LARGE), -_LARGE)
    s = u * u
    p = _P[0]
    p = p * s + _P[1]
    p = p * s + _P[2]
    p = p * s + _P[3]
    p = p * s + _P[4]
    p = p * s + _P[5]
    p = p * s + _P[6]
    q = _Q[0]
    q = q * s + _Q[1]
    q = q * s + _Q[2]
    q = q * s + _Q[3]
    return u * p / q


@numba.njit(fastmath=True, cache=True)
def _descend(  # type: ignore[no-untyped-def]
    inner,
    shift,
    outer,
    offset,
    x,
    y,
    steps,
    every,
    rate,
    decay,
    penalty,
    inner_anchor,
    outer_anchor,
    strength,
    record,
):
    n, m = len(x), len(inner)
    hidden = np.empty((m, n), dtype=np.float32)
    error = np.empty(n, dtype=np.float32)
    one, two, double = np.float32(1), np.float32(2.0 / n), np.float32(2)
    kept = 0
    for step in range(steps + 1):
        error[:] = offset[0] - y
        for j in range(m):
            w, b, a = inner[j], shift[j], outer[j]
            row = hidden[j]
            for k in range(n):
                h = _tanh(w * x[k] + b)
                row[k] = h
                error[k] += a * h
        if step % every == 0 or step == steps:
            total = 0.0
            for k in range(n):
                total += np.float64(error[k]) ** 2
            record[kept] = total / n
            kept += 1
        if step == steps:
            break
        up, down = np.float32(0), np.float32(0)
        for j in range(m):
            product = inner[j] * outer[j]
            up += max(product, np.float32(0))
            down += max(-product, np.float32(0))
        # of strength L^2 by each product on the steeper side
        slope = double * strength * (up if up >= down else -down)
        by_offset = np.float32(0)
        for k in range(n):
            by_offset += error[k]
        offset[0] -= rate * (two * by_offset + decay * offset[0])
        for j in range(m):
            row, a, w = hidden[j], outer[j], inner[j]
            by_outer, by_inner, by_shift = np.float32(0), np.float32(0), np.float32(0)
            for k in range(n):
                h, e = row[k], error[k]
                by_outer += e * h
                g = e * (one - h * h)
                by_shift += g
                by_inner += g * x[k]
            pressed = slope if a * w * slope > 0 else np.float32(0)
            pulled = penalty * (a - outer_anchor[j]) + pressed * w
            outer[j] -= rate * (two * by_outer + decay * a + pulled)
            pulled = penalty * (w - inner_anchor[j]) + pressed * a
            inner[j] -= rate * (two * a * by_inner + decay * w + pulled)
            shift[j] -= rate * (two * a * by_shift + decay * shift[j])
