"""Multi-layer LipSDP-Neuron by a primal-dual interior-point method on the blocks of a chain.

Minimise rho over N(t, rho) >= 0 (see `chain`); the dual is over X. The direction is that of
Helmberg, Rendl, Vanderbei and Wolkowicz, Kojima, Shindoh and Hara, and Monteiro (HKM), with X
known on the pattern of N only and completed with the largest determinant in each iteration, as
Nakata, Fujisawa, Fukuda, Kojima and Murota (2003) do for sparse programs in general. Here both the
inverse of N and the completion of X are chains of products, so that an iteration costs the products
that make the Newton matrix (order: all units) and its factorisation, and no factorisation
of a matrix that couples more than two layers. Both sides stay feasible, so that the
gap is exactly <X, N>.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import solve_triangular

from lipsnn._checks import Array
from lipsnn.certificate.chain import Banded, Chain
from lipsnn.certificate.symmetric import scaled_solver

MAX_ITERATIONS = 100
# A step stops this far from the boundary.
_DAMPING = 0.95
# Most of the independent noise in the first X, which moves it inside: each layer adds its share, so
# that deep networks take less.
_NOISE = 0.3
# Added to the unit diagonal of the Newton matrix when rounding makes it indefinite.
_RIDGES = (0.0, 1e-14, 1e-13, 1e-12, 1e-11)


def solve_chain(chain: Chain, tol: float) -> tuple[Array, Banded, int]:
    """Solve a chain that is scaled so that t = 1, rho = 1 is strictly feasible.

    The best multipliers t (units,) and blocks of X seen, to a relative gap of `tol`, and the
    iterations.
    """
    t, rho = np.ones(chain.units), 1.0
    if not chain.units:  # linear: the steepest direction
        steepest = np.linalg.eigh(chain.gram)[1][:, -1:]
        return t, Banded([steepest @ steepest.T], []), 0
    X = chain.first(_NOISE)
    best, best_gap, width, stalled = (t, X), np.inf, np.inf, 0
    iteration = 0
    while True:
        N = chain.matrix(t, rho)
        try:
            Z = chain.inverse(N)
            full = chain.completion(X)
        except np.linalg.LinAlgError:  # singular to rounding: no digit is left to gain
            break
        value = float(np.vdot(chain.gram, X.diagonal[-1]))
        gap = (rho - value) / rho
        stalled = 0 if rho - value < 0.9 * width else stalled + 1
        width = min(width, rho - value)
        if gap < best_gap:
            best, best_gap = (t, X), gap
        if gap <= tol or iteration == MAX_ITERATIONS or stalled == 15:
            break
        try:
            t, rho, X = _step(chain, t, rho, N, X, full, Z)
        except np.linalg.LinAlgError:
            break
        iteration += 1
    return *best, iteration


def _step(
    chain: Chain, t: Array, rho: float, N: Banded, X: Banded, full: Array, Z: Array
) -> tuple[Array, float, Banded]:
    """One step: a predictor that says how far to aim, then the step itself."""
    by_x, by_z = chain.forms(full), chain.forms(Z)
    matrix = chain.newton(by_x, by_z)
    centre = chain.adjoint(by_z)
    goal = np.zeros(chain.units + 1)
    goal[-1] = 1.0
    count, product = chain.order, X.dot(N)
    slack = np.zeros(chain.units)
    if chain.signed:
        slack = np.maximum(-chain.adjoint(by_x)[:-1], np.finfo(float).tiny)
        matrix[np.diag_indices(chain.units)] += slack / t
        centre[:-1] += 1 / t
        count, product = count + chain.units, product + float(slack @ t)
    mu = product / count
    centring, descent = map(scaled_solver(matrix, _RIDGES), (centre, goal))
    inverse = chain.part(Z)

    def direction(aim: float) -> tuple[Array, Banded, Array]:
        dx = aim * centring - descent
        moved = chain.product(full, chain.matrix(dx[:-1], dx[-1], constant=False), Z)
        dslack = (aim - slack * dx[:-1]) / t - slack
        return dx, aim * inverse + (-1.0) * X + (-1.0) * moved, dslack

    def lengths(dx: Array, dX: Banded, dslack: Array) -> tuple[float, float]:
        by_n, by_x = _longest_n(chain, t, rho, dx), min(1.0, _DAMPING * _longest_x(chain, X, dX))
        if chain.signed:
            by_x = min(by_x, _DAMPING * _longest(slack, dslack))
        return by_x, by_n

    dx, dX, dslack = direction(0.0)
    step_x, step_n = lengths(dx, dX, dslack)
    ahead = (X + step_x * dX).dot(chain.matrix(t + step_n * dx[:-1], rho + step_n * dx[-1]))
    if chain.signed:
        ahead += float((slack + step_x * dslack) @ (t + step_n * dx[:-1]))
    sigma = min(1.0, max(ahead / count / mu, 1e-6)) ** 2 if min(step_x, step_n) > 0.1 else 0.5
    dx, dX, dslack = direction(sigma * mu)
    step_x, step_n = lengths(dx, dX, dslack)
    return t + step_n * dx[:-1], rho + step_n * dx[-1], X + step_x * dX


def _longest(values: Array, change: Array) -> float:
    """The step at which a positive vector reaches the boundary."""
    least = float((change / values).min())
    return np.inf if least >= 0 else -1 / least


def _longest_x(chain: Chain, X: Banded, dX: Banded) -> float:
    """The step at which a clique of X becomes singular."""
    least = 0.0
    for here, change in zip(chain.cliques(X), chain.cliques(dX), strict=True):
        root = np.linalg.cholesky(here)
        half = solve_triangular(root, change, lower=True, check_finite=False)
        relative = solve_triangular(root, half.T, lower=True, check_finite=False)
        least = min(least, float(np.linalg.eigvalsh((relative + relative.T) / 2)[0]))
    return np.inf if least >= 0 else -1 / least


def _longest_n(chain: Chain, t: Array, rho: float, dx: Array) -> float:
    """A step, at most 1, that keeps N positive definite and t positive: by trial."""

    def inside(step: float) -> bool:
        ahead = t + step * dx[:-1]
        return bool((ahead > 0).all()) and chain.matrix(ahead, rho + step * dx[-1]).positive()

    most = 1 / _DAMPING
    if inside(most):
        return 1.0
    low, high = 0.0, most
    while low == 0.0 and high > 1e-12:
        high /= 2
        low = high if inside(high) else 0.0
    high = min(2 * high, most)
    for _ in range(4):
        middle = (low + high) / 2
        low, high = (middle, high) if inside(middle) else (low, middle)
    return _DAMPING * low
