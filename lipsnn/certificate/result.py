"""What a certificate says."""

from __future__ import annotations

from dataclasses import dataclass

from lipsnn._checks import Array


@dataclass(frozen=True, eq=False)
class Certificate:
    """A Lipschitz bound of a network with the multipliers that prove it.

    Attributes
    ----------
    bound : float
        L = sqrt(rho): ``|f(x) - f(x')| <= L |x - x'|`` for all x, x' in the l2 norm.
    multipliers : ndarray, (m,)
        t, the diagonal of T in the LMI (2b).
    status : str
        "optimal", or what else the solver said.
    seconds : float
        Wall time.
    method : str
        The form of program (2) that was solved.
    solver : str
        The solver that ran.
    """

    bound: float
    multipliers: Array
    status: str
    seconds: float
    method: str
    solver: str
