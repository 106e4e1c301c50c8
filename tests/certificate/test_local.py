"""Local certificates (fact I): against the printed LMI, all slopes, and hostile regions."""

import dataclasses
import itertools
import json

import cvxpy as cp
import numpy as np
import pytest
from drawing import draw_network

from lipsnn import Network, ShallowNet, certify
from lipsnn.activations import Activation
from lipsnn.certificate import Certificate, ProofError, entry
from lipsnn.certificate.region import Polytope
from lipsnn.cli import main
from lipsnn.files import write_network


def regions(rng, d, x0, r):
    cube = np.vstack([np.eye(d), -np.eye(d)])
    tilted = np.vstack([cube, rng.normal(size=(3, d))])
    room = np.concatenate([x0 + r, r - x0, tilted[2 * d :] @ x0 + r])
    return {"ball": (x0, r)}, {"box": (x0 - r, x0 + r)}, {"polytope": (tilted, room)}


def points_of(region, rng, d, x0, r):
    points = x0 + r * rng.uniform(-1, 1, (4000, d))
    if "ball" in region:
        return points[np.linalg.norm(points - x0, axis=1) <= r]
    if "polytope" in region:
        A, b = region["polytope"]
        return points[(points @ A.T <= b).all(axis=1)]
    return points


def local_lmi(net, sides):
    """LipSDP's own local program: the sector of a unit is [0, 1], [1, 1] or [0, 0]."""
    d = net.dim
    free = np.flatnonzero(sides == 0)
    W, a = net.weights[free, :-1], net.outer[free]
    g0 = net.slopes[sides > 0].sum(axis=0)[:, None]
    k = len(free)
    rho, t = cp.Variable(), cp.Variable(k, nonneg=True)
    T = cp.diag(t)
    matrix = cp.bmat(
        [
            [-rho * np.eye(d), W.T @ T, g0],
            [T @ W, -2 * T, a[:, None]],
            [g0.T, a[None], -np.ones((1, 1))],
        ]
    )
    problem = cp.Problem(cp.Minimize(rho), [(matrix + matrix.T) / 2 << 0])
    problem.solve(solver="CLARABEL")
    return np.sqrt(rho.value)


@pytest.mark.parametrize("seed", range(6))
def test_it_is_the_local_lmi(seed):
    rng = np.random.default_rng(seed)
    net = draw_network(seed, 8, 3)
    for region in regions(rng, 3, rng.normal(size=3), 0.5):
        found = certify(net, **region)
        sides = found.region.sides(net.weights[:, :-1], net.weights[:, -1])
        if (sides == 0).any():
            assert found.bound == pytest.approx(local_lmi(net, sides), rel=1e-5)


@pytest.mark.parametrize("seed", range(8))
def test_no_slope_in_the_region_is_above_it(seed):
    rng = np.random.default_rng(seed)
    m, d = rng.integers(1, 12), rng.integers(1, 5)
    net = draw_network(seed, m, d)
    x0 = rng.normal(size=d)
    for r in (0.0, 0.1, 1.0, 1e4):
        for region in regions(rng, d, x0, r):
            found = certify(net, **region)
            proved = found.verify()
            assert found.status == "optimal"
            assert found.bound <= proved <= found.bound * (1 + 1e-9)
            points = points_of(region, rng, d, x0, r)
            # exactly on a kink the active side may be none of the ball's
            slopes = np.linalg.norm(net.gradient(points), axis=1) if r and len(points) else [0.0]
            assert np.max(slopes) <= proved
            sides = found.region.sides(net.weights[:, :-1], net.weights[:, -1])
            free = np.flatnonzero(sides == 0)
            start = net.slopes[sides > 0].sum(axis=0)
            formal = max(
                np.linalg.norm(start + np.array(theta) @ net.slopes[free])
                for theta in itertools.product([0.0, 1.0], repeat=len(free))
            )
            assert formal <= proved * (1 + 1e-12)
            assert found.lower <= np.sqrt(np.pi / 2) * formal * (1 + 1e-9)
    assert found.bound <= certify(net).bound * (1 + 1e-6)


def test_a_region_of_all_units_is_the_global_certificate():
    net = draw_network(0, 30, 4)
    assert certify(net, ball=(np.zeros(4), 1e6)).bound == pytest.approx(
        certify(net).bound, rel=1e-6
    )


@pytest.mark.parametrize("kind", ["relu", "abs", ("leaky_relu", 0.1)])
def test_other_activations_and_an_output_of_several(kind):
    from lipsnn.activations import Activation

    rng = np.random.default_rng(1)
    phi = Activation(kind) if isinstance(kind, str) else Activation(kind[0], kind[1:])
    net = Network(
        [rng.normal(size=(9, 3)), rng.normal(size=(2, 9))], [rng.normal(size=9), [0, 1]], phi
    )
    for k in range(2):
        found = certify(net, ball=(np.ones(3), 0.3), outputs=k)
        points = 1 + 0.17 * rng.uniform(-1, 1, (2000, 3))
        assert np.linalg.norm(net.gradient(points)[:, k], axis=1).max() <= found.verify()
        assert found.bound < certify(net, outputs=k).bound
        assert Certificate.from_json(found.to_json()).verify() == found.verify()


def test_exact_ties_cancellation_and_units_without_slope():
    # x - x from two units that are active for x >= 0, a constant unit, and one that is dead
    net = ShallowNet([[1.0, 0.0], [1.0, 0.0], [0.0, 2.0], [1.0, 0.0]], [3.0, -3.0, 1.0, 0.0])
    assert certify(net, box=(1.0, 2.0)).verify() == 0.0
    assert certify(net, ball=([2.0], 1.0)).bound == 0.0
    one = ShallowNet([[1.0, 0.0]], [2.0])
    assert certify(one, box=(0.0, 1.0)).verify() == pytest.approx(2.0)
    assert certify(one, polytope=([[1.0]], [-0.5])).verify() == 0.0
    assert certify(one, polytope=([[-1.0]], [-0.5])).verify() == pytest.approx(2.0)
    # 0.1 + 0.2 - 0.3 as slopes: what float64 leaves of it is proved, not lost
    sums = ShallowNet([[0.1, 1.0], [0.2, 1.0], [-0.3, 1.0]], [1.0, 1.0, 1.0])
    found = certify(sums, ball=([0.0], 0.5))
    assert 0 < found.bound < 1e-15
    assert found.bound <= found.verify() <= found.bound * (1 + 1e-9)
    for scale in (1e-120, 1e120, 1e-200):
        wide = draw_network(3, 20, 4)
        wide = ShallowNet(wide.weights * scale, wide.outer)
        found = certify(wide, ball=(np.ones(4), 0.2))
        assert found.verify() >= np.linalg.norm(wide.gradient(np.ones((1, 4))))


def test_what_was_changed_is_refused():
    net = draw_network(0, 12, 3)
    found = certify(net, ball=(np.zeros(3), 0.2))
    t = found.multipliers
    assert np.isinf(t).any()
    assert (t == 0).any()
    free = np.arange(12) == np.flatnonzero(np.isfinite(t) & (t > 0))[0]
    for changed in (
        dataclasses.replace(found, region=dataclasses.replace(found.region, radius=2.0)),
        dataclasses.replace(found, multipliers=np.where(free, np.inf, t)),
        dataclasses.replace(found, multipliers=np.where(free, 0.0, t)),
    ):
        with pytest.raises(ProofError, match="is not proved to keep its side"):
            changed.verify()
    with pytest.raises(ProofError):
        dataclasses.replace(found, region=None).verify()
    with pytest.raises(ProofError, match="do not prove"):
        dataclasses.replace(found, bound=found.bound * (1 - 1e-8)).verify()
    A, b = np.vstack([np.eye(3), -np.eye(3)]), np.full(6, 0.1)
    cube = certify(net, polytope=(A, b))
    rows = cube.region.rows.copy()
    rows[np.flatnonzero(np.isinf(cube.multipliers))[0]] = -1
    for forged in (Polytope(A, b, rows), Polytope(A, 9 * b, cube.region.rows), Polytope(A, b)):
        with pytest.raises(ProofError, match="is not proved to keep its side"):
            dataclasses.replace(cube, region=forged).verify()


def test_polytope_is_the_box_and_may_be_unbounded():
    net = draw_network(4, 15, 3)
    A, b = np.vstack([np.eye(3), -np.eye(3)]), np.full(6, 0.3)
    box, cube = certify(net, box=(-0.3, 0.3)), certify(net, polytope=(A, b))
    assert cube.bound == pytest.approx(box.bound, rel=1e-6)
    twice = certify(net, polytope=(np.vstack([A, A]), np.tile(b, 2)))  # every row degenerate
    assert twice.verify() == pytest.approx(box.bound, rel=1e-6)
    half = certify(net, polytope=(net.weights[:1, :-1], -net.weights[:1, -1] - 1.0))
    assert half.multipliers[0] == 0.0  # the half-space where unit 0 is off
    assert half.verify() <= certify(net).bound * (1 + 1e-6)


@pytest.mark.parametrize("size", [1e-300, 1e-170, 1e-162, 1e-100, 1.0, 1e100])
def test_squares_that_underflow_fix_no_unit(size):
    """(x_1 + x_2 / 2 + 1/2)_+ with its size in either layer: steepest 1.118 where it switches."""
    net = ShallowNet(size * np.array([[1.0, 0.5, 0.5]]), [1 / size])
    for region in ({"ball": ([-1, 0], 1)}, {"box": ([-2, -1], [0, 1])}):
        assert certify(net, **region).bound == pytest.approx(np.sqrt(1.25), rel=1e-6)


@pytest.mark.parametrize("size", [5e-324, 1e-322, 1e-250])
def test_a_region_too_small_for_squares_still_has_a_unit_that_switches(size):
    for weight in (1e-100, 1e-3, 1.0):
        net = ShallowNet([[weight, 0.0], [-weight, 0.0]], [1 / weight] * 2)  # |x|
        for region in ({"ball": ([0], size)}, {"box": ([-size], [size])}):
            assert certify(net, **region).bound >= 1.0


def test_where_the_bound_is_the_product_of_norms_it_is_proved():
    net = ShallowNet([[1, 0.5, 0], [-1, 2, 0.3]], [1, 1])
    certificate = certify(net, box=(0, 1))
    assert certificate.status == "optimal"
    assert certificate.bound == pytest.approx(2.5)
    assert certificate.verify() >= certificate.bound


@pytest.mark.parametrize("scale", [1e-20, 1e15, 1e20])
def test_rows_of_a_polytope_of_any_scale(scale):
    net = draw_network(3, 8, 2)
    A, b = np.vstack([np.eye(2), -np.eye(2)]), np.ones(4)
    there = certify(net, polytope=(scale * A, scale * b))
    assert there.bound == pytest.approx(certify(net, polytope=(A, b)).bound, rel=1e-6)


def test_bad_regions():
    net = draw_network(0, 4, 2)
    for given, reason in (
        ({"ball": ([0.0, 0.0], -1.0)}, "must not be negative"),
        ({"ball": ([0.0], 1.0)}, "2 columns"),
        ({"ball": 3.0}, "a pair"),
        ({"ball": ([0.0, np.nan], 1.0)}, "NaN"),
        ({"box": ([1.0, 0.0], [0.0, 0.0])}, "the box is empty"),
        ({"box": ([0.0] * 3, 1.0)}, "one for each input"),
        ({"box": (0.0, [1.0, np.inf])}, "no infinite side"),
        ({"box": (np.ma.masked_array([0.0, 0.0], [True, False]), 1.0)}, "masked"),
        ({"ball": ([0.0, 0.0], [1.0, 2.0])}, "one for each centre"),
        ({"box": (0.0, 1.0), "ball": ([0.0, 0.0], 1.0)}, "give one of"),
        ({"polytope": ([[1.0, 0.0], [-1.0, 0.0]], [-1.0, -1.0])}, "the polytope is empty"),
        ({"polytope": (np.eye(3), np.ones(3))}, "must have 2 columns"),
        ({"box": (0.0, 1.0), "solver": "reference"}, "leave out solver"),
        ({"box": (0.0, 1.0), "method": "chordal"}, "leave out solver"),
    ):
        with pytest.raises(ValueError, match=reason):
            certify(net, **given)
    with pytest.raises(ValueError, match="the ladder is of the whole space"):
        certify(net, box=(0.0, 1.0)).ladder()


def test_gradient_of_a_local_bound():
    rng = np.random.default_rng(2)
    net = draw_network(5, 10, 3)
    region = {"ball": (np.zeros(3), 0.4), "tol": 1e-11}
    by_weights, by_outer = certify(net, **region).gradient()
    dW, da = 1e-6 * rng.normal(size=(10, 4)) * np.array([1, 1, 1, 0]), 1e-6 * rng.normal(size=10)
    ahead, behind = (
        certify(ShallowNet(net.weights + s * dW, net.outer + s * da), **region).bound
        for s in (1, -1)
    )
    slope = np.sum(by_weights * dW) + by_outer @ da
    assert (ahead - behind) / 2 == pytest.approx(slope, rel=1e-3)


def test_many_centres_and_the_command_line(tmp_path, capsys):
    net = draw_network(0, 20, 3)
    X = np.random.default_rng(0).normal(size=(5, 3))
    several = certify(net, ball=(X, np.linspace(0.1, 0.5, 5)))
    for k, found in enumerate(several):
        alone = certify(net, ball=(X[k], np.linspace(0.1, 0.5, 5)[k]))
        assert found.bound == pytest.approx(alone.bound, rel=1e-7)
    write_network(net, tmp_path / "net.npz")
    table, one = tmp_path / "x.csv", tmp_path / "one.csv"
    np.savetxt(table, X, delimiter=",", header="a,b,c", comments="", fmt="%.17g")
    np.savetxt(one, X[:1], delimiter=",", header="a,b,c", comments="", fmt="%.17g")
    command = ["certify", str(tmp_path / "net.npz"), "--radius", "0.1", "--ball"]
    assert main([*command, str(table), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert [row["bound"] for row in shown] == [c.bound for c in certify(net, ball=(X, 0.1))]
    output = tmp_path / "local.json"
    assert main([*command, str(one), "--output", str(output)]) == 0
    assert main(["verify", str(output)]) == 0
    assert "on the ball of radius 0.1 around" in capsys.readouterr().out
    assert main([*command, str(table), "--output", str(output)]) == 2
    assert main([*command[:2], "--radius", "0.1"]) == 2


@pytest.mark.parametrize(
    "phi", ["relu", "leaky_relu", "abs", Activation("prelu", tuple(np.linspace(-0.5, 1.5, 30)))]
)
def test_balls_beside_one_another_are_as_alone(monkeypatch, phi):
    rng = np.random.default_rng(5)
    first = draw_network(3, 30, 4)
    outer = np.where(np.arange(30) < 28, first.outer, 0.0)[None]
    net = Network([first.weights[:, :-1], outer], [first.weights[:, -1], np.zeros(1)], phi)
    centres = rng.normal(size=(40, 4))
    radii = np.tile([0.0, 0.05, 0.3, 1.0, 30.0], 8)
    alone = [certify(net, ball=(x, r)) for x, r in zip(centres, radii, strict=True)]
    monkeypatch.setattr(entry, "_on", None)  # none is left to it
    for one, found in zip(alone, certify(net, ball=(centres, radii)), strict=True):
        assert found.status == "optimal"
        assert found.lower <= one.bound * (1 + 1e-12)
        assert one.lower <= found.bound * (1 + 1e-12)
        assert np.array_equal(np.isinf(found.layers[0]), np.isinf(one.layers[0]))
        assert np.array_equal(found.layers[0] == 0, one.layers[0] == 0)
        assert Certificate.from_json(found.to_json()).verify() >= found.lower


def alone(monkeypatch, net, centres, radius):
    """How many of the balls were certified by themselves."""
    calls, real = [], entry._on
    monkeypatch.setattr(entry, "_on", lambda *given: calls.append(given[0]) or real(*given))
    certify(net, ball=(centres, radius))
    monkeypatch.undo()
    return len(calls)


def test_one_ball_does_not_keep_the_others_from_their_stack(monkeypatch):
    rng = np.random.default_rng(0)
    net = ShallowNet(np.abs(rng.normal(size=(40, 4))), np.ones(40))
    centres = np.abs(rng.normal(size=(50, 3)))
    centres[0] = -1e3  # where the network is constant
    assert alone(monkeypatch, net, centres, 0.01) == 1


@pytest.mark.parametrize(("width", "dim", "left"), [(1000, 10, 0), (30, 300, 8)])
def test_large_programs_are_solved_alone(monkeypatch, width, dim, left):
    """Where the work outweighs the calls; slopes that cancel in part do not hinder."""
    rng = np.random.default_rng(0)
    net = ShallowNet(rng.normal(size=(width, dim + 1)), rng.normal(size=width))
    assert alone(monkeypatch, net, rng.normal(size=(8, dim)), 0.1) == left


def test_tolerances_of_balls_are_checked():
    net, centres = draw_network(0, 10, 3), np.zeros((2, 3))
    for tol in ("1e-7", None, [1e-7], -1.0, 2.0):
        with pytest.raises(ValueError, match="tol"):
            certify(net, ball=(centres, 0.3), tol=tol)
    found = certify(net, ball=(centres, 0.3), tol=np.float32(1e-7))[0]
    assert Certificate.from_json(found.to_json()).tol == pytest.approx(1e-7)


@pytest.mark.parametrize("scale", [1e-120, 1e120])
def test_balls_that_need_more_care(scale):
    rng = np.random.default_rng(6)
    W = rng.normal(size=(6, 3))
    pairs = ShallowNet(np.repeat(W, 2, axis=0), np.tile([1.0, -1.0 + 1e-15], 6))  # they cancel
    faint = ShallowNet(np.vstack([W, 1e-30 * W]), np.ones(12))
    large = ShallowNet(scale * W, np.ones(6))
    constant = ShallowNet(W, np.zeros(6))
    for net in (pairs, faint, large, constant):
        centres = rng.normal(size=(3, net.dim))
        for x, found in zip(centres, certify(net, ball=(centres, 0.5)), strict=True):
            alone = certify(net, ball=(x, 0.5))
            assert found.bound == pytest.approx(alone.bound, rel=1e-7, abs=0)
            assert found.status == alone.status == "optimal"
            assert found.verify() >= found.bound


def test_a_unit_that_is_a_side_of_the_polytope_is_fixed():
    for seed in range(10):
        net = draw_network(seed, 12, 2)
        side = (-1.0) ** seed * net.weights[0]
        A, b = np.vstack([np.eye(2), -np.eye(2), -side[:2]]), np.append(np.full(4, 3.0), side[2])
        found = certify(net, polytope=(A, b))
        assert found.multipliers[0] == (np.inf if seed % 2 == 0 else 0.0)
        assert found.verify() <= found.bound * (1 + 1e-9)
