"""The certificate as a differentiable function of torch tensors."""

from __future__ import annotations

from typing import Any

import numpy as np

from lipsnn import _checks
from lipsnn._checks import Array
from lipsnn._optional import torch
from lipsnn.certificate import certify
from lipsnn.network import ShallowNet


def lipschitz_bound(weights: torch.Tensor, outer: torch.Tensor, tol: float = 1e-7) -> torch.Tensor:
    """The Lipschitz bound L = sqrt(rho) of program (2), differentiable in both arguments.

    Parameters
    ----------
    weights : Tensor, (m, d + 1) or (B, m, d + 1)
        Hidden weights w_i, one row per unit, the bias last, as in `ShallowNet`. The bound does
        not depend on the bias column; its gradient there is zero.
    outer : Tensor, (m,) or (B, m)
        Outer weights a_i.
    tol : float
        Relative gap of the certificate. The gradient is exact at gap zero only: ask for 1e-11
        to compare it with differences.

    Returns
    -------
    Tensor, () or (B,)
        The bounds, in the dtype and on the device of `weights`; solved in float64 on the CPU, and
        rounded up where that dtype has fewer digits.

    Raises
    ------
    ValueError
        For shapes that do not fit, NaN or infinite entries, or dtypes that are not floating.
    """
    return WarmBound(tol, warm=False)(weights, outer)


class WarmBound:
    """`lipschitz_bound` for a sequence of similar networks: each solve starts from the last.

    Parameters
    ----------
    tol : float
        Relative gap of the certificate.
    warm : bool
        Whether to keep the last solution.

    Attributes
    ----------
    iterations : int
        Iterations of all solves so far.
    """

    def __init__(self, tol: float = 1e-7, warm: bool = True) -> None:
        self.tol = _checks.positive(tol, "tol")
        self.warm = warm
        self.iterations = 0
        self._factors: list[Array | None] = []

    def __call__(self, weights: torch.Tensor, outer: torch.Tensor) -> torch.Tensor:
        if not (isinstance(weights, torch.Tensor) and isinstance(outer, torch.Tensor)):
            raise ValueError(
                f"weights and outer must be torch tensors, got {type(weights).__name__} and "
                f"{type(outer).__name__}; for arrays take certify(ShallowNet(weights, outer)).bound"
            )
        if weights.ndim not in (2, 3) or outer.shape != weights.shape[:-1]:
            raise ValueError(
                "weights must be (m, d + 1) with outer (m,), or (B, m, d + 1) with (B, m), got "
                f"shapes {tuple(weights.shape)} and {tuple(outer.shape)}"
            )
        if not (weights.is_floating_point() and outer.is_floating_point()):
            raise ValueError(
                f"weights and outer must be floating, got {weights.dtype} and {outer.dtype}"
            )
        result: torch.Tensor = _Bound.apply(weights, outer, self)
        return result

    def solve(self, weights: Array, outer: Array) -> tuple[Array, Array, Array]:
        """Bounds (B,), their gradients (B, m, d + 1) and (B, m), for a batch of networks."""
        if len(self._factors) != len(weights):
            self._factors = [None] * len(weights)
        bounds = np.zeros(len(weights))
        by_weights, by_outer = np.zeros_like(weights), np.zeros_like(outer)
        for index, (w, a) in enumerate(zip(weights, outer, strict=True)):
            net = ShallowNet(w, a)
            start = self._factors[index]
            if start is not None and start.shape[0] != net.dim:
                start = None
            certificate = certify(net, tol=self.tol, start=start)
            self.iterations += certificate.iterations or 0
            bounds[index] = certificate.bound
            by_weights[index], by_outer[index] = certificate.gradient()
            if self.warm:
                self._factors[index] = certificate.factor
        return bounds, by_weights, by_outer


class _Bound(torch.autograd.Function):
    """Danskin's theorem: the optimal P of the forward pass is all that the backward pass needs."""

    @staticmethod
    def forward(
        ctx: Any, weights: torch.Tensor, outer: torch.Tensor, solver: WarmBound
    ) -> torch.Tensor:
        arrays = [tensor.detach().cpu().double().numpy() for tensor in (weights, outer)]
        if weights.ndim == 2:
            arrays = [array[None] for array in arrays]
        bounds, by_weights, by_outer = solver.solve(arrays[0], arrays[1])
        ctx.save_for_backward(
            torch.from_numpy(by_weights).reshape(weights.shape).to(weights),
            torch.from_numpy(by_outer).reshape(outer.shape).to(outer),
        )
        return _rounded_up(torch.from_numpy(bounds), weights).reshape(weights.shape[:-2])

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grad: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, None]:
        by_weights, by_outer = ctx.saved_tensors
        return grad[0][..., None, None] * by_weights, grad[0][..., None] * by_outer, None


def _rounded_up(bounds: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """The smallest numbers of the dtype of `like` that are not below the bounds (none negative)."""
    found = bounds.to(like.dtype)
    below = found.double() < bounds
    # the next number of a positive float is the next integer of its bits
    whole = {2: torch.int16, 4: torch.int32, 8: torch.int64}[found.element_size()]
    above = (found.view(whole) + 1).view(like.dtype)
    return torch.where(below, above, found).to(like.device)
