"""Checks of what users hand in: one clear error each, which says what to do."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray


def finite_array(value: Any, name: str, ndim: int) -> Array:
    """`value` as a float64 array of `ndim` dimensions without NaN or infinity."""
    if hasattr(value, "detach"):  # a torch tensor, without importing torch
        value = value.detach().cpu().numpy()
    try:
        array = np.array(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must be numeric: {error}") from None
    if array.ndim != ndim:
        raise ValueError(
            f"{name} must have {ndim} dimension{'s' * (ndim != 1)}, got shape {array.shape}"
        )
    if not np.isfinite(array).all():
        bad = tuple(int(k) for k in np.argwhere(~np.isfinite(array))[0])
        raise ValueError(
            f"{name} has NaN or infinite entries, the first at index {bad}: remove or impute them"
        )
    return array


def data_pair(X: Any, y: Any, dim: int | None = None) -> tuple[Array, Array]:
    """Inputs X (n, d) and targets y (n,), with n >= 1 and, if given, d = `dim`."""
    X = inputs(X, dim)
    if getattr(y, "ndim", 1) == 2 and y.shape[1] == 1:
        y = y[:, 0]
    y = finite_array(y, "y", 1)
    if X.shape[0] == 0:
        raise ValueError("X has no rows: give at least one sample")
    if y.shape[0] != X.shape[0]:
        raise ValueError(f"X has {X.shape[0]} rows but y has {y.shape[0]} entries")
    return X, y


def inputs(X: Any, dim: int | None = None) -> Array:
    """Inputs X (n, d), without the bias feature."""
    X = finite_array(X, "X", 2)
    if X.shape[1] == 0:
        raise ValueError("X has no columns: give at least one input feature")
    if dim is not None and X.shape[1] != dim:
        hint = " (the bias feature is added for you: leave it out)" if X.shape[1] == dim + 1 else ""
        raise ValueError(f"X must have {dim} columns, got {X.shape[1]}{hint}")
    return X


def positive(value: Any, name: str) -> float:
    """`value` as a positive finite float."""
    number = finite(value, name)
    if not number > 0:
        raise ValueError(f"{name} must be positive, got {value!r}")
    return number


def nonnegative(value: Any, name: str) -> float:
    """`value` as a finite float that is not negative."""
    number = finite(value, name)
    if number < 0:
        raise ValueError(f"{name} must not be negative, got {value!r}")
    return number


def count(value: Any, name: str, least: int = 1) -> int:
    """`value` as an integer of at least `least`."""
    if isinstance(value, bool) or int(value) != value or value < least:
        raise ValueError(f"{name} must be a whole number of at least {least}, got {value!r}")
    return int(value)


def finite(value: Any, name: str) -> float:
    """`value` as a finite float."""
    try:
        if isinstance(value, (str, bytes)):
            raise TypeError
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{name} must be a number, got {value!r}") from None
    if not np.isfinite(number):
        raise ValueError(f"{name} must be finite, got {value!r}")
    return number


def frozen(array: Array) -> Array:
    """A copy that cannot be made writeable again."""
    return np.frombuffer(array.tobytes(), dtype=array.dtype).reshape(array.shape)


def one_of(value: Any, name: str, choices: tuple[Any, ...]) -> Any:
    """`value`, if it is one of `choices`."""
    if value not in choices:
        listing = ", ".join(repr(c) for c in choices)
        raise ValueError(f"{name} must be one of {listing}, got {value!r}")
    return value
