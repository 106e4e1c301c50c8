"""The shallow ReLU network (1) and what follows from its weights alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from lipsnn import _checks
from lipsnn._checks import Array
from lipsnn._optional import nn, torch


def with_bias(X: Array) -> Array:
    """X (n, d) with the constant feature 1 appended as last column, (n, d + 1)."""
    return np.hstack([X, np.ones((X.shape[0], 1))])


@dataclass(frozen=True, eq=False)
class ShallowNet:
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
        A constant added to the output. The paper has none; it is what an output bias
        of a torch network becomes, and no training or refinement changes it.

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
        weights.flags.writeable = False
        outer.flags.writeable = False
        object.__setattr__(self, "weights", weights)
        object.__setattr__(self, "outer", outer)
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
        """Outputs f(x_k), shape (n,), for inputs X (n, d)."""
        return np.maximum(self.preactivations(X), 0.0) @ self.outer + self.offset

    def preactivations(self, X: Any) -> Array:
        """Hidden values X w_i before the ReLU, shape (n, m), for inputs X (n, d)."""
        X = _checks.inputs(X, self.dim)
        return X @ self.weights[:, :-1].T + self.weights[:, -1]

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
        gamma = _checks.finite_array(np.broadcast_to(gamma, (self.width,)), "gamma", 1)
        if (gamma <= 0).any():
            raise ValueError("gamma must be positive in every entry")
        return ShallowNet(gamma[:, None] * self.weights, self.outer / gamma, self.offset)

    @classmethod
    def from_torch(cls, module: torch.nn.Module) -> ShallowNet:
        """From ``nn.Sequential(Linear(d, m), ReLU(), Linear(m, 1))``, biases optional.

        The output bias, if there is one, becomes `offset`.
        """

        match list(module.children()):
            case [nn.Linear() as hidden, nn.ReLU(), nn.Linear() as output]:
                pass
            case layers:
                found = ", ".join(type(layer).__name__ for layer in layers)
                raise ValueError(
                    "expected nn.Sequential(Linear, ReLU, Linear), got "
                    f"({found or type(module).__name__}): only shallow ReLU networks can be "
                    "converted"
                )
        if output.out_features != 1 or output.in_features != hidden.out_features:
            raise ValueError(
                f"the last layer must be Linear({hidden.out_features}, 1), "
                f"got Linear({output.in_features}, {output.out_features})"
            )

        def numbers(tensor: torch.Tensor) -> Array:
            return tensor.detach().double().cpu().numpy()

        weight = numbers(hidden.weight)
        bias = np.zeros(weight.shape[0]) if hidden.bias is None else numbers(hidden.bias)
        offset = 0.0 if output.bias is None else float(numbers(output.bias)[0])
        return cls(np.column_stack([weight, bias]), numbers(output.weight)[0], offset)

    def to_torch(self, dtype: torch.dtype | None = None) -> torch.nn.Sequential:
        """As ``nn.Sequential(Linear, ReLU, Linear)``, in float64 unless `dtype` says otherwise."""

        dtype = torch.float64 if dtype is None else dtype
        hidden = nn.Linear(self.dim, self.width, dtype=dtype)
        output = nn.Linear(self.width, 1, dtype=dtype)
        with torch.no_grad():
            hidden.weight.copy_(torch.tensor(self.weights[:, :-1]))
            hidden.bias.copy_(torch.tensor(self.weights[:, -1]))
            output.weight.copy_(torch.tensor(self.outer)[None, :])
            output.bias.fill_(self.offset)
        return nn.Sequential(hidden, nn.ReLU(), output)


def as_network(net: Any) -> ShallowNet:
    """`net` itself if it is a `ShallowNet`, or a torch network converted by `from_torch`."""
    if isinstance(net, ShallowNet):
        return net
    if hasattr(net, "state_dict"):
        return ShallowNet.from_torch(net)
    raise TypeError(
        f"expected a ShallowNet or torch's nn.Sequential(Linear, ReLU, Linear), "
        f"got {type(net).__name__}"
    )
