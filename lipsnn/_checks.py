"""Checks of what users hand in: one clear error each, which says what to do."""

from __future__ import annotations

import numbers
import warnings
from decimal import Decimal
from typing import Any

import numpy as np

Array = np.ndarray


def finite_array(value: Any, name: str, ndim: int | None) -> Array:
    """`value` as a float64 array of `ndim` dimensions, if given, without NaN or infinity."""
    array = _numeric(value, name)
    if ndim is not None and array.ndim != ndim:
        hint = ""
        if ndim == 2 and array.ndim == 1 and name == "X":
            hint = " (one feature: X.reshape(-1, 1); one sample: X.reshape(1, -1))"
        raise ValueError(
            f"{name} must have {ndim} dimension{'s' * (ndim != 1)}, got shape {array.shape}{hint}"
        )
    if not np.isfinite(array).all():
        bad = tuple(int(k) for k in np.argwhere(~np.isfinite(array))[0])
        raise ValueError(
            f"{name} has NaN or infinite entries, the first at index {bad}: remove or impute them"
        )
    return array


def _numeric(value: Any, name: str) -> Array:
    """A float64 copy of whatever holds real numbers; nothing is dropped or read into it."""
    value = plain(value, name)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", np.exceptions.VisibleDeprecationWarning)
            array = np.asarray(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{name} must be numeric: {error}") from None
    kind = array.dtype.kind
    if kind == "O":
        for index, entry in np.ndenumerate(array):
            if not isinstance(entry, (numbers.Real, Decimal)):
                place = f" at index {tuple(map(int, index))}" if index else ""
                raise ValueError(
                    f"{name} must be numeric: {type(entry).__name__} {entry!r:.60}{place} is no "
                    "real number; remove or impute it"
                )
    elif kind not in "fiub":
        what, advice = _KINDS.get(kind, (f"{array.dtype}", "convert it"))
        raise ValueError(f"{name} must be numeric, got {what}: {advice}")
    try:
        with np.errstate(over="ignore"):
            return np.array(array, dtype=np.float64)
    except OverflowError:
        raise ValueError(
            f"{name} has NaN or infinite entries: a number beyond float64; rescale it"
        ) from None
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must be numeric: {error}") from None


_KINDS = {
    "c": ("complex numbers", "take their real and imaginary parts as features of their own"),
    "M": ("dates", "convert them to numbers, in a unit of your choice"),
    "m": ("time differences", "divide them by a unit, such as np.timedelta64(1, 's')"),
    "U": ("text", "convert it with astype(float)"),
    "S": ("text", "convert it with astype(float)"),
    "V": ("a structured array", "use numpy.lib.recfunctions.structured_to_unstructured"),
}


def plain(value: Any, name: str) -> Any:
    """`value` without what numpy would lose: torch tensors as arrays, also inside of lists.

    Masked and sparse arrays, quantised and nested tensors are refused.
    """
    if isinstance(value, np.ma.MaskedArray):
        if np.ma.getmaskarray(value).any():
            raise ValueError(f"{name} has masked entries: remove or impute them")
        return value.data
    if type(value).__module__.startswith("scipy.sparse"):
        raise ValueError(f"{name} is a sparse array: pass {name}.toarray()")
    if hasattr(value, "detach") and hasattr(value, "dtype"):  # torch, without importing it
        if value.is_quantized:
            raise ValueError(f"{name} is a quantised tensor: pass {name}.dequantize()")
        if value.is_nested:
            raise ValueError(f"{name} is a nested tensor: pass {name}.to_padded_tensor(0.0)")
        if "strided" not in str(value.layout):
            raise ValueError(f"{name} is a sparse tensor: pass {name}.to_dense()")
        if value.is_meta:
            raise ValueError(f"{name} is a tensor on the meta device: it has no values")
        value = value.detach().cpu().resolve_conj().resolve_neg()
        return (value.double() if value.is_floating_point() else value).numpy()
    if isinstance(value, (list, tuple)):
        return [plain(entry, name) for entry in value] if _has_arrays(value) else value
    return value


def _has_arrays(value: Any) -> bool:
    """Whether a list holds something that numpy would read wrongly, at any depth."""
    if isinstance(value, (list, tuple)):
        return any(map(_has_arrays, value))
    return not isinstance(value, (int, float))


def data_pair(X: Any, y: Any, dim: int | None = None) -> tuple[Array, Array]:
    """Inputs X (n, d) and targets y (n,) or (n, 1), with n >= 1 and, if given, d = `dim`."""
    X = inputs(X, dim)
    return X, targets(y, len(X))


def targets(y: Any, n: int) -> Array:
    """Targets y (n,) or (n, 1) of n samples, at least one."""
    y = _numeric(y, "y")
    y = finite_array(y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y, "y", 1)
    if n == 0:
        raise ValueError("X has no rows: give at least one sample")
    if len(y) != n:
        raise ValueError(f"X has {n} rows but y has {len(y)} entries")
    return y


def inputs(X: Any, dim: int | None = None) -> Array:
    """Inputs X (n, d), without the bias feature."""
    X = finite_array(X, "X", 2)
    if X.shape[1] == 0:
        raise ValueError("X has no columns: give at least one input feature")
    if dim is not None and X.shape[1] != dim:
        hint = " (the bias feature is added for you: leave it out)" if X.shape[1] == dim + 1 else ""
        raise ValueError(f"X must have {dim} columns, got {X.shape[1]}{hint}")
    return X


@np.errstate(over="ignore", invalid="ignore")
def warn_of_scales(X: Array, residual: Array, centred: bool = False) -> None:
    """One warning where an l2 Lipschitz bound will say little about these data.

    Parameters
    ----------
    X : ndarray, (n, d)
    residual : ndarray, (n,)
        What the network has still to explain: ``y - f(X)``, or y before training.
    centred : bool
        Whether an output bias will take up the residual's mean.
    """
    found = []
    ranges = np.ptp(X, axis=0)
    varying = np.flatnonzero(ranges > 0)
    if len(varying) > 1:
        wide, narrow = varying[ranges[varying].argmax()], varying[ranges[varying].argmin()]
        if ranges[wide] / ranges[narrow] > _APART:
            found.append(
                f"the ranges of features {wide} and {narrow} differ by a factor of "
                f"{ranges[wide] / ranges[narrow]:.2g}, and the l2 norm counts a unit of each "
                "alike, so that the bound is about the narrow one only: standardise X"
            )
    mean, spread = float(residual.mean()), float(residual.std())
    if not centred and len(residual) > 1 and abs(mean) > _OFF_CENTRE * spread:
        found.append(
            f"the residual has mean {mean:.3g} and spread {spread:.3g}: a network without output "
            "bias reaches that mean by its slopes, which the bound pays for: subtract it from "
            "y, or let `refine` fit one (output_bias=True)"
        )
    if found:
        warnings.warn("; ".join(found), UserWarning, stacklevel=3)


# Ranges of features, largest by smallest; and a residual's mean in units of its spread.
_APART, _OFF_CENTRE = 1e3, 10.0


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
    try:
        whole = not isinstance(value, (bool, np.bool_, str, bytes)) and int(value) == value >= least
    except (TypeError, ValueError, OverflowError):
        whole = False
    if not whole:
        raise ValueError(f"{name} must be a whole number of at least {least}, got {value!r}")
    return int(value)


def finite(value: Any, name: str) -> float:
    """`value` as a finite float."""
    try:
        if isinstance(value, (bool, np.bool_, str, bytes)):
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
