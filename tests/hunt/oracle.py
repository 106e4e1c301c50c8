"""The judge of the hunt: exact rational arithmetic, and balls where a function is not rational.

It shares no code with the package. A network is its matrices, biases and activations, each a
float64 taken as the exact number that it is.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import flint
import numpy as np

Q, Ball = flint.fmpq, flint.arb
Vector, Matrix = list, list  # of Q, or of Ball
# Bits of the balls: the scales that the hunt mixes span 2000.
PRECISION = 4000
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

# phi(u) = slope u + offset for low <= u <= high, (low, high, slope, offset), None: no end
PIECES = {
    "ReLU": [(None, 0, 0, 0), (0, None, 1, 0)],
    "ReLU6": [(None, 0, 0, 0), (0, 6, 1, 0), (6, None, 0, 6)],
    "Hardtanh": [(None, -1, 0, -1), (-1, 1, 1, 0), (1, None, 0, 1)],
}


def pieces(activation: str) -> list:
    name, _, slope = activation.partition(" ")
    if name in ("LeakyReLU", "PReLU"):
        return [(None, 0, exact(float(slope)), 0), (0, None, 1, 0)]
    return PIECES[name]


def enumerable(case) -> bool:
    units = sum(len(bias) for bias in case.biases[:-1])
    known = case.activation.partition(" ")[0] in (*PIECES, "LeakyReLU", "PReLU")
    return known and units <= SMALL.get(case.weights[0].shape[1], 0)


def jacobians(case) -> Iterator[Matrix]:
    """The Jacobian (k, d) of every linear region with an interior, piecewise linear networks.

    Unit by unit, a region is cut by what the unit's pieces ask for; a part counts if it has an
    interior point, which `interior_point` finds or excludes. A unit that is constant on a region
    lies in one piece.
    """
    d = case.weights[0].shape[1]
    identity = [[Q(int(i == j)) for j in range(d + 1)] for i in range(d)]  # x as (x, 1)
    yield from _regions(case, 0, [], [Q(0)] * d, identity)


def _regions(case, layer: int, rows: Matrix, point: Vector, values: Matrix) -> Iterator[Matrix]:
    W, b = matrix(case.weights[layer]), [exact(x) for x in case.biases[layer].tolist()]
    units = product(W, values)
    for unit, bias in zip(units, b, strict=True):
        unit[-1] += bias
    if layer == len(case.weights) - 1:
        yield [unit[:-1] for unit in units]
        return
    for inside, at, active in _cut(rows, point, units, pieces(case.activation)):
        yield from _regions(case, layer + 1, inside, at, active)


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


def bounds_all(case, bound: float) -> bool:
    """Whether `bound` is at least the Lipschitz constant, by all Jacobians of a small network."""
    square = exact(bound) ** 2
    return all(semidefinite(_room(square, J)) for J in jacobians(case))


def _room(square: Q, J: Matrix) -> Matrix:
    """bound^2 I - JJ'."""
    gram = product(J, [list(column) for column in zip(*J, strict=True)])
    return [[square * int(i == j) - x for j, x in enumerate(row)] for i, row in enumerate(gram)]


def squared_constant(case) -> Q:
    """The square of the Lipschitz constant of a small network with one output."""
    return max(dot(J[0], J[0]) for J in jacobians(case))


# --- a slope that is attained, for networks of any size ---------------------------------------


def _sigmoid(u: Ball) -> Ball:
    return 1 / (1 + (-u).exp())


def _elu(u: Ball, scale: str, alpha: str) -> tuple[Ball, Ball]:
    if u > 0:
        return Ball(scale) * u, Ball(scale)
    return Ball(scale) * Ball(alpha) * (u.exp() - 1), Ball(scale) * Ball(alpha) * u.exp()


def _gelu(u: Ball) -> tuple[Ball, Ball]:
    below = (1 + (u / Ball(2).sqrt()).erf()) / 2
    return u * below, below + u * (-u * u / 2).exp() / (2 * Ball.pi()).sqrt()


SMOOTH = {
    "Tanh": lambda u: (u.tanh(), 1 - u.tanh() ** 2),
    "Sigmoid": lambda u: (_sigmoid(u), _sigmoid(u) * (1 - _sigmoid(u))),
    "Softplus": lambda u: ((1 + u.exp()).log(), _sigmoid(u)),
    "SiLU": lambda u: (u * _sigmoid(u), _sigmoid(u) * (1 + u * (1 - _sigmoid(u)))),
    "ELU": lambda u: _elu(u, "1", "1"),
    "SELU": lambda u: _elu(
        u, "1.0507009873554804934193349852946", "1.67326324235437728481704299167"
    ),
    "GELU": _gelu,
}


def _value_and_slope(activation: str, u: Ball, moves: bool) -> tuple[Ball, Ball] | None:
    """phi(u) and phi'(u); None where a unit that `moves` with x sits on a boundary."""
    if activation in SMOOTH:
        return SMOOTH[activation](u)
    for low, high, slope, offset in pieces(activation):
        if (low is None or u > low) and (high is None or u < high):
            return slope * u + offset, Ball(slope)
    if moves:
        return None
    return next(
        (slope * u + offset, Ball(0))
        for low, high, slope, offset in pieces(activation)
        if not (low is not None and u < low) and not (high is not None and u > high)
    )


def attained_slope(case, x: np.ndarray) -> Ball:
    """The square of a slope |J v| / |v| that the network attains at x (d,), v chosen by powers.

    Zero where x lies on the boundary of a region, which says nothing.
    """
    with flint.ctx.workprec(PRECISION):
        J = None
        value = flint.arb_mat(len(x), 1, x.tolist())
        for layer, (W, b) in enumerate(zip(case.weights, case.biases, strict=True)):
            W = flint.arb_mat(*W.shape, W.ravel().tolist())
            value = W * value + flint.arb_mat(len(b), 1, b.tolist())
            J = W if J is None else W * J
            if layer == len(case.weights) - 1:
                break
            rows = J.tolist()
            found = [
                _value_and_slope(case.activation, u, not all(e.is_zero() for e in row))
                for u, row in zip(value.entries(), rows, strict=True)
            ]
            if None in found:
                return Ball(0)
            value = flint.arb_mat([[v] for v, _ in found])
            J = flint.arb_mat(
                [[s * e for e in row] for (_, s), row in zip(found, rows, strict=True)]
            )
        # the longest row of J'J, and powers from there: any v is right
        v = max((J.transpose() * J).tolist(), key=lambda row: sum(e * e for e in row).mid())
        best = Ball(0)
        for _ in range(6):
            v = flint.arb_mat([[e.mid()] for e in v])
            image, length = J * v, (v.transpose() * v)[0, 0]
            if not length > 0:
                break
            square = (image.transpose() * image)[0, 0] / length
            best = square if square > best else best
            v = (J.transpose() * image).entries()
        return best


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


def certifies(weights: tuple, sectors: list, multipliers: tuple, bound: float) -> bool:
    """Whether multipliers certify `bound`: LipSDP-Neuron's matrix, entry by entry, in rationals.

    For one hidden layer of ReLU units and one output it is the LMI (2b). A unit with an infinite
    multiplier must be a constant, which adds nothing: it must see none of the others.
    """
    kept = [np.ones(weights[0].shape[1], dtype=bool)]
    for W, t in zip(weights[:-1], multipliers, strict=True):
        finite = np.isfinite(t)
        if (t < 0).any() or np.isnan(t).any() or W[np.ix_(~finite, kept[-1])].any():
            return False
        kept.append(finite)
    kept.append(np.ones(weights[-1].shape[0], dtype=bool))
    Ws = [
        matrix(W[np.ix_(o, i)]) if o.any() and i.any() else []
        for W, i, o in zip(weights, kept[:-1], kept[1:], strict=True)
    ]
    starts = np.cumsum([0, *(int(k.sum()) for k in kept[:-1])]).tolist()
    M = [[Q(0)] * starts[-1] for _ in range(starts[-1])]
    for k in range(starts[1]):
        M[k][k] = exact(bound) ** 2
    for layer, (alpha, beta) in enumerate(sectors):
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
