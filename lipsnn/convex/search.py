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
from lipsnn.convex.objective import outputs, representable, value
from lipsnn.convex.result import Refinement, Round
from lipsnn.convex.samples import Patterns, Samples
from lipsnn.convex.solution import ProgramSolution
from lipsnn.losses import SQUARED
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


@dataclass(eq=False)
class Best:
    """The best network so far and what led to it: what every method shares.

    Parameters
    ----------
    net : ShallowNet or Network
        The initial one.
    samples, y : Samples and ndarray
        As `checked` gives them.
    strength, reduction
        Of problem (4), in the form with the sum which the programs have: `price`.
    bound
        L where it is enforced, or "own" for that of `net`. What is lowered is then the loss alone,
        and `price` is the multiplier of ``rho <= L^2`` in the last program.
    """

    net: Any
    samples: Samples
    y: Array
    strength: float | None
    regularizer: str
    programs: Backend
    reduction: str = "sum"
    bound: float | str | None = None
    kind: Any = SQUARED

    def __post_init__(self) -> None:
        self.began = time.perf_counter()
        self.copies = len(self.y) if self.reduction == "mean" else 1
        self.price = self.copies * (self.strength or 0.0)
        self.certificate = self.initial_certificate = self.certify(self.net)
        own = np.inf if self.certificate is None else self.certificate.bound
        if self.bound == "own" and not 0.0 < own < np.inf:
            raise ValueError(f'the network\'s own bound is {own:g}: give a number, not bound="own"')
        self.limit = own if isinstance(self.bound, str) else self.bound
        self.status: str = Status.OPTIMAL
        self.violation = 0.0
        self.history: list[Round] = []
        self.objective, fit = self.evaluate(self.net, self.certificate)
        self.initial_objective = representable(self.objective)
        inside = self.limit is None or own <= self.limit
        self.record("initial", "given", inside, self.objective, fit, self.certificate)
        if not inside:
            self.objective = np.inf

    def certify(self, net: Any) -> Certificate | None:
        """Of problem (4) with the Lipschitz penalty."""
        return certify(net) if self.regularizer == "lipschitz" else None

    def evaluate(self, net: Any, certificate: Certificate | None) -> tuple[float, float]:
        """The value of problem (4), or the loss where the bound is enforced; and the loss."""
        terms = self.strength, certificate, self.reduction, self.kind
        return value(net, self.samples, self.y, *terms)

    def keep(self, step: str, status: str, candidate: Any, certificate: Certificate | None) -> bool:
        """Keep `candidate` if, freshly evaluated, it is better than the best so far."""
        reached, fit = self.evaluate(candidate, certificate)
        accepted = reached < self.objective
        self.record(step, status, accepted, reached, fit, certificate)
        if accepted:
            self.net, self.certificate, self.objective = candidate, certificate, reached
        return accepted

    def record(
        self,
        step: str,
        status: str,
        accepted: bool = False,
        reached: float = np.nan,
        fit: float = np.nan,
        certificate: Certificate | None = None,
    ) -> None:
        """Put a step into the history; without values one that led to no network."""
        bound = None if certificate is None else certificate.bound
        elapsed = time.perf_counter() - self.began
        self.history.append(Round(step, reached, fit, bound, elapsed, status, accepted))

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
            bound=self.limit,
            method=method,
            solver=self.programs.name,
            loss_reduction=self.reduction,
            certificate=self.certificate,
            initial_certificate=self.initial_certificate,
            cone_violation=self.violation,
        )


@dataclass(eq=False)
class Search(Best):
    """A refinement of a network (1) within cells.

    A method asks `solve_*` for candidates; `_offer` evaluates each afresh, by forward pass and
    certificate, and keeps it only if problem (4) really falls. A candidate above an enforced bound
    has its outer weights scaled down to it.

    Parameters
    ----------
    output_bias
        Whether the offset is a variable too; it stays as it is otherwise.
    """

    output_bias: bool = False

    def __post_init__(self) -> None:
        # where the programs have no output bias they fit what the given one leaves
        self.target = self.y if self.output_bias else self.y - self.net.offset
        self.cells = Cells.of(self.net, self.samples)
        super().__post_init__()
        if self.objective == np.inf:
            self.offer("scaled", self.net)

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
            bound=self.limit,
        )
        return self._offer("(12)", solution, outer=scaled.outer)

    def solve_joint(self, step: str = "joint") -> tuple[bool, ProgramSolution]:
        """The joint program; `step` is its name in the history."""
        ones = np.ones(self.net.width)
        solution = self._solve(self.programs.solve_joint, ones, bound=self.limit)
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
            certificate = self.certify(candidate)
            if certificate is None or self.limit is None or certificate.bound <= self.limit:
                break
            shrunk = self.limit / certificate.bound * (1.0 - hair)
            candidate = replace(candidate, outer=candidate.outer * shrunk)
            hair = min(4.0 * hair, 0.5)
        accepted = self.keep(step, status, candidate, certificate)
        if accepted:
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

    def _offer(self, step: str, solution: ProgramSolution, outer: Array | None = None) -> bool:
        """Map the solver's point to a network, at given outer weights or by (7), and offer it."""
        if solution.weights is None or not np.isfinite(solution.weights).all():
            self.status = solution.status
            self.record(step, self.status)
            return False
        if outer is None:
            candidate = from_products(solution.weights, self.cells.signs, self.net.offset)
        else:
            candidate = ShallowNet(solution.weights, outer, self.net.offset)
        return self.offer(step, candidate, solution.status)


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
