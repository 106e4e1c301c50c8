"""From below: what gradients a network has, and what stands between them and the certificate.

sampled <= exact <= rounded <= certificate <= product of norms, where "exact" is the network's
Lipschitz constant, known for small networks only, and "rounded" a value of the formal global
constant ``max |sum_i sigma_i zbar_i|`` over all sigma in {0, 1}^m, which the LMI bounds: it asks
nothing about which patterns sigma the inputs can reach.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from lipsnn._checks import Array
from lipsnn.certificate.cells import MOST_INPUTS, MOST_UNITS, cell_patterns
from lipsnn.certificate.form import Form
from lipsnn.certificate.product import norm_product
from lipsnn.certificate.slopes import Slopes, slopes
from lipsnn.certificate.threads import one_blas_thread
from lipsnn.network import ShallowNet

# Numbers in one temporary array of the searches.
_BUDGET = 2e7
_STARTS, _CROSSINGS, _ROUNDS = 8, 64, 60
# Vertices of the arrangement cost a d x d inverse each.
_VERTEX_DIM = 12
# A preactivation this small against its terms counts as on the hyperplane.
_ON_PLANE = 1e-12


@dataclass(frozen=True)
class Ladder:
    """The rungs, each no larger than the next.

    Attributes
    ----------
    sampled : float
        The largest gradient found: attained, so a lower bound on the Lipschitz constant.
    exact : float or None
        The Lipschitz constant, None for more than 20 units or 3 inputs, or another network.
    rounded : float
        A lower value of the formal global constant, at least ``sqrt(2/pi)`` of the certificate's
        `lower`. Not a lower bound on the network's own constant.
    certificate : float
    product : float
        ``|Wbar|_2 |a|_2``, for any network that of all layers and largest slopes.
    """

    sampled: float
    exact: float | None
    rounded: float
    certificate: float
    product: float

    def __str__(self) -> str:
        exact = f"{self.exact:.8g}" if self.exact is not None else "too large to enumerate"
        lines = [
            ("largest gradient found", f"{self.sampled:.8g}"),
            ("exact Lipschitz constant", exact),
            ("formal constant, rounded from P", f"{self.rounded:.8g}"),
            ("certificate (LipSDP)", f"{self.certificate:.8g}"),
            ("product of norms", f"{self.product:.8g}"),
        ]
        return "\n".join(f"{name:<33}{value}" for name, value in lines)


@one_blas_thread
def ladder(net: Any, factor: Array, bound: float, X: Array | None = None, seed: int = 0) -> Ladder:
    """The ladder of `net` below and above a certificate with this `factor` and `bound`."""
    if not isinstance(net, ShallowNet):
        attained, formal = steepest_slopes(net, factor, X, seed)
        return Ladder(attained, None, formal, bound, norm_product(net))
    problem = slopes(net)
    sampled = largest_gradient(net, problem, X, seed)
    directions, exact = [sampled, problem.sum], None
    scaled = Form((problem.scaled, np.ones((1, net.width))), ((0.0, 1.0),))
    if net.dim <= MOST_INPUTS and net.weights[:, :-1].any(axis=1).sum() <= MOST_UNITS:
        gradients = cell_patterns(net).astype(np.float64) @ problem.scaled
        steepest = gradients[np.argmax(np.linalg.norm(gradients, axis=1))]
        directions.append(steepest)
        exact = problem.unscale(float(np.linalg.norm(steepest)))
    return Ladder(
        sampled=problem.unscale(float(np.linalg.norm(sampled))),
        exact=exact,
        rounded=problem.unscale(rounded_constant(scaled, factor, np.array(directions), seed)),
        certificate=bound,
        product=norm_product(net),
    )


def rounded_constant(
    form: Form, factor: Array, directions: Array, seed: int = 0, draws: int = 64
) -> float:
    """The formal global constant from below: Gaussian rounding of P = RR', then ascent.

    Of one hidden layer, directions x = Rg, g normal, have ``E sum (zbar_i'x)_+ >= sqrt(2/pi) lower
    E|x|`` (x and -x together), so that draws reach sqrt(2/pi) of the lower value, which the
    ascent only raises. It starts from `directions` (j, d) too.
    """
    draws = int(np.clip(_BUDGET / max(form.widths), 4, draws))
    normal = np.random.default_rng(seed).normal(size=(draws, factor.shape[1]))
    with np.errstate(all="ignore"):
        return max(_formal_ascent(form, x) for x in (*directions, *(normal @ factor.T)))


def largest_gradient(
    net: ShallowNet, problem: Slopes, X: Array | None = None, seed: int = 0
) -> Array:
    """The longest gradient (d,) found over data and by local search over cells, scaled.

    Points are the data, random ones at the scale of the hyperplanes and far outside, and in low
    dimension ones near the vertices of the arrangement, where cells are small; from the best of
    them the search crosses to the neighbouring cell that gains most, until none does.
    In units of `Slopes.scaled`, so that it cannot overflow.
    """
    rng = np.random.default_rng(seed)
    most = int(np.clip(_BUDGET / net.width, 8, 2000))
    wbar, bias = net.weights[:, :-1], net.weights[:, -1]
    norms = np.linalg.norm(wbar, axis=1)
    sloped = np.flatnonzero(norms)
    if not len(sloped):
        return np.zeros(net.dim)
    distance = np.median(np.abs(bias[sloped]) / norms[sloped]) or 1.0
    scales = distance * rng.choice([0.3, 1.0, 3.0, 1e3], size=(most, 1))
    drawn = [rng.normal(size=(most, net.dim)) * scales]
    if net.dim <= _VERTEX_DIM and len(sloped) >= net.dim:
        # where d hyperplanes drawn at random meet, or come closest to it
        draws = range(min(most, 500))
        chosen = np.array([rng.choice(sloped, net.dim, replace=False) for _ in draws])
        near = -np.einsum("kij,kj->ki", np.linalg.pinv(wbar[chosen]), bias[chosen])
        drawn.append(near + 1e-3 * distance * rng.normal(size=near.shape))
    if X is not None:
        drawn.append(X[rng.permutation(len(X))[:most]])
    points = np.vstack(drawn)
    # inside which of the cells that meet at a point the gradient is taken
    inward = wbar @ rng.normal(size=net.dim) > 0

    def gradients(points: Array) -> Array:
        """(k, d) in cells of full dimension at points (k, d)."""
        values = points @ wbar.T + bias
        size = np.abs(points) @ np.abs(wbar).T + np.abs(bias)
        active = np.where(np.abs(values) <= _ON_PLANE * size, inward, values > 0)
        return active.astype(np.float64) @ problem.scaled

    found = gradients(points)
    lengths = np.linalg.norm(found, axis=1)
    best = found[np.argmax(lengths)]
    for index in np.argsort(lengths)[::-1][:_STARTS]:
        x, gradient = points[index], found[index]
        for _ in range(_ROUNDS):
            values = wbar[sloped] @ x + bias[sloped]
            distances = np.abs(values) / norms[sloped]
            near = np.argsort(distances)[: min(_CROSSINGS, most)]
            near = near[np.isfinite(distances[near])]
            steps = -1.001 * values[near] / norms[sloped[near]] ** 2
            across = x + steps[:, None] * wbar[sloped[near]]
            along = np.outer(distances[near], gradient / (np.linalg.norm(gradient) or 1.0))
            candidates = np.vstack([across, x + along])
            reached = gradients(candidates)
            longest = int(np.argmax(np.linalg.norm(reached, axis=1)))
            if np.linalg.norm(reached[longest]) <= np.linalg.norm(gradient) * (1 + 1e-12):
                break
            x, gradient = candidates[longest], reached[longest]
        if np.linalg.norm(gradient) > np.linalg.norm(best):
            best = gradient
    return best


def steepest_slopes(
    net: Any, factor: Array, X: Array | None = None, seed: int = 0
) -> tuple[float, float]:
    """The longest Jacobian found over inputs, and one over slopes in the sectors, of a `Network`.

    The first is attained: at data, at random points, and by a local search from the best. The
    second asks only that each unit's slope lie in its sector: from the directions R g, g normal,
    and those of the first, each layer in turn takes the slopes that raise z'Jx most, and x, z
    are the leading singular vectors of J.
    """
    rng = np.random.default_rng(seed)
    most = int(np.clip(_BUDGET / (net.dim * max(*net.widths, net.outputs)) / 8, 8, 1000))
    norms = np.linalg.norm(net.weights[0], axis=1)
    sloped = norms > 0
    if not sloped.any():
        return 0.0, 0.0
    scale = float(np.median(np.abs(net.biases[0][sloped]) / norms[sloped])) or 1.0
    points = rng.normal(size=(most, net.dim)) * scale * rng.choice([0.3, 1.0, 3.0, 1e3], (most, 1))
    if X is not None:
        points = np.vstack([X[rng.permutation(len(X))[:most]], points])
    # off the kinks: there a Jacobian of active sides may be none of the network
    points = points + 1e-9 * scale * rng.normal(size=points.shape)
    lengths = _jacobian_norms(net, points)
    best, length = points[np.argmax(lengths)], float(lengths.max())
    reach = scale
    for _ in range(_ROUNDS):
        near = best + reach * rng.normal(size=(min(most, _CROSSINGS), net.dim))
        lengths = _jacobian_norms(net, near)
        if lengths.max() > length:
            best, length = near[np.argmax(lengths)], float(lengths.max())
        else:
            reach *= 0.7
    with np.errstate(all="ignore"):
        steepest = np.nan_to_num(net.gradient(best), posinf=0.0, neginf=0.0)
    formal = rounded_constant(Form.of(net), factor, np.linalg.svd(steepest)[2][:1], seed, 16)
    return length, max(formal, length)


def _jacobian_norms(net: Any, points: Array) -> Array:
    """Spectral norms of the Jacobians; 0 where float64 has none."""
    with np.errstate(all="ignore"):
        jacobians = net.gradient(points)
        finite = np.isfinite(jacobians).all(axis=(1, 2))
        lengths = np.zeros(len(points))
        lengths[finite] = np.linalg.norm(jacobians[finite], 2, axis=(1, 2))
    return lengths


def _formal_ascent(form: Form, x: Array) -> float:
    """A local maximum of |W_l D_l .. D_1 W_0| over slopes D_i in the sectors, from a direction."""
    D = [np.full(n, sum(sector) / 2) for n, sector in zip(form.widths, form.sectors, strict=True)]
    value, J = 0.0, _jacobian(form, D)
    for _ in range(_ROUNDS):
        if value == 0.0:
            z = J @ x
            z = z if z.any() else np.ones_like(z)
        else:
            z = np.linalg.svd(J)[0][:, 0]
            x = J.T @ z
        behind = [form.weights[-1].T @ z]
        for weight, slope in zip(form.weights[-2:0:-1], D[:0:-1], strict=True):
            behind.append(weight.T @ (slope * behind[-1]))
        u = x
        for i, back in enumerate(reversed(behind)):
            u = form.weights[i] @ u
            low, high = form.sectors[i]
            D[i] = np.where(back * u > 0, high, low)
            u = D[i] * u
        J = _jacobian(form, D)
        if not np.isfinite(J).all():
            return value
        reached = float(np.linalg.norm(J, 2))
        if reached <= value * (1 + 1e-12):
            break
        value = reached
    return value


def _jacobian(form: Form, D: list[Array]) -> Array:
    """``W_l D_l .. D_1 W_0``."""
    J = form.weights[0]
    for weight, slope in zip(form.weights[1:], D, strict=True):
        J = weight @ (slope[:, None] * J)
    return J
