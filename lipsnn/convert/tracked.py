"""A tensor that records what is done to it, operation by operation, and refuses the rest."""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np

from lipsnn._checks import Array
from lipsnn._optional import nn, torch
from lipsnn.convert.chain import SUPPORTED, Step, expected
from lipsnn.convert.operations import numbers, steps_of

# What looks at the shape only.
_FRESH = (
    *("empty_like", "zeros_like", "ones_like", "full_like"),
    *("new_empty", "new_zeros", "new_ones", "new_full"),
)


class _Record:
    """What one run has done so far, and how roughly it calculates."""

    def __init__(self, rows: int, names: dict[int, str]) -> None:
        self.rows, self.names = rows, names
        self.unit, self.largest = 0.0, math.inf
        self.failed: Exception | None = None  # the first error, whatever forward makes of it

    def where(self) -> str:
        """The module whose forward is running: the innermost on Python's stack."""
        frame = sys._getframe(1)
        while frame is not None:
            module = frame.f_locals.get("self")
            if isinstance(module, nn.Module) and id(module) in self.names:
                return self.names[id(module)]
            frame = frame.f_back  # type: ignore[assignment]
        return ""

    def values(self, tensor: torch.Tensor) -> Array:
        """A row for each sample."""
        return numbers(tensor).reshape(self.rows, -1)

    def refuse(self, what: str) -> ValueError:
        place = self.where()
        return ValueError(
            f"{place + ': ' if place else ''}{what} is not supported; supported are {SUPPORTED}"
        )


class Tracked(torch.Tensor):
    """A tensor without data of its own: `value` has them, `steps` (one list for all views) how they
    came about."""

    value: torch.Tensor
    steps: list[Step]
    record: _Record
    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @staticmethod
    def __new__(cls, value: torch.Tensor, steps: list[Step], record: _Record) -> Tracked:
        stride, kind, device = value.stride(), value.dtype, value.device
        made = torch.Tensor._make_wrapper_subclass(
            cls, value.size(), strides=stride, dtype=kind, device=device
        )
        made.value, made.steps, made.record = value, steps, record
        return made

    def __repr__(self) -> str:  # type: ignore[override]
        return f"Tracked{tuple(self.value.shape)}"

    def numpy(self, *args: Any, **kwargs: Any) -> Any:
        """What a forward does outside torch cannot be followed."""
        error = self.record.refuse("what goes through numpy or tolist")
        self.record.failed = self.record.failed or error
        raise error

    tolist = __array__ = __dlpack__ = numpy

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        flat, _ = torch.utils._pytree.tree_flatten((args, kwargs))
        tracked = [a for a in flat if isinstance(a, Tracked)]
        try:
            return cls._recorded(func, args, kwargs, tracked)
        except Exception as error:
            record = tracked[0].record
            record.failed = record.failed or error
            raise

    @staticmethod
    def _recorded(func: Any, args: Any, kwargs: Any, tracked: list[Tracked]) -> Any:
        before, record = tracked[0].value, tracked[0].record
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
        before = before.detach().clone() if inplace else before
        real_args, real_kwargs = torch.utils._pytree.tree_map(
            lambda value: value.value if isinstance(value, Tracked) else value, (args, kwargs)
        )
        out = func(*real_args, **real_kwargs)
        if base in _FRESH:
            return out
        first = out[0] if isinstance(out, (tuple, list)) else out
        if not isinstance(first, torch.Tensor) or not first.is_floating_point():
            raise record.refuse(f"the operation {name}")
        place = next((i for i, a in enumerate(args) if a is tracked[0]), -1)
        steps = steps_of(base, real_args, real_kwargs, place, before, first, record)
        info = torch.finfo(first.dtype)
        record.unit, record.largest = max(record.unit, info.eps), min(record.largest, info.max)
        own, room = expected(steps, record.values(before), record.unit, record.largest)
        if room is not None:
            room += record.unit * np.abs(own)  # the result's own rounding
            if not (np.abs(record.values(first) - own) <= room).all():
                what = record.where() or "an operation"
                raise ValueError(f"{what} does not compute what it says")
        if inplace:
            tracked[0].steps.extend(steps)
            return tracked[0]
        if first.untyped_storage().data_ptr() == before.untyped_storage().data_ptr():
            # a view: what is done to one is done to the other
            return Tracked(first, tracked[0].steps, record)
        result = Tracked(first, [*tracked[0].steps, *steps], record)
        return (result, *out[1:]) if isinstance(out, (tuple, list)) else result


def line(error: Exception) -> str:
    """The first line of what an error says."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


def record(
    net: nn.Module, x: torch.Tensor, names: dict[int, str]
) -> tuple[list[Step], torch.Tensor, tuple[float, float]]:
    """Steps and outputs of ``net(x)``, and unit and largest number of the roughest arithmetic.

    A ValueError for an operation that a `Network` has not, with the layer in which it stands.
    """
    run = _Record(len(x), names)
    try:
        y = net(Tracked(x, [], run))
        if run.failed:
            raise run.failed
    except ValueError:
        raise
    except Exception as error:
        raise ValueError(
            f"{type(net).__name__}.forward cannot be followed: {line(error)}; build a Network from "
            "the weights yourself"
        ) from None
    if not isinstance(y, Tracked):
        raise ValueError(f"the output of {type(net).__name__}.forward does not come from its input")
    return y.steps, y.value, (run.unit, run.largest)
