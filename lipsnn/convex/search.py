"""The best network so far, and the programs solved in its own cells to better it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar

from lipsnn._checks import Array
from lipsnn.certificate import Certificate, certify
from lipsnn.convex import reweighted
from lipsnn.convex.backend import Backend
from lipsnn.convex.mapping import cone_violation, fitted, from_products
from lipsnn.convex.objective import loss, outputs, representable, value
from lipsnn.convex.result import Refinement, Round
from lipsnn.convex.samples import Patterns, Samples
from lipsnn.convex.solution import ProgramSolution
from lipsnn.losses import SQUARED, Squared
from lipsnn.network import ShallowNet
from lipsnn.status import Status


@dataclass(frozen=True, eq=False)
class Cells:
    """Where the units are held: patterns, signs of the outer weights, and weights inside."""

    patterns: Patterns
    signs: Array
    inside: Array  # (m, d + 1); on the boundary will do

    @classmethod
    def of(cls, net: ShallowNet, samples: Samples) -> Cells:
        """A network's own."""
        inside = net.weights.copy()
        inside[~inside.any(axis=1), -1] = 1.0  # the zero unit counts as active everywhere
        return cls(Patterns.of(samples, net.weights), net.signs, inside)


class Search:
    """State of one refinement: what every method shares.

    A method asks `solve_*` for candidates; `_offer` evaluates each afresh, by forward pass and
    certificate, and keeps it only if problem (4) really falls.

    Parameters
    ----------
    samples, y : Samples and ndarray
        As `checked` gives them.
    output_bias
        Whether the offset is a variable too; it stays as it is otherwise.
    strength, reduction
        Of problem (4), in the form with the sum which the programs have: `price`.
    bound
        L where it is enforced, or "own" for that of `net`. What is lowered is then the loss alone,
        `price` is the multiplier of ``rho <= L^2`` in the last program, and a candidate above the
        bound has its outer weights scaled down to it.
    """

    def __init__(
        self,
        net: ShallowNet,
        samples: Samples,
        y: Array,
        strength: float | None,
        regularizer: str,
        programs: Backend,
        reduction: str = "sum",
        output_bias: bool = False,
        bound: float | str | None = None,
        kind: Squared = SQUARED,
    ) -> None:
        self.began = time.perf_counter()
        self.samples, self.y, self.kind = samples, y, kind
        # where the programs have no output bias they fit what the given one leaves
        self.output_bias = output_bias
        self.target = y if output_bias else y - net.offset
        self.strength, self.regularizer, self.programs = strength, regularizer, programs
        self.reduction = reduction
        self.copies = len(y) if reduction == "mean" else 1
        self.price = self.copies * (strength or 0.0)
        self.net = net
        self.cells = Cells.of(net, samples)
        self.certificate = self.initial_certificate = self._certify(net)
        own = np.inf if self.certificate is None else self.certificate.bound
        self.bound = own if isinstance(bound, str) else bound
        if bound == "own" and not 0.0 < own < np.inf:
            raise ValueError(f'the network\'s own bound is {own:g}: give a number, not bound="own"')
        self.objective = representable(self.evaluate(net, self.certificate))
        self.initial_objective = self.objective
        self.status: str = Status.OPTIMAL
        self.violation = 0.0
        self.history: list[Round] = []
        inside = self.bound is None or own <= self.bound
        self._record("initial", "given", inside, net, self.certificate, self.objective)
        if not inside:
            self.objective = np.inf
            self.offer("scaled", net)

    def solve_l2(self) -> bool:
        """Program (6), mapped by (7)."""
        solution = self._solve(self.programs.solve_l2, self.cells.signs)
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
        solution = self._solve(
            self.programs.solve_lipschitz,
            scaled.outer,
            np.abs(scaled.outer),
            used.astype(np.float64),
            bound=self.bound,
        )
        return self._offer("(12)", solution, outer=scaled.outer)

    def solve_joint(self, step: str = "joint") -> tuple[bool, ProgramSolution]:
        """The joint program; `step` is its name in the history."""
        ones = np.ones(self.net.width)
        solution = self._solve(self.programs.solve_joint, ones, bound=self.bound)
        mapped = solution
        if solution.weights is not None:  # s_i z_i lies in the cone of pattern i
            mapped = replace(solution, weights=self.cells.signs[:, None] * solution.weights)
        return self._offer(step, mapped), solution

    def _solve(
        self,
        program: Callable[..., ProgramSolution],
        outer: Array,
        *fixed: Array,
        **settings: Any,
    ) -> ProgramSolution:
        """`program`, whose variables enter the output times `outer`."""
        patterns, signs = self.cells.patterns, self.cells.signs
        strength = None if self.strength is None else self.price
        arguments = patterns, signs, *fixed, strength
        settings |= {"inside": self.cells.inside, "offset": self.output_bias}
        if self.kind is SQUARED:
            solution = program(self.samples, self.target, *arguments, **settings)
        elif self.programs.name != "structured":
            settings |= {"loss": self.kind, "offset": self.output_bias or self.net.offset}
            solution = program(self.samples, self.y, *arguments, **settings)
        else:
            solution = reweighted.solve(
                lambda y, h: program(self.samples, y, *arguments, weights=h, **settings),
                lambda weights: fitted(self.samples, patterns, weights, outer),
                self.kind,
                self.y,
                strength,
                None if self.output_bias else self.net.offset,
            )
        if solution.strength is not None:
            self.price = solution.strength
        return solution

    def offer(self, step: str, candidate: ShallowNet, status: str = Status.OPTIMAL) -> bool:
        """Keep `candidate` if it is better than the best so far, freshly evaluated."""
        self.status, hair = status, 1e-15
        while True:
            if self.output_bias:  # the best one for what the network really computes
                more = self.bias(outputs(candidate, self.samples))
                candidate = replace(candidate, offset=candidate.offset + more)
            certificate = self._certify(candidate)
            if certificate is None or self.bound is None or certificate.bound <= self.bound:
                break
            shrunk = self.bound / certificate.bound * (1.0 - hair)
            candidate = replace(candidate, outer=candidate.outer * shrunk)
            hair = min(4.0 * hair, 0.5)
        reached = self.evaluate(candidate, certificate)
        accepted = reached < self.objective
        self._record(step, status, accepted, candidate, certificate, reached)
        if accepted:
            self.net, self.certificate, self.objective = candidate, certificate, reached
            self.violation = cone_violation(
                candidate, self.samples, self.y - candidate.offset, self.cells.patterns
            )
        return accepted

    def bias(self, raw: Array) -> float:
        """The best number to add to the outputs `raw`."""
        if self.kind is SQUARED:
            return float((self.y - raw).mean())
        return float(minimize_scalar(lambda b: self.kind.value(raw + b, self.y).sum()).x)

    def residual(self, raw: Array) -> Array:
        """Derivative of each sample's loss at outputs `raw`, to which the bias is added."""
        bias = self.bias(raw) if self.output_bias else self.net.offset
        return self.kind.gradient(raw + bias, self.y)

    def evaluate(self, net: ShallowNet, certificate: Certificate | None) -> float:
        """The value of problem (4), or the loss where the bound is enforced."""
        given = self.strength, certificate, self.reduction, self.kind
        return value(net, self.samples, self.y, *given)

    def _certify(self, net: ShallowNet) -> Certificate | None:
        return certify(net) if self.regularizer == "lipschitz" else None

    def result(self, method: str) -> Refinement:
        """What was found; the initial network if nothing was better."""
        improved = any(entry.accepted for entry in self.history[1:])
        if not improved and self.status != Status.INTERRUPTED:
            self.status = f"not improved ({self.status})"
        return Refinement(
            net=self.net,
            objective=self.objective,
            initial_objective=self.initial_objective,
            history=tuple(self.history),
            status=self.status,
            seconds=time.perf_counter() - self.began,
            regularizer=self.regularizer,
            strength=self.price / self.copies,
            bound=self.bound,
            method=method,
            solver=self.programs.name,
            loss_reduction=self.reduction,
            certificate=self.certificate,
            initial_certificate=self.initial_certificate,
            cone_violation=self.violation,
        )

    def _offer(self, step: str, solution: ProgramSolution, outer: Array | None = None) -> bool:
        """Map the solver's point to a network, at given outer weights or by (7), and offer it."""
        if solution.weights is None or not np.isfinite(solution.weights).all():
            self.status = solution.status
            self._record(step, self.status, False)
            return False
        if outer is None:
            candidate = from_products(solution.weights, self.cells.signs, self.net.offset)
        else:
            candidate = ShallowNet(solution.weights, outer, self.net.offset)
        return self.offer(step, candidate, solution.status)

    def _record(
        self,
        step: str,
        status: str,
        accepted: bool,
        net: ShallowNet | None = None,
        certificate: Certificate | None = None,
        reached: float = np.nan,
    ) -> None:
        bound = None if certificate is None else certificate.bound
        elapsed = time.perf_counter() - self.began
        fit = np.nan if net is None else loss(net, self.samples, self.y, self.reduction, self.kind)
        self.history.append(Round(step, reached, fit, bound, elapsed, status, accepted))


def restriction(search: Search, *_: Any) -> Iterator[None]:
    """The l2 case of Algorithm 1: program (6), once."""
    search.solve_l2()
    yield


def joint(search: Search, *_: Any) -> Iterator[None]:
    """The joint program, once."""
    search.solve_joint()
    yield


def alternation(search: Search, rounds: int, tol: float) -> Iterator[None]:
    """Algorithm 1, lines 5 to 11: T from (2) at the best network, then (12) at that T."""
    for _ in range(rounds):
        before = search.objective
        accepted = search.solve_lipschitz()
        yield
        if search.status != Status.OPTIMAL:
            return
        if not accepted or before - search.objective <= tol * before:
            search.status = Status.CONVERGED
            return
    search.status = Status.ROUND_LIMIT
