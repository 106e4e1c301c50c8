"""LipSDP-Neuron for any depth, any sectors and several outputs.

One multiplier t_j >= 0 per unit (T diagonal), as Fazlyab et al. (2019) call LipSDP-Neuron. Their
LipSDP-Network, with a T that couples units of a layer, is not offered: it is wrong, as Pauli et al.
(2022, II-C) show by a network that it certifies to be a constant; see `sector.increment_form`.

One hidden layer. Let f = W_1 phi(W_0 x + b), the sector [alpha, beta], m = (alpha + beta)/2 and
r = (beta - alpha)/2, the columns of W_1 be |a_i| c_i with |c_i| = 1, zbar_i = |a_i| w_i. Writing
phi = m u + r eta with |eta_i| <= |u_i|, the LMI at t says, after the elimination of eta, with
q_i = |a_i|^2 / (2 t_i) and G = W_1 W_0,

    rho = min_q lambda_max(m^2 G'(I - sum q_i c_i c_i')^-1 G + r^2 sum zbar_i zbar_i' / q_i),
    L   = max_{P, S} m |S^1/2 G P^1/2|_* + r sum_i sqrt(zbar_i'P zbar_i c_i'S c_i),

P >= 0 (d, d) and S >= 0 (k, k) of trace 1, ``|.|_*`` the nuclear norm: the small form of fact A for
any sector and any number k of outputs. For k = 1 it is S = 1, and a scaling of ReLU's where
alpha = 0. Where alpha > 0 it is ReLU's with two more units, alpha g and -alpha g (g = W_0'a): they
add 2 alpha |g| to the sum over i and nothing to zbar_0. So `certify`'s fast forms serve every
sector with a scalar output; several outputs and more layers go to the chordal method.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from lipsnn import _checks
from lipsnn._checks import Array
from lipsnn.certificate.chordal import solve_chain
from lipsnn.certificate.scaling import ScaledChain, lower_value
from lipsnn.certificate.threads import one_blas_thread
from lipsnn.convert import as_network
from lipsnn.network import Network

METHODS = ("auto", "chordal", "lmi")


@dataclass(frozen=True, eq=False)
class LayeredCertificate:
    """A Lipschitz bound of a network of any depth with the multipliers that prove it.

    Attributes
    ----------
    layers : Network
        The network that is certified.
    bound : float
        L: ``|f(x) - f(x')| <= L |x - x'|`` for all x, x' in the l2 norm.
    lower : float
        A lower value of the same program: no diagonal multipliers give less. Not a lower bound
        on the network's Lipschitz constant.
    multipliers : tuple of ndarray
        The diagonals of T_1 .. T_l; infinite for a unit that sees no input, 0 for one that no
        output sees.
    status : str
        "optimal" when the gap is within the tolerance, else what happened.
    seconds : float
    iterations : int or None
    method : str
        "chordal", "lmi", or the form of `certify` that a scalar output with one layer allows.
    solver : str
        "lipsnn" or a CVXPY solver.
    """

    layers: Network
    bound: float
    lower: float
    multipliers: tuple[Array, ...]
    status: str
    seconds: float
    iterations: int | None
    method: str
    solver: str

    @property
    def gap(self) -> float:
        """``(bound - lower) / bound``, 0 for a constant network."""
        return 0.0 if self.bound == 0.0 else 1.0 - self.lower / self.bound


def certify_layers(
    net: Any,
    outputs: Any = None,
    method: str = "auto",
    solver: str | None = None,
    tol: float = 1e-7,
) -> LayeredCertificate:
    """Upper bound on the l2 Lipschitz constant of a network of any depth: LipSDP-Neuron.

    Parameters
    ----------
    net : torch.nn.Sequential, ShallowNet or Network
        Of Linear layers and ReLU, Tanh, Sigmoid or LeakyReLU activations; see `as_network`.
    outputs : int, (int, int) or array_like (p, k), optional
        Certify output i only, the margin ``f_i - f_j``, or ``C f`` for a matrix C.
    method : {"auto", "chordal", "lmi"}
        "chordal" is the method of `chordal`; "lmi" the program as printed, in CVXPY; "auto" takes
        `certify`'s fast forms for one hidden layer and one output, else "chordal", whose
        memory grows with the square of the number of all hidden units.
    solver : str, optional
        For "lmi" any CVXPY solver that is installed; MOSEK with a licence, else Clarabel, if None.
    tol : float
        Relative gap between `bound` and `lower` at which to stop; a CVXPY solver has its own.

    Returns
    -------
    LayeredCertificate
        Its bound comes from feasible multipliers, so it holds whatever its status says.

    Raises
    ------
    ValueError
        For a module that is not supported, layers that do not chain, or bad parameters.
    """
    layers = as_network(net)
    if outputs is not None:
        layers = layers.select(outputs)
    _checks.one_of(method, "method", METHODS)
    tol = _checks.positive(tol, "tol")
    if solver is not None and method != "lmi":
        raise ValueError(f'solver is for method="lmi" only, got solver={solver!r} with {method!r}')
    return _certify(layers, method, solver, tol)


def output_bounds(net: Any, tol: float = 1e-7) -> Array:
    """The bound of each output by itself, (k,)."""
    layers = as_network(net)
    return np.array([certify_layers(layers, i, tol=tol).bound for i in range(layers.outputs)])


def margin_bounds(net: Any, tol: float = 1e-7) -> Array:
    """The bounds of all margins ``f_i - f_j``, (k, k), zero on the diagonal.

    A sample with f_i - f_j > 0 for its class i and all j keeps it within the smallest
    ``(f_i - f_j) / bounds[i, j]``.
    """
    layers = as_network(net)
    k = layers.outputs
    bounds = np.zeros((k, k))
    for i in range(k):
        for j in range(i):
            bounds[i, j] = bounds[j, i] = certify_layers(layers, (i, j), tol=tol).bound
    return bounds


@one_blas_thread
def _certify(layers: Network, method: str, solver: str | None, tol: float) -> LayeredCertificate:
    begun = time.perf_counter()
    seen, used = _reach(layers)
    live = [a & b for a, b in zip(seen, used, strict=True)]
    found: dict[str, Any] = {"iterations": 0, "method": "chordal", "solver": "lipsnn"}
    if not all(units.any() for units in live):
        bound, lower, status = 0.0, 0.0, "optimal"
        kept = [np.empty(0)] * len(live)
        live = [np.zeros_like(units) for units in live]
    elif method == "auto" and _has_small_form(layers):
        kept, bound, lower, found = _scalar(layers, live[0], tol)
        status = found.pop("status")
    elif method == "lmi":
        kept, bound, lower, found = _by_lmi(layers, live, solver)
        status = found.pop("status")
    else:
        scaled = ScaledChain(layers, live)
        result = solve_chain(scaled.chain, 0.9 * tol)
        kept, bound = scaled.multipliers(result.t), scaled.bound(result.t)
        lower = scaled.unscale(lower_value(scaled.chain, result.X))
        found["iterations"] = result.iterations
        status = "optimal" if bound - lower <= tol * bound else "inaccurate"
    multipliers = []
    for t, units, sees in zip(kept, live, seen, strict=True):
        full = np.where(sees, 0.0, np.inf)
        full[units] = t
        multipliers.append(full)
    return LayeredCertificate(
        layers=layers,
        bound=bound,
        lower=lower,
        multipliers=tuple(multipliers),
        status=status,
        seconds=time.perf_counter() - begun,
        **found,
    )


def _reach(layers: Network) -> tuple[list[Array], list[Array]]:
    """Units that see an input, and units that an output sees, layer by layer."""
    linked = [weight != 0 for weight in layers.weights]
    seen, ahead = [], np.ones(layers.dim, dtype=bool)
    for links in linked[:-1]:
        ahead = links[:, ahead].any(axis=1)
        seen.append(ahead)
    used, behind = [], np.ones(layers.outputs, dtype=bool)
    for links in reversed(linked[1:]):
        behind = links[behind].any(axis=0)
        used.append(behind)
    return seen, used[::-1]


def _has_small_form(layers: Network) -> bool:
    """One hidden layer, one output, no slope below 0: see the module's docstring."""
    return len(layers.sectors) == 1 and layers.outputs == 1 and layers.sectors[0][0] >= 0


def _scalar(
    layers: Network, live: Array, tol: float
) -> tuple[list[Array], float, float, dict[str, Any]]:
    """One hidden layer, one output: `certify` on ReLU's network with two more units."""
    from lipsnn.certificate.entry import certify
    from lipsnn.network import ShallowNet

    (alpha, beta), W = layers.sectors[0], layers.weights[0][live]
    outer = layers.weights[1][0, live]
    rows, outs = W, (beta - alpha) * outer
    if alpha > 0:
        slope = alpha * (outer @ W)
        rows, outs = np.vstack([W, slope, slope]), np.append(outs, [1.0, -1.0])
    answer = certify(ShallowNet(np.column_stack([rows, np.zeros(len(rows))]), outs), tol=tol)
    t = answer.multipliers[: len(W)] / (beta - alpha) ** 2
    names = ("status", "iterations", "method", "solver")
    found = {name: getattr(answer, name) for name in names}
    return [t], answer.bound, answer.lower, found


def _by_lmi(
    layers: Network, live: list[Array], solver: str | None
) -> tuple[list[Array], float, float, dict[str, Any]]:
    """The program in CVXPY; bound and lower value as the chordal method computes them."""
    from lipsnn.certificate.multilayer_lmi import solve_layers_lmi

    scaled = ScaledChain(layers, live)
    answer = solve_layers_lmi(scaled.chain, solver)
    found = {
        "status": answer.solution.status,
        "iterations": answer.solution.iterations,
        "method": "lmi",
        "solver": answer.solution.solver,
    }
    if not answer.solution.has_point:
        return [np.full(int(units.sum()), np.nan) for units in live], np.nan, np.nan, found
    # a solver's point is feasible to its accuracy only: a growing share from the last layer on
    bound, t = np.inf, answer.t
    for share in (0.0, 1e-9, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4):
        candidate = np.maximum(answer.t, share)
        for i, place in enumerate(scaled.chain.of):
            candidate[place] *= 1 + share * (i + 1)
        value = scaled.bound(candidate)
        if value < bound:
            bound, t = value, candidate
    lower = scaled.unscale(lower_value(scaled.chain, scaled.chain.part(answer.X)))
    return scaled.multipliers(t), bound, lower, found
