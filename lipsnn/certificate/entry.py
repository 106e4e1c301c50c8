"""The one entry to all certificates."""

from __future__ import annotations

import time
from typing import Any, overload

import numpy as np

from lipsnn import _checks
from lipsnn._checks import Array
from lipsnn.certificate import slopes as sl
from lipsnn.certificate.interior import interior_point, work_of
from lipsnn.certificate.lmi import solve_lmi
from lipsnn.certificate.lowrank import low_rank
from lipsnn.certificate.multilayer import LayeredCertificate, certify_layers
from lipsnn.certificate.result import BEYOND_FLOAT64, Certificate
from lipsnn.certificate.slopes import Slopes
from lipsnn.certificate.threads import one_blas_thread
from lipsnn.convert import as_network
from lipsnn.network import ShallowNet

METHODS = ("auto", "P", "q", "lowrank", "lmi")
OPTIMAL = "optimal"
INACCURATE = "inaccurate"


@overload
def certify(
    net: ShallowNet,
    method: str = "auto",
    solver: str | None = None,
    tol: float = 1e-7,
    start: Array | None = None,
) -> Certificate: ...


@overload
def certify(
    net: Any,
    method: str = "auto",
    solver: str | None = None,
    tol: float = 1e-7,
    start: Array | None = None,
) -> Certificate | LayeredCertificate: ...


def certify(
    net: Any,
    method: str = "auto",
    solver: str | None = None,
    tol: float = 1e-7,
    start: Array | None = None,
) -> Certificate | LayeredCertificate:
    """Upper bound on the Lipschitz constant of `net` in the l2 norm: program (2), LipSDP.

    Parameters
    ----------
    net : ShallowNet, Network, torch.nn.Module or what else `as_network` takes
        With more layers, other activations or several outputs it goes to `certify_layers`,
        which has its own methods and no `start`.
    method : {"auto", "P", "q", "lowrank", "lmi"}
        "P", "q" and "lowrank" solve the d x d problem that (2) is (fact A), and "auto" takes the
        cheapest of them. "lmi" is program (2) as printed, in CVXPY.
    solver : str, optional
        For "lmi" any CVXPY solver that is installed; MOSEK with a licence, else Clarabel, if None.
    tol : float
        Relative gap between `bound` and `lower` at which to stop; a CVXPY solver has its own.
    start : ndarray, (d, k), optional
        The `factor` of the certificate of a similar network, to start from.

    Returns
    -------
    Certificate, or LayeredCertificate
        Its bound comes from feasible multipliers, so it holds whatever its status says.

    Raises
    ------
    ValueError
        For a method that does not exist, a tolerance that is not positive, or a `solver` without
        ``method="lmi"``.
    """
    if not isinstance(net, ShallowNet):
        network = as_network(net)
        if not network.is_shallow:
            if start is not None:
                raise ValueError("start is for one hidden layer of ReLU units and one output")
            return certify_layers(network, method=method, solver=solver, tol=tol)
        net = network.to_shallow()
    _checks.one_of(method, "method", METHODS)
    tol = _checks.positive(tol, "tol")
    if solver is not None and method != "lmi":
        raise ValueError(f'solver is for method="lmi" only, got solver={solver!r} with {method!r}')
    if start is not None:
        start = _checks.finite_array(start, "start", 2)
        if start.shape[0] != net.dim:
            raise ValueError(f"start must have {net.dim} rows, got shape {start.shape}")
    return _certify(net, method, solver, tol, start)


@one_blas_thread
def _certify(
    net: ShallowNet, method: str, solver: str | None, tol: float, start: Array | None
) -> Certificate:
    begun = time.perf_counter()
    problem = sl.slopes(net)
    if method == "lmi":
        t, factor, found = _by_lmi(problem, solver)
    elif problem.constant:
        t, factor = sl.multipliers(problem, np.empty(0)), np.zeros((net.dim, 1))
        factor[0] = 1.0
        found = {"status": OPTIMAL, "iterations": 0, "method": "P", "solver": "lipsnn"}
    else:
        t, factor, found = _by_fact_a(problem, method, tol, start)
    bound, lower = sl.bound(problem, t), sl.lower_value(problem, factor)
    if method != "lmi" and found["status"] == OPTIMAL and bound - lower > tol * bound:
        found["status"] = INACCURATE
    if not np.isfinite(bound) and (method != "lmi" or np.isfinite(t).all()):
        bound, t = sl.norm_product(net), _product_multipliers(net)
        found["status"] = BEYOND_FLOAT64
    return Certificate(
        net=net,
        bound=bound if np.isfinite(t).all() or found["status"] == BEYOND_FLOAT64 else np.nan,
        lower=lower,
        multipliers=t,
        factor=factor,
        seconds=time.perf_counter() - begun,
        **found,
    )


def _by_fact_a(
    problem: Slopes, method: str, tol: float, start: Array | None
) -> tuple[Array, Array, dict[str, Any]]:
    """Multipliers t, factor R and the facts of the solve, by one of the fast forms."""
    n, d = problem.units.shape
    basis, units = None, problem.units
    if n < d:  # the span of the slopes
        basis, triangle = np.linalg.qr(units.T)
        units = triangle.T
    if method == "auto":
        method = _cheapest(*units.shape)
    if start is not None and basis is not None:
        start = basis.T @ start
    # the last tenth is for SHARE and ROUNDING
    if method == "lowrank":
        ascent = low_rank(problem.norms, units, 0.9 * tol, start)
        q, factor, iterations = ascent.q, ascent.R, ascent.iterations
    else:
        P0 = None if start is None else _inside(start)
        result = interior_point(problem.norms, units, 0.9 * tol, method, P0)
        values, vectors = np.linalg.eigh(result.P)
        factor = vectors * np.sqrt(np.maximum(values, 0.0))
        q, iterations = result.q, result.iterations
    found = {
        "status": OPTIMAL,
        "iterations": iterations,
        "method": method,
        "solver": "lipsnn",
    }
    return sl.multipliers(problem, q), factor if basis is None else basis @ factor, found


def _cheapest(n: int, r: int) -> str:
    """The fast form for n terms in r dimensions."""
    form = min(("P", "q"), key=lambda form: work_of(form, n, r))
    return "lowrank" if r > 40 and work_of(form, n, r) > 5e8 else form


def _inside(factor: Array) -> Array:
    """RR' moved away from the boundary, where an interior-point method cannot start."""
    P = factor @ factor.T
    r = len(P)
    return P / max(float(np.trace(P)), np.finfo(float).tiny) + 0.1 * np.eye(r) / r


def _by_lmi(problem: Slopes, solver: str | None) -> tuple[Array, Array, dict[str, Any]]:
    """The same from program (2) in CVXPY, its multipliers made feasible to the last digit."""
    net = problem.net
    answer = solve_lmi(net, solver)
    found = {
        "status": answer.solution.status,
        "iterations": answer.solution.iterations,
        "method": "lmi",
        "solver": answer.solution.solver,
    }
    if not answer.solution.has_point:
        return answer.t, np.full((net.dim, 1), np.nan), found
    values, vectors = np.linalg.eigh(answer.P)
    factor = vectors * np.sqrt(np.maximum(values, 0.0))
    shares = sl.shares(net, answer.t)
    q = np.concatenate([[max(1.0 - shares.sum(), sl.SHARE)], shares])[problem.terms]
    # a unit at t_i = 0 or without end: the smallest share that keeps its term finite
    q = np.where(np.isfinite(q), np.maximum(q, sl.SHARE / len(q)), 1.0)
    return sl.multipliers(problem, q), factor, found


def _product_multipliers(net: ShallowNet) -> Array:
    """t = |a|^2 for every unit, which certifies the product of norms; NaN if that overflows."""
    with np.errstate(over="ignore", under="ignore"):
        square = float(net.outer @ net.outer)
    usable = np.isfinite(square) and square > np.finfo(float).tiny
    return np.full(net.width, square if usable else np.nan)
