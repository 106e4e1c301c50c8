"""From the operations of a foreign network, in order, to a `Network`, and the check of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lipsnn import _checks
from lipsnn._checks import Array
from lipsnn.activations import Activation
from lipsnn.convert.affine import Affine, Linear, merge
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
    layers = []
    for i, group in enumerate(groups):
        layers.append(merge(group, dim, sectors[i], sectors[i + 1]))
        dim = len(layers[-1][0])
    weights, biases, errors = zip(*layers, strict=True)
    return Network(weights, biases, acts, dtype, errors)


def expected(
    steps: Sequence[Step], x: Array, unit: float, largest: float
) -> tuple[Array, Array | None]:
    """What the steps make of x (n, d), and how far off arithmetic of rounding unit `unit` may be.

    The latter is None where an overflow of that arithmetic on the way explains anything.
    """
    error, peak = np.zeros_like(x), float(np.abs(x).max(initial=0.0))
    with np.errstate(all="ignore"):
        for step in steps:
            terms = 8  # of rounding, for each number of the size of those that are added up
            if isinstance(step, Act):
                alpha, beta = step.phi.sector
                steepest = max(abs(alpha), beta)
                y = step.phi(x)
                size, error = np.abs(y) + steepest * np.abs(x), steepest * error
            elif isinstance(step, Linear):
                terms, W = step.W.shape[1] + 4, np.abs(step.W)
                y = x @ step.W.T + step.b
                size, error = np.abs(x) @ W.T + np.abs(step.b), error @ W.T
            else:
                s, b = (np.array([float(v) for v in part]) for part in (step.s, step.b))
                y = s * x + b
                size, error = np.abs(s * x) + np.abs(b), error * np.abs(s)
            x, error = y, error + terms * unit * size
            peak = max(peak, float(np.nan_to_num(size, nan=np.inf).max(initial=0.0)))
    tiny = 1e3 * unit * float(np.finfo(np.float32).tiny if unit > 1e-10 else 1e-290)
    return x, 4 * error + tiny if peak < largest / 16 else None


def same(one: Step, other: Step) -> bool:
    """Whether two readings of the same network found the same step."""
    parts = zip(vars(one).items(), vars(other).items(), strict=False)
    return type(one) is type(other) and all(
        np.array_equal(a, b, equal_nan=True) if isinstance(a, np.ndarray) else a == b
        for (name, a), (_, b) in parts
        if name != "where"
    )


def check(
    net: Network, steps: Sequence[Step], x: Array, y: Array, unit: float, largest: float, what: str
) -> None:
    """Compare the outputs y of the original at x (n, d) with those of `net`, to rounding.

    That of arithmetic with rounding unit `unit` and largest number `largest`; a ValueError if they
    differ by more.
    """
    _, room = expected(steps, x, unit, largest)
    if room is None:
        return
    y = np.asarray(y, dtype=np.float64).reshape(len(x), -1)
    with np.errstate(all="ignore"):
        ours = net(x)
        # of layers that were multiplied, each entry is that near
        room = room + 2.1 * sum(net.rounding) * net.sizes(x)
    if y.shape != ours.shape:
        raise ValueError(
            f"{what} gives outputs of shape {y.shape}, its conversion of shape {ours.shape}"
        )
    wrong = ~(np.abs(y - ours) <= room)
    if wrong.any():
        row, column = (int(v) for v in np.argwhere(wrong)[0])
        raise ValueError(
            f"{what} is not what its layers say: at an input of size "
            f"{float(np.linalg.norm(x[row])):.3g} output {column} is {y[row, column]:.9g}, the "
            f"layers ({', '.join(step.where for step in steps if step.where)}) give "
            f"{ours[row, column]:.9g}; a hook, a counter or other code changes its values: "
            "remove it, or build a Network from the weights yourself"
        )


def converted(
    steps: Sequence[Step], dim: int, dtype: Any, run: Callable[[Array], Array], X: Any, what: str
) -> Network:
    """The network of these steps, compared with what `run` makes of inputs in `dtype`."""
    result = assemble(steps, dim, dtype.name)
    info = np.finfo(dtype)
    for batch in draws(dim, X):
        with np.errstate(all="ignore"):
            x = batch.astype(dtype)
            if np.isfinite(x).all():
                exact, y = x.astype(np.float64), run(x)
                check(result, steps, exact, y, float(info.eps), float(info.max), what)
    return result


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
