"""What solving one of the convex programs gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from scipy import sparse

from lipsnn._checks import Array
from lipsnn.solvers import Solution


@dataclass(frozen=True, eq=False)
class ProgramSolution(Solution):
    """A point of program (6), (12) or the joint one, and how good the solver says it is.

    Attributes
    ----------
    value, status, solver, iterations, seconds
        As in `Solution`; iterations of all attempts, where the structured solver started again.
    weights : ndarray, (m, d + 1), or None
        u_i and v_j of (6) and (12), z_i of the joint program; None without a point.
    rho : float or None
        L^2 at the point, in the Lipschitz programs.
    strength : float or None
        Of the Lipschitz programs, as given; under a bound the multiplier of ``rho <= L^2``, which
        is the strength at which this point is the solution without a bound.
    shares : ndarray, (m,), or None
        q_i = a_i^2 / (2 t_i), in the joint program.
    gap, primal_residual, dual_residual : float or None
        Relative, where the solver tells.
    cone_duals : sparse array, (m, n), or None
        Multipliers of the rows of (5), where the solver tells. Those not stored are zero.
    warm : object or None
        What the structured solver needs to start a similar program from this one.
    """

    weights: Array | None = None
    rho: float | None = None
    strength: float | None = None
    shares: Array | None = None
    gap: float | None = None
    primal_residual: float | None = None
    dual_residual: float | None = None
    cone_duals: sparse.csr_array | None = None
    warm: Any = None

    @property
    def has_point(self) -> bool:
        """Whether there is a point to evaluate, optimal or not."""
        return self.weights is not None
