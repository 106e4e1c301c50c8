"""The sandwich layer: Wang and Manchester (2023), Direct parameterization of Lipschitz-bounded
deep networks (arXiv 2301.11526).

Every choice of its parameters is a layer whose certificate is 1 at the multipliers ``Psi^2``, so
that a chain of them between two factors ``sqrt(L)`` is L-Lipschitz by itself.
"""

from __future__ import annotations

import torch
from torch import nn


def cayley(X: torch.Tensor, Y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """A (n, n) and B (n, m) with ``A A' + B B' = I``.

    Parameters
    ----------
    X, Y : Tensor, (n, n) and (m, n)
        Free.
    """
    eye = torch.eye(len(X)).to(X)
    Z = X - X.T + Y.T @ Y
    inverse = torch.linalg.inv(eye + Z)
    # I - Z and the inverse commute
    return ((eye - Z) @ inverse).T, (-2 * Y @ inverse).T


class Sandwich(nn.Module):
    """``sqrt(2) A' Psi relu(sqrt(2) Psi^-1 B x + b)``, 1-Lipschitz for all X, Y, d and b.

    Parameters
    ----------
    inputs, units : int

    Attributes
    ----------
    X, Y, scale, bias : Parameter
        Of `cayley`; ``Psi = diag(exp(scale))``; b.
    """

    def __init__(self, inputs: int, units: int) -> None:
        super().__init__()
        self.X, self.Y = _free(units, units), _free(inputs, units)
        self.scale, self.bias = nn.Parameter(torch.zeros(units)), nn.Parameter(torch.zeros(units))

    def matrices(self) -> tuple[torch.Tensor, torch.Tensor]:
        """The matrices before and after the ReLU, (units, inputs) and (units, units)."""
        A, B = cayley(self.X, self.Y)
        psi = torch.exp(self.scale)
        return 2**0.5 * B / psi[:, None], 2**0.5 * A.T * psi

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        before, after = self.matrices()
        return torch.relu(x @ before.T + self.bias) @ after.T


class Last(nn.Module):
    """``B x + b``, the last layer, of one output: B, of length at most 1, is `cayley`'s."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        y = torch.randn(inputs, 1)
        self.Y, self.bias = nn.Parameter(y / y.norm()), nn.Parameter(torch.zeros(1))

    @property
    def weight(self) -> torch.Tensor:
        """(1, inputs)."""
        return cayley(self.Y.new_zeros(1, 1), self.Y)[1]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ self.weight.T + self.bias


def _free(rows: int, columns: int) -> nn.Parameter:
    return nn.Parameter(nn.init.xavier_normal_(torch.empty(rows, columns)))
