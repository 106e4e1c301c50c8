"""The best network so far, and the programs solved in its own cells to better it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from lipsnn._checks import Array
from lipsnn.certificate import Certificate, certify
from lipsnn.convex.backend import Backend
from lipsnn.convex.mapping import cone_violation, from_products
from lipsnn.convex.objective import loss, objective
from lipsnn.convex.result import Refinement, Round
from lipsnn.convex.solution import ProgramSolution
from lipsnn.network import ShallowNet, with_bias


class Search:
    """State of one refinement: what every method shares.

    A method asks `solve_*` for candidates; `_offer` evaluates each afresh, by forward pass and
    certificate, and keeps it only if problem (4) really falls.
    """

    def __init__(
        self,
        net: ShallowNet,
        X: Array,
        y: Array,
        strength: float,
        regularizer: str,
        programs: Backend,
    ) -> None:
        self.began = time.perf_counter()
        self.X, self.y, self.X1 = X, y, with_bias(X)
        # the offset is no variable of the programs: they fit what it leaves
        self.target = y - net.offset
        self.strength, self.regularizer, self.programs = strength, regularizer, programs
        self.net = net
        self.patterns, self.signs = net.patterns(X), net.signs
        self.certificate, self.objective = self.evaluate(net)
        self.initial_certificate, self.initial_objective = self.certificate, self.objective
        self.status = "optimal"
        self.violation = 0.0
        self.history: list[Round] = []
        self._record("initial", net, self.certificate, self.objective, "given", True)

    def solve_l2(self) -> bool:
        """Program (6), mapped by (7)."""
        solution = self.programs.solve_l2(
            self.X1, self.target, self.patterns, self.signs, self.strength
        )
        return self._offer("(6)", solution)

    def solve_lipschitz(self) -> bool:
        """Program (12) at the best network's own T and outer weights, mapped by (13).

        The network is first rescaled to T = I (Lemma 5), which changes neither it nor the
        program: the t_i of a shrinking unit grows without bound from round to round, until a
        solver fails on the LMI.
        """
        assert self.certificate is not None
        t = self.certificate.multipliers
        used = t > 0
        scaled = self.net.rescale(np.sqrt(np.where(used, t, 1.0)))
        solution = self.programs.solve_lipschitz(
            self.X1,
            self.target,
            self.patterns,
            self.signs,
            np.abs(scaled.outer),
            used.astype(np.float64),
            self.strength,
        )
        return self._offer("(12)", solution, outer=scaled.outer)

    def solve_joint(self, step: str = "joint") -> tuple[bool, ProgramSolution]:
        """The joint program; `step` is its name in the history."""
        solution = self.programs.solve_joint(
            self.X1, self.target, self.patterns, self.signs, self.strength
        )
        mapped = solution
        if solution.weights is not None:  # s_i z_i lies in the cone of pattern i
            mapped = replace(solution, weights=self.signs[:, None] * solution.weights)
        return self._offer(step, mapped), solution

    def offer(self, step: str, candidate: ShallowNet, status: str = "optimal") -> bool:
        """Keep `candidate` if it is better than the best so far, freshly evaluated."""
        self.status = status
        certificate, value = self.evaluate(candidate)
        accepted = value < self.objective
        self._record(step, candidate, certificate, value, status, accepted)
        if accepted:
            self.net, self.certificate, self.objective = candidate, certificate, value
            self.violation = cone_violation(candidate, self.X1, self.target, self.patterns)
        return accepted

    def evaluate(self, net: ShallowNet) -> tuple[Certificate | None, float]:
        """The certificate (of the Lipschitz problem) and the value of problem (4)."""
        certificate = certify(net) if self.regularizer == "lipschitz" else None
        value = objective(net, self.X, self.y, self.strength, self.regularizer, certificate)
        return certificate, value

    def result(self, method: str) -> Refinement:
        """What was found; the initial network if nothing was better."""
        improved = any(entry.accepted for entry in self.history[1:])
        if not improved and self.status != "interrupted":
            self.status = f"not improved ({self.status})"
        return Refinement(
            net=self.net,
            objective=self.objective,
            initial_objective=self.initial_objective,
            history=tuple(self.history),
            status=self.status,
            seconds=time.perf_counter() - self.began,
            regularizer=self.regularizer,
            strength=self.strength,
            method=method,
            solver=self.programs.name,
            certificate=self.certificate,
            initial_certificate=self.initial_certificate,
            cone_violation=self.violation,
        )

    def _offer(self, step: str, solution: ProgramSolution, outer: Array | None = None) -> bool:
        """Map the solver's point to a network, at given outer weights or by (7), and offer it."""
        if solution.weights is None or not np.isfinite(solution.weights).all():
            self.status, nan = solution.status, float("nan")
            elapsed = time.perf_counter() - self.began
            self.history.append(Round(step, nan, nan, None, elapsed, solution.status, False))
            return False
        if outer is None:
            candidate = from_products(solution.weights, self.signs, self.net.offset)
        else:
            candidate = ShallowNet(solution.weights, outer, self.net.offset)
        return self.offer(step, candidate, solution.status)

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


def restriction(search: Search) -> Iterator[None]:
    """The l2 case of Algorithm 1: program (6), once."""
    search.solve_l2()
    yield


def joint(search: Search) -> Iterator[None]:
    """The joint program, once."""
    search.solve_joint()
    yield


def alternation(search: Search, rounds: int, tol: float) -> Iterator[None]:
    """Algorithm 1, lines 5 to 11: T from (2) at the best network, then (12) at that T."""
    for _ in range(rounds):
        before = search.objective
        accepted = search.solve_lipschitz()
        yield
        if search.status != "optimal":
            return
        if not accepted or before - search.objective <= tol * before:
            search.status = "converged"
            return
    search.status = "round_limit"
