"""What is wanted of all samples, by the ascent, and of the worst ones by branching."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from lipsnn import _checks
from lipsnn._ascent import Ball
from lipsnn._checks import Array
from lipsnn._optional import pd
from lipsnn.attack import pgd_attack
from lipsnn.certificate.lifted import (
    Around,
    Errors,
    classes,
    combinations,
    errors_of,
    moved,
    supported,
)
from lipsnn.certificate.threads import one_blas_thread
from lipsnn.convert import as_network
from lipsnn.enclosure.ascent import Problems
from lipsnn.enclosure.branch import closed, part_of
from lipsnn.network import Network

# Most rounds of the ascent, and the share of an error at which its enclosure counts as closed.
_ROUNDS, _CLOSED = 20, 1e-4
# Steps of the attack; the points of the ascent are tried as well.
_STEPS = 40
# Numbers in one temporary array: memory stays bounded.
_CHUNK = 2**22


@one_blas_thread
def certified_error(
    net: Any,
    X: Any,
    y: Any,
    radii: Any,
    norm: float = 2,
    gap: float | None = None,
    proof: str | Path | None = None,
) -> pd.DataFrame:
    """The largest error within each radius of each sample, from both sides.

    The squared error for one output; for several, of which y is a class, 0 or 1, so that
    ``1 - upper.mean()`` is the certified accuracy and ``1 - lower.mean()`` the attacked one.
    `lower` is attained, by PGD or by a point of the certificate's own ascent; `upper` is proved
    by feasible multipliers (fact J2, of each margin for classes), each rounded outwards.

    In the l2 norm with one hidden layer the two sides are within a per cent of each other on most
    trained networks. In l-infinity, and with more layers, they are further apart. The lifted form
    is that of the last hidden layer. A unit of an earlier one is exact while it cannot switch, and
    else anything between its chord and the parallel line through zero. So both sides meet at small
    radii; where many earlier units switch, `upper` may be many times `lower`, and `gap` closes only
    what the last layer leaves open.

    Parameters
    ----------
    net : ShallowNet, or what `as_network` takes
        With relu in the last hidden layer, and relu, leaky_relu, prelu or abs in the others.
    X : array_like, (n, d)
    y : array_like, (n,)
    radii : float or array_like, (k,)
        Attack sizes, in the units of X; not negative.
    norm : {2, inf}
        The norm of the attacks.
    gap : float, optional
        Branch on switching units (fact K) until ``upper <= (1 + gap) lower``, for classes until
        they meet. It gives up after some hundred pieces of a sample; both sides hold then too.
    proof : str or Path, optional
        Where to write a document for ``lipsnn verify``, and `Errors.from_json`: of `upper` alone,
        some 20 bytes a unit for each sample, radius and sign or margin.

    Returns
    -------
    DataFrame
        n k rows with columns sample, radius, lower and upper, the errors in squared units of y.

    Raises
    ------
    ValueError
        For bad input, or values beyond float64.

    Examples
    --------
    The certified mean squared error at each attack size::

        certified_error(net, X, y, [0.1, 0.2]).groupby("radius").mean()
    """
    net = as_network(net, X)
    supported(net)
    X, y = _checks.data_pair(X, y, net.dim)
    classes(net, y)
    radii = _checks.finite_array(np.atleast_1d(radii), "radii", 1)
    if (radii < 0).any():
        raise ValueError(f"radii must not be negative, got {radii.min():g}")
    norm = Ball(0.0, norm).norm
    gap = None if gap is None else _checks.positive(gap, "gap")
    order = np.argsort(radii)
    lower, bounds, trees = np.empty((len(X), len(radii))), np.empty((len(X), len(radii))), []
    size = max(_CHUNK // (2 * max(len(radii), 1) * (max(net.widths) + net.dim**2)), 1)
    for start in range(0, len(X), size):
        part = slice(start, start + size)
        with np.errstate(over="ignore", invalid="ignore"):
            search = _Search(net, X[part], y[part], radii[order], norm, gap, proof is not None)
        lower[part, order], bounds[part, order] = search.low, search.high
        trees += [[row[k] for k in np.argsort(order)] for row in search.trees]
    with np.errstate(over="ignore"):
        more = moved(net, X, radii)
        upper = errors_of(bounds + more, radii, net.outputs > 1)
        lower = np.nextafter(lower - more, -np.inf)
        if net.outputs > 1:
            lower = np.where(lower > 0, 1.0, 0.0)
        else:
            lower = np.maximum(np.nextafter(np.maximum(lower, 0.0) ** 2, -np.inf), 0.0)
    if not (np.isfinite(bounds) & (lower <= upper)).all() or not np.isfinite(upper).all():
        raise ValueError("the errors are beyond float64: rescale the network or the data")
    found = Errors(net, X, y, radii, norm, trees)
    if proof is not None:
        found.to_json(proof)
    return found.columns(lower=lower, upper=upper)


class _Search:
    """What `combinations` names, for radii that rise: attained (n, k), and at most (n, k)."""

    def __init__(
        self, net: Network, X: Array, y: Array, radii: Array, norm: float, gap: Any, keep: bool
    ) -> None:
        self.net, self.X, self.radii, self.norm = net, X, radii, norm
        self.gap, self.keep = gap, keep
        signs, shifts = zip(*(combinations(net.outputs, v) for v in y), strict=True)
        self.signs, self.shifts = np.array(signs), np.array(shifts)  # (n, q, outputs), (n, q)
        n, k, q = len(X), len(radii), self.shifts.shape[1]
        self.low = np.full((n, k), -np.inf)
        self.bounds = np.full((n, k, q), np.inf)
        self.trees: list[Any] = [[[None] * q for _ in radii] for _ in X] if keep else []
        for j, radius in enumerate(radii):
            points = pgd_attack(net, X, y, radius, norm, steps=_STEPS, restarts=0)
            self._attained(np.arange(n), j, points)
        if len(net.widths) == 1:
            sample, at, of = (x.ravel() for x in np.indices((n, k, q)))
            weights = np.column_stack([net.weights[0], net.biases[0]]), 0
            groups = np.zeros(net.dim, dtype=int) if norm == 2 else np.arange(net.dim)
            R = np.repeat(radii[at, None], groups[-1] + 1, axis=1)
            self._run(sample, at, of, weights, X[sample], groups, R)
        else:
            for s, j in np.ndindex(n, k):
                around = Around(net, X[s], float(radii[j]), norm)
                of = np.arange(q)
                R, origin = np.tile(around.R, (q, 1)), np.zeros((q, len(around.groups)))
                place = np.full(q, s), np.full(q, j), of
                self._run(*place, around.rows(), origin, around.groups, R)
        self.high = self.bounds.max(axis=2)

    def _attained(self, rows: Array, j: int, points: Array) -> None:
        """Points within radius j of samples, their values rounded down."""
        C, shift = self.signs[rows], self.shifts[rows]
        values = np.einsum("bqo,bo->bq", C, self.net(points)) + shift
        terms = sum(self.net.widths) + self.net.dim + 8 * (len(self.net.widths) + 2)
        sizes = np.einsum("bqo,bo->bq", np.abs(C), self.net.sizes(points)) + np.abs(shift)
        values -= terms * np.finfo(float).eps * sizes + 1e-300
        np.maximum.at(self.low[:, j], rows, values.max(1))
        self.low = np.maximum.accumulate(self.low, axis=1)

    def _target(self, sample: Array, at: Array, gap: float) -> Array:
        """What is low enough for a bound."""
        low = self.low[sample, at]
        if self.net.outputs == 1:
            return low * np.sqrt(1 + gap)
        return np.where(low > 0, np.inf, np.nextafter(0.0, -1.0))

    def _run(
        self, sample: Array, at: Array, of: Array, weights: Any, X: Array, groups: Array, R: Array
    ) -> None:
        """Bounds of the q-th combinations `of` of samples and radii."""
        A, b = self.net.weights[-1], self.net.biases[-1]
        C, shift = self.signs[sample, of], self.shifts[sample, of]
        shifts = np.column_stack([C @ b + shift, np.abs(C) @ np.abs(b) + np.abs(shift)])
        problems = Problems(weights, X, C @ A, shifts, groups, R)
        if not np.isfinite(np.ldexp(problems.size + problems.shift, problems.unit)).all():
            return
        best, open_ = np.full(len(sample), np.inf), np.arange(len(sample))
        proofs = np.empty((len(best), A.shape[1])), np.empty((len(best), R.shape[1]))
        for _ in range(_ROUNDS):
            found = problems.bound()
            self._tried(sample[open_], at[open_], found.e)
            better = found.bound < best[open_]
            best[open_[better]] = found.bound[better]
            if self.keep:
                for kept, own in zip(proofs, problems.multipliers(found.lam), strict=True):
                    kept[open_[better]] = own[better]
            left = best[open_] > self._target(sample[open_], at[open_], _CLOSED)
            problems.improve(found)
            open_ = open_[left]
            problems.keep(left)
            if not len(open_):
                break
        parts: dict[int, Any] = {}
        for i, row in enumerate(open_.tolist() if self.gap else ()):
            place = sample[[row]], at[[row]]

            def target(e: Array, place: tuple[Array, Array] = place) -> float:
                self._tried(*place, e)
                return float(self._target(*place, self.gap)[0])

            if best[row] > target(np.zeros_like(X[:1])):
                bound, found_parts = closed(problems.one(i), target)
                if bound < best[row]:
                    best[row], parts[row] = bound, found_parts
        self.bounds[sample, at, of] = best
        if self.keep:
            for row, (s, j, q) in enumerate(zip(sample, at, of, strict=True)):
                tree = parts.get(row) or [part_of(proofs[0][row], proofs[1][row])]
                self.trees[s][j][q] = {"bound": float(best[row]), "parts": tree}

    def _tried(self, sample: Array, at: Array, moves: Array) -> None:
        """Points of the ascent as attacks."""
        for j in np.unique(at):
            own = at == j
            ball, e = Ball(self.radii[j], self.norm), moves[own][:, : self.net.dim]
            self._attained(sample[own], j, ball.around(self.X[sample[own]], ball.project(e)))
