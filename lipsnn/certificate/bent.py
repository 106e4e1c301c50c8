"""Smooth and other bent activations on intervals: values, and the sector of what lies between.

In ball arithmetic. Between its turning points the slope of each activation here is monotone, so
that its extremes on an interval stand at the ends or at a turning point, where it is the extreme
of the whole sector.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from lipsnn._checks import Array
from lipsnn._optional import flint
from lipsnn.activations import SELU, Activation

# A sector is made wider by this share, so that a proof finds it no wider than it was said to be,
# and by this share of the steepest slope, so that units that are all but saturated have digits.
_ROOM, _LEAST = 1e-9, 1e-12


def _sigmoid(u: Any) -> Any:
    return 1 / (1 + (-u).exp())


def _clip(u: Any, low: float, high: float) -> Any:
    return u if low <= u[0] <= high else 0 * u + (low if u[0] < low else high)


def _elu(u: Any, alpha: float, width: float = 1.0) -> Any:
    return u if u[0] > 0 else alpha * ((u / width).exp() - 1)


def _softplus(u: Any, beta: float, _: float = 0.0) -> Any:
    # the smooth function, whatever torch's threshold is
    return (1 + (beta * u).exp()).log() / beta


# phi(u) of a power series u
_VALUES: dict[str, Callable[..., Any]] = {
    "tanh": lambda u: 2 * _sigmoid(2 * u) - 1,
    "sigmoid": _sigmoid,
    "log_sigmoid": lambda u: -_softplus(-u, 1.0),
    "softplus": _softplus,
    "elu": _elu,
    "celu": lambda u, alpha: _elu(u, alpha, alpha),
    "selu": lambda u: SELU[0] * _elu(u, SELU[1]),
    "silu": lambda u: u * _sigmoid(u),
    "gelu": lambda u: u * (1 + (u / flint.arb(2).sqrt()).erf()) / 2,
    "gelu_tanh": lambda u: (
        u * _sigmoid((u + flint.arb("0.044715") * u * u * u) * (8 / flint.arb.pi()).sqrt())
    ),
    "mish": lambda u: u * (1 - 2 / ((1 + u.exp()) * (1 + u.exp()) + 1)),
    "hardtanh": _clip,
    "relu6": lambda u: _clip(u, 0.0, 6.0),
    "hardsigmoid": lambda u: _clip(u, -3.0, 3.0) / 6 + flint.arb(0.5),
    "hardswish": lambda u: u * (_clip(u, -3.0, 3.0) / 6 + flint.arb(0.5)),
    "softshrink": lambda u, lam: u - _clip(u, -lam, lam),
}
# Where the slope may be the least and the largest of the sector, and how near that is known.
_TURNS: dict[str, Callable[..., tuple[tuple[float, ...], tuple[float, ...], float]]] = {
    "tanh": lambda: ((), (0.0,), 0.0),
    "sigmoid": lambda: ((), (0.0,), 0.0),
    "elu": lambda alpha: ((0.0,) if alpha < 0 else (), (0.0,), 0.0),
    "selu": lambda: ((), (0.0,), 0.0),
    "silu": lambda: ((-2.3994,), (2.3994,), 1e-3),
    "gelu": lambda: ((-(2**0.5),), (2**0.5,), 1e-3),
    "gelu_tanh": lambda: ((-1.4185,), (1.4185,), 1e-3),
    "mish": lambda: ((-2.2564,), (1.4906,), 1e-3),
    "hardtanh": lambda low, high: ((low, high), (low, high), 0.0),
    "relu6": lambda: ((0.0, 6.0), (0.0, 6.0), 0.0),
    "hardsigmoid": lambda: ((-3.0, 3.0), (-3.0, 3.0), 0.0),
    "hardswish": lambda: ((-3.0,), (3.0,), 0.0),
    "softshrink": lambda lam: ((-lam, lam), (-lam, lam), 0.0),
}


def _enclosed(phi: Activation, u: Array) -> Array:
    """Below and above phi(u), below and above phi'(u): (4, n), not finite where none is known."""
    found = np.full((4, len(u)), np.nan)
    for i, at in enumerate(u.tolist()):
        try:
            series = _VALUES[phi.name](flint.arb_series([at, 1], 2), *phi.parameters)
        except (ValueError, ZeroDivisionError):  # an infinite number, or one beyond all sizes
            continue
        for row, x in zip((0, 2), (series[0], series[1]), strict=True):
            ends = np.array([float(x.lower()), float(x.upper())])
            found[row : row + 2, i] = (
                ends if x.is_exact() else np.nextafter(ends, [-np.inf, np.inf])
            )
    return found


def bend(phi: Activation, low: Array, high: Array) -> tuple[Array, Array, Array]:
    """Sectors (2, n) from `low` to `high` (n,), and two numbers around phi (2, n) at each end."""
    alpha, beta = phi.sector
    first, last = _enclosed(phi, low), _enclosed(phi, high)
    slopes = np.array([np.minimum(first[2], last[2]), np.maximum(first[3], last[3])])
    least, largest, near = _TURNS.get(phi.name, lambda *_: ((), (), 0.0))(*phi.parameters)
    for own, extreme, points in zip(slopes, (alpha, beta), (least, largest), strict=True):
        for point in points:
            own[(low - near <= point) & (point <= high + near)] = extreme
    slopes = np.clip(slopes, alpha, beta)
    known = np.isfinite(slopes).all(axis=0)
    return np.where(known, slopes, [[alpha], [beta]]), first[:2], last[:2]


def wider(sectors: Array, phi: Activation) -> Array:
    """What is said of units with these sectors (2, n): exact where there is one slope only."""
    room = _ROOM * np.abs(sectors).max(axis=0) + _LEAST * max(map(abs, phi.sector))
    room *= sectors[0] < sectors[1]
    return np.clip([sectors[0] - room, sectors[1] + room], *phi.sector)
