"""The hand-written loop takes torch's steps."""

import numpy as np
import pytest
import torch

from lipsnn import train_lipschitz, train_sgd
from lipsnn.autograd import lipschitz_bound
from lipsnn.train.descent import initial_network

OPTIMIZERS = {
    "adam": torch.optim.Adam,
    "sgd": lambda parameters, lr: torch.optim.SGD(parameters, lr=lr, momentum=0.9),
}


def by_torch(X, y, width, seed, penalty, *, epochs, batch_size, learning_rate, optimizer):
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
            residual = torch.relu(inputs[batch] @ weights.T) @ outer - targets[batch]
            (0.5 * (residual**2).mean() + penalty(weights, outer) / len(X)).backward()
            steps.step()
        schedule.step()
    return weights.detach().numpy(), outer.detach().numpy()


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_the_steps_are_those_of_torch(servo, optimizer):
    X, y = servo.X_train, servo.y_train
    settings = {"epochs": 20, "batch_size": 32, "learning_rate": 0.02, "optimizer": optimizer}
    net = train_sgd(X, y, 15, 0.3, 4, **settings)
    weights, outer = by_torch(
        X, y, 15, 4, lambda w, a: 0.15 * ((w**2).sum() + (a**2).sum()), **settings
    )
    np.testing.assert_allclose(net.weights, weights, rtol=0, atol=1e-11)
    np.testing.assert_allclose(net.outer, outer, rtol=0, atol=1e-11)


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
