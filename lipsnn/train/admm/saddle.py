"""The saddle point that a Lipschitz step (10b) at fixed T comes down to.

At fixed T the LMI says that a matrix G whose entries are scaled weights has spectral norm at
most one (`lipsnn.train.admm.step`). With u_j the columns of G, which hold disjoint weights x_j,
the step is

    minimise  mu rho + 1/2 sum_j |x_j - v_j|^2    over x and rho,
    subject to  sum_j u_j u_j' <= E(rho),  u_j = C_j x_j,  C_j diagonal.

Given multipliers Lambda >= 0 of the constraint, the weights are those of separate problems,
``x_j = (I + 2 C_j Lambda C_j)^{-1} v_j``, so all that is left is the saddle point of

    g(Lambda, rho) = mu rho + 1/2 sum_j v_j'(v_j - x_j) - <Lambda, E(rho)>,

concave in Lambda and convex in rho, over a matrix of the order of G's rows. For any Lambda, min
over rho of g is a lower bound of the step's value, and x shrunk until it is feasible gives an
upper bound. `lipsnn.train.admm.interior` finds the point.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from lipsnn._checks import Array
from lipsnn.certificate.symmetric import svec


@dataclass(frozen=True, eq=False)
class Columns:
    """Columns u_j = C_j x_j of G that share their rows: the units of one layer.

    Attributes
    ----------
    rows : ndarray of int, (R,)
        Where the entries of these columns stand among the rows of G.
    target : ndarray, (k, R)
        v_j, a row per column.
    scale : ndarray, (k, R) or (1, R)
        The diagonals of C_j; one row if all columns share it.
    inputs : bool
        Whether these are the network's inputs, whose scale is divided by sqrt(rho).
    """

    rows: Array
    target: Array
    scale: Array
    inputs: bool = False


@dataclass(frozen=True, eq=False)
class Point:
    """The separate minimisers at one (Lambda, rho).

    x_j, u_j = C_j x_j and N_j = C_j (I + 2 C_j Lambda C_j)^{-1} C_j, one entry per entry of
    `Saddle.columns`; U = sum_j u_j u_j', its part from the inputs where these are columns, and
    dU/drho.
    """

    weights: list[Array]
    columns: list[Array]
    inverses: list[Array]
    gram: Array
    input_gram: Array
    gram_by_rho: Array


@dataclass(eq=False)
class Iterate:
    """Lambda, Z and rho."""

    L: Array
    Z: Array
    rho: float


@dataclass(eq=False)
class Saddle:
    """One Lipschitz step, its penalty r divided out, and its saddle point.

    Its methods are in units where the guess of rho is 1.

    Parameters
    ----------
    n : int
        Number of rows of G.
    columns : tuple of Columns
    inputs : ndarray of int
        Rows of G where E is rho; elsewhere it is 1. Empty if the inputs are columns.
    mu : float or None
        Weight of rho, over r. None: rho is fixed.
    rho : float
        The fixed rho, else a guess of it: everything is scaled to it.
    """

    n: int
    columns: tuple[Columns, ...]
    inputs: Array
    mu: float | None
    rho: float

    def __post_init__(self) -> None:
        self.price = 0.0 if self.mu is None else self.mu * self.rho
        self.by_rho = np.zeros(self.n)  # dE/drho
        self.by_rho[self.inputs] = 1.0
        root = np.where(self.by_rho > 0, self.rho**-0.5, 1.0)
        self.scales = [
            part.scale * (self.rho**-0.5 if part.inputs else root[part.rows])
            for part in self.columns
        ]
        self.size = 0.5 * sum(float(np.sum(part.target**2)) for part in self.columns)
        self.upper, self.root2 = svec(self.n)

    def E(self, rho: float) -> Array:
        """The diagonal of E(rho)."""
        return 1.0 + (rho - 1.0) * self.by_rho

    def begin(self, multiplier: Array | None) -> Iterate:
        """A start inside the cone: Lambda a multiple of I at which U is about I, or a warm one."""
        n = self.n
        if multiplier is None:
            low, high = 0.0, 1.0
            if self._norm2(low) > 0.9:
                while self._norm2(high) > 0.9:
                    low, high = high, 4 * high
                for _ in range(6):
                    middle = np.sqrt(low * high) if low else high / 4
                    low, high = (middle, high) if self._norm2(middle) > 0.9 else (low, middle)
            L = high * np.eye(n)
        else:
            L = multiplier + 0.1 * float(np.trace(multiplier)) / n * np.eye(n)
        at = self.settle(L, L, 1.0)
        values, vectors = np.linalg.eigh(np.diag(self.E(at.rho)) - self.point(at.L, at.rho).gram)
        return replace(at, Z=(vectors * np.maximum(values, 0.1)) @ vectors.T)

    def _norm2(self, level: float) -> float:
        """The largest eigenvalue of U at Lambda = level I, rho = 1."""
        return float(np.linalg.eigvalsh(self.point(level * np.eye(self.n), 1.0).gram)[-1])

    def point(self, L: Array, rho: float) -> Point:
        """The minimising weights at (Lambda, rho)."""
        n = self.n
        weights, columns, inverses = [], [], []
        gram, input_gram, by_rho = np.zeros((3, n, n))
        for part, scale in zip(self.columns, self.scales, strict=True):
            rows = np.ix_(part.rows, part.rows)
            c = scale / np.sqrt(rho) if part.inputs else scale
            H = 2 * c[:, :, None] * L[rows] * c[:, None, :]
            H[:, np.arange(H.shape[1]), np.arange(H.shape[1])] += 1.0
            inverse = np.linalg.inv(H)
            if len(c) == 1:
                x = part.target @ inverse[0]
            else:
                x = (inverse @ part.target[:, :, None])[:, :, 0]
            u = c * x
            block = u.T @ u
            gram[rows] += block
            if part.inputs:
                input_gram[rows] = block
                shrunk = (c[0][:, None] * inverse[0] / c[0]) @ block
                by_rho[rows] = (block - shrunk - shrunk.T) / rho
            weights.append(x)
            columns.append(u)
            inverses.append(c[:, :, None] * inverse * c[:, None, :])
        return Point(weights, columns, inverses, gram, input_gram, by_rho)

    def primal(self, point: Point, rho: float) -> tuple[list[Array], float]:
        """The weights shrunk until they are feasible at rho, and the objective there."""
        root = np.sqrt(self.E(rho))
        norm2 = float(np.linalg.eigvalsh(point.gram / np.outer(root, root))[-1])
        norm2 *= 1 + 1e-14 * self.n
        theta = min(1.0, norm2**-0.5) if norm2 > 0 else 1.0
        weights = [theta * x for x in point.weights]
        value = self.price * rho
        for part, x in zip(self.columns, weights, strict=True):
            value += 0.5 * float(np.sum((x - part.target) ** 2))
        return weights, value

    def dual(self, at: Iterate, point: Point) -> float:
        """g at the iterate, where it is least in rho: a lower bound of the optimal value."""
        value = self.price * at.rho - float(np.diagonal(at.L) @ self.E(at.rho))
        for part, x in zip(self.columns, point.weights, strict=True):
            value += 0.5 * float(np.sum(part.target * (part.target - x)))
        return value

    def settle(self, L: Array, Z: Array, rho: float) -> Iterate:
        """The iterate (Lambda, Z, rho) with dg/drho = 0.

        g is linear in rho where the inputs are rows of G: Lambda is scaled there to the
        trace mu. Where they are columns, rho is the minimiser.
        """
        if self.mu is not None and len(self.inputs):
            trace = float(np.diagonal(L) @ self.by_rho)
            theta = np.where(self.by_rho > 0, np.sqrt(self.price / trace), 1.0)
            L = L * np.outer(theta, theta)
        elif self.mu is not None:
            rho = self._best_rho(L)
        return Iterate(L, Z, rho)

    def _best_rho(self, L: Array) -> float:
        """The minimiser of g(Lambda, .) where the inputs are columns, by bisection."""
        part, scale = next(
            (part, scale[0])
            for part, scale in zip(self.columns, self.scales, strict=True)
            if part.inputs
        )
        H = 2 * scale[:, None] * L[np.ix_(part.rows, part.rows)] * scale
        h, basis = np.linalg.eigh(H)
        h = np.maximum(h, 0.0)
        c = 0.5 * h * np.sum((part.target @ basis) ** 2, axis=0)
        low, high = 0.0, float(np.sqrt(c.sum() / self.price))
        while low < (middle := 0.5 * (low + high)) < high:
            if float(np.sum(c / (middle + h) ** 2)) > self.price:
                low = middle
            else:
                high = middle
        return max(high, np.finfo(float).tiny)
