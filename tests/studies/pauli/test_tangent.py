import numpy as np
import pytest

from lipsnn import certify, train_sgd
from studies.pauli import tangent


@pytest.fixture(scope="module")
def start(servo):
    X, y = servo.X_train, servo.y_train
    net = train_sgd(X, y, 4, 0.1, 0, epochs=60)
    return net, tangent.tangent_loss(net, X, y, 0.5), certify(net)


def test_touches_the_loss_at_its_centre(start, servo):
    net, loss, _ = start
    X, y = servo.X_train, servo.y_train
    assert loss(loss.centre) == pytest.approx(0.5 * np.sum((net(X) - y) ** 2))
    rng = np.random.default_rng(0)
    along = rng.normal(size=len(loss.centre))
    hidden, outer = loss.split(1e-6 * along)

    def real(sign):
        weights = net.weights + sign * np.c_[hidden, np.zeros(net.width)]
        moved = type(net)(weights, net.outer + sign * outer[0])
        return 0.5 * np.sum((moved(X) - y) ** 2)

    slope = (real(1) - real(-1)) / 2e-6
    assert loss.gradient(loss.centre) @ along == pytest.approx(slope, rel=1e-5)


def test_gradient_is_the_derivative(start):
    _, loss, _ = start
    rng = np.random.default_rng(1)
    w, along = rng.normal(size=(2, len(loss.centre)))
    slope = (loss(w + 1e-5 * along) - loss(w - 1e-5 * along)) / 2e-5
    assert loss.gradient(w) @ along == pytest.approx(slope, rel=1e-6)


@pytest.mark.parametrize("problem", ["penalised", "enforced"])
def test_admm_reaches_the_global_minimum_and_v_falls(start, problem):
    _, loss, certificate = start
    t = certificate.multipliers
    if problem == "penalised":
        terms, penalty = {"strength": 1.0}, 3.0
    else:
        terms, penalty = {"enforce": 0.5 * certificate.bound}, 10.0
    w, solution = tangent.global_minimum(loss, t, **terms)
    begin = np.random.default_rng(2).normal(size=len(w))
    path = tangent.admm(loss, t, penalty=penalty, iterations=80, start=begin, **terms)
    assert path.objective[-1] == pytest.approx(solution.value, rel=1e-5)
    V = tangent.descent_of(path, penalty, w, -loss.gradient(w))
    apart = np.sum((path.W - path.Wbar) ** 2, axis=1)
    moved = np.sum(np.diff(path.Wbar, axis=0) ** 2, axis=1)
    assert (V[1:] <= V[:-1] - penalty * (apart[1:] + moved) + 1e-6 * V[0]).all()
    assert V[-1] < 1e-3 * V[0]
