import copy
import pickle
from fractions import Fraction

import numpy as np
import pytest
import torch
from drawing import draw_network
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from lipsnn import Network, ShallowNet, certify
from lipsnn.activations import Activation
from lipsnn.certificate import norm_product
from lipsnn.convert import as_network, as_shallow


def test_is_equation_1():
    net = ShallowNet([[1.0, 2.0, -1.0], [-1.0, 0.5, 0.25]], [2.0, -3.0], offset=0.5)
    x = np.array([[1.0, 1.0]])
    assert net(x) == pytest.approx(2 * max(1 + 2 - 1, 0) - 3 * max(-1 + 0.5 + 0.25, 0) + 0.5)
    assert (net.width, net.dim) == (2, 2)


@given(seed=st.integers(0, 10**6), width=st.integers(1, 8), dim=st.integers(1, 5))
def test_rescaling_leaves_output_and_bound(seed, width, dim):
    net = draw_network(seed, width, dim)
    rng = np.random.default_rng(seed + 1)
    other = net.rescale(10.0 ** rng.uniform(-2, 2, size=width))
    X = rng.normal(size=(20, dim))
    np.testing.assert_allclose(other(X), net(X), rtol=1e-10, atol=1e-10)
    assert certify(other).bound == pytest.approx(certify(net).bound, rel=1e-6)


def test_patterns_include_the_boundary():
    net = ShallowNet([[1.0, 0.0], [-1.0, 0.0]], [1.0, 1.0])
    patterns = net.patterns(np.array([[0.0], [2.0], [-2.0]]))
    assert patterns.tolist() == [[True, True], [True, False], [False, True]]


def test_signs_count_zero_as_positive():
    assert ShallowNet(np.ones((3, 2)), [0.0, -0.0, -1.0]).signs.tolist() == [1.0, 1.0, -1.0]


def test_gradient_is_the_slope():
    net = draw_network(3, 7, 4)
    X = np.random.default_rng(0).normal(size=(6, 4))
    step = 1e-6
    slopes = [(net(X + step * e) - net(X - step * e)) / (2 * step) for e in np.eye(4)]
    np.testing.assert_allclose(net.gradient(X), np.column_stack(slopes), atol=1e-7)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("bias", [True, False])
def test_torch_round_trip(dtype, bias):
    module = nn.Sequential(nn.Linear(3, 5, bias=bias), nn.ReLU(), nn.Linear(5, 1, bias=bias)).to(
        dtype
    )
    X = torch.randn(11, 3, dtype=dtype, generator=torch.Generator().manual_seed(0))
    net = ShallowNet.from_torch(module)
    tolerance = 1e-6 if dtype == torch.float32 else 1e-13
    np.testing.assert_allclose(net(X), module(X)[:, 0].detach().numpy(), atol=tolerance)
    back = ShallowNet.from_torch(net.to_torch())
    np.testing.assert_array_equal(back.weights, net.weights)
    np.testing.assert_array_equal(back.outer, net.outer)
    assert back.offset == net.offset
    assert net.to_torch(dtype)[0].weight.dtype == dtype


@pytest.mark.parametrize(
    ("weights", "outer", "word"),
    [
        ([[1.0, np.nan]], [1.0], "NaN"),
        ([[1.0, 1.0]], [np.inf], "infinite"),
        (np.zeros((0, 3)), [], "no hidden units"),
        ([[1.0], [2.0]], [1.0, 1.0], "bias in the last column"),
        ([[1.0, 2.0]], [1.0, 1.0], "1 rows"),
        ([1.0, 2.0], [1.0], "2 dimensions"),
        ([["a", "b"]], [1.0], "numeric"),
    ],
)
def test_bad_networks(weights, outer, word):
    with pytest.raises(ValueError, match=word):
        ShallowNet(weights, outer)


def test_one_input():
    net, X = draw_network(0, 5, 3), np.random.default_rng(0).normal(size=(4, 3))
    for way in (net, net.patterns, net.gradient):
        np.testing.assert_allclose([way(x) for x in X], way(X), rtol=1e-14)


def test_bad_inputs_and_factors():
    net = draw_network(0, 3, 2)
    with pytest.raises(ValueError, match="bias feature"):
        net(np.ones((4, 3)))
    with pytest.raises(ValueError, match="2 columns"):
        net(np.ones((4, 1)))
    with pytest.raises(ValueError, match="positive"):
        net.rescale(-1.0)
    with pytest.raises(TypeError, match="list"):
        as_network([1, 2])


def deep(seed=0, activations=("relu", "tanh")):
    rng = np.random.default_rng(seed)
    sizes = ((4, 3), (5, 4), (2, 5))
    biases = [rng.normal(size=n) for n, _ in sizes]
    return Network([rng.normal(size=size) for size in sizes], biases, activations)


@pytest.mark.parametrize("net", [draw_network(0, 3, 2), deep()], ids=repr)
@pytest.mark.parametrize(
    "copied", [lambda n: n, copy.copy, copy.deepcopy, lambda n: pickle.loads(pickle.dumps(n))]
)
def test_is_immutable_and_equal_to_its_copies(net, copied):
    again = copied(net)
    assert again == net
    assert hash(again) == hash(net)
    weights = again.weights if isinstance(again.weights, tuple) else (again.weights,)
    for array in weights:
        with pytest.raises(ValueError, match="read-only"):
            array[0, 0] = 1.0
        with pytest.raises(ValueError, match="WRITEABLE"):
            array.flags.writeable = True
    with pytest.raises(AttributeError):
        again.weights = ()
    assert len(repr(net)) < 60


def test_copies_what_it_is_given():
    W = np.ones((2, 2))
    net = Network([W, W])
    W[0, 0] = 5.0
    assert (net.weights[0] == 1).all()
    assert (net.weights[1] == 1).all()


def test_equality_is_by_value():
    net = deep()
    other = Network(net.weights, net.biases, ("relu", "sigmoid"))
    assert net != other
    assert net != Network(net.weights, None, net.activations)
    assert net == Network([W.tolist() for W in net.weights], net.biases, ["relu", "tanh"])
    zero, minus = Network([[[0.0]], [[1.0]]]), Network([[[-0.0]], [[1.0]]])
    assert zero == minus
    assert hash(zero) == hash(minus)
    assert draw_network(0, 3, 2) != draw_network(1, 3, 2)


def test_network_is_its_formula_at_one_input_and_at_many():
    net = deep()
    X = np.random.default_rng(1).normal(size=(7, 3))
    (A, B, C), (a, b, c) = net.weights, net.biases
    by_hand = np.tanh(np.maximum(X @ A.T + a, 0) @ B.T + b) @ C.T + c
    np.testing.assert_allclose(net(X), by_hand, rtol=1e-13)
    np.testing.assert_allclose(net(X[0]), by_hand[0], rtol=1e-13)
    assert net.gradient(X[0]).shape == (2, 3)
    assert [p.shape for p in net.patterns(X)] == [(7, 4), (7, 5)]
    assert [p.shape for p in net.patterns(X[0])] == [(4,), (5,)]
    step = 1e-6 * np.eye(3)
    slopes = np.stack([(net(X + h) - net(X - h)) / 2e-6 for h in step], axis=2)
    np.testing.assert_allclose(net.gradient(X), slopes, atol=1e-7)


def test_rescaling_of_homogeneous_layers():
    net = deep(activations=("relu", Activation("leaky_relu", -0.5)))
    X = np.random.default_rng(1).normal(size=(7, 3))
    other = net.rescale(np.array([1.0, 2.0, 3.0, 0.1]), 10.0)
    np.testing.assert_allclose(other(X), net(X), rtol=1e-12)
    with pytest.raises(ValueError, match="homogeneous"):
        deep().rescale(1.0, 2.0)
    deep().rescale(3.0, 1.0)
    with pytest.raises(ValueError, match="2 layers"):
        net.rescale(1.0)


def test_between_the_two_forms():
    net = draw_network(0, 3, 2)
    assert net.to_network().to_shallow() == net
    assert as_shallow(net.to_network()) == net
    X = np.ones((2, 2))
    np.testing.assert_allclose(net.to_network()(X)[:, 0], net(X), rtol=1e-14)
    for wrong in (deep(), Network([np.eye(2), np.eye(2)]), Network([[[1]], [[1]]], None, "tanh")):
        with pytest.raises(ValueError, match="one hidden layer of ReLU"):
            as_shallow(wrong)


def test_norm_product_is_rounded_up():
    assert norm_product(Network([[[1e-200]], [[1e-200]]])) > 0
    assert norm_product(Network([[[3.0]], [[5.0]]], None, "silu")) >= 15 * 1.0998393201288669


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([np.eye(2)],), "two weight matrices"),
        (([np.eye(2), np.ones((1, 3))],), "do not chain"),
        (([np.ones((0, 2)), np.ones((1, 0))],), "empty"),
        (([np.eye(2), [[1, np.nan]]],), "NaN"),
        (([np.eye(2), np.eye(2)], [np.ones(2)]), "lengths"),
        (([np.eye(2), np.eye(2)], [np.ones(2), np.ones(3)]), "lengths"),
        (([np.eye(2), np.eye(2)], None, "swish"), "activation must be one of"),
        (([np.eye(2), np.eye(2)], None, ["relu", "relu"]), "1 hidden layers"),
        (([np.eye(2), np.eye(2)], None, Activation("prelu", (0.1, 0.2, 0.3))), "3 slopes"),
    ],
)
def test_networks_that_do_not_exist(arguments, message):
    with pytest.raises(ValueError, match=message):
        Network(*arguments)


def test_a_selection_is_not_rounded_down():
    """1 + 2^-53 is 1 in float64, and 1 - (1 - 2^-53) cancels: neither may be lost to a bound."""
    small = 2.0**-53
    net = Network([[[1.0]], [[1.0], [small], [1.0 - small]]])
    exact, selected = 1 + Fraction(small), net.select([[1.0, 1.0, 0.0]])
    assert exact <= Fraction(selected.weights[-1][0, 0]) <= exact + Fraction(1, 2**40)
    assert certify(selected).bound >= exact
    assert net.select((0, 2)).weights[-1][0, 0] == small


@pytest.mark.parametrize("rounding", [[0.0], [0.0, -1e-16], [0.0, np.nan], [[0.0, 0.0]]])
def test_rounding_is_a_number_for_each_matrix(rounding):
    with pytest.raises(ValueError, match="rounding"):
        Network([[[1.0]], [[1.0]]], rounding=rounding)
