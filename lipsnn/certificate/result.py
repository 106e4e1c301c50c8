"""What a certificate says, and what can be asked of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lipsnn import _checks
from lipsnn._checks import Array
from lipsnn.certificate.ladder import Ladder, ladder
from lipsnn.certificate.proof import proved_bound
from lipsnn.certificate.slopes import slopes
from lipsnn.network import ShallowNet

# The one status in which bound is not that of the multipliers.
BEYOND_FLOAT64 = "scaled beyond float64: bound is the product of norms"


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
        the network's Lipschitz constant, which `summary` has.
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

    def __repr__(self) -> str:
        return (
            f"Certificate(L <= {self.bound:.6g}, gap {self.gap:.1e}, {self.status}, "
            f"method {self.method} by {self.solver}, {self.seconds:.2g} s)"
        )

    @property
    def gap(self) -> float:
        """``(bound - lower) / bound``, 0 for a constant network."""
        return 0.0 if self.bound == 0.0 else 1.0 - self.lower / self.bound

    def gradient(self) -> tuple[Array, Array]:
        """Gradients of the bound by the weights (m, d + 1) and by the outer weights (m,).

        Danskin's: with P held, the derivative by zbar_i is
        ``P zbar_i / (2 |R'zbar_i|) + P zbar_0 / (2 |R'zbar_0|)``, exact to the extent that `gap`
        is zero. The bias column is zero. A term of length zero, where L has a kink, counts as
        zero: that is a subgradient.
        """
        problem = slopes(self.net)
        stacked = np.vstack([problem.sum, problem.scaled]) @ self.factor
        lengths = np.sqrt(np.einsum("ij,ij->i", stacked, stacked))
        stacked /= 2 * np.where(lengths > 0, lengths, np.inf)[:, None]
        by_slope = (stacked[1:] + stacked[0]) @ self.factor.T / np.sum(self.factor**2) ** 0.5
        by_weights = np.zeros_like(self.net.weights)
        by_weights[:, :-1] = self.net.outer[:, None] * by_slope
        return by_weights, np.einsum("ij,ij->i", self.net.weights[:, :-1], by_slope)

    def ladder(self, X: Any = None, seed: int = 0) -> Ladder:
        """What lies below and above the bound; X (k, d) are data to take gradients at."""
        X = None if X is None else _checks.inputs(X, self.net.dim)
        return ladder(self.net, self.factor, self.bound, X, seed)

    def summary(self, X: Any = None, seed: int = 0) -> None:
        """Print the ladder: sampled <= exact <= rounded <= certificate <= product of norms."""
        print(self.ladder(X, seed))

    def verify(self, net: ShallowNet | None = None) -> float:
        """Prove the bound in ball arithmetic, from the weights of `net` and the multipliers.

        Parameters
        ----------
        net : ShallowNet, optional
            The network to prove it for, `self.net` if None.

        Returns
        -------
        float
            The proved bound: `bound`, its last digits raised if they must be (by 1e-9 at most).

        Raises
        ------
        ProofError
            A ValueError with the reason why there is no proof.
        """
        net = self.net if net is None else net
        own = self.status != BEYOND_FLOAT64
        return proved_bound(net, self.multipliers, self.bound, consistent=own)

    def to_json(self, path: str | Path | None = None, network: bool = True) -> str:
        """As JSON text, also written to `path`; with the hash of the weights only if not `network`.

        ``python -m lipsnn.verify certificate.json`` re-checks it without any solver.
        """
        from lipsnn.certificate.document import to_json

        text = to_json(self, network)
        if path is not None:
            Path(path).write_text(text)
        return text

    @staticmethod
    def from_json(text: str | Path, net: ShallowNet | None = None) -> Certificate:
        """From JSON text, or from a file given as a Path; `net` if the weights are not inside.

        Raises
        ------
        ProofError
            If it is no certificate, was changed, or belongs to another network.
        """
        from lipsnn.certificate.document import from_json

        return from_json(text.read_text() if isinstance(text, Path) else text, net)
