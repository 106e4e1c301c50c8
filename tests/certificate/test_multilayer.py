import itertools

import numpy as np
import pytest
import torch
from drawing import draw_network
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import lipsnn
from lipsnn import Network, certify
from lipsnn.activations import Activation
from lipsnn.certificate import certify_layers, margin_bounds, norm_product, output_bounds
from lipsnn.certificate.chain import Chain
from lipsnn.certificate.lmi import layers_matrix
from lipsnn.convert import as_network
from studies.pauli.sector import increment_form, sector_bound, sector_matrix

RELU, LEAKY, SIGMOID = (0.0, 1.0), (0.2, 1.0), (0.0, 0.25)


def with_slopes(weights, sectors):
    """A network with two slopes in each hidden layer: that sector, attained."""
    return Network(weights, activations=[Activation("leaky_relu", sector) for sector in sectors])


def draw_layers(seed, sizes, sectors):
    rng = np.random.default_rng(seed)
    weights = [rng.normal(size=(b, a)) / np.sqrt(a) for a, b in itertools.pairwise(sizes)]
    return with_slopes(weights, sectors)


def draw_chain(seed, sizes, sectors):
    layers = draw_layers(seed, sizes, sectors)
    return Chain(list(layers.weights), layers.sectors)


CASES = [
    ((3, 6, 2), [RELU]),
    ((3, 6, 2), [LEAKY]),
    ((3, 4, 5, 1), [RELU, SIGMOID]),
    ((8, 5, 4, 3), [LEAKY, RELU]),
    ((2, 4, 4, 4, 3), [LEAKY, SIGMOID, LEAKY]),
    ((3, 1, 4, 1, 1), [RELU] * 3),
]


@pytest.mark.parametrize(("sizes", "sectors"), CASES)
def test_chordal_is_the_plain_lmi(sizes, sectors):
    layers = draw_layers(1, sizes, sectors)
    fast, reference = certify_layers(layers, method="chordal"), certify_layers(layers, method="lmi")
    assert fast.status == "optimal"
    assert fast.gap <= 1e-7
    assert fast.bound == pytest.approx(reference.bound, rel=1e-6)
    assert fast.lower <= reference.bound * (1 + 1e-9)
    assert reference.lower <= fast.bound * (1 + 1e-9)


@pytest.mark.parametrize("sector", [RELU, SIGMOID, LEAKY, (0.5, 2.0)])
def test_scalar_output_has_the_small_form_in_every_sector(sector):
    layers = draw_layers(2, (4, 9, 1), [sector])
    small, chordal = certify_layers(layers), certify_layers(layers, method="chordal")
    assert small.method in ("P", "q")
    assert small.bound == pytest.approx(chordal.bound, rel=2e-7)
    alpha, beta = sector
    W, a = layers.weights[0], layers.weights[1][0]
    # q_i = a_i^2 / (2 t_i): the bound of these multipliers by the formula of the docstring
    q = a**2 / (2 * small.multipliers[0])
    g = W.T @ a
    matrix = (alpha + beta) ** 2 / 4 * np.outer(g, g) / (1 - q.sum())
    matrix += (beta - alpha) ** 2 / 4 * (W.T * (a**2 / q)) @ W
    assert np.sqrt(np.linalg.eigvalsh(matrix)[-1]) == pytest.approx(small.bound, rel=1e-6)


@pytest.mark.parametrize("sector", [RELU, LEAKY])
def test_several_outputs_have_the_small_form_of_the_docstring(sector):
    # q from the multipliers in the primal, random P and S in the dual: they enclose the bound
    layers = draw_layers(5, (3, 7, 2), [sector])
    W, V = layers.weights
    certificate = certify_layers(layers)
    middle, radius = (sector[0] + sector[1]) / 2, (sector[1] - sector[0]) / 2
    size = np.linalg.norm(V, axis=0)
    c, slopes = V / size, size[:, None] * W
    q = size**2 / (2 * certificate.multipliers[0])
    room = np.linalg.inv(np.eye(2) - (c * q) @ c.T)
    G = V @ W
    matrix = middle**2 * G.T @ room @ G + radius**2 * (slopes.T / q) @ slopes
    assert np.sqrt(np.linalg.eigvalsh(matrix)[-1]) == pytest.approx(certificate.bound, rel=1e-6)
    rng = np.random.default_rng(0)
    best = 0.0
    for _ in range(200):
        A, B = rng.normal(size=(3, 3)), rng.normal(size=(2, 2))
        A, B = A / np.linalg.norm(A), B / np.linalg.norm(B)
        value = middle * np.linalg.norm(B.T @ G @ A, "nuc")
        value += radius * np.linalg.norm(slopes @ A, axis=1) @ np.linalg.norm(c.T @ B, axis=1)
        best = max(best, value)
    assert 0.7 * certificate.bound < best <= certificate.bound * (1 + 1e-9)


@settings(derandomize=True, deadline=None, max_examples=15)
@given(st.integers(0, 10**6), st.integers(1, 4), st.integers(1, 5), st.sampled_from([RELU, LEAKY]))
def test_multipliers_prove_the_bound_and_the_gap_is_small(seed, depth, width, sector):
    layers = draw_layers(seed, (3, *[width] * depth, 2), [sector] * depth)
    certificate = certify_layers(layers, method="chordal")
    assert certificate.gap <= 1e-7
    assert certificate.bound <= norm_product(layers) * (1 + 1e-7)
    t = np.concatenate(certificate.multipliers)
    rho = certificate.bound**2 * (1 + 1e-9)
    matrix = layers_matrix(layers.weights, layers.sectors, rho, t)
    scale = np.sqrt(np.concatenate([np.full(3, rho), 2 * t]))
    assert np.linalg.eigvalsh(matrix.value / np.outer(scale, scale))[-1] <= 1e-9


def test_bound_is_above_every_difference_quotient():
    torch.manual_seed(0)
    modules = [nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 6), nn.LeakyReLU(0.1)]
    net = nn.Sequential(*modules, nn.Linear(6, 4), nn.Sigmoid(), nn.Linear(4, 3)).double()
    with torch.no_grad():
        for p in net.parameters():
            p *= 3
        x = torch.randn(20_000, 3, dtype=torch.float64)
        y = x + 1e-2 * torch.randn_like(x)
        rise = net(x) - net(y)
        away = (x - y).norm(dim=1)
        steepest = (rise.norm(dim=1) / away).max().item()
        margins = ((rise[:, 0] - rise[:, 2]).abs() / away).max().item()
    certificate = lipsnn.certify(net)
    assert steepest <= certificate.bound <= norm_product(as_network(net))
    table = margin_bounds(net)
    assert margins <= table[0, 2] == table[2, 0] == certify_layers(net, (0, 2)).bound
    each = output_bounds(net)
    assert (each <= certificate.bound * (1 + 1e-7)).all()
    assert (table <= np.add.outer(each, each) * (1 + 1e-7)).all()


def test_one_hidden_layer_is_theorem_1():
    net = draw_network(0, 6, 3)
    outer = np.vstack([net.outer, net.outer[::-1]])
    layers = with_slopes((net.weights[:, :-1], outer), (LEAKY,))
    reference = sector_bound(net.weights[:, :-1], outer, *LEAKY)
    assert certify_layers(layers).bound == pytest.approx(reference.bound, rel=1e-5)
    own = layers_matrix(layers.weights, layers.sectors, 2.0, np.arange(1.0, 7.0)).value
    printed = sector_matrix(2.0, np.diag(np.arange(1.0, 7.0)), *layers.weights, *LEAKY)
    np.testing.assert_allclose(own, printed, atol=1e-12)


def test_relu_networks_with_one_output_keep_their_certificate():
    net = draw_network(1, 5, 2)
    certificate = lipsnn.certify(net.to_torch())
    assert isinstance(certificate, lipsnn.Certificate)
    assert certify_layers(net).bound == pytest.approx(certificate.bound, rel=1e-12)


def test_matrix_is_the_sum_of_the_sectors():
    chain = draw_chain(4, (2, 3, 4, 2), [LEAKY, RELU])
    rng = np.random.default_rng(0)
    t = rng.uniform(0.5, 2, size=7)
    v = [rng.normal(size=n) for n in (2, 3, 4)]
    N = chain.matrix(t, 1.7)
    value = sum(x @ block @ x for x, block in zip(v, N.diagonal, strict=True))
    value += 2 * sum(v[i + 1] @ block @ v[i] for i, block in enumerate(N.below))
    expected = 1.7 * v[0] @ v[0] - np.sum((chain.weights[2] @ v[2]) ** 2)
    for i, sector in enumerate(chain.sectors):
        u = (chain.weights[i] @ v[i])[None]
        expected -= increment_form(np.diag(t[chain.of[i]]), u, v[i + 1][None], *sector)[0]
    assert value == pytest.approx(expected)


def test_newton_matrix_and_adjoint_are_derivatives():
    chain = draw_chain(3, (2, 3, 4, 2), [LEAKY, RELU])
    spread = np.random.default_rng(1).uniform(0.8, 1.2, size=8)
    x = spread * np.array([8.0] * 3 + [3.0] * 4 + [60.0])

    def at(x):
        N = chain.matrix(x[:-1], x[-1])
        logdet = 2 * sum(np.log(np.diag(block)).sum() for block in N.cholesky()[0])
        return logdet, chain.forms(chain.inverse(N))

    step = 1e-5 * np.eye(len(x))
    slope = [(at(x + h)[0] - at(x - h)[0]) / 2e-5 for h in step]
    forms = at(x)[1]
    np.testing.assert_allclose(chain.adjoint(forms), slope, rtol=1e-6)
    bend = [chain.adjoint(at(x - h)[1]) - chain.adjoint(at(x + h)[1]) for h in step]
    np.testing.assert_allclose(chain.newton(forms, forms), np.array(bend) / 2e-5, atol=1e-7)


def test_inverse_and_completion_are_dense_algebra():
    chain = draw_chain(6, (2, 3, 4, 2), [RELU, RELU])
    N = chain.matrix(np.array([8.0] * 3 + [3.0] * 4), 60.0)
    Z = chain.inverse(N)
    dense = np.zeros((chain.order, chain.order))
    for i, here in enumerate(chain.at):
        dense[here, here] = N.diagonal[i]
        if i:
            dense[here, chain.at[i - 1]] = N.below[i - 1]
            dense[chain.at[i - 1], here] = N.below[i - 1].T
    np.testing.assert_allclose(Z @ dense, np.eye(chain.order), atol=1e-10)
    # the inverse of a block-tridiagonal matrix is the completion of its own blocks
    np.testing.assert_allclose(chain.completion(chain.part(Z)), Z, atol=1e-10)


def test_scale_of_the_layers_is_no_obstacle():
    layers = draw_layers(7, (3, 5, 5, 2), [RELU, LEAKY])
    scaled = with_slopes(
        tuple(10.0**e * w for e, w in zip((60, -90, 30), layers.weights, strict=True)),
        layers.sectors,
    )
    assert certify_layers(scaled).bound == pytest.approx(certify_layers(layers).bound, rel=1e-6)


def test_dead_units_and_constant_networks():
    layers = draw_layers(8, (3, 5, 4, 2), [RELU, RELU])
    first, second, third = (w.copy() for w in layers.weights)
    first[0] = 0.0  # sees no input
    second[:, 1] = 0.0  # no output sees it
    dead = with_slopes((first, second, third), layers.sectors)
    small = with_slopes((first[2:], second[:, 2:], third), layers.sectors)
    certificate = certify_layers(dead)
    assert certificate.bound == pytest.approx(certify_layers(small).bound, rel=1e-9)
    assert certificate.multipliers[0][0] == np.inf
    assert certificate.multipliers[0][1] == 0.0
    nothing = certify_layers(with_slopes((first, 0 * second, third), layers.sectors))
    assert (nothing.bound, nothing.lower, nothing.gap) == (0.0, 0.0, 0.0)


def test_depth_without_loss_of_accuracy():
    certificate = certify_layers(draw_layers(0, (5, *[10] * 20, 1), [RELU] * 20))
    assert certificate.status == "optimal"
    assert certificate.iterations <= 45


@pytest.mark.parametrize("outputs", [2, -1, (0, 0), (0, 5), (0, 1, 1), np.ones((1, 3)), "all"])
def test_outputs_that_do_not_exist(outputs):
    with pytest.raises(ValueError, match="outputs must be"):
        certify_layers(draw_layers(0, (2, 3, 2), [RELU]), outputs)


def test_bad_calls():
    layers = draw_layers(0, (2, 3, 2), [RELU])
    with pytest.raises(TypeError, match=r"torch\.nn\.Module"):
        certify_layers([1, 2])
    with pytest.raises(ValueError, match="two weight matrices"):
        Network(layers.weights[:1])
    with pytest.raises(ValueError, match="do not chain"):
        with_slopes((np.ones((3, 2)), np.ones((1, 4))), (RELU,))
    with pytest.raises(ValueError, match="leave out method"):
        certify_layers(layers, method="chordal", solver="SCS")
    with pytest.raises(ValueError, match="start"):
        lipsnn.certify(layers, start=np.ones((2, 1)))
    with pytest.raises(ValueError, match="method"):
        lipsnn.certify(layers, method="P")


@pytest.mark.parametrize("share", [1e-3, 1e-9, 1e-16, 1e-40, 1e-150])
def test_a_unit_that_is_almost_switched_off_costs_no_accuracy(share):
    # ADMM shrinks what enters a unit towards zero: its optimal multiplier grows without bound
    layers = draw_layers(4, (3, 6, 5, 2), [RELU, RELU])
    first, second, last = (np.array(w) for w in layers.weights)
    first[2] *= share
    second[1] *= share
    last[:, 3] *= share
    faint = certify_layers(with_slopes((first, second, last), layers.sectors))
    first[2], second[1], last[:, 3] = 0.0, 0.0, 0.0
    without = certify_layers(with_slopes((first, second, last), layers.sectors))
    assert faint.status == "optimal"
    assert without.lower <= faint.bound
    assert faint.bound <= without.bound * (1 + 10 * share + 2e-7)
    # and the multipliers prove it for the network as it was given
    chain = Chain(list(faint.net.weights), faint.net.sectors)
    if share > 1e-100:
        rho = np.linalg.eigvalsh(chain.backward(np.concatenate(faint.multipliers)))[-1]
        assert np.sqrt(rho) == pytest.approx(faint.bound, rel=1e-6)


@pytest.mark.parametrize("slope", [0.995, 0.999, 1.001])
@pytest.mark.parametrize("region", [{}, {"box": (-1.0, 1.0)}])
def test_units_that_are_all_but_linear(slope, region):
    rng = np.random.default_rng(0)
    optimal = 0
    for _ in range(6):
        weights = [rng.normal(size=(3, 4)), rng.normal(size=(3, 3)), rng.normal(size=(2, 3))]
        biases = [rng.normal(size=len(W)) for W in weights]
        net = Network(weights, biases, Activation("leaky_relu", (slope,)))
        certificate = certify(net, **region)
        if certificate.status == "optimal":
            optimal += 1
            assert certificate.verify() == pytest.approx(certificate.bound, rel=1e-7)
    assert optimal >= 4
