"""Proofs of certified errors, closed gaps, boxes, classes and deep networks: against exact values,
attacks by the thousand, and documents that were spoiled."""

import copy
import itertools
import json
import re
from fractions import Fraction
from operator import mul

import numpy as np
import pytest
import torch
from degenerate import KINDS, draw
from drawing import draw_network

from lipsnn import Network, as_network, certified_error
from lipsnn.activations import Activation
from lipsnn.certificate import ProofError
from lipsnn.certificate.document import content_hash
from lipsnn.enclosure import Errors
from lipsnn.verify import main

NORMS = (2, np.inf)


def proved(path, *given, **settings):
    """The table, once its document has been proved and says the same."""
    table = certified_error(*given, proof=path, **settings)
    again = Errors.from_json(path).verify()
    np.testing.assert_array_equal(again[["sample", "radius"]], table[["sample", "radius"]])
    np.testing.assert_array_equal(again["upper"], table["upper"])
    return table


def around(rng, x, radius, norm, count=2000):
    """Points of the ball, half of them on its surface or at its corners."""
    moves = rng.normal(size=(count, len(x))) if norm == 2 else rng.uniform(-1, 1, (count, len(x)))
    moves /= np.linalg.norm(moves, norm, axis=1, keepdims=True)
    moves[::2] *= rng.uniform(size=(len(moves[::2]), 1))
    if norm != 2:
        moves[1::4] = np.sign(moves[1::4])
    return x + radius * (1 - 1e-15) * moves


def deep(rng, inputs=2, outputs=1, widths=(6, 5), activations="relu"):
    sizes = [inputs, *widths, outputs]
    weights = [rng.normal(size=(b, a)) for a, b in itertools.pairwise(sizes)]
    return Network(weights, [rng.normal(size=len(W)) for W in weights], activations)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_found_is_proved_and_no_attack_is_above(kind, norm, tmp_path):
    rng = np.random.default_rng(KINDS.index(kind))
    for gap in (None, 1e-2):
        net = draw(rng, kind, rng.integers(1, 10), rng.integers(1, 4))
        X, radii = rng.normal(size=(2, net.dim)), np.array([0.5, 0.0, 0.1])
        y = net(X) + rng.normal(size=2)
        table = proved(tmp_path / "errors.json", net, X, y, radii, norm=norm, gap=gap)
        for row in table.itertuples():
            points = around(rng, X[row.sample], row.radius, norm)
            assert ((net(points) - y[row.sample]) ** 2).max() <= row.upper
            assert gap is None or row.upper <= (1 + 2 * gap) * row.lower + 1e-9


def worst_in_square(net, x, y, radius):
    """Of all corners of the arrangement, one of which is the worst point of a square."""
    sides = np.vstack([np.eye(2), -np.eye(2)])
    W = np.vstack([net.weights, np.column_stack([sides, radius - sides @ x])])
    pairs = np.array(list(itertools.combinations(range(len(W)), 2)))
    A, b = W[pairs][:, :, :-1], W[pairs][:, :, -1]
    regular = np.abs(np.linalg.det(A)) > 1e-9
    corners = np.linalg.solve(A[regular], -b[regular][:, :, None])[:, :, 0]
    corners = corners[(np.abs(corners - x) <= radius * (1 + 1e-12)).all(axis=1)]
    return ((net(corners) - y) ** 2).max()


def test_a_square_is_closed_to_its_exact_value(tmp_path):
    rng, open_ = np.random.default_rng(0), 0
    for seed in range(5):
        net, x = draw_network(seed, 8, 2), rng.normal(size=2)
        given = net, x[None], net(x[None]) + rng.normal(), [0.8]
        exact = worst_in_square(net, x, given[2][0], 0.8)
        (start,) = certified_error(*given, norm=np.inf)["upper"]
        (row,) = proved(tmp_path / "e.json", *given, norm=np.inf, gap=1e-3).itertuples()
        assert row.lower <= exact * (1 + 1e-12)
        assert exact * (1 - 1e-12) <= row.upper <= start
        assert row.upper <= 1.002 * exact
        open_ += start > 1.01 * exact
    assert open_  # else there was nothing to close


def test_a_gap_is_closed_where_the_ascent_leaves_one():
    net = draw_network(3, 30, 4)
    X = np.random.default_rng(1).normal(size=(6, 4))
    y = net(X)
    start, closed = (certified_error(net, X, y, [0.5], gap=gap) for gap in (None, 1e-3))
    assert (start["upper"] > 1.01 * start["lower"]).any()
    assert (closed["upper"] <= 1.0011 * closed["lower"]).all()
    assert (closed["upper"] <= start["upper"]).all()


def test_boxes_are_closed(tmp_path):
    """Where every term is concave a linear program has both sides."""
    rng = np.random.default_rng(0)
    for trial in range(40):
        width, inputs = rng.integers(2, 9), rng.integers(1, 4)
        W = rng.normal(size=(1 if trial % 2 else width, inputs)) * rng.normal(size=(width, 1))
        net = Network([W, rng.normal(size=(1, width))], [rng.normal(size=width), np.zeros(1)])
        X, y = rng.normal(size=(1, inputs)), rng.normal(size=1)
        table = proved(tmp_path / "errors.json", net, X, y, [1.0], norm=np.inf, gap=1e-3)
        assert table["upper"][0] <= (1 + 1.01e-3) * table["lower"][0] + 1e-9


@pytest.mark.parametrize("norm", NORMS)
def test_deep_networks(norm, tmp_path):
    rng = np.random.default_rng(2)
    slopes = tuple(rng.uniform(-0.5, 2.0, size=6))
    for phi in ("relu", Activation("leaky_relu", (0.2,)), "abs", Activation("prelu", slopes)):
        net = deep(rng, activations=[phi, "relu"])
        X, radii = rng.normal(size=(2, 2)), np.array([1e-4, 0.3])
        y = net(X)[:, 0] + rng.normal(size=2)
        table = proved(tmp_path / "errors.json", net, X, y, radii, norm=norm, gap=1e-2)
        for row in table.itertuples():
            points = around(rng, X[row.sample], row.radius, norm)
            assert ((net(points)[:, 0] - y[row.sample]) ** 2).max() <= row.upper
        # where no unit of the first layer switches nothing is lost
        near = table[table["radius"] == radii[0]]
        assert (near["upper"] <= 1.03 * near["lower"]).all()


@pytest.mark.parametrize("widths", [(7,), (6, 5)])
def test_classes(widths, tmp_path):
    rng, seen = np.random.default_rng(3), set()
    for norm in NORMS:
        net = deep(rng, outputs=3, widths=widths)
        X, radii = rng.normal(size=(12, 2)), np.array([0.05, 0.4])
        y = net(X).argmax(axis=1)
        y[0] = (y[0] + 1) % 3
        table = proved(tmp_path / "errors.json", net, X, y, radii, norm=norm, gap=1e-2)
        seen |= {(row.lower, row.upper) for row in table.itertuples()}
        assert (table.loc[table["sample"] == 0, "lower"] == 1).all()
        for row in table[table["upper"] == 0].itertuples():
            points = around(rng, X[row.sample], row.radius, norm)
            assert (net(points).argmax(axis=1) == y[row.sample]).all()
        assert len(widths) > 1 or (table["lower"] == table["upper"]).mean() > 0.9
    assert {(0, 0), (1, 1)} <= seen


def spoiled(content):
    """Documents that claim more than they prove, with hashes that fit."""
    changes = {
        "bound too low": lambda c: leaf(c, -1).update(bound=0.99 * leaf(c, -1)["bound"]),
        "bound of another kind": lambda c: leaf(c, -1).update(bound=None),
        "one multiplier less": lambda c: part(c)["multipliers"].pop(),
        "negative multiplier": lambda c: part(c).update(lam=[-1.0]),
        "multiplier that is none": lambda c: part(c).update(lam=[None]),
        "multiplier beyond float64": lambda c: part(c).update(lam=[10**400]),
        "all zero": lambda c: part(c).update(multipliers=[0.0] * len(part(c)["multipliers"])),
        "no lam": lambda c: part(c).pop("lam"),
        "a cut alone": lambda c: leaf(c, 0).update(parts=[{"cut": 0}]),
        "cut at no unit": lambda c: leaf(c, 0).update(parts=[{"cut": 99}, *leaf(c, 0)["parts"]]),
        "a part more": lambda c: leaf(c, 0)["parts"].append(part(c)),
        "no parts": lambda c: leaf(c, 0).update(parts=[]),
        "a larger ball": lambda c: c.update(radii=[2 * r for r in c["radii"]]),
        "a negative radius": lambda c: c.update(radii=[-r for r in c["radii"]]),
        "another norm": lambda c: c.update(norm="inf"),
        "another target": lambda c: c.update(y=[v + 1 for v in c["y"]]),
        "no class": lambda c: c.update(y=[7.5 for _ in c["y"]], network=None),
        "another input": lambda c: c["X"][0].__setitem__(0, c["X"][0][0] + 1),
        "a sample less": lambda c: c["trees"].pop(),
        "no radius": lambda c: (c.update(radii=[]), [row.clear() for row in c["trees"]]),
        "a bound whose square is none": lambda c: leaf(c, 0).update(bound=1e200),
        "a sign less": lambda c: c["trees"][0][0].pop(),
    }
    for name, change in changes.items():
        changed = copy.deepcopy(content)
        change(changed)
        changed["sha256"] = content_hash(changed)
        yield name, changed


def leaf(content, sign):
    return content["trees"][0][0][sign]


def part(content):
    return next(p for p in leaf(content, 0)["parts"] if "lam" in p)


def test_what_was_spoiled_is_rejected(tmp_path, capsys):
    path, net = tmp_path / "errors.json", draw_network(3, 30, 4)
    X = np.random.default_rng(1).normal(size=(6, 4))
    table = proved(path, net, X, net(X), [0.5], gap=1e-3)
    assert main([str(path)]) == 0
    said = capsys.readouterr().out
    number = re.search(r"above (\S+) at radius 0.5, for a network of 30 units", said)[1]
    exact = sum(map(Fraction, table["upper"])) / len(table)
    assert 0 <= Fraction(number) - exact <= exact / 10**5  # six digits, rounded up
    content = json.loads(path.read_text())
    assert any("cut" in p for row in content["trees"] for t in row[0] for p in t["parts"])
    for name, changed in spoiled(content):
        path.write_text(json.dumps(changed))
        with pytest.raises(ProofError):
            Errors.from_json(path).verify()
        assert main([str(path)]) == 1, name
        assert capsys.readouterr().err.startswith("rejected: "), name


def test_the_network_may_be_beside(tmp_path):
    net, X = draw_network(0, 5, 2), np.zeros((1, 2))
    certified_error(net, X, [1.0], 0.1, proof=tmp_path / "errors.json")
    found = Errors.from_json(tmp_path / "errors.json")
    text = found.to_json(network=False)
    with pytest.raises(ProofError, match="beside the certificate"):
        Errors.from_json(text)
    assert Errors.from_json(text, net).verify().equals(found.verify())


def test_errors():
    net, X, y = draw_network(0, 4, 2), np.ones((2, 2)), np.ones(2)
    with pytest.raises(ValueError, match="norm must be one of"):
        certified_error(net, X, y, 0.1, norm=1)
    with pytest.raises(ValueError, match="gap must be positive"):
        certified_error(net, X, y, 0.1, gap=0.0)
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="relu in the last hidden layer"):
        certified_error(deep(rng, activations="tanh"), X, y, 0.1)
    with pytest.raises(ValueError, match="classes, whole numbers below 3"):
        certified_error(deep(rng, outputs=3), X, y + 0.5, 0.1)


EXTREME = {  # weights, biases, outer weights: whose multipliers were zero, or below float64
    "constant": ([[0.5, -1.5]], [0.25], [0.0]),
    "a unit that is zero everywhere": ([[0.0, 0.0], [1.0, 2.0]], [0.0, -0.5], [3.0, 2.0]),
    "subnormal": ([[-2e-300, -7e-301], [2.5e-301, -1e-300]], [2e-309, 2e-309], [-0.7, -0.4]),
    "tiny products": ([[-5e-161, -1.5e-160], [1.7e-160, 5e-161]], [0.0, 0.0], [3e-163, -3e-163]),
    "huge products": ([[-6e204, 1.5e205], [5e204, 8e204]], [0.5, -0.75], [-2e-160, 1e-160]),
    "uneven": ([[1e160, 0.0], [1e-150, 1e-145]], [-1e160, -1e-150], [1e-160, 1e150]),
}


@pytest.mark.parametrize("target", [0.0, 1.0])
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("case", EXTREME)
def test_extreme_scales_and_constants_are_proved(case, norm, target, tmp_path):
    weights, biases, outer = map(np.array, EXTREME[case])
    net = Network((weights, outer[None]), (biases, np.zeros(1)))
    x = np.array([[0.3, 0.2]])
    table = proved(tmp_path / "errors.json", net, x, [target], [1e-3, 0.1], norm=norm)
    for row in table.itertuples():
        points = around(np.random.default_rng(0), x[0], row.radius, norm)
        assert ((net(points) - target) ** 2).max() <= row.upper
    # the enclosure is of use, too: a convex function's is attained
    assert (table["upper"] <= 1.5 * table["lower"] + 1e-300).all()


@pytest.mark.parametrize("norm", NORMS)
def test_units_at_the_edge_of_switching_are_proved(norm, tmp_path):
    """Kinks as far from the centre as the radius, but for rounding, of units that are parallel: the
    largest error is at an end or a kink of one line."""
    rng = np.random.default_rng(0)
    for _ in range(150):
        w = rng.integers(-2, 3, 3).astype(float)
        if not w.any():
            continue
        centre = rng.choice([0.0, 250.0, -250.0], 3)
        x, radius = centre - w * (w @ centre / (w @ w)), rng.choice([0.5, 1.0, 2.0])
        width = radius * np.linalg.norm(w, 1 if norm != 2 else 2)
        signs, bias = rng.choice([-1.0, 1.0], 4), width * rng.choice([-1.0, 0.0, 0.5, 1.0], 4)
        outer = rng.integers(-2, 3, 4).astype(float)
        net = Network([np.outer(signs, w), outer[None]], [bias, np.zeros(1)])
        t = np.concatenate([[-width, width], -signs * bias])
        values = np.maximum(np.outer(t, signs) + bias, 0) @ outer
        target = rng.choice([-1000.0, 0.0, 1000.0])
        table = proved(
            tmp_path / "errors.json", net, x[None], [target], [radius], norm=norm, gap=1e-3
        )
        largest = ((values - target) ** 2).max()
        assert largest * (1 - 1e-12) <= table["upper"][0]
        assert table["upper"][0] <= largest * (1 + 1.1e-3) + 1e-7


@pytest.mark.parametrize("power", [0, 480, 500, 505])
def test_rows_of_a_deep_layer_are_read_one_by_one(power, tmp_path):
    """f(x) = relu(3 + x_1) + 100 relu(x_2 - 0.5), its second row a thousand powers of two below."""
    s = 2.0**power
    weights = [np.eye(2), [[s, 0], [0, 1 / s]], [[1 / s, 100 * s]]]
    net = Network(weights, [[2.0, 2.0], [s, -2.5 / s], [0.0]])
    table = proved(tmp_path / "errors.json", net, [[0.0, 0.0]], [0.0], [1.0])
    assert 53.0**2 <= table["upper"][0] <= 1.001 * 53.0**2


def test_slopes_that_lift_subnormal_values(tmp_path):
    weights = [[[5e-324]], [[1e24]], [[1.0]]]
    net = Network(weights, None, [Activation("leaky_relu", (-1e300, 1.0)), "relu"])
    table = proved(tmp_path / "errors.json", net, [[0.0]], [0.0], [0.4])
    there = Fraction(5e-324) * Fraction(-0.4) * Fraction(-1e300) * Fraction(1e24)
    assert there**2 <= Fraction(table["upper"][0])


def test_of_layers_that_were_multiplied_the_module_is_what_is_proved(tmp_path):
    mean, spread = np.array([1e8, 2e8]), np.array([0.3, 0.7])
    scaler = torch.nn.Linear(2, 2).double()
    with torch.no_grad():
        scaler.weight.copy_(torch.tensor(np.diag(1 / spread)))
        scaler.bias.copy_(torch.tensor(-mean / spread))
    net = torch.nn.Sequential(
        scaler, torch.nn.Linear(2, 8).double(), torch.nn.ReLU(), torch.nn.Linear(8, 1).double()
    )
    X = mean + spread * np.random.default_rng(0).normal(size=(3, 2))
    y = as_network(net)(X)[:, 0]
    table = certified_error(net, X, y, [0.0], proof=tmp_path / "errors.json")
    for network in (True, False):
        text = Errors.from_json(tmp_path / "errors.json", net).to_json(network=network)
        assert Errors.from_json(text, net).verify()["upper"].equals(table["upper"])
    for x, target, upper in zip(X, y, table["upper"], strict=True):
        values = [Fraction(v) for v in x]
        for layer in (net[0], net[1], net[3]):
            values = [
                sum(map(mul, map(Fraction, row), values)) + Fraction(b)
                for row, b in zip(layer.weight.tolist(), layer.bias.tolist(), strict=True)
            ]
            values = values if layer is not net[1] else [max(v, Fraction(0)) for v in values]
        assert (values[0] - Fraction(target)) ** 2 <= upper


def test_classes_of_a_document_are_classes(tmp_path):
    net = deep(np.random.default_rng(0), outputs=3)
    certified_error(net, np.zeros((1, 2)), [1], 0.1, proof=tmp_path / "errors.json")
    content = json.loads((tmp_path / "errors.json").read_text())
    for y in (0.5, -1.0, 3.0):
        changed = content | {"y": [y]}
        changed["sha256"] = content_hash(changed)
        with pytest.raises(ProofError, match="y must be classes"):
            Errors.from_json(json.dumps(changed))
