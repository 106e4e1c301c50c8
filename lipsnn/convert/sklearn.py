"""scikit-learn's multi-layer perceptrons, alone or after scalers in a Pipeline."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

from lipsnn._checks import Array
from lipsnn.activations import Activation
from lipsnn.convert.affine import Linear, Scale, divide, scale
from lipsnn.convert.chain import Act, Step, converted
from lipsnn.network import Network

_NAMES = {"relu": "relu", "tanh": "tanh", "logistic": "sigmoid"}
_SCALERS = ("StandardScaler", "MinMaxScaler", "MaxAbsScaler", "RobustScaler")
SUPPORTED = (
    "MLPRegressor and MLPClassifier, alone or in a Pipeline after "
    f"{', '.join(_SCALERS[:-1])} or {_SCALERS[-1]}"
)


def from_sklearn(model: Any, X: Any = None) -> Network:
    """The network of a fitted model; of a classifier its logits, one for two classes."""
    *scalers, mlp = parts = list(_parts(model)) or [model]
    if _kind(mlp) not in ("MLPRegressor", "MLPClassifier"):
        end = " at the end" if _kind(mlp) in _SCALERS else ""
        raise ValueError(f"{type(mlp).__name__}{end} is not supported; supported are {SUPPORTED}")
    if not hasattr(mlp, "coefs_"):
        raise ValueError(f"{type(mlp).__name__} is not fitted: call fit first")
    if type(mlp).__name__ == "MLPRegressor" and mlp.out_activation_ != "identity":
        raise ValueError(
            f"MLPRegressor with the output activation {mlp.out_activation_!r} (loss "
            f"{mlp.loss!r}) is not supported: fit it with the squared error"
        )
    steps: list[Step] = []
    for scaler in scalers:
        steps += _scaler(scaler)
    if mlp.activation not in (*_NAMES, "identity"):
        raise ValueError(f"activation {mlp.activation!r} is not supported")
    for i, (W, b) in enumerate(zip(mlp.coefs_, mlp.intercepts_, strict=True)):
        where = f"coefs_[{i}]"
        if i and mlp.activation != "identity":
            steps.append(Act(Activation(_NAMES[mlp.activation]), where))
        steps.append(Linear(np.asarray(W, np.float64).T, np.asarray(b, np.float64), where))
    dim, dtype = mlp.coefs_[0].shape[0], np.dtype(mlp.coefs_[0].dtype)
    what = type(model).__name__
    return converted(steps, dim, dtype, lambda x: _outputs(model, mlp, parts, x), X, what)


def _parts(model: Any) -> Iterator[Any]:
    """The steps of pipelines, in order; of another model itself."""
    if _kind(model) != "Pipeline":
        yield model
        return
    for _, part in model.steps:
        if part not in (None, "passthrough"):
            yield from _parts(part)


def _kind(part: Any) -> str:
    """The name of scikit-learn's own class; a ValueError where a method was replaced."""
    for name in vars(part):
        if hasattr(type(part), name):
            raise ValueError(f"{type(part).__name__} has a {name} of its own: remove it")
    return type(part).__name__ if type(part).__module__.startswith("sklearn.") else ""


def _outputs(model: Any, mlp: Any, parts: list[Any], x: Array) -> Array:
    """What the model itself predicts; of a classifier the logits, from its own forward pass."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # names of features
        if type(mlp).__name__ == "MLPRegressor":
            return np.asarray(model.predict(x), dtype=np.float64).reshape(len(x), -1)
        for part in parts[:-1]:
            x = part.transform(x)
        kept = mlp.out_activation_
        try:
            mlp.out_activation_ = "identity"
            return np.asarray(mlp._forward_pass_fast(x, check_input=True), dtype=np.float64)
        finally:
            mlp.out_activation_ = kept


def _scaler(part: Any) -> list[Scale]:
    """A fitted scaler as its affine maps."""
    name = _kind(part)
    if name not in _SCALERS or getattr(part, "clip", False):
        kind = f"{name} with clip" if name in _SCALERS else type(part).__name__
        raise ValueError(f"{kind} is not supported; supported are {SUPPORTED}")
    if not hasattr(part, "scale_"):
        raise ValueError(f"{name} is not fitted: call fit first")
    middle = getattr(
        part, {"StandardScaler": "mean_", "MinMaxScaler": "min_"}.get(name, "center_"), None
    )
    for values in (part.scale_, middle):
        if values is not None and not np.isfinite(values).all():
            raise ValueError(f"{name} has values that are not finite: fit it again")
    if name == "MinMaxScaler":
        return [scale(np.asarray(part.scale_, np.float64), np.asarray(middle, np.float64), name)]
    centred = getattr(part, "with_mean", getattr(part, "with_centering", False))
    found, width = [], part.n_features_in_
    if middle is not None and centred:
        found.append(scale(np.ones(width), -np.asarray(middle, np.float64), name))
    if part.scale_ is not None:
        if not np.all(part.scale_):
            raise ValueError(f"{name} divides by zero: fit it again")
        found.append(divide(np.asarray(part.scale_, np.float64), np.zeros(width), name))
    return found
