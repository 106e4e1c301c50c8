"""The search within a network's own cells, and the methods that solve programs there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar

from lipsnn._checks import Array
from lipsnn.convex import reweighted
from lipsnn.convex.best import Best
from lipsnn.convex.mapping import cone_violation, fitted, from_products
from lipsnn.convex.objective import outputs
from lipsnn.convex.result import ProgramSolution
from lipsnn.convex.samples import Patterns, Samples
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
class Search(Best):
    """A refinement of a network (1) within cells.

    A method asks `solve_*` for candidates; `_offer` evaluates each afresh, by forward pass and
    certificate, and keeps it only if problem (4) really falls.
    """

    def __post_init__(self) -> None:
        # where the programs have no output bias they fit what the given one leaves
        self.target = self.y if self.output_bias else self.y - self.net.offset
        self.cells = Cells.of(self.net, self.samples)
        super().__post_init__()

    def within(self, net: ShallowNet) -> Iterator[None]:
        """The joint program in the cells of `net`."""
        self.cells = Cells.of(net, self.samples)
        self.solve_joint()
        yield

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
        accepted = super().offer(step, candidate, status)
        if accepted:
            self.violation = cone_violation(
                self.net, self.samples, self.y - self.net.offset, self.cells.patterns
            )
        return accepted

    def completed(self, candidate: ShallowNet) -> ShallowNet:
        """With the best output bias, where it is free, for what the network really computes."""
        if not self.output_bias:
            return candidate
        more = self.bias(outputs(candidate, self.samples))
        return replace(candidate, offset=candidate.offset + more)

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

    # Methods, each a generator that stops after every program.

    def restriction(self, *_: Any) -> Iterator[None]:
        """The l2 case of Algorithm 1: program (6), once, mapped by (7)."""
        self._offer("(6)", self._solve(self.programs.solve_l2, self.cells.signs))
        yield

    def joint(self, *_: Any) -> Iterator[None]:
        """The joint program, once."""
        self.solve_joint()
        yield

    def alternation(self, rounds: int, tol: float) -> Iterator[None]:
        """Algorithm 1, lines 5 to 11: T from (2) at the best network, then (12) at that T.

        The network is first rescaled to T = I (Lemma 5), which changes neither it nor the
        program: the t_i of a shrinking unit grows without bound from round to round, until a
        solver fails on the LMI.
        """

        def turn() -> Iterator[None]:
            assert self.certificate is not None
            t = self.certificate.multipliers
            used = t > 0
            outer = self.net.rescale(np.sqrt(np.where(used, t, 1.0))).outer
            fixed = outer, np.abs(outer), used.astype(np.float64)
            solution = self._solve(self.programs.solve_lipschitz, *fixed, bound=self.limit)
            self._offer("(12)", solution, outer)
            yield

        yield from self.repeated(turn, rounds, tol, strict=True)
