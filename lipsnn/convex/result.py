"""What solving a program gives, and what a refinement gives back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from scipy import sparse

from lipsnn._checks import Array
from lipsnn.certificate import Certificate
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
    biases : tuple of ndarray
        b_j .. b_l of a layer's program, whose `weights` are W_j.
    cone_duals : sparse array, (m, n), or None
        Multipliers of the rows of (5), or of all rows of a layer's program, where the solver
        tells. Those not stored are zero.
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
    biases: tuple[Array, ...] = ()
    cone_duals: sparse.csr_array | None = None
    warm: Any = None

    @property
    def has_point(self) -> bool:
        """Whether there is a point to evaluate, optimal or not."""
        return self.weights is not None


@dataclass(frozen=True)
class Round:
    """One step of a refinement, evaluated afresh on the network it led to.

    Attributes
    ----------
    step : str
        "initial", or the program that was solved: "(6)", "(12)", "joint"; "layer 0", ..,
        "output layer".
    objective : float
        Problem (4) at the network, or its loss where a bound is enforced.
    loss : float
        Its first term, half the sum of squared errors if no other loss was asked for.
    bound : float or None
        L, for the Lipschitz problem.
    seconds : float
        Since the refinement began.
    status : str
        What the solver said.
    accepted : bool
        False if the step was no improvement and the network before it was kept.
    """

    step: str
    objective: float
    loss: float
    bound: float | None
    seconds: float
    status: str
    accepted: bool


@dataclass(frozen=True, eq=False)
class Refinement:
    """A refined network, never worse than the one it came from.

    Attributes
    ----------
    net : ShallowNet or Network
        The refined network, or the initial one if nothing better was found.
    objective, initial_objective : float
        Problem (4) at `net` and at the initial network, both by forward pass and certificate,
        never the solver's word.
    history : tuple of Round
        The initial network first, then every program that was solved.
    status : str
        "optimal": the convex program was solved; "converged" or "round_limit": how the
        alternation ended; "interrupted": by Ctrl-C, with the best network so far; "not
        improved (...)": the initial network comes back, with the reason; anything else is the
        solver's own word.
    seconds : float
    regularizer, method, solver : str
    strength : float
        As given; where a bound is enforced its multiplier in the last program, the strength at
        which that program without a bound has the same solution.
    bound : float or None
        The L that was enforced: objectives are then losses.
    certificate, initial_certificate : Certificate or None
        Of `net` and of the initial network, for the Lipschitz problem.
    cone_violation : float
        How far the solver's weights lay outside the cones (5), relative; the objective is that
        of the network with the patterns it really has.
    loss_reduction : str
        "sum" or "mean": the `reduction` of the loss that was asked for.
    """

    net: Any
    objective: float
    initial_objective: float
    history: tuple[Round, ...]
    status: str
    seconds: float
    regularizer: str
    strength: float
    method: str
    solver: str
    certificate: Certificate | None = None
    initial_certificate: Certificate | None = None
    cone_violation: float = 0.0
    loss_reduction: str = "sum"
    bound: float | None = None

    def __repr__(self) -> str:
        name = "objective" if self.bound is None else "loss     "
        lines = [
            f"{self.method} refinement by {self.solver}: {self.status}, {self.seconds:.2g} s",
            f"{name} {self.initial_objective:.6g} -> {self.objective:.6g}",
        ]
        if self.certificate is not None and self.initial_certificate is not None:
            before, after = self.initial_certificate.bound, self.certificate.bound
            held = "" if self.bound is None else f", at most {self.bound:.6g}"
            lines.append(f"bound L   {before:.6g} -> {after:.6g}{held}")
        if self.method in ("walk", "polish") and self.gain_over_joint is not None:
            lines.append(f"{self.gain_over_joint:.2%} below the joint program")
        return "\n".join(lines)

    @property
    def reduction(self) -> float:
        """Relative reduction of the objective, in [0, 1]; below 0 if a bound forced it up."""
        return 1.0 - self.objective / self.initial_objective if self.initial_objective else 0.0

    @property
    def gain_over_joint(self) -> float | None:
        """Relative reduction of the objective below that of the joint program.

        What "walk" and "polish" add to their first step; None where no joint program was solved.
        """
        steps = [entry.step for entry in self.history]
        if "joint" not in steps:
            return None
        until = self.history[: steps.index("joint") + 1]
        best = min((entry.objective for entry in until if entry.accepted), default=0.0)
        return 1.0 - self.objective / best if best > 0 else None
