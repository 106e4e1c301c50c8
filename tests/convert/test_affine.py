"""No bound is lost where affine maps are multiplied."""

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


def test_the_bound_is_never_below_the_exact_constant_where_the_product_cancels():
    rng = np.random.default_rng(0)
    for _ in range(200):
        first, second = rng.normal(size=(4, 1)), rng.normal(size=(1, 4))
        second[0, 3] = -(second[0, :3] @ first[:3, 0]) / first[3, 0]
        true = abs(
            sum(Fraction(a) * Fraction(b) for a, b in zip(second[0], first[:, 0], strict=True))
        )
        parts = [Linear(first, np.zeros(4)), Linear(second, np.zeros(1))]
        W, b = merge(parts, 1, None, RELU)
        bound = Fraction(lipsnn.certify(lipsnn.Network([W, [[1.0]]], [b, [0.0]])).bound)
        assert true <= bound <= true * (1 + Fraction(1, 10**9))


def test_entries_are_rounded_once_and_grown_by_a_share():
    rng = np.random.default_rng(1)
    A, B = rng.normal(size=(6, 5)), rng.normal(size=(4, 6))
    W, _ = merge([Linear(A, np.zeros(6)), Linear(B, np.zeros(4))], 5, (0.1, 1.0), RELU)
    for i in range(4):
        for j in range(5):
            exact = sum(Fraction(B[i, k]) * Fraction(A[k, j]) for k in range(6))
            grown = Fraction(W[i, j]) / exact
            assert 1 < grown < 1 + Fraction(1, 10**12)


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
