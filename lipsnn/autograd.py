"""The certificate as a differentiable function of torch tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from lipsnn import _checks
from lipsnn._checks import Array
from lipsnn._optional import torch
from lipsnn.certificate import certify
from lipsnn.certificate.gradient import gradient_of
from lipsnn.network import Network, ShallowNet

Weights: TypeAlias = "torch.Tensor | Sequence[torch.Tensor]"


def lipschitz_bound(
    weights: Weights,
    outer: torch.Tensor | None = None,
    tol: float = 1e-7,
    activations: Any = "relu",
) -> torch.Tensor:
    """The Lipschitz bound L = sqrt(rho) of program (2), differentiable in the weights.

    Parameters
    ----------
    weights : Tensor, (m, d + 1) or (B, m, d + 1), or sequence of Tensor
        Hidden weights w_i, one row per unit, the bias last, as in `ShallowNet`. The bound does
        not depend on the bias column; its gradient there is zero. Or, without `outer`, W_0 .. W_l
        of a `Network`, each (n, n') or (B, n, n').
    outer : Tensor, (m,) or (B, m), optional
        Outer weights a_i.
    tol : float
        Relative gap of the certificate. The gradient is exact at gap zero only: ask for 1e-11
        to compare it with differences.
    activations : str, Activation or a sequence of them
        Of a `Network`, as it takes them.

    Returns
    -------
    Tensor, () or (B,)
        The bounds, in the dtype (rounded up) and on the device of the weights; solved in float64
        on the CPU.

    Raises
    ------
    ValueError
        For shapes that do not fit, NaN or infinite entries, dtypes that are not floating, or
        what is no tensor.
    """
    return WarmBound(tol, warm=False, activations=activations)(weights, outer)


class WarmBound:
    """`lipschitz_bound` for a sequence of similar networks: each solve starts from the last.

    Parameters
    ----------
    tol, activations
        As for `lipschitz_bound`.
    warm : bool
        Whether to keep the last solution; for one hidden layer and one output.

    Attributes
    ----------
    iterations : int
        Iterations of all solves so far.
    """

    def __init__(self, tol: float = 1e-7, warm: bool = True, activations: Any = "relu") -> None:
        self.tol = _checks.positive(tol, "tol")
        self.warm = warm
        self.activations = activations
        self.iterations = 0
        self._factors: list[Array | None] = []

    def __call__(self, weights: Weights, outer: torch.Tensor | None = None) -> torch.Tensor:
        if (outer is None) is not isinstance(weights, (list, tuple)):
            raise ValueError("give a tensor and outer, or a list of weight matrices without outer")
        tensors: list[Any] = list(weights) if outer is None else [weights, outer]
        for tensor in tensors:
            if not isinstance(tensor, torch.Tensor) or not tensor.is_floating_point():
                raise ValueError(
                    "weights and outer must be floating torch tensors, got "
                    f"{getattr(tensor, 'dtype', type(tensor).__name__)}; for arrays take "
                    "certify(net).bound"
                )
        shapes = [tuple(tensor.shape) for tensor in tensors]
        # the outer weights of a shallow network are one row
        orders = [len(shape) + (outer is not None) * k for k, shape in enumerate(shapes)]
        fits = len(tensors) > 1 and (outer is None or shapes[1] == shapes[0][:-1])
        batched = orders[:1] == [3]
        counts = {shape[0] for shape in shapes} if batched else {1}
        if not fits or set(orders) not in ({2}, {3}) or len(counts) > 1:
            raise ValueError(
                "weights must be (m, d + 1) with outer (m,), or (B, m, d + 1) with (B, m), or the "
                f"matrices of a network, each with or without B, got shapes {shapes}"
            )
        result: torch.Tensor = _Bound.apply(self, outer is not None, batched, *tensors)
        return result

    def solve(self, arrays: list[Array], shallow: bool) -> tuple[Array, list[Array]]:
        """Bounds (B,) of a batch of networks, and their gradients by each of the arrays."""
        count = len(arrays[0])
        if len(self._factors) != count:
            self._factors = [None] * count
        bounds, gradients = np.zeros(count), [np.zeros_like(array) for array in arrays]
        for index, parts in enumerate(zip(*arrays, strict=True)):
            net = ShallowNet(*parts) if shallow else Network(parts, activations=self.activations)
            start = self._factors[index] if self.warm and shallow else None
            if start is not None and len(start) != net.dim:
                start = None
            certificate = certify(net, tol=self.tol, start=start)
            self.iterations += certificate.iterations or 0
            bounds[index] = certificate.bound
            if shallow:
                found = certificate.gradient()
            else:
                found = gradient_of(certificate, certificate.form())
            for gradient, own in zip(gradients, found, strict=True):
                gradient[index] = own
            self._factors[index] = certificate.factor
        return bounds, gradients


class _Bound(torch.autograd.Function):
    """Danskin's theorem: what the forward pass ends with is all that the backward pass needs."""

    @staticmethod
    def forward(
        ctx: Any, solver: WarmBound, shallow: bool, batched: bool, *tensors: torch.Tensor
    ) -> torch.Tensor:
        arrays = [tensor.detach().cpu().double().numpy() for tensor in tensors]
        if not batched:
            arrays = [array[None] for array in arrays]
        bounds, gradients = solver.solve(arrays, shallow)
        pairs = zip(gradients, tensors, strict=True)
        ctx.save_for_backward(*(torch.from_numpy(g).reshape(t.shape).to(t) for g, t in pairs))
        return _rounded_up(torch.as_tensor(bounds if batched else bounds[0]), tensors[0])

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grad: torch.Tensor) -> tuple[Any, ...]:
        (by,) = grad
        scaled = (by.reshape(by.shape + (1,) * (s.ndim - by.ndim)) * s for s in ctx.saved_tensors)
        return None, None, None, *scaled


def _rounded_up(bounds: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """The smallest numbers of the dtype of `like` that are not below the bounds (none negative)."""
    found = bounds.to(like.dtype)
    below = found.double() < bounds
    # the next number of a positive float is the next integer of its bits
    whole = {2: torch.int16, 4: torch.int32, 8: torch.int64}[found.element_size()]
    above = (found.view(whole) + 1).view(like.dtype)
    return torch.where(below, above, found).to(like.device)
