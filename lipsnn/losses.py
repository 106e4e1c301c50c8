"""Losses: what a network's outputs cost beside the targets.

A loss is one class, and all that it needs is in it: copy `Squared` to add another, give it a name
in `LOSSES`. Training asks for what `Loss` lists, refinement also for `value`, `gradient`, `roots`
and, for a CVXPY solver, `expression`. Sums and means over the samples are taken where it is used.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import scipy.special

from lipsnn import _checks
from lipsnn._checks import Array
from lipsnn._optional import cp, torch

# Newton's method moves no output further, in the units of the outputs, and no curvature is less.
_REACH, _LEAST = 20.0, 1e-6


class Loss(Protocol):
    """What training asks of a loss.

    Attributes
    ----------
    classifies : bool
        Whether the targets are classes, so that there is an accuracy.
    summed : bool
        Whether objectives have its sum over the samples, as problem (4), rather than its mean.
    """

    classifies: bool
    summed: bool

    def mean(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """The mean over the samples, of outputs (n, k) and targets as `targets` hands them out."""

    def targets(self, y: Any, outputs: tuple[int, ...]) -> Array:
        """`y` as numbers for outputs of this shape, that of one sample.

        Raises
        ------
        ValueError
            If they do not fit, saying what to do.
        """


class Separable:
    """A loss of each output by itself, from its value, gradient and curvature."""

    classifies, summed = False, True

    def value(self, outputs: Any, targets: Any) -> Any:
        """The loss of each output of each sample, of arrays and tensors alike."""
        raise NotImplementedError

    def gradient(self, outputs: Array, targets: Array) -> Array:
        """Its derivative by that output."""
        raise NotImplementedError

    def curvature(self, outputs: Array, targets: Array) -> Array:
        """Its second derivative, where there is one."""
        raise NotImplementedError

    def damped(self, outputs: Array, targets: Array) -> Array:
        """The curvature for Newton's method: large enough that its steps are of order one."""
        slope = np.abs(self.gradient(outputs, targets))
        return np.maximum(self.curvature(outputs, targets), np.maximum(slope / _REACH, _LEAST))

    def roots(self, outputs: Array, targets: Array) -> Array:
        """R (n, k, k) with R R' that curvature, by outputs (n, k)."""
        return np.eye(outputs.shape[1]) * np.sqrt(self.damped(outputs, targets))[:, None, :]

    def mean(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """The mean over the samples, differentiable."""
        return self.value(outputs, targets).sum() / len(outputs)

    def targets(self, y: Any, outputs: tuple[int, ...]) -> Array:
        """`y` as floats (n, *outputs); (n,) will do for one output."""
        found = _checks.finite_array(y, "y", None)
        if found.ndim == 1 and outputs == (1,):
            found = found[:, None]
        if found.shape[1:] != outputs:
            raise ValueError(
                f"y must be finite numbers of shape {('n', *outputs)}, as the outputs of the "
                f"network, got {found.shape}".replace("'", "")
            )
        return found


class Squared(Separable):
    """``1/2 |f(x) - y|^2``, as in problem (4)."""

    def value(self, outputs: Any, targets: Any) -> Any:
        return 0.5 * (outputs - targets) ** 2

    def gradient(self, outputs: Array, targets: Array) -> Array:
        return outputs - targets

    def curvature(self, outputs: Array, targets: Array) -> Array:
        return np.ones_like(outputs)

    def expression(self, outputs: cp.Expression, targets: Array) -> cp.Expression:
        """The sum over samples and outputs, in CVXPY."""
        return 0.5 * cp.sum_squares(outputs - targets)


class Huber(Separable):
    """``r^2 / 2`` up to |r| = delta, then linear, r = f(x) - y of each output.

    Parameters
    ----------
    delta : float
        Positive, in the units of the targets.
    """

    def __init__(self, delta: float = 1.0) -> None:
        self.delta = _checks.positive(delta, "delta")

    def value(self, outputs: Any, targets: Any) -> Any:
        near = self.gradient(outputs, targets)
        return near * (outputs - targets - near / 2)

    def gradient(self, outputs: Any, targets: Any) -> Any:
        return (outputs - targets).clip(-self.delta, self.delta)

    def curvature(self, outputs: Array, targets: Array) -> Array:
        return 1.0 * (np.abs(outputs - targets) < self.delta)

    def expression(self, outputs: cp.Expression, targets: Array) -> cp.Expression:
        return 0.5 * cp.sum(cp.huber(outputs - targets, self.delta))  # type: ignore[arg-type]


class Logistic(Separable):
    """``log(1 + exp(-y f(x)))`` of labels y = -1 and 1, or 0 and 1, and one output."""

    def value(self, outputs: Array, targets: Array) -> Array:
        return np.logaddexp(0.0, -targets * outputs)

    def gradient(self, outputs: Array, targets: Array) -> Array:
        return -targets * scipy.special.expit(-targets * outputs)

    def curvature(self, outputs: Array, targets: Array) -> Array:
        return scipy.special.expit(outputs) * scipy.special.expit(-outputs)

    def expression(self, outputs: cp.Expression, targets: Array) -> cp.Expression:
        return cp.sum(cp.logistic(-cp.multiply(targets, outputs)))

    def mean(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.softplus(-targets * outputs).sum() / len(outputs)

    def targets(self, y: Any, outputs: tuple[int, ...]) -> Array:
        """`y` as floats -1 and 1, (n, *outputs); (n,) will do for one output."""
        found = super().targets(y, outputs)
        low = float(found.min(initial=0.0))
        if not np.isin(found, (-1.0, 1.0) if low < 0 else (0.0, 1.0)).all():
            raise ValueError("y must hold labels -1 and 1, or 0 and 1, for the logistic loss")
        return found if low < 0 else 2.0 * found - 1.0


class MeanSquared(Squared):
    """The mean of ``(f(x) - y)^2`` over the outputs: torch's MSE, and Pauli et al.'s."""

    summed = False

    def mean(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.mse_loss(outputs, targets)


class CrossEntropy:
    """``log sum_j exp f_j(x) - f_y(x)``, of a network with an output for each class."""

    classifies, summed = True, False

    def value(self, outputs: Array, targets: Array) -> Array:
        """The loss of each sample (n,), of outputs (n, k) and class numbers (n,)."""
        own = np.take_along_axis(outputs, targets[:, None], axis=1)
        return scipy.special.logsumexp(outputs - own, axis=1)

    def gradient(self, outputs: Array, targets: Array) -> Array:
        """Its derivatives by the outputs, (n, k)."""
        by = scipy.special.softmax(outputs, axis=1)
        by[np.arange(len(by)), targets] -= 1
        return by

    def roots(self, outputs: Array, targets: Array) -> Array:
        """R (n, k, k) with R R' its second derivative."""
        p = scipy.special.softmax(outputs, axis=1)
        root = np.sqrt(p)
        return np.eye(p.shape[1]) * root[:, None, :] - p[:, :, None] * root[:, None, :]

    def expression(self, outputs: cp.Expression, targets: Array) -> cp.Expression:
        """The sum over the samples, in CVXPY."""
        right = cp.multiply(np.eye(outputs.shape[1])[targets], outputs)
        return cp.sum(cp.log_sum_exp(outputs, axis=1)) - cp.sum(right)

    def mean(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """The mean over the samples, differentiable."""
        return torch.nn.functional.cross_entropy(outputs, targets)

    def targets(self, y: Any, outputs: tuple[int, ...]) -> Array:
        """`y` as class numbers (n,) from 0 on, whatever type of whole numbers it is."""
        if len(outputs) != 1 or outputs[0] < 2:
            raise ValueError(
                "classes need a network with outputs (n, k), one for each of at least two, got "
                f"outputs of shape {('n', *outputs)}".replace("'", "")
            )
        try:
            found = _checks.finite_array(y, "y", None)
        except ValueError as error:
            raise ValueError(
                f"{error} (y holds class numbers: names become some by "
                "numpy.unique(y, return_inverse=True)[1])"
            ) from None
        if found.ndim == 2 and found.shape[1] == 1:
            found = found[:, 0]
        if found.ndim != 1:
            raise ValueError(
                f"y must be class numbers (n,), got shape {found.shape}: from rows with a one at "
                "the class take y.argmax(axis=1)"
            )
        wrong = np.flatnonzero((found != np.floor(found)) | (found < 0) | (found >= outputs[0]))
        if len(wrong):
            first = int(wrong[0])
            hint = ": count classes from 0" if (found >= 1).all() else ""
            raise ValueError(
                f"y must be whole class numbers from 0 to {outputs[0] - 1}, one for each of the "
                f"network's {outputs[0]} outputs, got {found[first]:g} at index {first}{hint}"
            )
        return found.astype(np.int64)


SQUARED = Squared()
LOSSES: dict[str, Loss] = {
    "squared": SQUARED,
    "mse": MeanSquared(),
    "cross_entropy": CrossEntropy(),
    "huber": Huber(),
    "logistic": Logistic(),
}


def as_loss(loss: str | Loss) -> Loss:
    """The loss of this name, or `loss` itself if it is one."""
    if not isinstance(loss, str):
        if not (hasattr(loss, "mean") and hasattr(loss, "targets")):
            raise TypeError(
                f"loss must be one of {', '.join(LOSSES)} or such an object, got {loss!r}"
            )
        return loss
    name = {"cross-entropy": "cross_entropy", "squares": "squared"}.get(loss, loss)
    return LOSSES[_checks.one_of(name, "loss", tuple(LOSSES))]


def expression(loss: Any, outputs: cp.Expression, targets: Array) -> cp.Expression:
    """The sum of a loss over samples and outputs, in CVXPY."""
    value, own = (
        next((kind for kind in type(loss).__mro__ if name in vars(kind)), None)
        for name in ("value", "expression")
    )
    if value is not own:  # it would be another loss's
        raise ValueError(
            f"{type(loss).__name__} has no `expression` for CVXPY beside its `value`: leave "
            "solver out"
        )
    return loss.expression(outputs, targets)


def smooth_loss(loss: str | Loss) -> Any:
    """The loss of this name, or `loss` itself, with value and derivatives."""
    found = as_loss(loss)
    if isinstance(found, MeanSquared) or not hasattr(found, "roots"):
        names = [name for name in LOSSES if name != "mse"]
        raise ValueError(f"loss must be one of {', '.join(names)} here, got {loss!r}")
    return found


def scalar_loss(loss: str | Loss) -> Separable:
    """Such a loss of one output."""
    found = smooth_loss(loss)
    if not isinstance(found, Separable):
        names = [name for name in LOSSES if name not in ("mse", "cross_entropy")]
        raise ValueError(
            f"loss must be one of {', '.join(names)} for one output: "
            "cross-entropy needs an output for each class"
        )
    return found
