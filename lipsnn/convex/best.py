"""What every method of refinement shares."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lipsnn._checks import Array
from lipsnn.certificate import Certificate, certify
from lipsnn.convex.backend import Backend
from lipsnn.convex.objective import representable, value
from lipsnn.convex.result import Refinement, Round
from lipsnn.convex.samples import Samples
from lipsnn.losses import SQUARED
from lipsnn.network import ShallowNet
from lipsnn.status import Status


@dataclass(eq=False)
class Best:
    """The best network so far and what led to it.

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
    output_bias
        Whether it is a variable too; it stays as it is otherwise.
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
    output_bias: bool = False

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
            self.offer("scaled", self.net)

    def within(self, net: Any) -> Iterator[None]:
        """Solve and offer the programs that a method starts with, in the cells of `net`."""
        raise NotImplementedError

    def certify(self, net: Any) -> Certificate | None:
        """Of problem (4) with the Lipschitz penalty."""
        return certify(net) if self.regularizer == "lipschitz" else None

    def evaluate(self, net: Any, certificate: Certificate | None) -> tuple[float, float]:
        """The value of problem (4), or the loss where the bound is enforced; and the loss."""
        terms = self.strength, certificate, self.reduction, self.kind
        return value(net, self.samples, self.y, *terms)

    def offer(self, step: str, candidate: Any, status: str = Status.OPTIMAL) -> bool:
        """Keep `candidate` if it is better than the best so far, freshly evaluated.

        Above an enforced bound its last weights are scaled down to that.
        """
        self.status, hair = status, 1e-15
        while True:
            candidate = self.completed(candidate)
            certificate = self.certify(candidate)
            if certificate is None or self.limit is None or certificate.bound <= self.limit:
                break
            candidate = _shrunk(candidate, self.limit / certificate.bound * (1.0 - hair))
            hair = min(4.0 * hair, 0.5)
        reached, fit = self.evaluate(candidate, certificate)
        accepted = reached < self.objective
        self.record(step, status, accepted, reached, fit, certificate)
        if accepted:
            self.net, self.certificate, self.objective = candidate, certificate, reached
        return accepted

    def completed(self, candidate: Any) -> Any:
        """A candidate with what no program needs to find."""
        return candidate

    def repeated(
        self, turn: Callable[[], Iterator[None]], rounds: int, tol: float, strict: bool = False
    ) -> Iterator[None]:
        """Turns until one gains less than `tol`, relatively, or, if `strict`, is not optimal."""
        for _ in range(rounds):
            before = self.objective
            yield from turn()
            if strict and self.status != Status.OPTIMAL:
                return
            if before - self.objective <= tol * abs(before):
                self.status = Status.CONVERGED
                return
        self.status = Status.ROUND_LIMIT

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


def _shrunk(net: Any, factor: float) -> Any:
    """With the last layer's weights times a factor, and its biases as they are."""
    if isinstance(net, ShallowNet):
        return replace(net, outer=net.outer * factor)
    return replace(net, weights=[*net.weights[:-1], net.weights[-1] * factor])
