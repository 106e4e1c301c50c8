"""Local certificates of deep networks: against the printed LMI, slopes inside, and forgeries."""

import dataclasses
import itertools
from fractions import Fraction

import cvxpy as cp
import numpy as np
import pytest

from lipsnn import Network, certify
from lipsnn.activations import Activation
from lipsnn.certificate import Certificate, ProofError
from lipsnn.certificate.form import Form
from lipsnn.certificate.linear import sides_of
from lipsnn.certificate.region import Ball


def draw(seed, *sizes, activations="relu"):
    rng = np.random.default_rng(seed)
    weights = [rng.normal(size=(b, a)) * np.sqrt(2 / a) for a, b in itertools.pairwise(sizes)]
    return Network(weights, [0.5 * rng.normal(size=len(W)) for W in weights], activations)


def inside(rng, x0, r, count=3000):
    steps = rng.normal(size=(count, len(x0)))
    steps /= np.linalg.norm(steps, axis=1)[:, None]
    return x0 + r * steps * rng.uniform(size=(count, 1)) ** (1 / len(x0))


def steepest(net, points):
    return np.linalg.norm(net.gradient(points), axis=(1, 2), ord=2).max()


def local_lmi(net, sides):
    """The LMI as printed, over the increments of all units; a fixed one by an equality."""
    sizes = [net.dim, *net.widths]
    at = np.concatenate([[0], np.cumsum(sizes)])
    rho, matrix, rows = cp.Variable(), 0, []
    first = np.zeros((at[-1], at[-1]))
    first[: net.dim, : net.dim] = np.eye(net.dim)
    kernel = [np.eye(net.dim, at[-1])]
    for i, (own, phi) in enumerate(zip(sides, net.activations, strict=True)):
        u = np.zeros((sizes[i + 1], at[-1]))
        u[:, at[i] : at[i + 1]] = net.weights[i]
        v = np.eye(sizes[i + 1], at[-1], at[i + 1])
        alpha, beta = phi.sector
        for j in range(sizes[i + 1]):
            if own[j]:
                rows.append(v[j] - phi.slope(np.array([float(own[j])]))[0] * u[j])
            else:
                form = np.outer(v[j] - alpha * u[j], v[j] - beta * u[j])
                matrix = matrix + cp.Variable(nonneg=True) * (form + form.T)
    last = np.zeros((net.outputs, at[-1]))
    last[:, at[-2] :] = net.weights[-1]
    kernel = np.eye(at[-1])
    if rows:
        _, values, right = np.linalg.svd(np.array(rows))
        kernel = right[(values > 1e-12).sum() :].T
    whole = kernel.T @ (rho * first + matrix - last.T @ last) @ kernel
    problem = cp.Problem(cp.Minimize(rho), [(whole + whole.T) / 2 >> 0])
    problem.solve(solver="CLARABEL")
    return np.sqrt(rho.value)


@pytest.mark.parametrize(
    ("sizes", "kind"),
    [((3, 6, 5, 2), "relu"), ((2, 5, 4, 4, 1), "relu"), ((3, 6, 2), "abs")],
)
def test_it_is_the_local_lmi(sizes, kind):
    net = draw(1, *sizes, activations=kind)
    for r in (0.05, 0.4, 2.0):
        found = certify(net, ball=(np.ones(sizes[0]), r))
        assert found.status == "optimal"
        sides = sides_of(Form.of(net), found.region)
        assert found.bound == pytest.approx(local_lmi(net, sides), rel=1e-5)


@pytest.mark.parametrize("kind", ["relu", ("leaky_relu", 0.1), ("leaky_relu", 2.0, 0.5)])
def test_no_slope_in_the_region_is_above_it(kind):
    phi = Activation(kind) if isinstance(kind, str) else Activation(kind[0], kind[1:])
    for seed in range(3):
        rng = np.random.default_rng(seed)
        net = draw(seed, 3, 9, 8, 7, 2, activations=phi)
        x0, whole, last = rng.normal(size=3), certify(net).bound, 0.0
        for r in (0.0, 0.05, 0.3, 1.0, 100.0):
            found = certify(net, ball=(x0, r))
            proved = found.verify()
            assert found.bound <= proved <= found.bound * (1 + 1e-9)
            assert steepest(net, inside(rng, x0, r)) <= proved * (1 + 1e-12)
            assert last * (1 - 1e-6) <= found.bound <= whole * (1 + 1e-6)
            assert Certificate.from_json(found.to_json()).verify() == proved
            last = found.bound
        box = certify(net, box=(x0 - 0.1, x0 + 0.1))
        assert steepest(net, x0 + 0.1 * rng.uniform(-1, 1, (2000, 3))) <= box.verify()
        cube = np.vstack([np.eye(3), -np.eye(3)])
        polytope = certify(net, polytope=(cube, np.append(x0 + 0.1, 0.1 - x0)))
        assert box.bound <= polytope.verify() <= whole * (1 + 1e-6)


def exact_sides(net, points):
    """Signs of all units at points, in rational arithmetic."""
    for x in points:
        v = [Fraction(float(value)) for value in x]
        signs = []
        for W, b in zip(net.weights[:-1], net.biases[:-1], strict=True):
            u = [
                sum(Fraction(float(w)) * y for w, y in zip(row, v, strict=True))
                + Fraction(float(c))
                for row, c in zip(W, b, strict=True)
            ]
            signs.append(np.array([(x > 0) - (x < 0) for x in u]))
            v = [max(value, Fraction(0)) for value in u]
        yield signs


@pytest.mark.parametrize("size", [1e-120, 1e-8, 1.0, 1e100])
def test_a_side_that_is_claimed_is_one_in_rational_arithmetic(size):
    """Units that all but cancel: rounding must leave them free, whatever their size."""
    rng = np.random.default_rng(0)
    claimed = 0
    for seed in range(10):
        net = draw(seed, 2, 6, 6, 1)
        weights, biases = [W.copy() for W in net.weights], [b.copy() for b in net.biases]
        x0, r = rng.normal(size=2), 1e-15
        u = Network([*weights[:2]], biases[:2])(x0)
        biases[1] -= u + np.array([0, 1e-15, -1e-14, 3e-14, 1e-12, 1.0]) * np.abs(u)
        net = Network([size * weights[0], *weights[1:]], [size * biases[0], size * biases[1], [0]])
        sides = sides_of(Form.of(net), Ball(x0, r))
        claimed += np.abs(sides[1]).sum()
        points = np.vstack([x0, inside(rng, x0, 0.999 * r, 30)])
        for signs in exact_sides(net, points):
            for own, seen in zip(sides, signs, strict=True):
                assert (own * seen >= 0).all()
    assert claimed > 10


def test_what_was_changed_is_refused():
    net = draw(0, 3, 12, 10, 1)
    found = certify(net, ball=(np.zeros(3), 0.2))
    first, second = found.multipliers
    assert np.isinf(second).any()
    assert (second == 0).any()
    free = np.arange(10) == np.flatnonzero(np.isfinite(second) & (second > 0))[0]
    for changed in (
        dataclasses.replace(found, region=dataclasses.replace(found.region, radius=2.0)),
        dataclasses.replace(found, multipliers=(first, np.where(free, np.inf, second))),
        dataclasses.replace(found, multipliers=(first, np.where(free, 0.0, second))),
    ):
        with pytest.raises(ProofError, match="is not proved to keep its side"):
            changed.verify()
    with pytest.raises(ProofError, match="do not prove"):
        dataclasses.replace(found, bound=found.bound * (1 - 1e-8)).verify()
    with pytest.raises(ProofError):
        dataclasses.replace(found, region=None).verify()
    with pytest.raises(ProofError):
        found.verify(draw(1, 3, 12, 10, 1))


def test_dead_layers_cancellation_and_gradients():
    dead = Network([np.eye(2), -np.ones((3, 2)), np.ones((1, 3))], [[5, 5], [-1, -1, -1], [0]])
    constant = certify(dead, ball=([0, 0], 1.0))
    assert constant.verify() == constant.bound == 0.0
    same = Network([[[1.0], [1.0]], np.eye(2), [[1.0, -1.0]]], [[2, 2], [0, 0], [0]])
    assert certify(same, ball=([0.0], 1.0)).verify() >= 0.0  # x - x
    net, region = draw(4, 3, 8, 8, 2), {"ball": (np.ones(3), 0.3), "tol": 1e-11}
    gradient = certify(net, **region).gradient()
    rng = np.random.default_rng(0)
    steps = [1e-6 * rng.normal(size=W.shape) for W in net.weights]
    ahead, behind = (
        certify(
            Network([W + s * d for W, d in zip(net.weights, steps, strict=True)], net.biases),
            **region,
        ).bound
        for s in (1, -1)
    )
    slope = sum(np.vdot(G, d) for G, d in zip(gradient, steps, strict=True))
    assert (ahead - behind) / 2 == pytest.approx(slope, rel=1e-3)


@pytest.mark.parametrize("seed", range(3))
def test_wide_layers_of_fixed_units_keep_their_digits(seed, monkeypatch):
    """Paths through four layers cancel: their sizes are thousands of times their sum."""
    net = draw(seed, 10, *[120] * 4, 1)
    x0 = np.random.default_rng(seed).normal(size=10)
    found, whole = certify(net, ball=(x0, 1e-3)), certify(net)
    slopes = np.linalg.norm(net.gradient(inside(np.random.default_rng(1), x0, 1e-3, 300)), axis=2)
    assert slopes.max() <= found.verify() <= 1.1 * slopes.max()
    assert found.status == "optimal"
    monkeypatch.setattr("lipsnn.certificate.skipped._EXACT", 0)
    monkeypatch.setattr("lipsnn.certificate.skipped._EPS", 1e-12)
    rough = certify(net, ball=(x0, 1e-3))  # where digits run out it is the one without the ball
    assert rough.verify() == rough.bound == whole.bound
