"""ADMM with T free and the outer weights held."""

import numpy as np
import pytest

from lipsnn import ShallowNet, certify, objective, train_admm
from lipsnn.certificate.lmi import lmi_matrix
from studies.pauli.free import FreeStep, train_free

SHORT = {"iterations": 6, "epochs": 4}


def drawn(m, d, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(m, d)), rng.normal(size=m)


@pytest.mark.parametrize("mu", [0.1, 10.0, None])
@pytest.mark.parametrize(("m", "d"), [(1, 1), (5, 3), (3, 6), (12, 4)])
def test_the_step_is_feasible_and_optimal(m, d, mu):
    hidden, outer = drawn(m, d)
    net = ShallowNet(np.c_[hidden, np.zeros(m)], outer)
    rho = 0.25 * certify(net).bound ** 2
    step = FreeStep(rho, mu=mu, penalty=0.7)
    found = step.solve([hidden, outer[None]])
    assert found.rho == pytest.approx(rho) or mu is not None
    # the step's T proves its rho
    M = lmi_matrix(found.rho, step.multipliers[0], found.weights[0], outer).value
    root = np.sqrt(-np.diagonal(M))  # t of a unit that the step empties is large
    assert np.linalg.eigvalsh(M / np.outer(root, root)).max() <= 1e-8
    # Clarabel stops at 1e-8, absolute where values are small
    scale = 0.35 * np.sum(hidden**2)
    assert found.value == pytest.approx(found.lower, abs=max(1e-6 * scale, 2e-7))


def test_no_fixed_multipliers_do_better():
    """With the outer weights held: T of the start's certificate, and T in turns, stay above."""
    hidden, outer = drawn(6, 3, 2)
    mu, penalty = 1.0, 0.7
    best = FreeStep(1.0, mu=mu, penalty=penalty).solve([hidden, outer[None]]).value
    at = hidden
    for _ in range(3):
        t = certify(ShallowNet(np.c_[at, np.zeros(6)], outer), tol=1e-9).multipliers
        q = outer**2 / (2 * t)
        # rho at this T is a spectral norm (fact D): the step in the hidden weights by its gradient
        S = np.diag(t / 2) + np.outer(outer, outer) / (4 * (1 - q.sum()))
        at = at.copy()
        for _ in range(4000):
            x = np.linalg.eigh(at.T @ S @ at)[1][:, -1]
            gradient = 2 * mu * np.outer(S @ at @ x, x) + penalty * (at - hidden)
            at -= 2e-3 * gradient
        rho = np.linalg.eigvalsh(at.T @ S @ at)[-1]
        assert mu * rho + penalty / 2 * np.sum((at - hidden) ** 2) >= best * (1 - 1e-6)


def test_the_enforced_bound_holds_at_every_iteration(trained, servo):
    """Pauli et al.'s Theorem 8, asserted on each Wbar."""
    desired = 0.6 * certify(trained).bound
    seen = []
    settings = {"enforce": desired, "callback": seen.append, **SHORT}
    result = train_free(servo.X_train, servo.y_train, trained, **settings)
    assert len(seen) == len(result.history) == SHORT["iterations"]
    for net in seen:
        assert certify(net, tol=1e-9).bound <= desired * (1 + 1e-6)


def test_holds_the_outer_weights_and_lowers_the_objective(trained, servo):
    X, y = servo.X_train, servo.y_train
    settings = {"strength": 2.0, "init": trained, "iterations": 25, "epochs": 4}
    result = train_free(X, y, **settings)
    for net in (result.net, result.feasible):
        np.testing.assert_array_equal(net.outer, trained.outer)
    last = result.history[-1]
    assert certify(result.feasible).bound == pytest.approx(last.bound, rel=1e-5)
    assert last.objective < 0.9 * objective(trained, X, y, 2.0, "lipschitz")
    # with T fixed the step leaves something of the bound unused
    fixed = train_admm(X, y, multipliers="fixed", **settings)
    assert fixed.history[-1].bound > 1.001 * certify(fixed.feasible).bound
