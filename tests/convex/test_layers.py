"""Fact F: a layer's program is convex and contains the network; sweeps are monotone."""

import json
from itertools import pairwise

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lipsnn import Network, certify, objective, refine
from lipsnn.certificate import certify_layers
from lipsnn.cli import main
from lipsnn.convex import layers
from lipsnn.convex.layer_newton import solve_layer
from lipsnn.convex.layer_program import LayerProgram
from lipsnn.files import read_network, write_network
from lipsnn.losses import LOSSES, Squared

SIZES = [(3, 5, 4, 1), (3, 5, 4, 2), (2, 4, 3, 4, 1), (4, 6, 1), (3, 5, 3)]


def drawn(sizes, seed=0, n=25):
    """A random network and data."""
    rng = np.random.default_rng(seed)
    weights = [rng.normal(size=(b, a)) / np.sqrt(a) for a, b in pairwise(sizes)]
    biases = [0.3 * rng.normal(size=len(W)) for W in weights]
    return Network(weights, biases), rng.normal(size=(n, sizes[0])), rng.normal(size=(n, sizes[-1]))


def program_of(net, X, y, layer, **kinds):
    """The program of a layer, the network scaled to multipliers and bound 1, and that bound."""
    certificate = certify_layers(net, tol=1e-8)
    scaled = net.rescale(*map(np.sqrt, certificate.layers))
    L = certificate.bound
    weights = [scaled.weights[0] / L, *scaled.weights[1:]]
    strength = 0.05 * L**2
    return LayerProgram(weights, list(scaled.biases), X * L, y, layer, strength, **kinds), L


def held(program):
    """The printed program's constraints that hold its weights and biases at the network's."""
    problem, variables = program.reference()
    own = [variables["W"] == program.weights[program.layer]]
    own += [b == c for b, c in zip(variables["b"], program.biases[program.layer :], strict=True)]
    return problem, variables, own


@pytest.mark.parametrize("sizes", SIZES)
def test_every_program_has_the_network_at_its_own_bound(sizes):
    net, X, y = drawn(sizes)
    for layer in range(len(net.weights)):
        program, _ = program_of(net, X, y, layer)
        problem, variables, own = held(program)
        least = cp.Problem(cp.Minimize(variables["rho"]), [*problem.constraints, *own])
        # the rows hold at the network itself, and the least rho is that of the certificate: 1
        assert least.solve(solver="CLARABEL") == pytest.approx(1.0, rel=1e-5)


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("loss", ["squared", "cross_entropy", "huber", "logistic"])
@pytest.mark.parametrize("bound", [None, 0.9])
def test_own_method_agrees_with_the_printed_program(sizes, loss, bound):
    net, X, y = drawn(sizes)
    if loss == "cross_entropy":
        if sizes[-1] == 1:
            return
        y = np.random.default_rng(1).integers(sizes[-1], size=len(X))
    kinds = {"loss": LOSSES[loss], "bound": bound}
    y = np.sign(y) if loss == "logistic" else y
    for layer in range(len(net.weights)):
        program = program_of(net, X, y, layer, **kinds)[0]
        printed, own = program.solve_reference("CLARABEL"), solve_layer(program, tol=1e-7)
        assert own.status == "optimal"
        assert own.value <= printed.value * (1 + 1e-6)
        assert own.value == pytest.approx(printed.value, rel=3e-6)  # Clarabel ends above
        assert own.strength == pytest.approx(printed.strength, rel=1e-3, abs=1e-6)


def test_rows_that_are_left_out_change_nothing(monkeypatch):
    from lipsnn.convex import layer_forms

    net, X, y = drawn((3, 6, 4, 1), n=120)
    program = program_of(net, X, y, 0)[0]
    whole = program.solve_reference("CLARABEL").value
    monkeypatch.setattr(layer_forms, "_CARRIED", 1)
    assert sum(k.sum() for k in layer_forms.Forms(program).carried) < 0.1 * 120 * 10
    assert solve_layer(program, tol=1e-6).value == pytest.approx(whole, rel=2e-6)


@pytest.mark.parametrize("sizes", [(3, 6, 4, 1), (3, 6, 2)])
def test_sweeps_are_monotone_and_evaluated_afresh(sizes):
    net, X, y = drawn(sizes)
    result = refine(net, X, y, 0.1, sweeps=2)
    taken = [entry.objective for entry in result.history if entry.accepted]
    assert result.method == "layers"
    assert taken == sorted(taken, reverse=True)
    assert len(taken) > 2
    fit = 0.5 * np.sum((result.net(X) - y) ** 2)
    assert result.objective == fit + 0.1 * certify(result.net).bound ** 2
    assert result.objective < result.initial_objective
    assert [e.step for e in result.history[1:]][len(sizes) - 2] == "output layer"


def test_one_hidden_layer_against_the_joint_program():
    """The first step at layer 0 is a program at the outer weights as they are, but all t are free:
    by rescaling it is the joint program with an output bias, whose optimum it has."""
    net, X, y = drawn((3, 6, 1))
    y = y[:, 0]
    swept = refine(net, X, y, 0.1, method="layers", rounds=1)
    joint = refine(net, X, y, 0.1, method="joint", output_bias=True)
    first = swept.history[1]
    assert first.objective == pytest.approx(joint.objective, rel=1e-4)
    again = refine(joint.net, X, y, 0.1, method="layers", rounds=1)
    assert again.objective <= joint.objective


def test_cross_entropy_and_mean():
    net, X, _ = drawn((3, 6, 5, 3))
    y = np.random.default_rng(1).integers(3, size=len(X))
    total = refine(net, X, y, 0.25, rounds=1, loss="cross_entropy")
    assert total.objective < total.initial_objective
    mean = refine(net, X, y, 0.25 / len(X), rounds=1, loss="cross_entropy", reduction="mean")
    assert mean.objective == pytest.approx(total.objective / len(X), rel=1e-4)


@st.composite
def cases(draw):
    """Networks with dead, constant, zero and duplicate units."""
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    sizes = draw(st.sampled_from([(2, 3, 1), (2, 4, 3, 1), (3, 3, 3, 2), (1, 3, 2)]))
    net, X, y = drawn(sizes, int(rng.integers(10**6)), n=draw(st.integers(1, 20)))
    weights, biases = [W.copy() for W in net.weights], [b.copy() for b in net.biases]
    match draw(st.sampled_from(["plain", "dead", "flat", "zero", "copy"])):
        case "dead":
            biases[0][0] = -100.0
        case "flat":
            weights[0][0], biases[0][0] = 0.0, 0.7
        case "zero":
            weights[1][:, 0] = 0.0
        case "copy":
            weights[0][1], biases[0][1] = weights[0][0], biases[0][0]
    return Network(weights, biases), X, y, 10.0 ** draw(st.integers(-3, 2))


@given(
    case=cases(),
    loss=st.sampled_from(["squared", "huber", "logistic", "cross_entropy"]),
    method=st.sampled_from(["layers", "joint", "alternating", "walk"]),
)
@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
def test_never_worse_with_any_loss(case, loss, method):
    net, X, y, strength = case
    if loss == "cross_entropy":
        y = (y[:, 0] > 0).astype(int)
        if net.outputs == 1:
            net = Network([*net.weights[:-1], np.repeat(net.weights[-1], 2, axis=0)])
    y = np.sign(y) if loss == "logistic" else y
    method = method if len(net.widths) == 1 and net.outputs > 1 else "layers"
    result = refine(net, X, y, strength, rounds=2, method=method, loss=loss)
    assert result.objective <= result.initial_objective
    assert result.objective == objective(result.net, X, y, strength, "lipschitz", loss=loss)
    if certify(net).bound > 0:
        held = refine(net, X, y, bound="own", rounds=2, method=method, loss=loss)
        assert held.objective <= held.initial_objective
        assert held.certificate.bound <= held.initial_certificate.bound


@given(case=cases())
@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow])
def test_never_worse(case):
    net, X, y, strength = case
    result = refine(net, X, y, strength, rounds=1, method="layers")
    initial = 0.5 * np.sum((net(X) - y) ** 2) + strength * certify(net).bound ** 2
    assert result.initial_objective == pytest.approx(initial, rel=1e-9)
    assert result.objective <= result.initial_objective
    fit = 0.5 * np.sum((result.net(X) - y) ** 2)
    assert result.objective == fit + strength * certify(result.net).bound ** 2
    assert [W.shape for W in result.net.weights] == [W.shape for W in net.weights]
    if certify(net).bound > 0:
        held = refine(net, X, y, bound="own", rounds=1, method="layers")
        assert held.objective <= held.initial_objective
        assert held.certificate.bound <= held.initial_certificate.bound


@pytest.mark.parametrize("loss", ["squared", "huber", "cross_entropy"])
def test_a_bound_is_enforced(loss):
    net, X, y = drawn((3, 6, 4, 2))
    if loss == "cross_entropy":
        y = (X[:, 0] > 0).astype(int)
    L = 0.5 * certify(net).bound
    result = refine(net, X, y, bound=L, rounds=1, loss=loss)
    assert result.history[1].step == "scaled"
    assert result.certificate.bound <= L
    assert result.certificate.bound == certify(result.net).bound
    assert result.objective < result.history[1].objective


@pytest.mark.parametrize("how", [{"strength": 0.1}, {"bound": "own"}])
def test_polish_goes_past_a_sweep(how, monkeypatch):
    monkeypatch.setattr("lipsnn.convex.polish.EPOCHS", 60)
    net, X, y = drawn((3, 6, 4, 1))
    swept = refine(net, X, y, **how, rounds=1)
    once = refine(net, X, y, **how, rounds=1, method="polish")
    assert [e.step for e in once.history[1:3]] == ["training", "layer 0"]
    polished = refine(net, X, y, **how, rounds=4, method="polish")
    steps = [e.step for e in polished.history]
    gain = 1 - polished.history[1].objective / polished.history[0].objective
    assert gain > 0.01  # so that training goes on alone
    assert steps[1:3] == ["training", "training"]
    assert "layer 0" in steps
    assert polished.objective < min(once.objective, swept.objective)
    assert polished.objective <= min(e.objective for e in polished.history if e.accepted)


def test_the_joint_program_of_several_outputs():
    """It is the first layer's, and is the joint program where there is one output."""
    net, X, y = drawn((3, 6, 2))
    result = refine(net, X, y, 0.1, method="joint")
    assert [e.step for e in result.history] == ["initial", "layer 0"]
    assert result.status == "optimal"
    before, after = (
        one.weights[1] / np.linalg.norm(one.weights[1], axis=0) for one in (net, result.net)
    )
    np.testing.assert_allclose(after, before, atol=1e-12)


@pytest.mark.parametrize("loss", ["squared", "cross_entropy"])
@pytest.mark.parametrize("how", [{"strength": 0.1}, {"bound": "own"}])
def test_walk_and_alternation_of_several_outputs(loss, how):
    """The alternation ends above the joint program, the walk below, across its boundary."""
    net, X, y = drawn((3, 6, 2), n=40)
    y = (y[:, 0] > 0).astype(int) if loss == "cross_entropy" else y
    found = {
        name: refine(net, X, y, method=name, loss=loss, rounds=8, **how)
        for name in ("alternating", "joint", "walk")
    }
    for one in found.values():
        taken = [entry.objective for entry in one.history if entry.accepted]
        assert taken == sorted(taken, reverse=True)
        assert len(taken) > 1
    assert found["walk"].objective < found["joint"].objective * (1 - 1e-3)
    assert found["joint"].objective <= found["alternating"].objective * (1 + 1e-5)
    # it has crossed rows
    patterns = [one.net.patterns(X)[0] for one in (found["joint"], found["walk"])]
    assert (patterns[0] != patterns[1]).any()


@pytest.mark.parametrize("loss", ["squared", "cross_entropy"])
@pytest.mark.parametrize("bound", [None, 1.0])
def test_multipliers_that_are_held(loss, bound):
    net, X, y = drawn((3, 6, 2))
    y = (y[:, 0] > 0).astype(int) if loss == "cross_entropy" else y
    kinds = {"loss": LOSSES[loss], "bound": bound}
    free = program_of(net, X, y, 0, **kinds)[0]
    program = program_of(net, X, y, 0, multipliers=np.ones(6), **kinds)[0]
    printed, own = program.solve_reference("CLARABEL"), solve_layer(program, tol=1e-6)
    assert own.value == pytest.approx(printed.value, rel=3e-6)
    assert own.value > solve_layer(free).value * (1 + 1e-4)


def test_multipliers_without_an_interior():
    """Of |x_1| and |x_2| as outputs: q_0 = 0 in the certificate, and (12) at that T is flat."""
    W = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    net = Network([W, np.array([[1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 1.0]])])
    X = np.random.default_rng(0).normal(size=(20, 2))
    found = refine(net, X, 0.5 * net(X) + 0.1, 0.1, method="alternating")
    assert found.objective <= found.initial_objective
    joint = refine(net, X, 0.5 * net(X) + 0.1, 0.1, method="joint")
    assert joint.objective < 0.9 * joint.initial_objective


def test_bad_input(monkeypatch):
    net, X, y = drawn((3, 5, 4, 1))
    with pytest.raises(ValueError, match=r"tanh.*not convex; train it .*lipschitz_bound"):
        refine(Network(net.weights, net.biases, "tanh"), X, y, 1.0)
    with pytest.raises(ValueError, match=r"leaky_relu.*not convex"):
        refine(Network(net.weights, net.biases, "leaky_relu"), X, y, 1.0, method="joint")
    for method in ("joint", "walk", "alternating"):
        with pytest.raises(ValueError, match=r'one hidden layer.* or take "layers" or "polish"'):
            refine(net, X, y, 1.0, method=method)
    with pytest.raises(ValueError, match=r"one of .*layers"):
        refine(net, X, y, 1.0, method="no such")
    with pytest.raises(ValueError, match='take regularizer="lipschitz"'):
        refine(net, X, y, 1.0, regularizer="l2")
    with pytest.raises(ValueError, match="y must be finite numbers of shape"):
        refine(net, X, np.zeros((len(X), 2)), 1.0)
    with pytest.raises(ValueError, match="one target for each sample"):
        refine(net, X, y[:-1], 1.0)
    with pytest.raises(ValueError, match="classes need a network"):
        refine(net, X, np.zeros(len(X)), 1.0, loss="cross_entropy")
    with pytest.raises(ValueError, match="needs an output for each class"):
        refine(drawn((3, 5, 1))[0], X, y, 1.0, loss="cross_entropy")
    with pytest.raises(ValueError, match="give either strength"):
        refine(net, X, y)
    with pytest.raises(ValueError, match="which mean the same"):
        refine(net, X, y, 1.0, sweeps=1, rounds=1)
    with pytest.raises(ValueError, match="for 'walk' give rounds"):
        refine(drawn((3, 5, 1))[0], X, y[:, 0], 1.0, method="walk", sweeps=1)
    monkeypatch.setattr(layers, "LIMIT", 10)
    with pytest.raises(ValueError, match="more than 10 unknowns"):
        refine(net, X, y, 1.0)


def test_a_program_that_is_too_large_says_what_to_take(monkeypatch):
    net, X, y = drawn((3, 6, 2))
    monkeypatch.setattr(layers, "LIMIT", 25)  # the output layer has 12 + 2 + 6 + 1
    for method in ("joint", "alternating", "walk"):
        with pytest.raises(ValueError, match='of 33 unknowns here, more than 25: take "layers"'):
            refine(net, X, y, 0.1, method=method)
    assert refine(net, X, y, 0.1, rounds=1).objective > 0


def test_a_loss_without_an_expression_is_refused_by_cvxpy_alone():
    class Quartic(Squared):
        def value(self, outputs, targets):
            return 0.25 * (outputs - targets) ** 4

        def gradient(self, outputs, targets):
            return (outputs - targets) ** 3

        def curvature(self, outputs, targets):
            return 3 * (outputs - targets) ** 2

    for sizes in ((3, 6, 2), (3, 6, 1)):
        net, X, y = drawn(sizes)
        y = y if sizes[-1] > 1 else y[:, 0]
        assert refine(net, X, y, 0.1, loss=Quartic()).objective > 0
        with pytest.raises(ValueError, match=r"Quartic has no `expression` .*leave solver out"):
            refine(net, X, y, 0.1, loss=Quartic(), solver="reference")


def test_a_layer_that_is_too_large_is_left_as_it_is(monkeypatch):
    net, X, y = drawn((3, 6, 4, 1))
    monkeypatch.setattr(layers, "LIMIT", 20)  # the output layer has 4 + 1 + 10 + 1
    result = refine(net, X, y, 0.1, rounds=1)
    assert [e.accepted for e in result.history] == [True, False, False, True]
    assert "more than 20" in result.history[1].status


def test_command(tmp_path):
    net, X, y = drawn((3, 5, 4, 1))
    write_network(net, tmp_path / "net.npz")
    table = np.column_stack([X, y])
    np.savetxt(tmp_path / "data.csv", table, delimiter=",", header="a,b,c,y", comments="")
    given = [str(tmp_path / "net.npz"), str(tmp_path / "data.csv"), "--target", "y"]
    code = main(["refine", *given, "--strength", "0.1", "--output", str(tmp_path / "out.npz")])
    assert code == 0
    assert read_network(tmp_path / "out.npz").widths == net.widths


def test_command_for_classes(tmp_path, capsys):
    net, X, _ = drawn((3, 5, 3))
    write_network(net, tmp_path / "net.npz")
    table = np.column_stack([X, net(X).argmax(axis=1)])
    np.savetxt(tmp_path / "data.csv", table, delimiter=",", header="a,b,c,y", comments="")
    given = [str(tmp_path / "net.npz"), str(tmp_path / "data.csv"), "--target", "y", "--json"]
    given += ["--bound", "own", "--loss", "cross_entropy", "--output", str(tmp_path / "out.npz")]
    assert main(["refine", *given]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["accuracy_before"] == 1.0
    after = read_network(tmp_path / "out.npz")(X).argmax(axis=1)
    assert said["accuracy"] == (after == table[:, -1]).mean()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("how", [{"strength": 1e-5}, {"bound": "own"}])
@pytest.mark.parametrize("size", [1.0, 100.0])
@pytest.mark.parametrize("seed", range(6))
def test_classes_that_saturate(seed, size, how):
    """The Hessian of cross-entropy vanishes there: steps stay within its reach, and finite; the
    dual lags behind the gap, and no slack rounds to zero meanwhile."""
    net, X, _ = drawn((2, 3, 2), seed, n=15)
    net = Network([size * net.weights[0], net.weights[1]], net.biases)
    found = refine(net, X, (X[:, 0] > 0).astype(int), loss="cross_entropy", rounds=1, **how)
    assert found.objective <= found.initial_objective
    assert any(entry.accepted for entry in found.history[1:])
    assert "numerical_error" not in [entry.status for entry in found.history]


@pytest.mark.parametrize("seed", range(4))
def test_errors_in_the_linear_part_of_hubers_loss(seed):
    """Its curvature is zero there: no step goes far past the minimum, back and forth."""
    net, X, y = drawn((2, 4, 3, 2), seed, n=2)
    net = Network(net.weights, [*net.biases[:-1], np.array([5.0, -4.0])])
    program = program_of(net, X, y, 2, loss=LOSSES["huber"], bound=1.0)[0]
    own, printed = solve_layer(program), program.solve_reference("CLARABEL")
    assert own.status == "optimal"
    assert own.iterations < 50
    assert own.value == pytest.approx(printed.value, rel=1e-4, abs=1e-4)


def test_inputs_beyond_the_span_of_the_first_layer_cost_nothing():
    rng = np.random.default_rng(0)
    weights = [rng.normal(size=(6, 4)), rng.normal(size=(5, 6)), rng.normal(size=(1, 5))]
    biases = [rng.normal(size=6), rng.normal(size=5), np.zeros(1)]
    X, y = rng.normal(size=(30, 4)), rng.normal(size=(30, 1))
    turned = np.linalg.qr(rng.normal(size=(1000, 4)))[0]
    few = Network(weights, biases)
    many = Network([weights[0] @ turned.T, *weights[1:]], biases)
    small = refine(few, X, y, strength=0.1, sweeps=1)
    large = refine(many, X @ turned.T, y, strength=0.1, sweeps=1)
    assert "more than" in large.history[1].status
    assert large.objective < large.initial_objective == pytest.approx(small.initial_objective)
    first = large.net.weights[0]
    np.testing.assert_allclose(first @ turned @ turned.T, first, atol=1e-12)
    assert len(large.history) == len(small.history)


@pytest.mark.parametrize("bound", [1e6, 1e200])
def test_a_bound_that_is_none(bound):
    rng = np.random.default_rng(0)
    shapes = (6, 3), (4, 6), (1, 4)
    net = Network([rng.normal(size=shape) for shape in shapes])
    X, y = rng.normal(size=(20, 3)), rng.normal(size=(20, 1))
    result = refine(net, X, y, bound=bound, sweeps=2)
    assert result.objective < result.initial_objective
    assert result.certificate.bound < bound
