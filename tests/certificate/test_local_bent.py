"""Local certificates of smooth activations: sectors on a ball, and the bound they give."""

import dataclasses
import itertools

import cvxpy as cp
import numpy as np
import pytest

from lipsnn import Certificate, Network, certify
from lipsnn.activations import ACTIVATIONS, Activation
from lipsnn.certificate import ProofError
from lipsnn.certificate.bent import bend

BENT = [name for name in ACTIVATIONS if not Activation(name).homogeneous]
MORE = [
    *(Activation("elu", (alpha,)) for alpha in (0.3, 2.0, -0.5)),
    *(Activation("celu", (2.0,)), Activation("softplus", (3.0,)), Activation("softplus", (1, 20))),
    *(Activation("hardtanh", (-0.5, 2.0)), Activation("softshrink", (0.1,))),
]


def draw(seed, *sizes, activations):
    rng = np.random.default_rng(seed)
    weights = [1.5 * rng.normal(size=(b, a)) / np.sqrt(a) for a, b in itertools.pairwise(sizes)]
    return Network(weights, [rng.normal(size=len(W)) for W in weights], activations)


def inside(rng, x0, radius, count=1000):
    moves = rng.normal(size=(count, len(x0)))
    sizes = np.linalg.norm(moves, axis=1, keepdims=True)
    return x0 + radius * moves / sizes * rng.uniform(size=(count, 1)) ** 0.2


def steepest(net, points):
    return np.linalg.norm(net.gradient(points), 2, axis=(1, 2)).max()


@pytest.mark.parametrize("phi", [*map(Activation, BENT), *MORE], ids=str)
def test_the_sector_of_an_interval_is_that_of_its_slopes(phi):
    rng = np.random.default_rng(0)
    low = np.concatenate([rng.normal(size=60) * 3, np.arange(-4.0, 4.0), [-1e3, -40.0, 300.0]])
    high = low + np.concatenate([10 ** rng.uniform(-4, 1, 60), np.ones(8), [2e3, 1.0, 1.0]])
    (alpha, beta), first, last = bend(phi, low, high)
    for values, at in ((first, low), (last, high)):
        assert (values[0] <= values[1]).all()
        assert values.mean(axis=0) == pytest.approx(phi(at), rel=1e-12, abs=1e-14)
    grid = low + (high - low) * np.linspace(0, 1, 4001)[:, None]
    slopes = phi.slope(grid[1:-1])
    assert (slopes.min(axis=0) >= alpha - 1e-12).all()
    assert (slopes.max(axis=0) <= beta + 1e-12).all()
    # as tight as a grid can see, but for intervals that end at a kink or near a turning point
    width = np.maximum(high - low, 1e-3)
    near = (slopes.min(axis=0) - alpha < 1e-2 * width) & (beta - slopes.max(axis=0) < 1e-2 * width)
    assert near.mean() > 0.9


def test_one_unit_has_its_largest_slope():
    net = Network([[[2.0]], [[3.0]]], [[1.0], [5.0]], "tanh")
    found = certify(net, ball=([0.5], 0.25))  # u from 1.5 to 2.5
    assert found.bound == pytest.approx(6 * (1 - np.tanh(1.5) ** 2), rel=1e-7)
    assert found.verify() == pytest.approx(found.bound, rel=1e-9)
    flat = certify(Network(net.weights, net.biases, "hardtanh"), ball=([0.5], 0.25))
    assert flat.bound == flat.verify() == 0.0


def test_it_is_the_lmi_with_these_sectors():
    """LipSDP with a sector for each unit, as printed, in CVXPY."""
    net = draw(1, 3, 5, 4, 2, activations=["tanh", "gelu"])
    for radius in (0.05, 0.5):
        found = certify(net, ball=(np.ones(3), radius))
        assert found.status == "optimal"
        rho, matrix = cp.Variable(), 0
        places, n = [], 3
        for sector in found.sectors:
            places.append(np.eye(12)[n : n + sector.shape[1]])
            n += sector.shape[1]
        rows, before = [], np.eye(12)[:3]
        for W, own in zip(net.weights, places, strict=False):
            rows.append(W @ before)
            before = own
        for U, V, (alpha, beta) in zip(rows, places, found.sectors, strict=True):
            low, high = V - alpha[:, None] * U, V - beta[:, None] * U
            t = cp.Variable(len(U), nonneg=True)
            product = low.T @ cp.diag(t) @ high
            matrix += product + product.T
        last = net.weights[-1] @ before
        whole = rho * np.diag([1.0] * 3 + [0.0] * 9) + matrix - last.T @ last
        problem = cp.Problem(cp.Minimize(rho), [(whole + whole.T) / 2 >> 0])
        problem.solve(solver="CLARABEL")
        assert found.bound == pytest.approx(np.sqrt(rho.value), rel=1e-5)


@pytest.mark.parametrize("seed", range(8))
def test_no_slope_in_the_region_is_above_it(seed):
    rng = np.random.default_rng(seed)
    kinds = rng.choice(ACTIVATIONS, size=rng.integers(1, 4))
    net = draw(seed, 3, *rng.integers(2, 9, size=len(kinds)), 2, activations=list(kinds))
    x0, whole, last = rng.normal(size=3), certify(net).bound, 0.0
    for radius in (0.0, 1e-4, 0.03, 0.3, 1.0, 100.0):
        found = certify(net, ball=(x0, radius))
        assert found.status == "optimal"
        proved = found.verify()
        assert found.bound <= proved <= found.bound * (1 + 1e-9)
        assert steepest(net, inside(rng, x0, radius)) <= proved * (1 + 1e-12)
        assert last * (1 - 1e-6) <= found.bound <= whole * (1 + 1e-6)
        assert Certificate.from_json(found.to_json()).verify() == proved
        if radius == 0:
            assert found.bound == pytest.approx(steepest(net, x0[None]), rel=1e-6)
        last = found.bound
    box = certify(net, box=(x0 - 0.1, x0 + 0.1))
    assert steepest(net, x0 + 0.1 * rng.uniform(-1, 1, (1000, 3))) <= box.verify()
    cube = np.vstack([np.eye(3), -np.eye(3)])
    polytope = certify(net, polytope=(cube, np.append(x0 + 0.1, 0.1 - x0)))
    assert box.bound * (1 - 1e-6) <= polytope.verify() <= whole * (1 + 1e-6)


def test_what_was_changed_is_refused():
    net = draw(0, 3, 6, 5, 1, activations=["tanh", "relu"])
    found = certify(net, ball=(np.zeros(3), 0.3))
    assert found.verify() < 0.9 * certify(net).bound
    tanh = found.sectors[0]
    narrower = (tanh.mean(axis=0) + 0.5 * (tanh - tanh.mean(axis=0)), None)
    for change in (
        {"sectors": narrower},
        {"sectors": None},
        {"sectors": (np.zeros_like(tanh), None)},
        {"sectors": (np.full_like(tanh, np.nan), None)},
        {"sectors": (np.array([[-np.inf], [np.inf]]) * np.ones(6), None)},
        {"sectors": (tanh[:, :2], None)},
        {"region": dataclasses.replace(found.region, radius=0.4)},
        {"multipliers": (np.zeros(6), found.multipliers[1])},
    ):
        with pytest.raises(ProofError):
            dataclasses.replace(found, **change).verify()
    for sectors in ([None, None], [tanh.tolist()], 3):
        forged = dataclasses.replace(found, sectors=None)._content() | {"sectors": sectors}
        with pytest.raises((TypeError, ValueError)):
            Certificate._of(forged | {"region": found.region.content()}, net)
    steeper = Network([3 * net.weights[0], *net.weights[1:]], net.biases, net.activations)
    for other in (steeper, Network(net.weights, net.biases)):
        with pytest.raises(ProofError):
            found.verify(other)


def test_softplus_with_a_threshold_is_the_smooth_function():
    net = Network(
        [[[1.0], [1.0]], [[1.0, -1.0]]], [[21.0, 30.0], [0.0]], Activation("softplus", (1, 20))
    )
    found = certify(net, ball=([0.0], 0.5))
    slope = 1 / (1 + np.exp(21.5)) - 1 / (1 + np.exp(30.5))
    assert found.verify() >= 1 / (1 + np.exp(20.5)) - 1 / (1 + np.exp(29.5)) > slope > 0


def test_layers_that_were_multiplied_have_room_for_their_rounding():
    net = draw(3, 3, 6, 5, 1, activations="tanh")
    near = Network(net.weights, net.biases, net.activations, rounding=[0.0, 1e-6, 0.0])
    ball = (np.zeros(3), 0.1)
    exact, roomy = certify(net, ball=ball), certify(near, ball=ball)
    assert exact.bound * (1 + 1e-9) < roomy.bound < exact.bound * (1 + 1e-4)
    assert roomy.verify() == roomy.verify(near) <= roomy.bound * (1 + 1e-9)
    with pytest.raises(ProofError):
        exact.verify(near)


def test_the_gradient_is_that_of_the_bound():
    net = draw(2, 3, 6, 2, activations="softplus")
    x0 = np.array([0.2, -0.1, 0.4])

    (W, last), step = net.weights, 1e-5
    found = certify(net, ball=(x0, 1e-6)).gradient()[1]
    for at in ((0, 0), (1, 3)):
        move = np.zeros_like(last)
        move[at] = step
        ahead, behind = (
            certify(Network([W, last + sign * move], net.biases, "softplus"), ball=(x0, 1e-6)).bound
            for sign in (1, -1)
        )
        assert found[at] == pytest.approx((ahead - behind) / (2 * step), rel=1e-3, abs=1e-6)
