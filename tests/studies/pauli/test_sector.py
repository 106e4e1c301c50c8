import numpy as np
import pytest
from drawing import draw_network

import lipsnn
from studies.pauli.sector import increment_form, sector_bound, sector_matrix

LEAK = 0.2
SECTORS = {
    "relu": (lambda u: np.maximum(u, 0), 0.0, 1.0),
    "tanh": (np.tanh, 0.0, 1.0),
    "sigmoid": (lambda u: 1 / (1 + np.exp(-u)), 0.0, 0.25),
    "leaky": (lambda u: np.where(u > 0, u, LEAK * u), LEAK, 1.0),
}


@pytest.mark.parametrize("seed", range(3))
def test_relu_case_is_program_2(seed):
    net = draw_network(seed, 6, 3)
    answer = sector_bound(net.weights[:, :-1], net.outer[None, :])
    assert answer.solution.status == "optimal"
    assert answer.bound == pytest.approx(lipsnn.certify(net).bound, rel=1e-5)


@pytest.mark.parametrize("name", SECTORS)
def test_bound_is_above_every_difference_quotient(name):
    phi, alpha, beta = SECTORS[name]
    rng = np.random.default_rng(7)
    W0, b0, W1 = rng.normal(size=(5, 2)), rng.normal(size=5), rng.normal(size=(3, 5))
    x = rng.normal(size=(20_000, 2))
    y = x + rng.normal(size=x.shape) * rng.choice([1e-3, 0.1, 1.0], size=(len(x), 1))
    rise = (phi(x @ W0.T + b0) - phi(y @ W0.T + b0)) @ W1.T
    steepest = (np.linalg.norm(rise, axis=1) / np.linalg.norm(x - y, axis=1)).max()
    bound = sector_bound(W0, W1, alpha, beta).bound
    assert steepest <= bound <= beta * np.linalg.norm(W0, 2) * np.linalg.norm(W1, 2) * (1 + 1e-6)


def test_linear_units_are_bounded_by_their_one_slope():
    # in the sector [1 - e, 1] the units are nearly the identity
    rng = np.random.default_rng(0)
    W0, W1 = rng.normal(size=(4, 2)), rng.normal(size=(1, 4))
    assert sector_bound(W0, W1, 1 - 1e-3, 1.0).bound == pytest.approx(
        np.linalg.norm(W1 @ W0, 2), rel=0.02
    )


@pytest.mark.parametrize("name", SECTORS)
def test_form_is_not_negative_for_diagonal_T(name):
    phi, alpha, beta = SECTORS[name]
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(2, 1000, 3))
    T = np.diag(rng.uniform(size=3))
    assert increment_form(T, x - y, phi(x) - phi(y), alpha, beta).min() >= -1e-12


def test_coupled_T_fails_on_the_printed_pair():
    T = np.array([[1.0, -1.0], [-1.0, 1.0]])
    x, y = np.array([[0.0, 1.0]] * 2), np.array([[-1.5, 0.0], [-1.0, 0.0]])
    relu = SECTORS["relu"][0]
    assert increment_form(T, x - y, relu(x) - relu(y)).tolist() == [-3.0, -2.0]


def test_matrix_is_the_sum_of_its_parts():
    # v'Pv = form (4) + |W1 dphi|^2 - rho |dx|^2, the step of the proof
    rng = np.random.default_rng(1)
    W0, W1, T = rng.normal(size=(4, 2)), rng.normal(size=(2, 4)), rng.normal(size=(4, 4))
    T = T + T.T
    dx, dphi = rng.normal(size=2), rng.normal(size=4)
    vector = np.concatenate([dx, dphi])
    form = increment_form(T, (W0 @ dx)[None], dphi[None], 0.3, 0.9)[0]
    expected = form + np.sum((W1 @ dphi) ** 2) - 1.7 * np.sum(dx**2)
    assert vector @ sector_matrix(1.7, T, W0, W1, 0.3, 0.9) @ vector == pytest.approx(expected)


@pytest.mark.parametrize(
    ("hidden", "outer", "alpha", "beta", "message"),
    [
        (np.ones((2, 1)), np.ones((1, 3)), 0, 1, r"\(m, d\)"),
        (np.ones((2, 0)), np.ones((1, 2)), 0, 1, r"\(m, d\)"),
        (np.ones((2, 1)), np.ones((1, 2)), 1, 1, "alpha < beta"),
        (np.ones((2, 1)), np.ones((1, 2)), -0.1, 1, "alpha"),
        (np.full((2, 1), np.nan), np.ones((1, 2)), 0, 1, "NaN"),
    ],
)
def test_bad_input_says_what_to_do(hidden, outer, alpha, beta, message):
    with pytest.raises(ValueError, match=message):
        sector_bound(hidden, outer, alpha, beta)


def test_form_of_wrong_shapes():
    with pytest.raises(ValueError, match=r"T must be"):
        increment_form(np.eye(3), np.ones((1, 2)), np.ones((1, 2)))
