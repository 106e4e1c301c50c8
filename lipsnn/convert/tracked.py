"""A tensor that records what is done to it, operation by operation, and refuses the rest."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils._pytree import tree_flatten, tree_map

from lipsnn._checks import Array
from lipsnn.activations import Activation
from lipsnn.convert.affine import Linear, divide, normalise, scale
from lipsnn.convert.chain import SUPPORTED, Act, Step, evaluate

# What hands on the same numbers in the same order.
_TRANSPARENT = (
    *("view", "_unsafe_view", "reshape", "_reshape_alias", "flatten", "unflatten", "ravel"),
    *("squeeze", "unsqueeze", "alias", "detach", "clone", "contiguous", "expand", "slice"),
    *("_to_copy", "lift_fresh"),
)
# What looks at the shape only.
_FRESH = (
    *("empty_like", "zeros_like", "ones_like", "full_like"),
    *("new_empty", "new_zeros", "new_ones", "new_full"),
)
_SELU = (1.6732632423543772, 1.0507009873554805)


class _Record:
    """What one run has done so far, and how roughly it calculates."""

    def __init__(self, rows: int, names: dict[int, str]) -> None:
        self.rows, self.names = rows, names
        self.unit, self.largest = 0.0, math.inf

    def where(self) -> str:
        """The module whose forward is running: the innermost on Python's stack."""
        frame = sys._getframe(1)
        while frame is not None:
            module = frame.f_locals.get("self")
            if isinstance(module, nn.Module) and id(module) in self.names:
                return self.names[id(module)]
            frame = frame.f_back  # type: ignore[assignment]
        return ""

    def refuse(self, what: str) -> ValueError:
        place = self.where()
        return ValueError(
            f"{place + ': ' if place else ''}{what} is not supported; supported are {SUPPORTED}"
        )


class _Cell:
    """The steps that lead to a tensor and to its views."""

    def __init__(self, record: _Record, steps: tuple[Step, ...]) -> None:
        self.record, self.steps = record, steps


class Tracked(torch.Tensor):
    """A tensor without data of its own: `value` has them, `cell` how they came about."""

    value: torch.Tensor
    cell: _Cell
    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @staticmethod
    def __new__(cls, value: torch.Tensor, cell: _Cell) -> Tracked:
        made = torch.Tensor._make_wrapper_subclass(
            cls,
            value.size(),
            strides=value.stride(),
            dtype=value.dtype,
            device=value.device,
        )
        made.value, made.cell = value, cell
        return made  # type: ignore[no-any-return]

    def __repr__(self) -> str:  # type: ignore[override]
        return f"Tracked{tuple(self.value.shape)}"

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        flat, _ = tree_flatten((args, kwargs))
        tracked = [a for a in flat if isinstance(a, Tracked)]
        cell = tracked[0].cell
        record = cell.record
        space, name = str(func).split(".")[:2]
        if name in ("_local_scalar_dense", "is_nonzero", "item", "equal", "allclose"):
            raise record.refuse("a decision of forward that depends on the values of its input")
        if len(tracked) > 1:
            raise record.refuse(f"what joins two branches (here {name})")
        inplace = name.endswith("_") and not name.endswith("__")
        base = name[:-1] if inplace else name
        elsewhere = inplace and args[0] is not tracked[0]
        if space != "aten" or kwargs.get("out") is not None or elsewhere:
            raise record.refuse(f"the operation {space}.{name}")
        before = tracked[0].value.detach().clone() if inplace else tracked[0].value
        real_args, real_kwargs = tree_map(_plain, (args, kwargs))
        out = func(*real_args, **real_kwargs)
        if base in _FRESH:
            return out
        first = out[0] if isinstance(out, (tuple, list)) else out
        if not isinstance(first, torch.Tensor) or not first.is_floating_point():
            raise record.refuse(f"the operation {name}")
        place = next((i for i, a in enumerate(args) if a is tracked[0]), -1)
        steps = _steps(base, real_args, real_kwargs, place, before, first, record)
        info = torch.finfo(first.dtype)
        record.unit, record.largest = max(record.unit, info.eps), min(record.largest, info.max)
        _compare(steps, before, first, record)
        if inplace:
            cell.steps += steps
            return tracked[0]
        if first.untyped_storage().data_ptr() == before.untyped_storage().data_ptr():
            return Tracked(first, cell)  # a view: what is done to one is done to the other
        result = Tracked(first, _Cell(record, cell.steps + steps))
        return (result, *out[1:]) if isinstance(out, (tuple, list)) else result


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, Tracked) else value


def numbers(tensor: torch.Tensor) -> Array:
    """A tensor's entries as float64."""
    return tensor.detach().to(device="cpu", dtype=torch.float64).numpy().copy()


def record(
    net: nn.Module, x: torch.Tensor, names: dict[int, str]
) -> tuple[list[Step], torch.Tensor, tuple[float, float]]:
    """Steps and outputs of ``net(x)``, and unit and largest number of the roughest arithmetic.

    Raises
    ------
    ValueError
        For an operation that a `Network` has not, with the layer in which it stands.
    """
    run = _Record(len(x), names)
    try:
        y = net(Tracked(x, _Cell(run, ())))
    except ValueError:
        raise
    except Exception as error:
        text = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
        raise ValueError(
            f"{type(net).__name__}.forward cannot be followed: {text}; build a Network from the "
            "weights yourself"
        ) from None
    if not isinstance(y, Tracked):
        raise ValueError(f"the output of {type(net).__name__}.forward does not come from its input")
    return list(y.cell.steps), y.value, (run.unit, run.largest)


def _compare(
    steps: tuple[Step, ...], before: torch.Tensor, after: torch.Tensor, record: _Record
) -> None:
    """One operation against what its steps say."""
    x = numbers(before).reshape(record.rows, -1)
    value, size = x, np.abs(x)
    for step in steps:
        value, more = evaluate(step, value)
        size = size.max() + more if size.shape != more.shape else size + more
    if not np.isfinite(size).all() or size.max(initial=0.0) > record.largest / 16:
        return
    terms = 16 + x.shape[1]
    apart = np.abs(numbers(after).reshape(record.rows, -1) - value)
    if not (apart <= 2 * terms * record.unit * (size + 1e-30)).all():
        raise ValueError(f"{record.where() or 'an operation'} does not compute what it says")


def _steps(
    name: str,
    args: Any,
    kwargs: dict[str, Any],
    place: int,
    x: torch.Tensor,
    y: torch.Tensor,
    record: _Record,
) -> tuple[Step, ...]:
    """The steps of the operation `name` on x, its argument at `place`, that gave y."""
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
        if (
            x.ndim != 2
            or (n > 1 and x.shape[0] != n)
            or kwargs.get("beta", 1) != 1
            or kwargs.get("alpha", 1) != 1
            or place != (1 if name == "addmm" else 0)
        ):
            raise record.refuse(f"{name} in this form")
        W = numbers(args[2 if name == "addmm" else 1])
        W = W if name == "linear" else W.T
        b = args[0] if name == "addmm" else args[2] if len(args) > 2 else None
        if b is not None and b.ndim == 2 and b.shape[0] != 1:
            raise record.refuse(f"{name} with a bias for each sample")
        return (
            Linear(
                W,
                np.zeros(len(W))
                if b is None
                else np.broadcast_to(numbers(b).reshape(-1), (len(W),)),
                where,
            ),
        )
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
        own = factor * sign if (place == 1) != (name == "rsub") else 1.0
        theirs = 1.0 if (place == 1) != (name == "rsub") else factor * sign
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
    phi = _activation(name, args, kwargs, record)
    if phi is None:
        return ()
    return (Act(phi, where),)


def _clipped(
    name: str,
    args: Any,
    kwargs: dict[str, Any],
    constant: Callable[[Any], Array],
    record: _Record,
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
    if (end == 0).all() and low is not None:
        return (relu,)
    ones = np.ones(len(end))
    if low is not None:
        return scale(ones, -end, where), relu, scale(ones, end, where)
    return scale(-ones, end, where), relu, scale(-ones, end, where)


def _activation(name: str, args: Any, kwargs: dict[str, Any], record: _Record) -> Activation | None:
    """The activation of an operation of torch; None for one that is the identity."""

    def option(index: int, key: str, default: Any) -> Any:
        return kwargs.get(key, args[index] if len(args) > index else default)

    plain = {"log_sigmoid_forward": "log_sigmoid"}
    if name in (
        "relu",
        "tanh",
        "sigmoid",
        "silu",
        "mish",
        "hardsigmoid",
        "hardswish",
        "abs",
        "log_sigmoid_forward",
        "selu",
        "relu6",
    ):
        return Activation(plain.get(name, name))
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
