"""The one entry to all certificates."""

from __future__ import annotations

import math
import time

from lipsnn import _checks
from lipsnn.certificate.result import Certificate
from lipsnn.network import ShallowNet


def certify(net: ShallowNet, method: str = "auto", solver: str | None = None) -> Certificate:
    """Upper bound on the Lipschitz constant of `net` in the l2 norm: program (2), LipSDP.

    Parameters
    ----------
    net : ShallowNet
    method : {"auto", "lmi"}
        "lmi" is program (2) as printed, in CVXPY.
    solver : str, optional
        Any CVXPY solver that is installed; MOSEK with a licence, else Clarabel, if None.

    Returns
    -------
    Certificate
    """
    from lipsnn.certificate.lmi import solve_lmi

    _checks.one_of(method, "method", ("auto", "lmi"))
    start = time.perf_counter()
    rho, t, solution = solve_lmi(net, solver)
    return Certificate(
        bound=math.sqrt(max(rho, 0.0)) if rho == rho else math.nan,
        multipliers=t,
        status=solution.status,
        seconds=time.perf_counter() - start,
        method="lmi",
        solver=solution.solver,
    )
