"""What attacks and training ask of any torch module: its data, and its evaluation mode."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from lipsnn import _checks
from lipsnn._optional import nn, torch

if TYPE_CHECKING:
    from lipsnn.losses import Loss


@contextmanager
def evaluating(net: nn.Module) -> Iterator[None]:
    """`net` in evaluation mode; after it every module trains, or not, as before."""
    flags = [(module, module.training) for module in net.modules()]
    net.eval()
    try:
        yield
    finally:
        for module, training in flags:
            module.training = training


def data(net: nn.Module, X: Any, y: Any, loss: Loss) -> tuple[torch.Tensor, torch.Tensor]:
    """Inputs and targets as `net` takes them, in the type and on the device of its parameters.

    Raises
    ------
    ValueError
        If they do not fit `net` or `loss`, saying what to do.
    """
    floating = (p for p in net.parameters() if p.is_floating_point())
    like = next(floating, torch.zeros((), dtype=torch.get_default_dtype()))
    if (
        isinstance(X, torch.Tensor)
        and X.layout is torch.strided
        and not (X.is_complex() or X.is_quantized)
    ):
        X = X.detach()  # wherever it is, and however large
        if not torch.isfinite(X).all():
            raise ValueError("X has NaN or infinite entries: remove or impute them")
    else:
        X = torch.from_numpy(_checks.finite_array(X, "X", np.ndim(X)))
    if X.ndim < 2 or not len(X):
        raise ValueError(f"X must hold at least one sample, one a row, got shape {tuple(X.shape)}")
    inputs = X.to(like)
    try:
        with evaluating(net), torch.no_grad():
            outputs = tuple(net(inputs[:1]).shape[1:])
    except (RuntimeError, ValueError) as error:
        raise ValueError(f"X {tuple(X.shape)} does not fit the network: {error}") from None
    targets = torch.from_numpy(loss.targets(y, outputs))
    if len(targets) != len(inputs):
        raise ValueError(f"X has {len(inputs)} rows but y has {len(targets)} entries")
    return inputs, targets.to(like if targets.is_floating_point() else like.device)
