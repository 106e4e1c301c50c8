"""What torch's operations are as steps of a network."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from lipsnn._checks import Array
from lipsnn._optional import torch
from lipsnn.activations import Activation
from lipsnn.convert.affine import Linear, divide, normalise, scale
from lipsnn.convert.chain import Act, Step

# What hands on the same numbers in the same order.
_TRANSPARENT = (
    *("view", "_unsafe_view", "reshape", "_reshape_alias", "flatten", "unflatten", "ravel"),
    *("squeeze", "unsqueeze", "alias", "detach", "clone", "contiguous", "expand", "slice"),
    *("_to_copy", "lift_fresh"),
)
_PLAIN = (
    *("relu", "tanh", "sigmoid", "silu", "mish", "hardsigmoid", "hardswish", "abs"),
    *("log_sigmoid_forward", "selu", "relu6"),
)
_SELU = (1.6732632423543772, 1.0507009873554805)


def numbers(tensor: torch.Tensor) -> Array:
    """A tensor's entries as float64."""
    return tensor.detach().to(device="cpu", dtype=torch.float64).numpy().copy()


def steps_of(
    name: str,
    args: Any,
    kwargs: dict[str, Any],
    place: int,
    x: torch.Tensor,
    y: torch.Tensor,
    record: Any,
) -> tuple[Step, ...]:
    """The steps of torch's operation `name` on x, its argument at `place`, that gave y.

    `record` knows the number of rows and words a refusal.
    """
    where, n = record.where(), record.rows
    if name in _TRANSPARENT:
        if y.numel() != x.numel() or (n > 1 and (y.ndim == 0 or y.shape[0] != n)):
            raise record.refuse(f"{name} that mixes or drops entries")
        return ()
    wide = x.numel() // n

    def constant(value: Any) -> Array:
        """A constant operand, one entry per value of a sample."""
        if not isinstance(value, torch.Tensor):
            return np.full(wide, float(value))
        if y.shape != x.shape or (value.ndim == x.ndim and value.shape[0] != 1):
            raise record.refuse(f"{name} with a constant of another shape")
        return numbers(value.expand(1, *x.shape[1:])).reshape(-1)

    zeros, ones = np.zeros(wide), np.ones(wide)
    if name in ("mm", "addmm", "linear"):
        factors = kwargs.get("beta", 1), kwargs.get("alpha", 1)
        rows = x.ndim == 2 and (n == 1 or x.shape[0] == n)
        if not rows or factors != (1, 1) or place != (1 if name == "addmm" else 0):
            raise record.refuse(f"{name} in this form")
        W = numbers(args[2 if name == "addmm" else 1])
        W = W if name == "linear" else W.T
        b = args[0] if name == "addmm" else args[2] if len(args) > 2 else None
        if b is not None and b.ndim == 2 and b.shape[0] != 1:
            raise record.refuse(f"{name} with a bias for each sample")
        bias = np.zeros(1) if b is None else numbers(b).reshape(-1)
        return (Linear(W, np.broadcast_to(bias, (len(W),)), where),)
    if name in ("native_batch_norm", "_native_batch_norm_legit_no_training", "cudnn_batch_norm"):
        gamma, beta, mean, variance = (None if a is None else numbers(a) for a in args[1:5])
        legit = name == "_native_batch_norm_legit_no_training"
        if (not legit and args[5]) or mean is None or variance is None:
            raise record.refuse("BatchNorm that normalises by the batch itself")
        if len(mean) != wide:
            raise record.refuse("BatchNorm over more than one axis")
        gamma, beta = ones if gamma is None else gamma, zeros if beta is None else beta
        return (normalise(mean, variance, float(args[-1]), gamma, beta, where),)
    if name in ("add", "sub", "rsub"):
        other, factor = args[1 - place], float(kwargs.get("alpha", args[2] if len(args) > 2 else 1))
        sign = -1.0 if name != "add" else 1.0
        own, theirs = 1.0, factor * sign
        if (place == 1) != (name == "rsub"):
            own, theirs = theirs, own
        return (scale(own * ones, theirs * constant(other), where),)
    if name == "neg":
        return (scale(-ones, zeros, where),)
    if name == "mul":
        return (scale(constant(args[1 - place]), zeros, where),)
    if name == "div" and place == 0 and not kwargs.get("rounding_mode"):
        divisor = constant(args[1])
        if (divisor == 0).any():
            raise record.refuse("division by zero")
        return (divide(divisor, zeros, where),)
    if name in ("clamp", "clamp_min", "clamp_max", "hardtanh", "threshold"):
        return _clipped(name, args, kwargs, constant, record, where)
    if name in ("sort", "maximum", "minimum", "max", "min", "amax", "amin"):
        raise record.refuse(
            f"{name}, as in GroupSort and MaxMin, (write max and min of u, v as (s + |d|)/2 and "
            "(s - |d|)/2, where s, d = u + v, u - v: Linear, PReLU with slopes 1, -1, Linear)"
        )
    phi = _activation(name, args, kwargs, record)
    if phi is None:
        return ()
    if len(phi.parameters) not in (1, wide) and phi.name in ("leaky_relu", "prelu"):
        raise record.refuse("PReLU with a slope for several values of a sample")
    return (Act(phi, where),)


def _clipped(
    name: str,
    args: Any,
    kwargs: dict[str, Any],
    constant: Callable[[Any], Array],
    record: Any,
    where: str,
) -> tuple[Step, ...]:
    """What cuts its input off: one end as a ReLU between two shifts."""
    given = list(args[1:])
    low = kwargs.get("min", given[0] if given and name != "clamp_max" else None)
    high = kwargs.get("max", given[-1] if name == "clamp_max" else (given + [None] * 2)[1])
    if name == "hardtanh":
        low = kwargs.get("min_val", -1.0 if low is None else low)
        high = kwargs.get("max_val", 1.0 if high is None else high)
    if name == "threshold":
        if low != high:
            raise record.refuse(f"a threshold with a jump (at {low} to {high})")
        high = None
    if isinstance(low, torch.Tensor) or isinstance(high, torch.Tensor):
        raise record.refuse("clamp with tensors as its ends")
    if low is not None and high is not None:
        if not math.isfinite(low) or not math.isfinite(high):
            raise record.refuse("an end that is not finite")
        return (Act(Activation("hardtanh", (float(low), float(high))), where),)
    relu = Act(Activation("relu"), where)
    end = constant(high if low is None else low)
    if not np.isfinite(end).all():
        raise record.refuse("an end that is not finite")
    if (end == 0).all() and low is not None:
        return (relu,)
    ones = np.ones(len(end))
    sign = 1.0 if low is not None else -1.0
    return scale(sign * ones, -sign * end, where), relu, scale(sign * ones, end, where)


def _activation(name: str, args: Any, kwargs: dict[str, Any], record: Any) -> Activation | None:
    """The activation of an operation of torch; None for one that is the identity."""

    def option(index: int, key: str, default: Any) -> Any:
        return kwargs.get(key, args[index] if len(args) > index else default)

    if name in _PLAIN:
        return Activation(name.removesuffix("_forward"))
    if name == "gelu":
        tanh = option(1, "approximate", "none") == "tanh"
        return Activation("gelu_tanh" if tanh else "gelu")
    if name == "softplus":
        beta, threshold = float(option(1, "beta", 1)), float(option(2, "threshold", 20))
        if threshold < 20:
            raise record.refuse(f"Softplus with a threshold of {threshold:g}, where it jumps,")
        return Activation("softplus", (beta, threshold))
    if name == "elu":
        alpha, factor, inner = (
            float(option(i, key, 1)) for i, key in enumerate(("alpha", "scale", "input_scale"), 1)
        )
        if (factor, inner) == (1.0, 1.0):
            return Activation("elu", (alpha,))
        if (alpha, factor, inner) == (*_SELU, 1.0):
            return Activation("selu")
        if factor == 1.0 and inner == 1.0 / alpha:
            return Activation("celu", (alpha,))
    if name == "celu":
        return Activation("celu", (float(option(1, "alpha", 1)),))
    if name == "softshrink":
        return Activation("softshrink", (float(option(1, "lambd", 0.5)),))
    slopes = None
    if name == "leaky_relu":
        slopes = [float(option(1, "negative_slope", 0.01))]
    elif name in ("prelu", "_prelu_kernel"):
        slopes = numbers(args[1]).reshape(-1).tolist()
    elif name == "rrelu_with_noise" and not option(4, "training", False):
        slopes = [(float(option(2, "lower", 1 / 8)) + float(option(3, "upper", 1 / 3))) / 2]
    if slopes is None:
        raise record.refuse(f"the operation {name}")
    if all(slope == 1 for slope in slopes):
        return None
    return Activation("leaky_relu" if name != "_prelu_kernel" else "prelu", tuple(slopes))
