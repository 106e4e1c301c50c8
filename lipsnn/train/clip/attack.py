"""How robust a classifier is: projected gradient descent on the inputs of any torch network."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lipsnn import _checks
from lipsnn._optional import nn, torch
from lipsnn.train.clip.pairs import NORMS, evaluating


def accuracy(net: nn.Module, X: torch.Tensor, y: torch.Tensor, batch_size: int = 1000) -> float:
    """Share of the inputs X (n, ...) whose largest output is that of their class y (n,)."""
    with evaluating(net), torch.no_grad():
        right = [
            int((net(inputs).argmax(dim=1) == classes).sum())
            for inputs, classes in zip(X.split(batch_size), y.split(batch_size), strict=True)
        ]
    return sum(right) / len(X)


def pgd_inputs(
    net: nn.Module,
    X: torch.Tensor,
    y: torch.Tensor,
    radius: float,
    *,
    norm: float = 2,
    step: float = 0.25,
    iterations: int = 100,
    batch_size: int = 1000,
) -> torch.Tensor:
    """Inputs near X that `net` takes for another class: CLIP's (14).

    Each iteration adds `step` times the sign of the gradient of the cross-entropy and projects
    onto the ball around the clean input. What is misclassified already is left as it is, so that
    an input survives only if no iterate of it was misclassified.

    Parameters
    ----------
    net : torch.nn.Module
    X : Tensor, (n, ...)
    y : Tensor, (n,)
        Classes.
    radius, step : float
        In the units of X. The source has 2 and 0.25.
    norm : {2, inf}
        Of the ball.
    iterations, batch_size : int

    Returns
    -------
    Tensor, (n, ...)
    """
    radius = _checks.nonnegative(radius, "radius")
    step = _checks.positive(step, "step")
    _checks.one_of(norm, "norm", NORMS)
    _checks.count(iterations, "iterations")
    with evaluating(net):
        return torch.cat(
            [
                _attacked(net, inputs, classes, radius, norm, step, iterations)
                for inputs, classes in zip(X.split(batch_size), y.split(batch_size), strict=True)
            ]
        )


def _attacked(
    net: nn.Module,
    X: torch.Tensor,
    y: torch.Tensor,
    radius: float,
    norm: float,
    step: float,
    iterations: int,
) -> torch.Tensor:
    found = X.clone()
    left = torch.arange(len(X), device=X.device)
    for _ in range(iterations):
        inputs = found[left].requires_grad_()
        outputs = net(inputs)
        right = outputs.argmax(dim=1) == y[left]
        if not right.any():
            break
        loss = nn.functional.cross_entropy(outputs, y[left], reduction="sum")
        (gradient,) = torch.autograd.grad(loss, inputs)
        left, gradient = left[right], gradient[right]
        delta = found[left] + step * gradient.sign() - X[left]
        found[left] = X[left] + _project(delta, radius, norm)
    return found


def _project(delta: torch.Tensor, radius: float, norm: float) -> torch.Tensor:
    if norm == math.inf:
        return delta.clamp(-radius, radius)
    length = torch.linalg.vector_norm(delta.flatten(1), dim=1)
    shrink = (radius / length.clamp_min(torch.finfo(length.dtype).tiny)).clamp_max(1.0)
    return delta * shrink.reshape(-1, *[1] * (delta.ndim - 1))


@dataclass(frozen=True, eq=False)
class PgdAccuracy:
    """Accuracy under `pgd_inputs`, as a score by which `train_clip` keeps its best network.

    Parameters
    ----------
    X : Tensor, (n, ...)
        Validation inputs.
    y : Tensor, (n,)
    radius, norm, step, iterations
        Of `pgd_inputs`.
    """

    X: torch.Tensor
    y: torch.Tensor
    radius: float = 2.0
    norm: float = 2
    step: float = 0.25
    iterations: int = 100

    def __call__(self, net: nn.Module) -> float:
        device = next(net.parameters()).device
        X, y = self.X.to(device), self.y.to(device)
        attacked = pgd_inputs(
            net, X, y, self.radius, norm=self.norm, step=self.step, iterations=self.iterations
        )
        return accuracy(net, attacked, y)
