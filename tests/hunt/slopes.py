"""A slope that a network attains at a point, in balls of many digits: for networks of any size."""

from __future__ import annotations

import flint
import numpy as np
from hunt.oracle import pieces

from lipsnn import Network
from lipsnn.activations import Activation

Ball = flint.arb
# Bits: the scales that the hunt mixes span 2000.
PRECISION = 4000


def _sigmoid(u: Ball) -> Ball:
    return 1 / (1 + (-u).exp())


def _elu(u: Ball, scale: Ball, alpha: Ball) -> tuple[Ball, Ball]:
    if u > 0:
        return scale * u, scale
    return scale * alpha * (u.exp() - 1), scale * alpha * u.exp()


def _gelu(u: Ball) -> tuple[Ball, Ball]:
    below = (1 + (u / Ball(2).sqrt()).erf()) / 2
    return u * below, below + u * (-u * u / 2).exp() / (2 * Ball.pi()).sqrt()


SMOOTH = {
    "tanh": lambda u: (u.tanh(), 1 - u.tanh() ** 2),
    "sigmoid": lambda u: (_sigmoid(u), _sigmoid(u) * (1 - _sigmoid(u))),
    "log_sigmoid": lambda u: (_sigmoid(u).log(), 1 - _sigmoid(u)),
    "softplus": lambda u, beta: ((1 + (beta * u).exp()).log() / beta, _sigmoid(beta * u)),
    "silu": lambda u: (u * _sigmoid(u), _sigmoid(u) * (1 + u * (1 - _sigmoid(u)))),
    "elu": lambda u, alpha: _elu(u, Ball(1), alpha),
    # the constants as torch has them, in float64
    "selu": lambda u: _elu(u, Ball(1.0507009873554805), Ball(1.6732632423543772)),
    "gelu": _gelu,
}


def _value_and_slope(phi: Activation, u: Ball, moves: bool) -> tuple[Ball, Ball] | None:
    """phi(u) and phi'(u); None where a unit that `moves` with x sits on a boundary."""
    if phi.name in SMOOTH:
        return SMOOTH[phi.name](u, *map(Ball, phi.parameters))
    for low, high, slope, offset in pieces(phi):
        if (low is None or u > low) and (high is None or u < high):
            return slope * u + offset, Ball(slope)
    if moves:
        return None
    return next(
        (slope * u + offset, Ball(0))
        for low, high, slope, offset in pieces(phi)
        if not (low is not None and u < low) and not (high is not None and u > high)
    )


def attained_slope(net: Network, x: np.ndarray) -> Ball:
    """The square of a slope |J v| / |v| that the network attains at x (d,), v chosen by powers.

    Zero where x lies on the boundary of a region, which says nothing; units that nothing reads
    have none.
    """
    with flint.ctx.workprec(PRECISION):
        J = None
        value = flint.arb_mat(len(x), 1, x.tolist())
        for layer, (W, b) in enumerate(zip(net.weights, net.biases, strict=True)):
            W = flint.arb_mat(*W.shape, W.ravel().tolist())
            value = W * value + flint.arb_mat(len(b), 1, b.tolist())
            J = W if J is None else W * J
            if layer == len(net.weights) - 1:
                break
            phi = net.activations[layer]
            rows, acts = J.tolist(), net.weights[layer + 1].any(axis=0)
            found = [
                _value_and_slope(phi, u, bool(used) and not all(e.is_zero() for e in row))
                for u, row, used in zip(value.entries(), rows, acts, strict=True)
            ]
            if None in found:
                return Ball(0)
            value = flint.arb_mat([[v] for v, _ in found])
            J = flint.arb_mat(
                [[s * e for e in row] for (_, s), row in zip(found, rows, strict=True)]
            )
        # the longest row of J'J, and powers from there: any v is right
        v = max((J.transpose() * J).tolist(), key=lambda row: sum(e * e for e in row).mid())
        best = Ball(0)
        for _ in range(6):
            v = flint.arb_mat([[e.mid()] for e in v])
            image, length = J * v, (v.transpose() * v)[0, 0]
            if not length > 0:
                break
            square = (image.transpose() * image)[0, 0] / length
            best = square if square > best else best
            v = (J.transpose() * image).entries()
        return best
