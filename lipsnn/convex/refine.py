"""Algorithm 1 and the joint program: convex refinement of a trained network."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from tqdm import tqdm

from lipsnn import _checks
from lipsnn._checks import Array
from lipsnn.certificate import Certificate, certify
from lipsnn.convex import programs
from lipsnn.convex.mapping import cone_violation, from_products
from lipsnn.convex.objective import REGULARIZERS, loss, objective
from lipsnn.convex.result import Refinement, Round
from lipsnn.convex.solution import ProgramSolution
from lipsnn.network import ShallowNet, as_network, with_bias
from lipsnn.solvers import choose_solver

METHODS = ("alternating", "joint")


def refine(
    net: Any,
    X: Any,
    y: Any,
    strength: float,
    regularizer: str = "lipschitz",
    method: str = "alternating",
    solver: str | None = None,
    *,
    rounds: int = 50,
    tol: float = 1e-5,
    progress: bool | None = None,
) -> Refinement:
    """Improve a trained network by convex programs within its own activation patterns.

    The network's patterns on X and the signs of its outer weights are fixed; what is left of
    problem (4) is convex and contains the network (Corollary 10), so that its optimum is never
    worse. The result is evaluated afresh and handed out only if that holds in floating point.

    Parameters
    ----------
    net : ShallowNet or torch.nn.Sequential
        The trained network (Linear, ReLU, Linear). Its offset is kept.
    X : array_like, (n, d)
        The data it was trained on, without the bias feature.
    y : array_like, (n,)
    strength : float
        lam_lip or lam_reg of problem (4), positive.
    regularizer : {"lipschitz", "l2"}
        "l2" solves program (6), once, whatever `method` says.
    method : {"alternating", "joint"}
        "alternating" is Algorithm 1: T from (2), then (12) at that T, and again. "joint" solves
        over the weights, the outer weights and T in one program; it is never above the other's
        limit.
    solver : str, optional
        A CVXPY solver; MOSEK with a licence, else Clarabel, if None.
    rounds : int
        Most rounds of the alternation.
    tol : float
        The alternation has converged when a round lowers the objective by less than this,
        relative to it.
    progress : bool, optional
        Show a progress bar; on a terminal only, if None.

    Returns
    -------
    Refinement

    Raises
    ------
    ValueError
        For bad input, or a network that is dead on X (no unit with a non-zero outer weight is
        active on any sample): there is nothing to refine.
    RuntimeError
        If MOSEK is asked for by name and not licensed.
    """
    net = as_network(net)
    X, y = _checks.data_pair(X, y, net.dim)
    strength = _checks.positive(strength, "strength")
    _checks.one_of(regularizer, "regularizer", REGULARIZERS)
    _checks.one_of(method, "method", METHODS)
    rounds = _checks.count(rounds, "rounds")
    tol = _checks.nonnegative(tol, "tol")
    if not (net.patterns(X) & (net.outer != 0)).any():
        raise ValueError(
            "the network is dead on this data: no unit with a non-zero outer weight is active on "
            "any sample; train it longer or start from other weights"
        )
    search = _Search(net, X, y, strength, regularizer, choose_solver(solver))
    if regularizer == "l2":
        steps = search.restriction()
    elif method == "joint":
        steps = search.joint()
    else:
        steps = search.alternation(rounds, tol)
    hidden = None if progress is None else not progress
    try:
        for _ in tqdm(steps, desc="refine", unit=" programs", leave=False, disable=hidden):
            pass
    except KeyboardInterrupt:
        search.status = "interrupted"
    return search.result(method)


@dataclass
class _Search:
    """The best network so far, and the programs that look for a better one."""

    net: ShallowNet
    X: Array
    y: Array
    strength: float
    regularizer: str
    solver: str
    status: str = ""
    history: list[Round] = field(default_factory=list)
    violation: float = 0.0

    def __post_init__(self) -> None:
        self.began = time.perf_counter()
        self.X1 = with_bias(self.X)
        # the offset is no variable of the programs: they fit what it leaves
        self.target = self.y - self.net.offset
        self.patterns, self.signs = self.net.patterns(self.X), self.net.signs
        self.certificate: Certificate | None = None
        self.certificate, self.objective = self._evaluate(self.net)
        self.initial_certificate, self.initial_objective = self.certificate, self.objective
        self._record("initial", self.net, self.certificate, self.objective, "given", True)

    def restriction(self) -> Iterator[None]:
        """Program (6), once."""
        solution = programs.solve_l2(
            self.X1, self.target, self.patterns, self.signs, self.strength, self.solver
        )
        self._offer("(6)", solution, balanced=True)
        yield

    def joint(self) -> Iterator[None]:
        """The joint program, once."""
        solution = programs.solve_joint(
            self.X1, self.target, self.patterns, self.signs, self.strength, self.solver
        )
        if solution.weights is not None:  # s_i z_i lies in the cone of pattern i
            solution = replace(solution, weights=self.signs[:, None] * solution.weights)
        self._offer("joint", solution, balanced=True)
        yield

    def alternation(self, rounds: int, tol: float) -> Iterator[None]:
        """Lines 5 to 11 of Algorithm 1: T from (2) at the best network, then (12) at that T."""
        for _ in range(rounds):
            before = self.objective
            assert self.certificate is not None
            solution = programs.solve_lipschitz(
                self.X1,
                self.target,
                self.patterns,
                self.signs,
                np.abs(self.net.outer),
                self.certificate.multipliers,
                self.strength,
                self.solver,
            )
            accepted = self._offer("(12)", solution, balanced=False)
            yield
            if self.status != "optimal":
                return
            if not accepted or before - self.objective <= tol * before:
                self.status = "converged"
                return
        self.status = "round_limit"

    def result(self, method: str) -> Refinement:
        if not any(entry.accepted for entry in self.history[1:]) and self.status != "interrupted":
            self.status = f"not improved ({self.status})"
        return Refinement(
            net=self.net,
            objective=self.objective,
            initial_objective=self.initial_objective,
            history=tuple(self.history),
            status=self.status,
            seconds=time.perf_counter() - self.began,
            regularizer=self.regularizer,
            method=method,
            solver=self.solver,
            certificate=self.certificate,
            initial_certificate=self.initial_certificate,
            cone_violation=self.violation,
        )

    def _offer(self, step: str, solution: ProgramSolution, *, balanced: bool) -> bool:
        """Map the solver's point to a network and keep it if it is better, freshly evaluated."""
        self.status = solution.status
        if solution.weights is None or not np.isfinite(solution.weights).all():
            nan = float("nan")
            elapsed = time.perf_counter() - self.began
            self.history.append(Round(step, nan, nan, None, elapsed, solution.status, False))
            return False
        if balanced:
            candidate = from_products(solution.weights, self.signs, self.net.offset)
        else:  # mapping (13): the outer weights stay
            candidate = ShallowNet(solution.weights, self.net.outer, self.net.offset)
        certificate, value = self._evaluate(candidate)
        accepted = value < self.objective
        self._record(step, candidate, certificate, value, solution.status, accepted)
        if accepted:
            self.net, self.certificate, self.objective = candidate, certificate, value
            self.violation = cone_violation(candidate, self.X1, self.patterns)
        return accepted

    def _evaluate(self, net: ShallowNet) -> tuple[Certificate | None, float]:
        certificate = certify(net) if self.regularizer == "lipschitz" else None
        value = objective(net, self.X, self.y, self.strength, self.regularizer, certificate)
        return certificate, value

    def _record(
        self,
        step: str,
        net: ShallowNet,
        certificate: Certificate | None,
        value: float,
        status: str,
        accepted: bool,
    ) -> None:
        bound = None if certificate is None else certificate.bound
        elapsed = time.perf_counter() - self.began
        fit = loss(net, self.X, self.y)
        self.history.append(Round(step, value, fit, bound, elapsed, status, accepted))
