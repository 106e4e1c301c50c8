"""From the operations of a foreign network, in order, to a `Network`, and the check of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lipsnn import _checks
from lipsnn._checks import Array
from lipsnn.activations import Activation
from lipsnn.convert.affine import Affine, Linear, Scale, merge
from lipsnn.network import Network

# torch's names of the activations
ACTIVATIONS = (
    *("ReLU", "LeakyReLU", "PReLU", "RReLU", "Tanh", "Sigmoid", "ELU", "CELU", "SELU", "SiLU"),
    *("GELU", "Mish", "Softplus", "LogSigmoid", "Hardtanh", "ReLU6", "Hardsigmoid", "Hardswish"),
    "Softshrink",
)
SUPPORTED = (
    "Linear layers, BatchNorm, multiplication and addition of constants, Flatten, Dropout, "
    f"Identity and the activations {', '.join(ACTIVATIONS)} and abs, one after the other"
)


@dataclass(frozen=True, eq=False)
class Act:
    """An activation, of the layer `where`."""

    phi: Activation
    where: str = ""


Step = Affine | Act


def width(step: Step, inputs: int) -> int:
    """How many values a step gives."""
    return len(step.W) if isinstance(step, Linear) else inputs


def assemble(steps: Sequence[Step], dim: int, dtype: str) -> Network:
    """The network of these steps: affine maps merged, an identity matrix where there is none."""
    groups: list[list[Affine]] = [[]]
    acts: list[Activation] = []
    for step in steps:
        if isinstance(step, Act):
            acts.append(step.phi)
            groups.append([])
        else:
            groups[-1].append(step)
    if not any(isinstance(step, Linear) for step in steps):
        raise ValueError("the network has no Linear layer")
    if not acts:
        raise ValueError("the network has no activation: its constant is the spectral norm")
    sectors = [None, *(phi.sector for phi in acts), None]
    weights, biases = [], []
    for i, group in enumerate(groups):
        W, b = merge(group, dim, sectors[i], sectors[i + 1])
        weights.append(W)
        biases.append(b)
        dim = len(W)
    return Network(weights, biases, acts, dtype)


def evaluate(step: Step, x: Array) -> tuple[Array, Array]:
    """What a step makes of x (n, d), and the size of the terms that it adds up."""
    if isinstance(step, Act):
        with np.errstate(all="ignore"):
            y = step.phi(x)
        alpha, beta = step.phi.sector
        return y, np.abs(y) + max(abs(alpha), beta) * np.abs(x)
    if isinstance(step, Scale):
        s, b = (np.array([float(v) for v in part]) for part in (step.s, step.b))
        return s * x + b, np.abs(s * x) + np.abs(b)
    return x @ step.W.T + step.b, np.abs(x) @ np.abs(step.W).T + np.abs(step.b)


def same(one: Step, other: Step) -> bool:
    """Whether two readings of the same network found the same step."""
    if type(one) is not type(other):
        return False
    if isinstance(one, Act) and isinstance(other, Act):
        return one.phi == other.phi
    if isinstance(one, Scale) and isinstance(other, Scale):
        return one.s == other.s and one.b == other.b
    assert isinstance(one, Linear)
    assert isinstance(other, Linear)
    parts = (one.W, other.W), (one.b, other.b)
    return all(np.array_equal(ours, theirs, equal_nan=True) for ours, theirs in parts)


def check(
    net: Network, steps: Sequence[Step], x: Array, y: Array, unit: float, largest: float, what: str
) -> None:
    """Compare the outputs y of the original at x (n, d) with those of `net`, to rounding.

    Parameters
    ----------
    unit, largest : float
        Rounding unit and largest number of the arithmetic in which y was computed.
    what : str
        The original's name in an error.

    Raises
    ------
    ValueError
        If they differ by more than rounding in that arithmetic can explain.
    """
    value, error, peak = x, np.zeros_like(x), float(np.abs(x).max(initial=0.0))
    with np.errstate(all="ignore"):
        for step in steps:
            after, size = evaluate(step, value)
            if isinstance(step, Act):
                alpha, beta = step.phi.sector
                error = max(abs(alpha), beta) * error + 8 * unit * size
            elif isinstance(step, Linear):
                terms = step.W.shape[1] + 4
                error = error @ np.abs(step.W).T + terms * unit * size
            else:
                error = error * np.array([abs(float(v)) for v in step.s]) + 8 * unit * size
            value = after
            peak = max(peak, float(np.nan_to_num(size, nan=np.inf).max(initial=0.0)))
        if not peak < largest / 16:
            return  # an overflow of that arithmetic on the way explains anything
        y = np.asarray(y, dtype=np.float64).reshape(len(x), -1)
        ours = net(x)
        if y.shape != ours.shape:
            raise ValueError(
                f"{what} gives outputs of shape {y.shape}, its conversion of shape {ours.shape}"
            )
        tiny = 1e3 * unit * float(np.finfo(np.float32).tiny if unit > 1e-10 else 1e-290)
        wrong = ~(np.abs(y - ours) <= 4 * error + tiny)
    if wrong.any():
        row, column = (int(v) for v in np.argwhere(wrong)[0])
        raise ValueError(
            f"{what} is not what its layers say: at an input of size "
            f"{float(np.linalg.norm(x[row])):.3g} output {column} is {y[row, column]:.9g}, the "
            f"layers ({', '.join(step.where for step in steps if step.where)}) give "
            f"{ours[row, column]:.9g}; a hook, a counter or other code changes its values: "
            "remove it, or build a Network from the weights yourself"
        )


def draws(dim: int, X: Any) -> list[Array]:
    """Inputs on which every conversion is checked: several scales, one alone, and the user's."""
    rng = np.random.default_rng(0)
    found = [rng.normal(size=(33, dim)) * size for size in (1.0, 1e-3, 30.0, 1e3)]
    found += [rng.normal(size=(1025, dim)) * 3.0]
    found += [np.zeros((2, dim)), rng.normal(size=(1, dim)), rng.uniform(size=(5, dim))]
    found += [np.vstack([np.eye(dim)[:16], -np.eye(dim)[:16]])]
    if X is not None:
        if hasattr(X, "__dask_graph__") or isinstance(X, np.memmap):  # larger than memory
            X = np.asarray(X[:4096])
        given = _checks.inputs(X, dim)
        found += [given[start : start + 256] for start in range(0, min(len(given), 4096), 256)]
    return found
