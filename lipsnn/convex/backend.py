"""The three programs by the solver that was asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from lipsnn.convex import programs
from lipsnn.convex.result import ProgramSolution
from lipsnn.convex.samples import Patterns, as_samples
from lipsnn.solvers import choose_solver


@dataclass(frozen=True)
class Backend:
    """Programs (6), (12) and the joint one, and the name of what solves them."""

    name: str
    solve_l2: Callable[..., ProgramSolution]
    solve_lipschitz: Callable[..., ProgramSolution]
    solve_joint: Callable[..., ProgramSolution]


def backend(solver: str | Backend | None) -> Backend:
    """The backend for `solver`, or that itself if it is one.

    None and "structured" are our own interior-point method; "reference" is the CVXPY programs by
    MOSEK with a licence, else Clarabel; any other name is a CVXPY solver.
    """
    if isinstance(solver, Backend):
        return solver
    names = "solve_l2", "solve_lipschitz", "solve_joint"
    if solver in (None, "structured"):
        from lipsnn.convex import structured

        return Backend("structured", *(_following(getattr(structured, one)) for one in names))
    name = choose_solver(None if solver == "reference" else solver)
    return Backend(name, *(_whole(partial(getattr(programs, one), solver=name)) for one in names))


def _whole(solve: Callable[..., ProgramSolution]) -> Callable[..., ProgramSolution]:
    """`solve` on whole arrays, and without what only the structured solver uses."""

    def solve_arrays(
        X1: Any, y: Any, patterns: Any, *rest: Any, inside: Any = None, **settings: Any
    ) -> Any:
        whole = as_samples(X1).array(), y, Patterns.pack(patterns).unpack()
        return solve(*whole, *rest, **settings)

    return solve_arrays


def _following(solve: Callable[..., ProgramSolution]) -> Callable[..., ProgramSolution]:
    """`solve`, each time started from its last solution."""
    last: ProgramSolution | None = None

    def solve_from_last(*arguments: Any, **settings: Any) -> ProgramSolution:
        nonlocal last
        last = solve(*arguments, start=last, **settings)
        return last

    return solve_from_last
