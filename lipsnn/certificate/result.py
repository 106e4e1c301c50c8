"""What a certificate says."""

from __future__ import annotations

from dataclasses import dataclass

from lipsnn._checks import Array
from lipsnn.network import ShallowNet


@dataclass(frozen=True, eq=False)
class Certificate:
    """A Lipschitz bound of a network with the multipliers that prove it.

    Attributes
    ----------
    net : ShallowNet
        The network that is certified.
    bound : float
        L = sqrt(rho): ``|f(x) - f(x')| <= L |x - x'|`` for all x, x' in the l2 norm.
    lower : float
        A lower value of the same program (2): no multipliers give less. Not a lower bound on
        the network's Lipschitz constant.
    multipliers : ndarray, (m,)
        t, the diagonal of T in the LMI (2b). NaN where float64 has none.
    factor : ndarray, (d, k)
        R with P = RR' of trace 1, the matrix of fact A that gives `lower`.
    status : str
        "optimal" when the gap is within the tolerance, else what happened.
    seconds : float
        Wall time.
    iterations : int or None
    method : str
        The form of program (2) that was solved: "P", "q", "lowrank" or "lmi".
    solver : str
        The solver that ran: "lipsnn" or a CVXPY solver.
    """

    net: ShallowNet
    bound: float
    lower: float
    multipliers: Array
    factor: Array
    status: str
    seconds: float
    iterations: int | None
    method: str
    solver: str

    @property
    def gap(self) -> float:
        """``(bound - lower) / bound``, 0 for a constant network."""
        return 0.0 if self.bound == 0.0 else (self.bound - self.lower) / self.bound
