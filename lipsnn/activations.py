"""The activations that a network may have: value, derivative and the sector of slopes.

A sector is a proved enclosure: ``alpha <= (phi(u) - phi(v)) / (u - v) <= beta`` for all u != v,
which for an absolutely continuous phi are the bounds of its derivative. Where they are not simple
numbers they are rounded outwards.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy.special import expit, ndtr

from lipsnn import _checks
from lipsnn._checks import Array

Sector = tuple[float, float]
Function = Callable[..., Array]

# scale and alpha, as its authors and torch have them
SELU = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717


class _Kind(NamedTuple):
    """``value(u, *parameters)``, its derivative, and the sector for these parameters."""

    value: Function
    slope: Function
    sector: Callable[..., Sector] = lambda *_: (0.0, 1.0)
    defaults: tuple[float, ...] = ()
    homogeneous: bool = False


def _sigmoid_slope(u: Array) -> Array:
    return expit(u) * expit(-u)


def _leaky(u: Array, below: float, above: float = 1.0) -> Array:
    return np.where(u >= 0, above * u, below * u)


def _leaky_slope(u: Array, below: float, above: float = 1.0) -> Array:
    return np.where(u >= 0, above, below)


def _span(*slopes: float) -> Sector:
    return min(slopes), max(slopes)


def _elu(u: Array, alpha: float, width: float = 1.0) -> Array:
    return np.where(u > 0, u, alpha * np.expm1(np.minimum(u / width, 0.0)))


def _elu_slope(u: Array, alpha: float, width: float = 1.0) -> Array:
    return np.where(u >= 0, 1.0, alpha / width * np.exp(np.minimum(u / width, 0.0)))


def _gelu_argument(u: Array) -> tuple[Array, Array]:
    root, cubic = np.sqrt(2 / np.pi), 0.044715
    u = np.clip(u, -1e3, 1e3)  # where tanh has long been 1
    return np.tanh(root * (u + cubic * u**3)), root * (1 + 3 * cubic * u * u)


def _gelu_tanh_slope(u: Array) -> Array:
    t, inner = _gelu_argument(u)
    return (1 + t) / 2 + np.clip(u, -1e3, 1e3) * (1 - t * t) * inner / 2


def _softplus(u: Array, beta: float, threshold: float = np.inf) -> Array:
    # torch's is the identity above its threshold, a jump of 2e-9 at 20
    return np.where(beta * u > threshold, u, np.logaddexp(0.0, beta * u) / beta)


def _mish_slope(u: Array) -> Array:
    t = np.tanh(np.logaddexp(0.0, u))
    return t + np.clip(u, -1e3, 1e3) * (1 - t * t) * expit(u)


def _inside(u: Array, low: float, high: float) -> Array:
    return 1.0 * ((u >= low) & (u < high))


_KINDS: dict[str, _Kind] = {
    "relu": _Kind(lambda u: np.maximum(u, 0.0), lambda u: 1.0 * (u >= 0), homogeneous=True),
    "leaky_relu": _Kind(
        _leaky, _leaky_slope, lambda below, above=1.0: _span(below, above), (0.01,), True
    ),
    "prelu": _Kind(
        lambda u, *slopes: _leaky(u, np.array(slopes)),  # type: ignore[arg-type]
        lambda u, *slopes: _leaky_slope(u, np.array(slopes)),  # type: ignore[arg-type]
        lambda *slopes: _span(1.0, *slopes),
        (0.25,),
        True,
    ),
    "abs": _Kind(np.abs, lambda u: np.where(u >= 0, 1.0, -1.0), lambda: (-1.0, 1.0), (), True),
    "tanh": _Kind(np.tanh, lambda u: 1 - np.tanh(u) ** 2),
    "sigmoid": _Kind(expit, _sigmoid_slope, lambda: (0.0, 0.25)),
    "log_sigmoid": _Kind(lambda u: -np.logaddexp(0.0, -u), lambda u: expit(-u)),
    "softplus": _Kind(_softplus, lambda u, beta, _=0.0: expit(beta * u), defaults=(1.0,)),
    "elu": _Kind(_elu, _elu_slope, lambda a: _span(0.0, 1.0, a), (1.0,)),
    "celu": _Kind(lambda u, a: _elu(u, a, a), lambda u, a: _elu_slope(u, a, a), defaults=(1.0,)),
    "selu": _Kind(
        lambda u: SELU[0] * _elu(u, SELU[1]),
        lambda u: SELU[0] * _elu_slope(u, SELU[1]),
        lambda: (0.0, 1.7580993408473773),
    ),
    # the extreme slopes, of which the last digits are rounded outwards, stand at
    # u = 2.3994 (silu), sqrt 2 (gelu), 1.4185 (gelu_tanh), 1.4906 and -2.2564 (mish)
    "silu": _Kind(
        lambda u: u * expit(u),
        lambda u: expit(u) + u * _sigmoid_slope(u),
        lambda: (-0.09983932012886725, 1.0998393201288673),
    ),
    "gelu": _Kind(
        lambda u: u * ndtr(u),
        lambda u: ndtr(u) + u * np.exp(-0.5 * u * u) / np.sqrt(2 * np.pi),
        lambda: (-0.12890414518515490, 1.1289041451851550),
    ),
    "gelu_tanh": _Kind(
        lambda u: 0.5 * u * (1 + _gelu_argument(u)[0]),
        _gelu_tanh_slope,
        lambda: (-0.12899306865877190, 1.1289930686587720),
    ),
    "mish": _Kind(
        lambda u: u * np.tanh(np.logaddexp(0.0, u)),
        _mish_slope,
        lambda: (-0.11252612238946260, 1.0884981612517283),
    ),
    "hardtanh": _Kind(np.clip, _inside, defaults=(-1.0, 1.0)),
    "relu6": _Kind(lambda u: np.clip(u, 0.0, 6.0), lambda u: _inside(u, 0.0, 6.0)),
    "hardsigmoid": _Kind(
        lambda u: np.clip(u / 6 + 0.5, 0.0, 1.0),
        lambda u: _inside(u, -3.0, 3.0) / 6,
        lambda: (0.0, 0.16666666666666669),
    ),
    "hardswish": _Kind(
        lambda u: u * np.clip(u / 6 + 0.5, 0.0, 1.0),
        lambda u: np.where(u >= 3, 1.0, _inside(u, -3.0, 3.0) * (2 * u + 3) / 6),
        lambda: (-0.5, 1.5),
    ),
    "softshrink": _Kind(
        lambda u, lam: u - np.clip(u, -lam, lam),
        lambda u, lam: 1 - _inside(u, -lam, lam),
        defaults=(0.5,),
    ),
}
ACTIVATIONS = tuple(_KINDS)


@dataclass(frozen=True)
class Activation:
    """An activation by its name and, for some, its parameters.

    Parameters
    ----------
    name : str
        One of `ACTIVATIONS`.
    parameters : float or sequence of float
        ``leaky_relu``: the slope below 0 and, if not 1, the one above. ``prelu``: the slope below
        0, one for all units or one each. ``elu`` and ``celu``: alpha. ``softplus``: beta and, for
        torch's, the threshold.
        ``hardtanh``: its two ends. ``softshrink``: lambda. The usual ones if left out.

    Raises
    ------
    ValueError
        For a name that does not exist, or parameters that make no sense, or the identity.
    """

    name: str
    parameters: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        name = self.name.lower() if isinstance(self.name, str) else self.name
        _checks.one_of(name, "activation", ACTIVATIONS)
        given = np.ravel(np.asarray(self.parameters, dtype=object))
        parameters = tuple(_checks.finite(value, f"{name}'s parameter") for value in given)
        defaults = _KINDS[name].defaults
        parameters = parameters or defaults
        many = {"prelu": len(parameters), "leaky_relu": 2, "softplus": 2}.get(name, len(defaults))
        if not len(defaults) <= len(parameters) <= many:
            raise ValueError(f"{name} has {len(defaults)} parameters, got {parameters!r}")
        if name in ("celu", "softplus") and parameters[0] <= 0:
            raise ValueError(f"{name} needs a positive parameter, got {parameters[0]:g}")
        if name == "softplus" and not min((*parameters, 20.0)[1:]) >= 20:
            raise ValueError(f"softplus with a threshold of {parameters[1]:g} jumps there")
        if name == "softshrink" and parameters[0] < 0:
            raise ValueError(f"softshrink's parameter must not be negative, got {parameters[0]:g}")
        if name == "hardtanh" and parameters[0] >= parameters[1]:
            raise ValueError(f"hardtanh's ends must rise, got {parameters!r}")
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "parameters", parameters)
        alpha, beta = self.sector
        if max(-alpha, beta) > 1e150 and not self.homogeneous:
            raise ValueError(f"{name} with slopes beyond 1e150: scale the layer after it instead")
        if not alpha < beta:
            raise ValueError(
                f"{name} with slopes {alpha:g} everywhere is the identity times {alpha:g}: "
                "leave it out, and multiply the layers beside it"
            )

    @property
    def sector(self) -> Sector:
        """(alpha, beta): between them lie all slopes."""
        return _KINDS[self.name].sector(*self.parameters)

    @property
    def homogeneous(self) -> bool:
        """Whether ``phi(g u) = g phi(u)`` for g > 0."""
        return _KINDS[self.name].homogeneous

    def __call__(self, u: Any) -> Array:
        """phi(u), entry by entry; units are the last axis."""
        return _KINDS[self.name].value(np.asarray(u, dtype=np.float64), *self.parameters)

    def slope(self, u: Any) -> Array:
        """phi'(u), that of the active side (u >= 0) where the two sides differ."""
        return _KINDS[self.name].slope(np.asarray(u, dtype=np.float64), *self.parameters)

    def __repr__(self) -> str:
        if self.parameters == _KINDS[self.name].defaults:
            return self.name
        if len(self.parameters) > 3:
            return f"{self.name}({len(self.parameters)} slopes)"
        return f"{self.name}({', '.join(f'{value:g}' for value in self.parameters)})"
