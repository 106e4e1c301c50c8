"""The shallow ReLU network (1) and what follows from its weights alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lipsnn import _checks
from lipsnn._checks import Array
from lipsnn._optional import torch

if TYPE_CHECKING:
    from lipsnn.network import Network


def with_bias(X: Array) -> Array:
    """X (n, d) with the constant feature 1 appended as last column, (n, d + 1)."""
    return np.hstack([X, np.ones((X.shape[0], 1))])


def positive_factors(gamma: Any, units: int) -> Array:
    """Rescaling factors, one for each of the units, from one for each or one for all."""
    gamma = _checks.finite_array(np.broadcast_to(gamma, (units,)), "gamma", 1)
    if (gamma <= 0).any():
        raise ValueError("gamma must be positive in every entry")
    return gamma


class Value:
    """A frozen dataclass of numbers: compared by value, and rebuilt (so frozen) by pickle."""

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        return self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[Any, ...]:
        def key(part: Any) -> Any:
            if isinstance(part, tuple):
                return tuple(key(one) for one in part)
            if isinstance(part, np.ndarray):  # adding 0 makes -0.0 the 0.0 it equals
                return part.shape, (part + 0.0).tobytes()
            return part

        return key(tuple(vars(self).values()))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), tuple(vars(self).values())


@dataclass(frozen=True, eq=False)
class ShallowNet(Value):
    """A network with one hidden layer of ReLU units and a scalar output.

    ``f(x) = sum_i a_i max(w_i' (x, 1), 0) + offset``: equation (1) of the paper, where the
    bias is the last entry of each hidden weight. Networks are immutable.

    Parameters
    ----------
    weights : array_like, (m, d + 1)
        Hidden weights w_i, one row per unit, the bias last.
    outer : array_like, (m,)
        Outer weights a_i.
    offset : float
        A constant added to the output. The paper has none; it is what an output bias of a torch
        network becomes. `refine` takes a network to have one if it is not zero, and fits it;
        no training changes it.

    Raises
    ------
    ValueError
        For NaN or infinite entries, no units, no inputs, or shapes that do not fit.
    """

    weights: Array
    outer: Array
    offset: float = 0.0

    def __post_init__(self) -> None:
        weights = _checks.finite_array(self.weights, "weights", 2)
        outer = _checks.finite_array(self.outer, "outer", 1)
        if weights.shape[0] == 0:
            raise ValueError("the network has no hidden units: weights needs at least one row")
        if weights.shape[1] < 2:
            raise ValueError(
                "weights must be (m, d + 1) with d >= 1 inputs and the bias in the last column, "
                f"got shape {weights.shape}"
            )
        if outer.shape[0] != weights.shape[0]:
            raise ValueError(
                f"weights has {weights.shape[0]} rows (units), outer has {outer.shape[0]} entries"
            )
        offset = float(_checks.finite_array(self.offset, "offset", 0))
        object.__setattr__(self, "weights", _checks.frozen(weights))
        object.__setattr__(self, "outer", _checks.frozen(outer))
        object.__setattr__(self, "offset", offset)

    def __repr__(self) -> str:
        offset = f", offset {self.offset:.6g}" if self.offset else ""
        return f"ShallowNet({self.width} units, {self.dim} inputs{offset})"

    @property
    def width(self) -> int:
        """Number m of hidden units."""
        return self.weights.shape[0]

    @property
    def dim(self) -> int:
        """Number d of inputs, the bias feature not counted."""
        return self.weights.shape[1] - 1

    @property
    def signs(self) -> Array:
        """Signs s_i of the outer weights (m,), with s_i = +1 for a_i >= 0."""
        return np.where(self.outer >= 0, 1.0, -1.0)

    @property
    def slopes(self) -> Array:
        """The products zbar_i = a_i wbar_i (m, d), what each active unit adds to the gradient."""
        return self.outer[:, None] * self.weights[:, :-1]

    def __call__(self, X: Any) -> Array:
        """Outputs f(x_k), shape (n,), for inputs X (n, d), or a number for one input (d,)."""
        return np.maximum(self.preactivations(X), 0.0) @ self.outer + self.offset

    def preactivations(self, X: Any) -> Array:
        """Hidden values X w_i before the ReLU, shape (n, m), for inputs X (n, d); (m,) for one."""
        one = np.ndim(X) == 1
        X = _checks.inputs([X] if one else X, self.dim)
        return (X @ self.weights[:, :-1].T + self.weights[:, -1])[0 if one else slice(None)]

    def patterns(self, X: Any) -> Array:
        """Activation patterns on X (n, d): a boolean (n, m), column i the diagonal of D_i.

        Entry (k, i) is true when ``w_i' x_k >= 0``, the paper's D_i = diag(1[X w_i >= 0]).
        """
        return self.preactivations(X) >= 0.0

    def gradient(self, X: Any) -> Array:
        """Gradients of f at X (n, d), shape (n, d), taking the active side on a boundary."""
        return self.patterns(X).astype(np.float64) @ self.slopes

    def rescale(self, gamma: Any) -> ShallowNet:
        """The same function with (w_i, a_i) replaced by (gamma_i w_i, a_i / gamma_i).

        Parameters
        ----------
        gamma : float or array_like, (m,)
            Positive factors, one per unit or one for all.
        """
        gamma = positive_factors(gamma, self.width)
        return ShallowNet(gamma[:, None] * self.weights, self.outer / gamma, self.offset)

    @classmethod
    def from_torch(cls, module: torch.nn.Module) -> ShallowNet:
        """From a torch module that computes (1); see `as_shallow`."""
        from lipsnn.convert import as_shallow

        return as_shallow(module)

    def to_network(self) -> Network:
        """As `Network`, the same numbers."""
        from lipsnn.network import Network

        return Network(
            (self.weights[:, :-1], self.outer[None, :]), (self.weights[:, -1], [self.offset])
        )

    def to_torch(self, dtype: torch.dtype | None = None) -> torch.nn.Sequential:
        """As ``nn.Sequential(Linear, ReLU, Linear)``, in float64 unless `dtype` says otherwise."""
        return self.to_network().to_torch(dtype)
