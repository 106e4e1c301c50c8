"""The one entry to all certificates: LipSDP-Neuron for any depth, sectors and outputs.

One multiplier t_j >= 0 per unit (T diagonal), as Fazlyab et al. (2019) call LipSDP-Neuron. Their
LipSDP-Network, with a T that couples units of a layer, is not offered: it is wrong, as Pauli et al.
(2022, II-C) show by a network that it certifies to be a constant.

One hidden layer. Let f = W_1 phi(W_0 x + b), the sector [alpha, beta], m = (alpha + beta)/2 and
r = (beta - alpha)/2, the columns of W_1 be |a_i| c_i with |c_i| = 1, zbar_i = |a_i| w_i. Writing
phi = m u + r eta with |eta_i| <= |u_i|, the LMI at t says, after the elimination of eta, with
q_i = |a_i|^2 / (2 t_i) and G = W_1 W_0,

    rho = min_q lambda_max(m^2 G'(I - sum q_i c_i c_i')^-1 G + r^2 sum zbar_i zbar_i' / q_i),
    L   = max_{P, S} m |S^1/2 G P^1/2|_* + r sum_i sqrt(zbar_i'P zbar_i c_i'S c_i),

P >= 0 (d, d) and S >= 0 (k, k) of trace 1, ``|.|_*`` the nuclear norm: the small form of fact A for
any sector and any number k of outputs. For k = 1 it is S = 1, and fact A with other weights of
its terms (`slopes`): the fast forms serve every sector with a scalar output; several outputs and
more layers go to the chordal method.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, overload

import numpy as np

from lipsnn import _checks
from lipsnn._checks import Array
from lipsnn.certificate.balls import certify_balls
from lipsnn.certificate.form import Form, moved_by
from lipsnn.certificate.proof import LAST_DIGITS
from lipsnn.certificate.region import Region, regions
from lipsnn.certificate.result import Certificate
from lipsnn.certificate.solve import solved
from lipsnn.convert import as_network
from lipsnn.network import Network, ShallowNet
from lipsnn.solvers import choose_solver
from lipsnn.status import Status

SMALL_METHODS = ("P", "q", "lowrank")
METHODS = ("auto", "chordal", "lmi")


@overload
def certify(
    net: Any,
    method: str = ...,
    solver: str | None = ...,
    tol: float = ...,
    start: Array | None = ...,
    outputs: Any = ...,
    *,
    box: Any = ...,
    polytope: Any = ...,
) -> Certificate: ...
@overload
def certify(
    net: Any, *, ball: Any, method: str = ..., tol: float = ..., outputs: Any = ...
) -> Any: ...
def certify(
    net: Any,
    method: str = "auto",
    solver: str | None = None,
    tol: float = 1e-7,
    start: Array | None = None,
    outputs: Any = None,
    ball: Any = None,
    box: Any = None,
    polytope: Any = None,
) -> Any:
    """Upper bound on the Lipschitz constant of `net` in the l2 norm: program (2), LipSDP.

    On a region, one of `ball`, `box` and `polytope`, the bound is a local one: a unit of relu,
    leaky_relu, prelu or abs that keeps its side there has one slope, and one of another activation
    a narrower sector (not on a polytope). With one hidden layer and one output, A the units that
    are active on all of the region and U those that switch inside, it is fact A over the vectors
    ``2 sum_A zbar_i + sum_U zbar_i`` and ``zbar_i, i in U`` (fact I). In deeper networks linear
    bounds find the units of later layers that keep their side (on a polytope only those of the
    first layer), and the program is over the others.

    Parameters
    ----------
    net : ShallowNet, Network, torch.nn.Module or anything that `as_network` takes
    method : {"auto", "P", "q", "lowrank", "chordal", "lmi"}
        "P", "q" and "lowrank", for one hidden layer and one output, solve the d x d problem that
        (2) is (fact A); "chordal" any network, in memory that grows with the square of the number
        of hidden units. "auto" takes the cheapest. "lmi" is another word for
        ``solver="reference"``.
    solver : str, optional
        "reference" for the program as printed, in CVXPY (MOSEK with a licence, else Clarabel), or
        the name of a CVXPY solver that solves semidefinite programs; None for `method`.
    tol : float
        Relative gap between `bound` and `lower` at which to stop; a CVXPY solver has its own, and
        is called "optimal" up to 1e-6.
    start : ndarray, (d, k), optional
        The `factor` of the certificate of a similar network, to start from; one hidden layer and
        one output.
    outputs : int, (int, int) or array_like (p, k), optional
        Certify output i only, the margin ``f_i - f_j``, or ``C f`` for a matrix C.
    ball : (x0, r), optional
        The inputs with ``|x - x0| <= r``, x0 (d,). With centres (k, d), and a radius for each or
        one for all, there is a list of k certificates; those of one hidden layer and one output
        are found side by side, of relu, leaky_relu, prelu and abs.
    box : (low, high), optional
        The inputs between low and high, (d,) or numbers.
    polytope : (A, b), optional
        The inputs with ``A x <= b``, A (j, d).

    Returns
    -------
    Certificate
        Its bound comes from feasible multipliers, or is the product of norms, so it holds
        whatever its status says. It is never above the product of norms.

    Raises
    ------
    ValueError
        For a network that is not supported, a method or solver that does not exist or does not
        fit, a tolerance that is not positive, or a region that is empty or does not fit.
    """
    net, rounding = with_rounding(net, outputs)
    if ball is None and box is None and polytope is None:
        return _certify(net, method, solver, tol, start)
    if solver is not None or method not in ("auto", *SMALL_METHODS):
        raise ValueError("on a region leave out solver, and method or one of P, q and lowrank")
    places, tol = regions(net.dim, ball, box, polytope), _checks.positive(tol, "tol")
    alone = len(places) < 2 or method != "auto" or start is not None or any(rounding)
    ready = [None] * len(places) if alone else certify_balls(net, places, tol)
    found = [
        _on(region, rounding, net, method, tol, start) if one is None else one
        for region, one in zip(places, ready, strict=True)
    ]
    several = ball is not None and np.ndim(ball[0]) == 2
    return found if several else found[0]


def certify_layers(
    net: Any,
    outputs: Any = None,
    method: str = "auto",
    solver: str | None = None,
    tol: float = 1e-7,
) -> Certificate:
    """`certify` with the multipliers always as a tuple, layer by layer."""
    return _certify(_layered(net, outputs), method, solver, tol, None)


def output_bounds(net: Any, tol: float = 1e-7) -> Array:
    """The bound of each output by itself, (k,)."""
    net = _layered(net)
    return np.array([certify(net, tol=tol, outputs=i).bound for i in range(net.outputs)])


def margin_bounds(net: Any, tol: float = 1e-7) -> Array:
    """The bounds of all margins ``f_i - f_j``, (k, k), zero on the diagonal.

    A sample with f_i - f_j > 0 for its class i and all j keeps it within the smallest
    ``(f_i - f_j) / bounds[i, j]``.
    """
    net = _layered(net)
    k = net.outputs
    bounds = np.zeros((k, k))
    for i in range(k):
        for j in range(i):
            bounds[i, j] = bounds[j, i] = certify(net, tol=tol, outputs=(i, j)).bound
    return bounds


def with_rounding(net: Any, outputs: Any = None) -> tuple[Any, tuple[float, ...]]:
    """A `ShallowNet` where it is one, else a `Network`; and its `Network.rounding`."""
    if isinstance(net, ShallowNet) and outputs is None:
        return net, (0.0, 0.0)
    found = _layered(net, outputs)
    return (found.to_shallow() if found.is_shallow else found), found.rounding


def _on(
    region: Region, rounding: tuple[float, ...], net: Any, method: str, tol: float, start: Any
) -> Certificate:
    """The certificate on a region, raised by what rounding can add where fixed units cancel.

    Where that is more than the last digits, or where they run out, the one of the whole space.
    """
    found = _certify(net, method, None, tol, start, region, rounding)
    bound = found.bound + moved_by(found.form(), rounding) if any(rounding) else found.bound
    if found.status == Status.PRODUCT or not bound <= found.bound * (1 + LAST_DIGITS):
        return replace(_certify(net, method, None, tol, start), region=region)
    if not any(rounding):
        return found
    closed = bound - found.lower <= found.tol * bound
    status = found.status if closed or found.status != Status.OPTIMAL else Status.INACCURATE
    return replace(found, bound=float(np.nextafter(bound, np.inf)), status=status)


def _layered(net: Any, outputs: Any = None) -> Network:
    read = as_network(net)
    return read if outputs is None else read.select(outputs)


def _certify(
    net: Any,
    method: str,
    solver: str | None,
    tol: float,
    start: Array | None,
    region: Region | None = None,
    rounding: tuple[float, ...] = (),
) -> Certificate:
    form = Form.of(net)
    _checks.one_of(method, "method", METHODS + (SMALL_METHODS if form.small else ()))
    if not (tol := _checks.positive(tol, "tol")) < 1:
        raise ValueError(f"tol is a relative gap and must be below 1, got {tol:g}")
    if solver in ("structured", None):
        name = choose_solver(None) if method == "lmi" else None
    else:
        if method not in ("auto", "lmi"):
            raise ValueError(
                f"solver={solver!r} solves the program as printed: leave out method={method!r}"
            )
        name = choose_solver(None if solver == "reference" else solver, semidefinite=True)
    if start is not None:
        if not form.small:
            raise ValueError("start is for one hidden layer and one output")
        start = _checks.finite_array(start, "start", 2)
        if start.shape[0] != form.dim or not start.any():
            raise ValueError(
                f"start must have {form.dim} rows and not be zero, got shape {start.shape}"
            )
    return solved(net, form, method, name, tol, start, region, rounding)
