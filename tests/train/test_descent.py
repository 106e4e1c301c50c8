"""The hand-written loop takes torch's steps."""

import numpy as np
import pytest
import torch

from lipsnn import ShallowNet, as_network, train_admm, train_lipschitz, train_sgd
from lipsnn.autograd import lipschitz_bound
from lipsnn.losses import LOSSES
from lipsnn.train.descent import initial_network

OPTIMIZERS = {
    "adam": torch.optim.Adam,
    "sgd": lambda parameters, lr: torch.optim.SGD(parameters, lr=lr, momentum=0.9),
}


def by_torch(
    X, y, width, seed, penalty, *, epochs, batch_size, learning_rate, optimizer, loss="squared"
):
    """The same training by autograd, torch's optimiser and torch's schedule."""
    generator = torch.Generator().manual_seed(seed)
    start = initial_network(X.shape[1], width, generator)
    weights = torch.tensor(start.weights, requires_grad=True)
    outer = torch.tensor(start.outer, requires_grad=True)
    inputs, targets = torch.from_numpy(np.c_[X, np.ones(len(X))]), torch.from_numpy(y)
    steps = OPTIMIZERS[optimizer]([weights, outer], lr=learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(steps, epochs)
    for _ in range(epochs):
        for batch in torch.randperm(len(X), generator=generator).split(batch_size):
            steps.zero_grad()
            outputs = torch.relu(inputs[batch] @ weights.T) @ outer
            mean = LOSSES[loss].mean(outputs, targets[batch])
            (mean + penalty(weights, outer) / len(X)).backward()
            steps.step()
        schedule.step()
    return weights.detach().numpy(), outer.detach().numpy()


@pytest.mark.parametrize("loss", ["squared", "huber", "logistic"])
@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_the_steps_are_those_of_torch(servo, optimizer, loss):
    X, y = servo.X_train, servo.y_train
    y = np.where(y > 0, 1.0, -1.0) if loss == "logistic" else y
    settings = {"epochs": 20, "batch_size": 32, "learning_rate": 0.02, "optimizer": optimizer}
    settings["loss"] = loss
    net = train_sgd(X, y, 15, 0.3, 4, **settings)
    weights, outer = by_torch(
        X, y, 15, 4, lambda w, a: 0.15 * ((w**2).sum() + (a**2).sum()), **settings
    )
    np.testing.assert_allclose(net.weights, weights, rtol=0, atol=1e-11)
    np.testing.assert_allclose(net.outer, outer, rtol=0, atol=1e-11)


@pytest.mark.parametrize("loss", ["squared", "huber", "logistic"])
def test_a_step_is_along_the_gradient_with_an_offset(servo, loss):
    X, y = servo.X_train, (servo.y_train > 0).astype(float)
    rng = np.random.default_rng(0)
    init = ShallowNet(rng.normal(size=(3, 5)), rng.normal(size=3), offset=0.7)
    how = {"epochs": 1, "learning_rate": 1e-3, "optimizer": "plain", "init": init, "loss": loss}
    net = train_lipschitz(X, y, 3, 0.0, **how)
    outer = torch.tensor(init.outer, requires_grad=True)
    targets = torch.from_numpy(2 * y - 1 if loss == "logistic" else y)
    hidden = torch.relu(torch.from_numpy(np.c_[X, np.ones(len(X))] @ init.weights.T))
    LOSSES[loss].mean(hidden @ outer + 0.7, targets).backward()
    np.testing.assert_allclose(net.outer, init.outer - 1e-3 * outer.grad.numpy(), atol=1e-14)
    assert net.offset == 0.7


@pytest.mark.parametrize("train", [train_sgd, train_lipschitz])
@pytest.mark.parametrize(
    ("loss", "message"),
    [("mse", "one of squared"), ("cross_entropy", "an output for each"), ("logistic", "labels")],
)
def test_losses_that_do_not_fit_are_named(servo, train, loss, message):
    with pytest.raises(ValueError, match=message):
        train(servo.X_train, servo.y_train, 3, 0.1, loss=loss)


def test_so_are_those_along_the_certificate(servo):
    X, y = servo.X_train, servo.y_train
    settings = {"epochs": 8, "batch_size": 64, "learning_rate": 0.02, "optimizer": "adam"}
    net = train_lipschitz(X, y, 8, 0.3, tol=1e-9, **settings)
    weights, outer = by_torch(
        X, y, 8, 0, lambda w, a: 0.3 * lipschitz_bound(w, a, tol=1e-9) ** 2, **settings
    )
    # certificates that start elsewhere agree to their tolerance's square root at worst
    np.testing.assert_allclose(net.weights, weights, rtol=0, atol=1e-5)
    np.testing.assert_allclose(net.outer, outer, rtol=0, atol=1e-5)


def test_any_shallow_network_is_a_start(servo):
    X, y = servo.X_train, servo.y_train
    init = initial_network(X.shape[1], 4, torch.Generator().manual_seed(0))
    how = {"epochs": 1, "seed": 0}
    wanted = train_lipschitz(X, y, 4, 0.1, init=init, **how)
    for start in (init.to_torch(torch.float64), as_network(init.to_torch(torch.float64))):
        assert train_lipschitz(X, y, 4, 0.1, init=start, **how) == wanted
    admm = {"strength": 0.1, "iterations": 1, "epochs": 1}
    same = train_admm(X, y, init=as_network(init.to_torch(torch.float64)), **admm)
    assert same.net == train_admm(X, y, init=init, **admm).net
    with pytest.raises(TypeError, match="loss must be one of"):
        train_admm(X, y, init=init, loss=5, reduction="mean", **admm)


def test_the_initial_network_is_torchs():
    """Uniform in +-1/sqrt(fan in), weights, biases and outer weights in torch's order."""
    net = initial_network(3, 5, torch.Generator().manual_seed(7))
    torch.manual_seed(7)
    layers = torch.nn.Linear(3, 5, dtype=torch.float64), torch.nn.Linear(5, 1, dtype=torch.float64)
    bound = 3**-0.5
    np.testing.assert_allclose(net.weights[:, :-1], layers[0].weight.detach(), atol=1e-15)
    np.testing.assert_allclose(net.weights[:, -1], layers[0].bias.detach(), atol=1e-15)
    np.testing.assert_allclose(net.outer, layers[1].weight.detach()[0], atol=1e-15)
    assert abs(net.weights).max() <= bound
