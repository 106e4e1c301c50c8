"""The feedforward network of any depth, with any number of outputs."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from lipsnn import _checks
from lipsnn._checks import Array
from lipsnn._optional import torch
from lipsnn.activations import Activation, Sector
from lipsnn.shallow import ShallowNet, Value, positive_factors, with_bias

__all__ = ["Network", "ShallowNet", "with_bias"]


class Layers:
    """What the shapes of W_0 (n_1, d), .., W_l (k, n_l) say."""

    weights: tuple[Array, ...]

    @property
    def widths(self) -> tuple[int, ...]:
        """Units n_1 .. n_l of the hidden layers."""
        return tuple(W.shape[0] for W in self.weights[:-1])

    @property
    def dim(self) -> int:
        """Number d of inputs."""
        return self.weights[0].shape[1]

    @property
    def outputs(self) -> int:
        """Number k of outputs."""
        return self.weights[-1].shape[0]


@dataclass(frozen=True, eq=False, repr=False)
class Network(Layers, Value):
    """A feedforward network of any depth and number of outputs, with its biases; immutable.

    ``f(x) = W_l phi_l(W_{l-1} ... phi_1(W_0 x + b_0) ... + b_{l-1}) + b_l``.

    Parameters
    ----------
    weights : sequence of array_like
        W_0 (n_1, d), W_1 (n_2, n_1), .., W_l (k, n_l) with l >= 1; copied, as float64.
    biases : sequence of array_like, optional
        b_0 (n_1,), .., b_l (k,); zeros if None. No Lipschitz bound depends on them.
    activations : str, Activation or a sequence of them
        phi_1 .. phi_l, one per hidden layer, or one for all; names as in `ACTIVATIONS`.
    dtype : str
        In which `to_torch` hands it back: that of the network which it was converted from.
    rounding : sequence of float, optional
        For each matrix, how far its entries may be, relatively, from those of the layers that
        `as_network` or `select` multiplied into it; zeros if None. Local bounds make room for it.

    Raises
    ------
    ValueError
        For NaN or infinite entries, shapes that do not chain, fewer than two weight matrices, or
        an activation that does not exist.
    """

    weights: tuple[Array, ...]
    biases: tuple[Array, ...]
    activations: tuple[Activation, ...]
    dtype: str = "float64"
    rounding: tuple[float, ...] = ()

    def __init__(
        self,
        weights: Any,
        biases: Any = None,
        activations: Any = "relu",
        dtype: str = "float64",
        rounding: Any = None,
    ) -> None:
        weights = tuple(_checks.finite_array(W, f"weights[{i}]", 2) for i, W in enumerate(weights))
        if len(weights) < 2:
            raise ValueError(
                "a network needs at least two weight matrices and an activation between each two, "
                f"got {len(weights)} matrices"
            )
        for i, W in enumerate(weights):
            if 0 in W.shape:
                raise ValueError(f"weights[{i}] is empty: its shape is {W.shape}")
        for i, (W, V) in enumerate(pairwise(weights)):
            if V.shape[1] != W.shape[0]:
                raise ValueError(
                    f"the layers do not chain: layer {i} gives {W.shape[0]} values, "
                    f"layer {i + 1} takes {V.shape[1]}"
                )
        if biases is None:
            biases = [np.zeros(W.shape[0]) for W in weights]
        biases = tuple(_checks.finite_array(b, f"biases[{i}]", 1) for i, b in enumerate(biases))
        if [len(b) for b in biases] != [len(W) for W in weights]:
            raise ValueError(
                f"biases must be vectors of lengths {[len(W) for W in weights]}, one per weight "
                f"matrix, got {[len(b) for b in biases]}"
            )
        errors = np.zeros(len(weights))
        if rounding is not None:
            errors = _checks.finite_array(rounding, "rounding", 1)
        if len(errors) != len(weights) or (errors < 0).any():
            raise ValueError(f"rounding must be {len(weights)} numbers, none negative")
        vars(self).update(
            weights=tuple(map(_checks.frozen, weights)),
            biases=tuple(map(_checks.frozen, biases)),
            activations=_activations(activations, tuple(map(len, weights[:-1]))),
            dtype=dtype,
            rounding=tuple(errors.tolist()),
        )

    def __repr__(self) -> str:
        names = [repr(phi) for phi in self.activations]
        names = names[:1] if len(set(names)) == 1 else names
        sizes = "-".join(map(str, (self.dim, *self.widths, self.outputs)))
        return f"Network({sizes}, {', '.join(names)})"

    @property
    def sectors(self) -> tuple[Sector, ...]:
        """(alpha, beta) of phi_1 .. phi_l: alpha <= (phi(u) - phi(v)) / (u - v) <= beta."""
        return tuple(phi.sector for phi in self.activations)

    def __call__(self, X: Any) -> Array:
        """Outputs (n, k) for inputs X (n, d); (k,) for one input (d,)."""
        X, one = self._inputs(X)
        for phi, u in zip(self.activations, self._preactivations(X), strict=True):
            X = phi(u)
        return (X @ self.weights[-1].T + self.biases[-1])[0 if one else slice(None)]

    def patterns(self, X: Any) -> tuple[Array, ...]:
        """For each hidden layer a boolean array (n, n_i): whether the unit's input is >= 0."""
        X, one = self._inputs(X)
        return tuple((u >= 0.0)[0 if one else slice(None)] for u in self._preactivations(X))

    def gradient(self, X: Any) -> Array:
        """Jacobians (n, k, d) at X (n, d), (k, d) at one input, by the active side at a kink."""
        X, one = self._inputs(X)
        J = np.broadcast_to(self.weights[0], (len(X), *self.weights[0].shape))
        for i, u in enumerate(self._preactivations(X)):
            J = self.weights[i + 1] @ (self.activations[i].slope(u)[:, :, None] * J)
        return J[0 if one else slice(None)]

    def sizes(self, X: Any, radii: Any = 0.0) -> Array:
        """Outputs (n, k) of ``|W|, |b|, |x| + radius``: rounding is counted in units of these."""
        V = np.abs(_checks.inputs(X, self.dim)) + radii
        for i, (W, b) in enumerate(zip(self.weights, self.biases, strict=True)):
            V = V @ np.abs(W).T + np.abs(b)
            if i < len(self.sectors):
                V = max(map(abs, self.sectors[i])) * V + np.abs(self.activations[i](0 * b))
        return V

    def rescale(self, *factors: Any) -> Network:
        """The same function, each unit's inputs times a factor and its output divided by it.

        Parameters
        ----------
        *factors : float or array_like, (n_i,)
            Positive, for each hidden layer one per unit or one for all. The layer's activation
            must be positively homogeneous (relu, leaky_relu, prelu, abs), unless they are 1.
        """
        if len(factors) != len(self.widths):
            raise ValueError(f"give factors for {len(self.widths)} layers, got {len(factors)}")
        weights, biases = list(self.weights), list(self.biases)
        for i, (g, n) in enumerate(zip(factors, self.widths, strict=True)):
            gamma = positive_factors(g, n)
            if not self.activations[i].homogeneous and (gamma != 1).any():
                raise ValueError(f"{self.activations[i]} is not positively homogeneous")
            weights[i], biases[i] = gamma[:, None] * weights[i], gamma * biases[i]
            weights[i + 1] = weights[i + 1] / gamma
        return Network(weights, biases, self.activations, self.dtype, self.rounding)

    def select(self, outputs: Any) -> Network:
        """The same network followed by a matrix: one output, a margin, or any combination.

        Where ``C W_l`` is no float64 matrix it is enlarged by some 1e-14, so that a bound of the
        result is one of ``C f``.

        Parameters
        ----------
        outputs : int, (int, int) or array_like (p, k)
            i for output i, (i, j) for the margin ``f_i - f_j``, a matrix C for ``C f``.
        """
        from lipsnn.convert.affine import Linear, merge

        C = _combination(outputs, self.outputs)
        last = Linear(self.weights[-1], self.biases[-1], "W_l"), Linear(C, np.zeros(len(C)), "C")
        W, b, error = merge(last, self.widths[-1], self.sectors[-1], None)
        if self.rounding[-1]:  # of W_l, as far as C lets it cancel
            with np.errstate(divide="ignore", invalid="ignore"):
                shares = np.abs(C) @ np.abs(self.weights[-1]) / np.abs(W)
            alpha, beta = self.sectors[-1]
            kappa = 2 * max(abs(alpha), beta) / (beta - alpha)
            error += self.rounding[-1] * float(np.nan_to_num(shares, nan=0.0).max())
            if not error < 1e-12:
                raise ValueError(
                    "the last matrix stands for layers whose product was rounded, and these "
                    "outputs differ by little more: multiply the layers yourself, or select "
                    "before you convert"
                )
            W, error = W * (1 + 2 * error * kappa * W.size), error * (1 + 2 * kappa * W.size)
        weights, biases = (*self.weights[:-1], W), (*self.biases[:-1], b)
        rounding = (*self.rounding[:-1], error)
        return Network(weights, biases, self.activations, self.dtype, rounding)

    def to_shallow(self) -> ShallowNet:
        """As `ShallowNet`; a ValueError unless it has one hidden layer of ReLU and one output."""
        if not self.is_shallow:
            raise ValueError(
                f"{self!r} is not of the form (1): that has one hidden layer of ReLU units and "
                "one output; certify and pgd_attack take any network"
            )
        (W, V), (b, c) = self.weights, self.biases
        return ShallowNet(np.column_stack([W, b]), V[0], float(c[0]))

    @property
    def is_shallow(self) -> bool:
        """Whether there is one hidden layer of ReLU units and one output."""
        return self.activations == (Activation("relu"),) and self.outputs == 1

    def to_torch(self, dtype: torch.dtype | None = None) -> torch.nn.Sequential:
        """As ``nn.Sequential`` of Linear layers and activations, in `self.dtype` if None."""
        from lipsnn.convert.torch import to_torch

        return to_torch(self, dtype)

    def _inputs(self, X: Any) -> tuple[Array, bool]:
        one = np.ndim(X) == 1
        return _checks.inputs([X] if one else X, self.dim), one

    def _preactivations(self, X: Array) -> list[Array]:
        found = []
        for W, b, phi in zip(self.weights, self.biases, self.activations, strict=False):
            found.append(X @ W.T + b)
            X = phi(found[-1])
        return found


def _activations(given: Any, widths: tuple[int, ...]) -> tuple[Activation, ...]:
    """One `Activation` for each hidden layer."""
    if isinstance(given, (str, Activation)):
        given = [given] * len(widths)
    found = tuple(phi if isinstance(phi, Activation) else Activation(phi) for phi in given)
    if len(found) != len(widths):
        raise ValueError(
            f"activations must be one for all or one for each of the {len(widths)} hidden layers, "
            f"got {len(found)}"
        )
    for i, (phi, n) in enumerate(zip(found, widths, strict=True)):
        if phi.name == "prelu" and len(phi.parameters) not in (1, n):
            raise ValueError(
                f"activations[{i}] has {len(phi.parameters)} slopes for {n} units: give 1 or {n}"
            )
    return found


def _combination(outputs: Any, k: int) -> Array:
    """The matrix C of `Network.select`."""
    if np.ndim(outputs) == 2:
        C = _checks.finite_array(outputs, "outputs", 2)
        if C.shape[1] != k:
            raise ValueError(f"outputs must be a matrix with {k} columns, got shape {C.shape}")
        return C
    chosen = np.atleast_1d(np.asarray(outputs, dtype=object))
    known = all(isinstance(i, (int, np.integer)) and 0 <= i < k for i in chosen)
    if not known or len(chosen) > 2 or len(set(chosen)) < len(chosen):
        raise ValueError(
            f"outputs must be an index below {k}, a pair of two of them or a matrix with "
            f"{k} columns, got {outputs!r}"
        )
    C = np.zeros((1, k))
    C[0, list(chosen)] = (1.0, -1.0)[: len(chosen)]
    return C
