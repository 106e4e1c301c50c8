"""The Lipschitz step with T free against its program in CVXPY."""

import numpy as np
import pytest

from lipsnn import ShallowNet, certify
from lipsnn.certificate.lmi import lmi_matrix
from lipsnn.train.admm.free import FreeStep
from studies.pauli.reference import solve_free_step

PENALTY = 0.7


def drawn(m, d, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(m, d)), rng.normal(size=m)


def bound_of(hidden, outer):
    return certify(ShallowNet(np.c_[hidden, np.zeros(len(outer))], outer), tol=1e-10).bound


@pytest.mark.parametrize("mu", [1e-3, 0.1, 10.0, None])
@pytest.mark.parametrize(("m", "d"), [(1, 1), (5, 3), (3, 6), (12, 4)])
def test_equals_the_program(m, d, mu):
    hidden, outer = drawn(m, d)
    rho = 0.25 * bound_of(hidden, outer) ** 2
    found = FreeStep(outer, rho, mu=mu, penalty=PENALTY).solve([hidden, outer[None]])
    W, level, solution = solve_free_step(
        hidden, outer, mu=mu, penalty=PENALTY, rho=rho, solver="CLARABEL"
    )
    assert solution.status == "optimal"
    scale = 0.5 * PENALTY * np.sum(hidden**2)
    # Clarabel stops at 1e-8, absolute where values are small
    assert found.value == pytest.approx(solution.value, abs=max(1e-6 * scale, 2e-8))
    assert solution.value - found.lower >= -max(1e-7 * scale, 2e-8)
    np.testing.assert_allclose(found.weights[0], W, atol=1e-3)
    assert found.rho == pytest.approx(level, rel=1e-3)


@pytest.mark.parametrize("mu", [1e-2, 1.0, None])
@pytest.mark.parametrize(("m", "d"), [(30, 6), (60, 11)])
def test_gap_is_certified_and_the_bound_is_kept(m, d, mu):
    hidden, outer = drawn(m, d, 1)
    step = FreeStep(outer, 2.0, mu=mu, penalty=PENALTY)
    found = step.solve([hidden, outer[None]])
    assert 0 <= found.gap <= 1e-8 * 0.5 * PENALTY * np.sum(hidden**2)
    assert bound_of(found.weights[0], outer) <= np.sqrt(found.rho) * (1 + 1e-7)
    if mu is None:
        assert found.rho == 2.0
    M = lmi_matrix(found.rho, step.multipliers[0], found.weights[0], outer).value
    root = np.sqrt(-np.diagonal(M))  # t of a unit that the step empties is large
    assert np.linalg.eigvalsh(M / np.outer(root, root)).max() <= 1e-9


def test_no_fixed_multipliers_do_better():
    """With the outer weights held: T of the start's certificate, and T in turns, stay above."""
    hidden, outer = drawn(6, 3, 2)
    mu = 1.0
    best = FreeStep(outer, 1.0, mu=mu, penalty=PENALTY).solve([hidden, outer[None]]).value
    at = hidden
    for _ in range(3):
        net = ShallowNet(np.c_[at, np.zeros(6)], outer)
        t = certify(net, tol=1e-9).multipliers
        q = outer**2 / (2 * t)
        # rho at this T is a spectral norm (fact D): the step in the hidden weights by its gradient
        S = np.diag(t / 2) + np.outer(outer, outer) / (4 * (1 - q.sum()))
        at = at.copy()
        for _ in range(4000):
            x = np.linalg.eigh(at.T @ S @ at)[1][:, -1]
            gradient = 2 * mu * np.outer(S @ at @ x, x) + PENALTY * (at - hidden)
            at -= 2e-3 * gradient
        rho = np.linalg.eigvalsh(at.T @ S @ at)[-1]
        assert mu * rho + PENALTY / 2 * np.sum((at - hidden) ** 2) >= best * (1 - 1e-9)


def test_a_unit_that_is_not_used_stays():
    hidden, outer = drawn(5, 3)
    outer[2] = 0.0
    step = FreeStep(outer, 1.0, mu=0.5, penalty=PENALTY)
    found = step.solve([hidden, outer[None]])
    np.testing.assert_array_equal(found.weights[0][2], hidden[2])
    assert step.multipliers[0][2] == 0.0
    rest = np.delete(np.arange(5), 2)
    alone = FreeStep(outer[rest], 1.0, mu=0.5, penalty=PENALTY).solve(
        [hidden[rest], outer[None, rest]]
    )
    assert found.value == pytest.approx(alone.value)


def test_a_network_of_zeros():
    outer = np.ones(4)
    for mu, rho in ((0.3, 0.0), (None, 1.5)):
        step = FreeStep(outer, 1.5, mu=mu, penalty=1.0)
        found = step.solve([np.zeros((4, 3)), outer[None]])
        assert (found.rho, found.value) == (rho, 0.0)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"penalty": 0.0}, "penalty must be positive"),
        ({"rho": -1.0}, "rho must be positive"),
        ({"mu": 0.0}, "mu must be positive"),
        ({"tol": 0.0}, "tol must be positive"),
        ({"outer": np.full(4, np.nan)}, "outer"),
        ({"outer": np.full(4, 2.0)}, "holds 4 outer weights"),
        ({"outer": np.ones(5)}, "holds 5 outer weights"),
    ],
)
def test_bad_input(change, word):
    settings = {"outer": np.ones(4), "rho": 1.0, "mu": 0.1, "penalty": 1.0, **change}
    with pytest.raises(ValueError, match=word):
        FreeStep(settings.pop("outer"), settings.pop("rho"), **settings).solve(
            [np.ones((4, 3)), np.ones((1, 4))]
        )
