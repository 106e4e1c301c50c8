"""Which conic solver runs: MOSEK when its licence is found, else Clarabel."""

from __future__ import annotations

import functools
import logging
import math
import time
import warnings
from dataclasses import dataclass
from typing import Any

from lipsnn._optional import cp
from lipsnn.status import Status

logger = logging.getLogger("lipsnn")

# Interior-point solvers answer to about 1e-8; SCS is first-order and must be asked.
_SETTINGS: dict[str, dict[str, Any]] = {"SCS": {"eps": 1e-7, "max_iters": 100_000}}
_WITH_POINT = (Status.OPTIMAL, Status.OPTIMAL_INACCURATE, Status.USER_LIMIT)


@dataclass(frozen=True)
class Solution:
    """What a solver said of one program.

    Attributes
    ----------
    value : float
        The objective it reports, NaN if it gave no point.
    status : str
        A word of `Status`, CVXPY's for what the solver said, never softened; after
        "solver_error: " comes the solver's message.
    solver : str
        Which solver ran.
    iterations : int or None
    seconds : float
        Wall time, the building of the program included.
    """

    value: float
    status: str
    solver: str
    iterations: int | None
    seconds: float

    @property
    def has_point(self) -> bool:
        """Whether there is a point to evaluate, optimal or not."""
        return self.status in _WITH_POINT


@functools.cache
def mosek_licence() -> str | None:
    """None when MOSEK can be used here, else the reason in one line."""
    try:
        import mosek
    except ImportError:
        return "the package mosek is not installed"
    try:
        with mosek.Env() as env:
            env.checkoutlicense(mosek.feature.pton)
    except mosek.Error as error:
        # the exception's own message may be empty, but MOSEK describes its codes
        message = error.msg or mosek.Env.getcodedesc(error.errno)[1]
        return " ".join(message.split()).rstrip(".").lower()
    return None


@functools.cache
def default_solver() -> str:
    """The solver used when none is named; says once which one it is, and why."""
    reason = mosek_licence()
    if reason is None:
        logger.warning("lipsnn: solving with MOSEK")
        return "MOSEK"
    logger.warning("lipsnn: solving with CLARABEL (MOSEK is not usable: %s)", reason)
    return "CLARABEL"


def choose_solver(solver: str | None = None, semidefinite: bool = False) -> str:
    """The name of an installed CVXPY solver, one for semidefinite programs if `semidefinite`.

    Raises
    ------
    ValueError
        If `solver` is not installed or cannot solve the program, with the list of those that can.
    RuntimeError
        If MOSEK is asked for by name and its licence is missing or expired.
    """
    if solver is None:
        return default_solver()

    name = str(solver).upper()
    installed = cp.installed_solvers()
    if name not in installed:
        raise ValueError(
            f"solver {solver!r} is not installed; installed are {', '.join(installed)}"
        )
    if semidefinite and not _semidefinite(name):
        able = ", ".join(filter(_semidefinite, installed))
        raise ValueError(
            f"solver {solver!r} cannot solve semidefinite programs; installed are {able}"
        )
    if name == "MOSEK" and (reason := mosek_licence()) is not None:
        raise RuntimeError(
            f"MOSEK was asked for but is not usable: {reason}. Set MOSEKLM_LICENSE_FILE to a valid "
            "licence, or leave solver=None to use Clarabel"
        )
    return name


def _semidefinite(name: str) -> bool:
    """Whether CVXPY's solver `name` takes semidefinite constraints."""
    known = cp.reductions.solvers.defines.SOLVER_MAP_CONIC
    if name not in known:
        return False
    # PSD or, as later versions of CVXPY have it, SvecPSD
    cones = [cone.__name__ for cone in known[name].SUPPORTED_CONSTRAINTS]
    return any(cone.endswith("PSD") for cone in cones)


def solve(problem: cp.Problem, solver: str | None = None) -> Solution:
    """Solve a CVXPY problem; the solver's failure is a status, not an exception.

    Raises
    ------
    ValueError
        For a solver that is not installed, or one that cannot solve a semidefinite program.
    """
    cones = [type(constraint).__name__ for constraint in getattr(problem, "constraints", ())]
    name = choose_solver(solver, semidefinite="PSD" in cones)
    start = time.perf_counter()
    status, value, iterations = "", math.nan, None
    try:
        with warnings.catch_warnings():
            # "may be inaccurate" is what the status says
            warnings.filterwarnings("ignore", message="Solution may be inaccurate")
            problem.solve(solver=name, **_SETTINGS.get(name, {}))
    except BaseException as error:
        # a panic of Clarabel's Rust, which is no Exception and has no module, is a failure too
        panic = type(error).__name__ == "PanicException"
        if not (panic or isinstance(error, (cp.error.SolverError, ArithmeticError))):
            raise
        status = f"{Status.SOLVER_ERROR}: " + " ".join(str(error).split())
    else:
        status = Status(problem.status)  # type: ignore[call-arg]  # by its word
        value = math.nan if problem.value is None else float(problem.value)
        iterations = None if problem.solver_stats is None else problem.solver_stats.num_iters
    return Solution(value, status, name, iterations, time.perf_counter() - start)
