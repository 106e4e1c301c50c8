"""ADMM with T free in the Lipschitz step (10b), the outer weights held.

The LMI has products of T with the weights, so that over both it is not convex. For one hidden layer
and a scalar output, hold the outer weights a. With z_i = a_i wbar_i, z_0 = sum_i z_i and
``q_i = a_i^2 / (2 t_i)`` the LMI says that ``sum_i q_i <= 1`` and, with q_0 = 1 - sum_i q_i,

    rho I >= 1/4 sum_{i=0..m} z_i z_i' / q_i,

which is jointly convex in (z, q, rho). Since ReLU units can be rescaled, holding |a| costs nothing
but the units with a_i = 0, and the signs of the others. This is problem (8) of Yin and
Lesage-Landry with T free; between two hidden layers products of T with weights remain.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lipsnn._checks import Array
from lipsnn.certificate import certify
from lipsnn.network import ShallowNet
from lipsnn.train.admm import AdmmResult, StepSolution, run
from lipsnn.train.admm.fits import ShallowFit
from lipsnn.train.descent import Steps
from studies.pauli.reference import solve_free_step


class FreeStep:
    """``min mu rho + r/2 |Wbar - V|^2`` over hidden weights, T and rho such that M <= 0, by CVXPY.

    What the solver leaves of a violation is taken from the weights, by the certificate.

    Parameters
    ----------
    rho : float
        L_des^2 if `mu` is None; else it is not used.
    mu : float or None
        Weight of rho; None holds it fixed.
    penalty : float
        r.
    """

    def __init__(self, rho: float, *, mu: float | None, penalty: float) -> None:
        self.rho, self.mu, self.penalty = rho, mu, penalty
        self.multipliers: list[Array] = []

    def solve(self, target: Sequence[Array]) -> StepSolution:
        """The step from V = `target`, W^0 (m, d) and W^1 (1, m), which is held."""
        hidden, outer = target
        how: dict[str, Any] = {"mu": self.mu, "penalty": self.penalty, "rho": self.rho}
        W, _, solution = solve_free_step(hidden, outer[0], **how)
        if not solution.has_point:
            raise RuntimeError(f"no Lipschitz step with T free: {solution.status}")
        found = certify(_network(W, outer[0]))
        if self.mu is None and found.bound**2 > self.rho:
            W *= np.sqrt(self.rho) / found.bound
            found = certify(_network(W, outer[0]))
        self.multipliers = [found.multipliers]
        rho = self.rho if self.mu is None else found.bound**2
        value = self.penalty / 2 * float(np.sum((W - hidden) ** 2)) + (self.mu or 0.0) * rho
        return StepSolution([W, outer], rho, value, solution.value, solution.iterations or 0)


def train_free(
    X: Array,
    y: Array,
    init: ShallowNet,
    *,
    strength: float | None = None,
    enforce: float | None = None,
    penalty: float = 0.01,
    iterations: int = 50,
    epochs: int = 10,
    learning_rate: float = 1e-2,
    callback: Callable[[Any], None] | None = None,
) -> AdmmResult:
    """`train_admm` from `init` with T a variable of (10b) and the outer weights of `init` held.

    Arguments and result are those of `train_admm`. Let hidden and outer weights be of one size
    (`ShallowNet.rescale`).
    """
    steps = Steps(0, iterations * epochs, 32, learning_rate, "adam")
    fit = ShallowFit(init, X, y, penalty, epochs, steps, trains_outer=False)
    penalty *= fit.scale
    return run(
        fit,
        FreeStep(0.0 if enforce is None else enforce**2, mu=strength, penalty=penalty),
        strength=strength or 0.0,
        penalty=penalty,
        iterations=iterations,
        tol=1e-4,
        callback=callback,
    )


def _network(hidden: Array, outer: Array) -> ShallowNet:
    return ShallowNet(np.column_stack([hidden, np.zeros(len(hidden))]), outer)
