"""No bound is lost where affine maps are multiplied."""

import itertools
from fractions import Fraction

import numpy as np
import pytest
import torch
from torch import nn

import lipsnn
from lipsnn.convert.affine import Linear, divide, merge, normalise, scale

RELU = (0.0, 1.0)


def test_one_map_and_exact_products_are_left_as_they_are():
    W, b = np.array([[0.1, 0.2]]), np.array([0.3])
    merged = merge([Linear(W, b)], 2, None, RELU)
    assert (merged[0] == W).all()
    twice = merge([Linear(W, b), scale(np.array([2.0]), np.array([0.0]))], 2, None, RELU)
    assert (twice[0] == 2 * W).all()
    assert (twice[1] == 2 * b).all()
    assert (merge([], 3, RELU, RELU)[0] == np.eye(3)).all()
    assert merged[2] == twice[2] == 0.0
    third = np.array([0.1])
    moved = merge([Linear(W, b), scale(np.array([1.0]), third)], 2, None, RELU)
    assert (moved[0] == W).all()
    assert 0 < moved[2] < 1e-15  # the bias was rounded


def test_the_bound_is_never_below_the_exact_constant_where_the_product_cancels():
    rng = np.random.default_rng(0)
    for _ in range(200):
        first, second = rng.normal(size=(4, 1)), rng.normal(size=(1, 4))
        second[0, 3] = -(second[0, :3] @ first[:3, 0]) / first[3, 0]
        true = abs(
            sum(Fraction(a) * Fraction(b) for a, b in zip(second[0], first[:, 0], strict=True))
        )
        parts = [Linear(first, np.zeros(4)), Linear(second, np.zeros(1))]
        W, b, _ = merge(parts, 1, None, RELU)
        bound = Fraction(lipsnn.certify(lipsnn.Network([W, [[1.0]]], [b, [0.0]])).bound)
        assert true <= bound <= true * (1 + Fraction(1, 10**9))


def test_entries_are_rounded_once_and_grown_by_a_share():
    rng = np.random.default_rng(1)
    A, B = rng.normal(size=(6, 5)), rng.normal(size=(4, 6))
    W, _, error = merge([Linear(A, np.zeros(6)), Linear(B, np.zeros(4))], 5, (0.1, 1.0), RELU)
    for i in range(4):
        for j in range(5):
            exact = sum(Fraction(B[i, k]) * Fraction(A[k, j]) for k in range(6))
            grown = Fraction(W[i, j]) / exact
            assert 1 < grown < 1 + Fraction(1, 10**12)
            assert abs(grown - 1) <= Fraction(error)


def test_batch_normalisation_is_what_it_says_to_the_last_digits():
    mean, variance = np.array([1.5, -2.0]), np.array([1e-300, 3.0])
    step = normalise(mean, variance, 1e-5, np.array([0.7, -1.1]), np.array([0.2, 0.0]))
    for s, g, v in zip(step.s, (0.7, -1.1), variance, strict=True):
        error = s * s * (Fraction(v) + Fraction(1e-5)) / Fraction(g) ** 2 - 1
        assert abs(error) < Fraction(1, 2**380)
    assert float(step.b[0]) == pytest.approx(0.2 - 1.5 * float(step.s[0]))
    assert divide(np.array([3.0]), np.array([0.0])).s == (Fraction(1, 3),)
    with pytest.raises(ValueError, match="not positive"):
        normalise(mean, -variance, 0.0, mean, mean)


def test_products_beyond_float64_are_refused():
    tiny, huge = np.full((2, 2), 1e-200), np.full((2, 2), 1e200)
    zero = np.zeros(2)
    for W in (tiny, huge):
        with pytest.raises(ValueError, match="beyond the range"):
            merge([Linear(W, zero, "a"), Linear(W, zero, "b")], 2, None, RELU)
    balanced = merge([Linear(tiny, zero), Linear(huge, zero)], 2, None, RELU)[0]
    np.testing.assert_allclose(balanced, 2.0)


def test_biases_that_lose_digits_below_the_normal_numbers_are_refused():
    """0.6 * 2^-1074 would become 2^-1074, and the unit switch beyond a ball of radius 0.8 2^-74."""
    down = Linear(np.array([[2.0**-1000]]), np.zeros(1))
    for bias, exact in ((-0.6 * 2.0**-74, False), (-(2.0**-74), True), (-0.75 * 2.0**-40, True)):
        parts = [Linear(np.eye(1), np.array([bias])), down]
        if exact:
            assert merge(parts, 1, None, RELU)[1] == bias * 2.0**-1000
        else:
            with pytest.raises(ValueError, match="biases beyond the range"):
                merge(parts, 1, None, RELU)


def test_folded_normalisation_bounds_the_module_itself():
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.BatchNorm1d(3), nn.Linear(3, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2)
    ).double()
    net(torch.randn(100, 3, dtype=torch.float64) * torch.tensor([1.0, 5.0, 0.2]) + 1)
    net.eval()
    jacobians = torch.func.vmap(torch.func.jacrev(lambda x: net(x[None])[0]))(
        3 * torch.randn(500, 3).double()
    )
    steepest = float(torch.linalg.matrix_norm(jacobians, 2).max())
    certificate = lipsnn.certify(net)
    assert steepest <= certificate.bound <= 3 * steepest


def two_linear(rng):
    """A module whose slope above 0 is exactly ``2^53 p (a - b)``, and a and b differ by a digit."""
    p, a = rng.uniform(0.5, 0.9), rng.uniform(1.2, 1.9)
    b = float(np.nextafter(a, 2))
    module = nn.Sequential(
        nn.Linear(1, 1, bias=False), nn.Linear(1, 2), nn.ReLU(), nn.Linear(2, 1, bias=False)
    ).double()
    with torch.no_grad():
        module[0].weight.fill_(p)
        module[1].weight.copy_(torch.tensor([[a], [b]]))
        module[1].bias.zero_()
        module[3].weight.copy_(torch.tensor([[2.0**53, -(2.0**53)]]))
    return module, Fraction(2) ** 53 * Fraction(p) * (Fraction(b) - Fraction(a))


def margin(rng):
    """A network and the slope of its margin above 0, to which rounding of ``W_1`` may add all."""
    a, b = rng.uniform(1, 2), rng.uniform(1, 2) * 2**-5
    other = b * (1 + 2.0**-52 * int(rng.integers(1, 8)))
    net = lipsnn.Network([np.full((2, 1), 2.0**57), [[a, -a], [b, -other]]], [np.ones(2), [0, 0]])
    return net, Fraction(2) ** 57 * abs(Fraction(b) - Fraction(other))


REGIONS = {"ball": (np.array([1.5]), 0.5), "box": (1.0, 2.0), "polytope": ([[-1.0]], [-1.0])}


@pytest.mark.parametrize("where", REGIONS)
def test_where_fixed_units_cancel_rounding_counts_as_it_is(where):
    rng, forged = np.random.default_rng(0), 0
    for _ in range(20):
        module, slope = two_linear(rng)
        local = lipsnn.certify(module, **{where: REGIONS[where]})
        assert Fraction(local.bound) >= slope
        assert Fraction(local.verify()) >= slope
        assert Fraction(local.verify(module)) >= slope
        product = lipsnn.as_network(module)
        plain = lipsnn.Network(product.weights, product.biases)  # as if that was meant
        other = lipsnn.certify(plain, **{where: REGIONS[where]})
        if other.bound < slope:
            forged += 1
            assert other.verify() == other.bound
            with pytest.raises(ValueError, match=r"rounding of multiplied layers|keep its side"):
                other.verify(module)
        net, slope = margin(rng)
        of_margin = lipsnn.certify(net, outputs=(0, 1), **{where: REGIONS[where]})
        assert Fraction(of_margin.bound) >= slope
        assert Fraction(of_margin.verify()) >= slope
    assert forged


def test_rounding_costs_ordinary_networks_no_digit():
    rng = np.random.default_rng(0)
    for widths in ((3, 40, 5), (3, 20, 20, 5)):
        weights = [rng.normal(size=(k, n)) for n, k in itertools.pairwise(widths)]
        net = lipsnn.Network(weights, [rng.normal(size=len(W)) for W in weights])
        select = net.select((0, 1))
        assert select.rounding[-1] > 0
        plain = lipsnn.Network(select.weights, select.biases)
        ball = rng.normal(size=3), 0.2
        local, other = (lipsnn.certify(each, ball=ball) for each in (select, plain))
        assert other.bound <= local.bound <= other.bound * (1 + 1e-9)
        assert local.status == "optimal"
        assert local.verify() >= local.bound


def test_outputs_of_a_rounded_last_layer():
    module = nn.Sequential(nn.Linear(1, 2), nn.ReLU(), nn.Linear(2, 2), nn.Linear(2, 2)).double()
    with torch.no_grad():
        module[3].weight.mul_(0.1)
    net = lipsnn.as_network(module)
    assert net.rounding[-1] > 0
    whole = lipsnn.certify(module, outputs=(0, 1))
    exact = [np.abs(net.select((0, 1)).gradient(np.array([x]))).max() for x in (-9.0, 9.0)]
    assert whole.bound >= max(exact)
    with torch.no_grad():  # two outputs that differ by less than what was rounded
        module[3].weight.copy_(torch.tensor([[0.1, 0.3], [0.1, 0.3]], dtype=torch.double))
    with pytest.raises(ValueError, match="product was rounded"):
        lipsnn.certify(module, outputs=(0, 1))


def test_exact_constants_of_rounded_layers():
    rng = np.random.default_rng(0)
    module, _ = two_linear(rng)
    with pytest.raises(ValueError, match="product was rounded"):
        lipsnn.exact_constant(module)
    for _ in range(5):
        net, slope = margin(rng)
        found = lipsnn.exact_constant(net.select((0, 1)), ball=REGIONS["ball"], proof=True)
        assert Fraction(found.lower) <= slope <= Fraction(found.upper)
        assert found.verify() >= found.upper


def test_certified_errors_of_rounded_layers():
    rng = np.random.default_rng(0)
    for _ in range(5):
        module, slope = two_linear(rng)
        x = 2.0
        value = slope * Fraction(x)  # f is linear above 0, with f(0) = 0
        found = lipsnn.certified_error(module, [[x]], [0.0], [0.0, 0.5])
        for row, most in zip(found.itertuples(), (value, slope * Fraction(2.5)), strict=True):
            assert Fraction(row.lower) <= most**2 <= Fraction(row.upper)


def test_a_smaller_ball_has_no_larger_bound_where_layers_are_folded():
    torch.manual_seed(0)
    layers, inputs = [], 20
    for width in (100, 100, 100):
        layers += [nn.Linear(inputs, width), nn.BatchNorm1d(width), nn.ReLU()]
        inputs = width
    module = nn.Sequential(*layers, nn.Linear(inputs, 3))
    module(torch.randn(500, 20))
    module.eval()
    assert all(e > 0 for e in lipsnn.as_network(module).rounding[:-1])
    center, outputs = np.full(20, 0.3), (0, 1)
    near, far = (lipsnn.certify(module, ball=(center, r), outputs=outputs) for r in (1e-3, 0.1))
    assert near.bound < far.bound < lipsnn.certify(module, outputs=outputs).bound
    assert near.verify() >= near.bound


def test_a_conversion_is_checked_within_what_its_multiplied_layers_may_be_off():
    torch.manual_seed(0)
    scaler = torch.nn.Linear(3, 3).double()
    with torch.no_grad():
        scaler.weight.copy_(
            torch.diag(torch.tensor([1 / 0.3, 1 / 0.7, 1 / 1.1], dtype=torch.float64))
        )
        scaler.bias.copy_(torch.tensor([-3e8, -3e8, 9e7], dtype=torch.float64))
    first, last = torch.nn.Linear(3, 40).double(), torch.nn.Linear(40, 1).double()
    module = torch.nn.Sequential(scaler, first, torch.nn.LeakyReLU(0.99), last)
    assert lipsnn.as_network(module).rounding[0] > 1e-12  # nearly linear units ask for much room
