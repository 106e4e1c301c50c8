"""Torch modules, read by running them: what is recorded is what ``forward`` does, hooks and all."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from typing import Any

import numpy as np

from lipsnn import _checks
from lipsnn._checks import Array
from lipsnn._optional import nn, torch
from lipsnn.activations import Activation
from lipsnn.convert.chain import ACTIVATIONS, SUPPORTED, Step, assemble, check, draws, same
from lipsnn.convert.operations import numbers
from lipsnn.convert.tracked import line, record
from lipsnn.network import Network


def from_torch(net: nn.Module, X: Any = None) -> Network:
    """The network that `net` computes in evaluation.

    Its forward is run on drawn inputs (and on X) as it is and once more on tensors that record
    what is done to them, so that weights which a hook or a parametrisation makes are those that
    the forward sees. The weights are taken as real numbers; nothing of the module is changed.
    A forward that asks for the layout of its inputs, how many they are beyond a thousand, or how
    often it was called beyond a dozen times may be another function than the one that was seen.
    """
    X = None if X is None else _checks.inputs(X)
    # these would send a batch to their devices; with hooks on themselves they run as they are
    parallel = nn.DataParallel, nn.parallel.DistributedDataParallel
    while type(net) in parallel and not (
        net._forward_hooks or net._forward_pre_hooks or "forward" in vars(net)
    ):
        net = net.module  # type: ignore[assignment]
    names = {
        id(module): f"{name} ({type(module).__name__})" if name else type(module).__name__
        for name, module in net.named_modules()
    }
    for module in net.modules():
        if module.training and _switches(module):
            raise ValueError(f"{names[id(module)]} has its own training mode: call eval() first")
    like = _first_float(net)
    with _left_as_it_was(net, like.device):
        dim = _input_size(net, like, X)
        unit, largest = torch.finfo(like.dtype).eps, torch.finfo(like.dtype).max
        if like.is_cuda and like.dtype == torch.float32:
            unit = 2.0**-10  # TF32, if it is allowed
        steps: list[Step] | None = None
        seen: list[tuple[Array, Array]] = []
        for batch in draws(dim, X):
            x = torch.as_tensor(batch).to(like)
            if not torch.isfinite(x).all():
                continue
            y = _forward(net, x)
            found, again, rough = record(net, x.clone(), names)
            unit, largest = max(unit, rough[0]), min(largest, rough[1])
            if steps and not (len(steps) == len(found) and all(map(same, steps, found))):
                raise ValueError(
                    f"{type(net).__name__}.forward does not do the same to every input: it has a "
                    "state or a branch; build a Network from the weights yourself"
                )
            steps = found
            seen.append((numbers(x), numbers(y)))
            with torch.enable_grad(), contextlib.suppress(_Misfit):
                seen.append((seen[-1][0], numbers(_forward(net, x.clone().requires_grad_()))))
            if again.shape != y.shape:
                raise ValueError(f"{type(net).__name__}.forward gives another shape each time")
    assert steps is not None
    result = assemble(steps, dim, str(like.dtype).removeprefix("torch."))
    for inputs, outputs in seen:
        check(result, steps, inputs, outputs, unit, largest, type(net).__name__)
    return result


def _switches(module: nn.Module) -> bool:
    """Whether `training` alone does not tell what the module does in evaluation."""
    own = any(name in vars(module) for name in ("train", "eval"))
    kind = type(module)
    own = own or kind.train is not nn.Module.train or kind.eval is not nn.Module.eval
    return own and not isinstance(module, torch.fx.GraphModule)


class _Misfit(ValueError):
    """A forward that fails, as on inputs of another size."""


def _forward(net: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """The outputs of the module as it is."""
    try:
        y = net(x.clone())
    except Exception as error:
        raise _Misfit(
            f"{type(net).__name__} cannot be evaluated on inputs of shape {tuple(x.shape)}; if its "
            f"layers do not chain, mend them: {line(error)}"
        ) from None
    if not isinstance(y, torch.Tensor):
        raise ValueError(
            f"{type(net).__name__}.forward must return one tensor, it returns {type(y).__name__}: "
            "wrap it in a module that picks one"
        )
    return y


def _first_float(net: nn.Module) -> torch.Tensor:
    """A tensor whose dtype and device the inputs take."""
    found: list[torch.Tensor] = []
    for tensor in (*net.parameters(), *net.buffers()):
        if isinstance(tensor, nn.parameter.UninitializedParameter):
            raise ValueError("the network has lazy layers: run it once, to set their sizes")
        if tensor.is_meta:
            raise ValueError("the network's weights are on the meta device: load them first")
        if tensor.layout is not torch.strided:
            raise ValueError("the network has sparse weights: call to_dense() on them")
        if tensor.is_floating_point():
            found.append(tensor.detach())
    if found:
        return found[0]
    kinds = sorted({type(module).__name__ for module in net.modules()} - {"Sequential"})
    raise ValueError(
        f"the network has no Linear layer with floating weights: its modules are "
        f"{', '.join(kinds) or 'none'}; quantised layers are not supported"
    )


def _input_size(net: nn.Module, like: torch.Tensor, X: Array | None) -> int:
    """The number of inputs: X's, or the first that forward takes of those its matrices have."""
    sizes = [] if X is None else [X.shape[1]]
    named = (getattr(m, "in_features", None) for m in net.modules())
    sizes += [size for size in named if isinstance(size, int)]
    tensors = [*net.parameters(), *net.buffers()]
    sizes += [t.shape[-1] for t in tensors if t.ndim] + [t.shape[0] for t in tensors if t.ndim == 2]
    first: Exception | None = None
    for size in dict.fromkeys(sizes):
        try:
            _forward(net, torch.zeros(2, size).to(like))
        except _Misfit as error:
            first = first or error
        else:
            return int(size)
    known = {"Linear", "BatchNorm1d", "Flatten", "Dropout", "Identity", "Sequential", *ACTIVATIONS}
    strange = sorted({type(m).__name__ for m in net.modules() if not list(m.children())} - known)
    if strange:
        raise ValueError(
            f"{', '.join(strange)} is not supported; supported are {SUPPORTED} ({first})"
        )
    raise first or ValueError("the network has no Linear layer")


@contextlib.contextmanager
def _left_as_it_was(net: nn.Module, device: torch.device) -> Iterator[None]:
    """In evaluation, without gradients; afterwards the module and all generators are as before."""
    modules = list(net.modules())
    outer = [dict(vars(module)) for module in modules]
    inner = [
        [(value, value.copy()) for value in attributes.values() if isinstance(value, dict)]
        for attributes in outer
    ]
    scripted = [m for m in modules if isinstance(m, torch.jit.ScriptModule) and m.training]
    tensors = [*net.parameters(), *net.buffers()]
    before = [tensor.detach().clone() for tensor in tensors]
    compiled = any(
        type(module).__name__ == "OptimizedModule" or vars(module).get("_compiled_call_impl")
        for module in modules
    )
    states = random.getstate(), np.random.get_state()  # noqa: NPY002
    with contextlib.ExitStack() as stack:
        stack.enter_context(torch.no_grad())
        if torch.is_autocast_enabled(device.type):
            stack.enter_context(torch.autocast(device.type, enabled=False))
        devices = [device] if device.type == "cuda" else []
        stack.enter_context(torch.random.fork_rng(devices=devices))
        if compiled:
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        try:
            for module in modules:
                if isinstance(module, torch.jit.ScriptModule):
                    module.training = False
                else:
                    vars(module)["training"] = False
            yield
        finally:
            for module in scripted:
                module.training = True
            for module, attributes, dicts in zip(modules, outer, inner, strict=True):
                vars(module).clear()
                vars(module).update(attributes)
                for held, content in dicts:
                    held.clear()
                    held.update(content)
            for tensor, value in zip(tensors, before, strict=True):
                if not torch.equal(tensor, value) and not torch.isnan(value).any():
                    tensor.copy_(value)
            random.setstate(states[0])
            np.random.set_state(states[1])  # noqa: NPY002


def to_torch(net: Network, dtype: torch.dtype | None = None) -> nn.Sequential:
    """See `Network.to_torch`; a ValueError if a weight is beyond the range of `dtype`."""
    dtype = getattr(torch, net.dtype) if dtype is None else dtype
    parts: list[nn.Module] = []
    for i, (W, b) in enumerate(zip(net.weights, net.biases, strict=True)):
        linear = nn.Linear(W.shape[1], W.shape[0], dtype=dtype)
        with torch.no_grad():
            linear.weight.copy_(torch.tensor(W))
            linear.bias.copy_(torch.tensor(b))
        if not all(torch.isfinite(part).all() for part in linear.parameters()):
            raise ValueError(f"layer {i} has weights beyond the range of {dtype}")
        parts.append(linear)
        if i < len(net.activations):
            parts.append(_module(net.activations[i], dtype))
    return nn.Sequential(*parts)


def _module(phi: Activation, dtype: torch.dtype) -> nn.Module:
    """torch's module of an activation."""
    name, parameters = phi.name, phi.parameters
    if name == "prelu":
        module = nn.PReLU(len(parameters), dtype=dtype)
        with torch.no_grad():
            module.weight.copy_(torch.tensor(parameters))
        return module
    if name == "gelu_tanh":
        return nn.GELU(approximate="tanh")
    known = {each.lower(): each for each in ACTIVATIONS}
    name = known.get(name.replace("_", ""), "")
    if not name or (name == "LeakyReLU" and len(parameters) > 1):
        raise ValueError(f"torch has no module for {phi}")
    found: nn.Module = getattr(nn, name)(*parameters)
    return found
