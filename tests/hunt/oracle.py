"""The judge of the hunt: exact rational arithmetic, and balls where a function is not rational.

It shares no code with the package: of a `Network` it takes the matrices, biases and names of
activations, each float64 as the exact number that it is. `hunt.slopes` is its second half.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import flint
import numpy as np

from lipsnn import Network
from lipsnn.activations import Activation

Q = flint.fmpq
Vector, Matrix = list, list  # of Q
# Enumerated are networks of at most so many units, by the number of inputs.
SMALL = {1: 40, 2: 14, 3: 8}


def exact(value: float) -> Q:
    return Q(*float(value).as_integer_ratio())


def matrix(array: np.ndarray) -> Matrix:
    return [[exact(x) for x in row] for row in np.atleast_2d(array).tolist()]


def dot(u: Vector, v: Vector) -> Q:
    return sum((a * b for a, b in zip(u, v, strict=True) if a != 0 and b != 0), Q(0))


def product(A: Matrix, B: Matrix) -> Matrix:
    columns = list(zip(*B, strict=True))
    return [[dot(row, column) for column in columns] for row in A]


# --- the Lipschitz constant, region by region -------------------------------------------------


def pieces(activation: Activation) -> list | None:
    """(low, high, slope, offset): phi(u) = slope u + offset there; None if it is not so made."""
    match activation.name, [exact(x) for x in activation.parameters]:
        case "relu", _:
            return [(None, 0, 0, 0), (0, None, 1, 0)]
        case "abs", _:
            return [(None, 0, -1, 0), (0, None, 1, 0)]
        case "relu6", _:
            return [(None, 0, 0, 0), (0, 6, 1, 0), (6, None, 0, 6)]
        case (("leaky_relu" | "prelu"), [below]):
            return [(None, 0, below, 0), (0, None, 1, 0)]
        case "hardtanh", [low, high]:
            return [(None, low, 0, low), (low, high, 1, 0), (high, None, 0, high)]
    return None


def enumerable(net: Network) -> bool:
    """Whether all linear regions can be looked at."""
    linear = all(pieces(phi) is not None for phi in net.activations)
    return linear and sum(net.widths) <= SMALL.get(net.dim, 0)


def jacobians(net: Network) -> Iterator[Matrix]:
    """The Jacobian (k, d) of every linear region with an interior, piecewise linear networks.

    Unit by unit, a region is cut by what the unit's pieces ask for; a part counts if it has an
    interior point, which `interior_point` finds or excludes. A unit that is constant on a region
    lies in one piece.
    """
    d = net.dim
    identity = [[Q(int(i == j)) for j in range(d + 1)] for i in range(d)]  # x as (x, 1)
    yield from _regions(net, 0, [], [Q(0)] * d, identity)


def _regions(
    net: Network, layer: int, rows: Matrix, point: Vector, values: Matrix
) -> Iterator[Matrix]:
    W, b = matrix(net.weights[layer]), [exact(x) for x in net.biases[layer].tolist()]
    units = product(W, values)
    for unit, bias in zip(units, b, strict=True):
        unit[-1] += bias
    if layer == len(net.weights) - 1:
        yield [unit[:-1] for unit in units]
        return
    for inside, at, active in _cut(rows, point, units, pieces(net.activations[layer])):
        yield from _regions(net, layer + 1, inside, at, active)


def _cut(rows: Matrix, point: Vector, units: Matrix, parts: list) -> Iterator[tuple]:
    if not units:
        yield rows, point, []
        return
    unit, constant = units[0], not any(units[0][:-1])
    for low, high, slope, offset in parts:
        asked = [] if low is None else [[*unit[:-1], unit[-1] - low]]
        asked += [] if high is None else [[*(-x for x in unit[:-1]), high - unit[-1]]]
        if constant:
            if any(row[-1] < 0 for row in asked):
                continue
            more, at = rows, point
        else:
            more = rows + asked
            met = all(dot(row, [*point, Q(1)]) > 0 for row in asked)
            at = point if met else interior_point(more, len(point))
            if at is None:
                continue
        value = [slope * x for x in unit]
        value[-1] += offset
        for inside, there, others in _cut(more, at, units[1:], parts):
            yield inside, there, [value, *others]
        if constant:
            return


def interior_point(rows: Matrix, d: int) -> Vector | None:
    """x (d,) with row (x, 1) > 0 for all rows, or None if there is none: Fourier and Motzkin."""
    if d == 0:
        return [] if all(row[-1] > 0 for row in rows) else None
    # with the last variable's coefficient scaled to 1, -1 or 0
    above, below, rest = [], [], []
    for row in rows:
        c = row[d - 1]
        reduced = [*row[: d - 1], row[-1]]
        if c == 0:
            rest.append(reduced)
        else:
            (above if c > 0 else below).append([x / abs(c) for x in reduced])
    if d == 1:  # only the tightest counts
        above, below = above and [min(above)], below and [min(below)]
    pairs = [
        [a + b for a, b in zip(up, down, strict=True)]
        for up, down in itertools.product(above, below)
    ]
    inner = interior_point(rest + pairs, d - 1)
    if inner is None:
        return None
    lows = [-dot(row, [*inner, Q(1)]) for row in above]
    highs = [dot(row, [*inner, Q(1)]) for row in below]
    match bool(lows), bool(highs):
        case True, True:
            last = (max(lows) + min(highs)) / 2
        case True, False:
            last = max(lows) + 1
        case False, True:
            last = min(highs) - 1
        case _:
            last = Q(0)
    return [*inner, last]


def bounds_all(net: Network, bound: float) -> bool:
    """Whether `bound` is at least the Lipschitz constant, by all Jacobians of a small network."""
    square = exact(bound) ** 2
    return all(semidefinite(_room(square, J)) for J in jacobians(net))


def _room(square: Q, J: Matrix) -> Matrix:
    """bound^2 I - JJ'."""
    gram = product(J, [list(column) for column in zip(*J, strict=True)])
    return [[square * int(i == j) - x for j, x in enumerate(row)] for i, row in enumerate(gram)]


# --- multipliers ------------------------------------------------------------------------------


def semidefinite(rows: Matrix) -> bool:
    """Whether a symmetric rational matrix is positive semidefinite: elimination, in place."""
    for k, row in enumerate(rows):
        pivot = row[k]
        if pivot < 0 or (pivot == 0 and any(x != 0 for x in row[k + 1 :])):
            return False
        for i in range(k + 1, len(rows)):
            if pivot != 0 and row[i] != 0:
                factor = row[i] / pivot
                for j in range(i, len(rows)):
                    rows[i][j] -= factor * row[j]
    return True


def certifies(net: Network, multipliers: tuple, bound: float) -> bool:
    """Whether multipliers certify `bound`: LipSDP-Neuron's matrix, entry by entry, in rationals.

    For one hidden layer of ReLU units and one output it is the LMI (2b). Left out are units that
    see no input, which are constants, and those that no output sees.
    """
    weights, kept = net.weights, _reached(net)
    if not all(units.any() for units in kept):
        return bound >= 0
    if any(
        not (np.isfinite(t[k]) & (t[k] >= 0)).all()
        for t, k in zip(multipliers, kept[1:-1], strict=True)
    ):
        return False
    Ws = [
        matrix(W[np.ix_(after, before)])
        for W, before, after in zip(weights, kept[:-1], kept[1:], strict=True)
    ]
    starts = np.cumsum([0, *(int(k.sum()) for k in kept[:-1])]).tolist()
    M = [[Q(0)] * starts[-1] for _ in range(starts[-1])]
    for k in range(starts[1]):
        M[k][k] = exact(bound) ** 2
    for layer, (alpha, beta) in enumerate(net.sectors):
        T = [exact(t) for t in multipliers[layer][kept[layer + 1]].tolist()]
        alpha, beta = exact(alpha), exact(beta)
        before, here = starts[layer], starts[layer + 1]
        for i, (t, row) in enumerate(zip(T, Ws[layer], strict=True)):
            M[here + i][here + i] += 2 * t
            for j, w in enumerate(row):
                M[here + i][before + j] -= (alpha + beta) * t * w
                M[before + j][here + i] -= (alpha + beta) * t * w
                for k, other in enumerate(row):
                    M[before + j][before + k] += 2 * alpha * beta * t * w * other
    last = starts[-2]
    for row in Ws[-1]:
        for i, w in enumerate(row):
            for j, other in enumerate(row):
                M[last + i][last + j] -= w * other
    return semidefinite(M)


def _reached(net: Network) -> list[np.ndarray]:
    """Inputs, units and outputs on some path of nonzero weights from an input to an output."""
    ahead = [np.ones(net.dim, dtype=bool)]
    for W in net.weights:
        ahead.append((W[:, ahead[-1]] != 0).any(axis=1))
    behind = [np.ones(net.outputs, dtype=bool)]
    for W in reversed(net.weights):
        behind.append((W[behind[-1]] != 0).any(axis=0))
    return [a & b for a, b in zip(ahead, reversed(behind), strict=True)]


# --- problem (4) ------------------------------------------------------------------------------


def half_squares(weights: np.ndarray, outer: np.ndarray, offset: float, X, y) -> tuple[Q, Q]:
    """Half the sum of squared errors of (1), and how far a float64 evaluation may be from it.

    The second is the usual bound on the rounding of the sums, to first order, doubled.
    """
    W, a = matrix(weights), [exact(x) for x in outer.tolist()]
    total, error = Q(0), Q(0)
    unit = exact(np.finfo(float).eps) * (len(a) + len(W[0]) + len(y) + 4)
    for x, target in zip(matrix(X), y.tolist(), strict=True):
        x = [*x, Q(1)]
        answer = dot(a, [max(dot(w, x), Q(0)) for w in W]) + exact(offset)
        size = dot([abs(c) for c in a], [dot([abs(e) for e in w], [abs(e) for e in x]) for w in W])
        size += abs(exact(offset)) + abs(exact(target))
        residual = answer - exact(target)
        total += residual**2 / 2
        error += unit * (abs(residual) * size + unit * size**2 + residual**2)
    return total, error
