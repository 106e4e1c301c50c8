"""CLIP's regulariser: an estimated Lipschitz constant, for any torch network and training loop.

Bungert, Raab, Roith, Schwinn and Tenbrinck, "CLIP: Cheap Lipschitz training of neural networks",
2021. The Lipschitz set is moved uphill before each step (Algorithm 1), and its steepest pair is
what the loss has beside it (Algorithm 2):

    pairs = LipschitzSet(*uniform_pairs(-1, 1, 100, 0.1, dim)(generator))
    for inputs, targets in batches:
        optimizer.zero_grad()
        (loss(net(inputs), targets) + strength * pairs.penalty(net, pairs.update(net))).backward()
        optimizer.step()

`studies.clip.training.train_clip` is such a loop with what the source's experiments need besides.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from lipsnn import _checks
from lipsnn._modules import evaluating
from lipsnn._optional import nn, torch

# A generator -> the two halves of the pairs, (p, ...) each.
Draw = Callable[["torch.Generator"], tuple["torch.Tensor", "torch.Tensor"]]
NORMS = (2, math.inf)


def quotients(
    net: nn.Module,
    first: torch.Tensor,
    second: torch.Tensor,
    input_norm: float = 2,
    output_norm: float = 2,
) -> torch.Tensor:
    """Difference quotients ``|f(x) - f(x')| / |x - x'|`` of CLIP's (3) and (5), pair by pair.

    Parameters
    ----------
    net : torch.nn.Module
    first, second : Tensor, (p, ...)
        The inputs x and x' of each pair.
    input_norm, output_norm : {2, inf}
        The norms below and above, of the flattened inputs and outputs.

    Returns
    -------
    Tensor, (p,)
        Differentiable in the inputs and in the parameters; 0 where x = x'.
    """
    outputs = net(torch.cat([first, second]))
    above = _norm(outputs[: len(first)] - outputs[len(first) :], output_norm)
    below = _norm(first - second, input_norm)
    return above / below.clamp_min(torch.finfo(below.dtype).tiny)


def _norm(difference: torch.Tensor, order: float) -> torch.Tensor:
    return torch.linalg.vector_norm(difference.flatten(1), ord=order, dim=1)


class LipschitzSet:
    """CLIP's X_Lip: pairs of inputs, and the adversarial update that moves them (Algorithm 1).

    A step moves a pair by ``tau L grad L``, L its difference quotient. It is kept only where the
    quotient has grown, and the pair's tau grows with it; elsewhere tau shrinks and the pair stays.
    So the quotients of a fixed network never fall, and each is at most its Lipschitz constant.

    A pair is not brought closer than the square root of the rounding unit of its inputs: nearer
    than that the quotient measures rounding errors.

    Parameters
    ----------
    first, second : Tensor, (p, ...)
        Copied.
    step : float
        tau at the start, for each pair.
    factor : float
        tau is multiplied by it after a step that was kept, and divided by it after another.
    input_norm, output_norm : {2, inf}

    Attributes
    ----------
    first, second : Tensor, (p, ...)
        The pairs as they are now.
    steps : Tensor, (p,)
        tau of each pair.

    Raises
    ------
    ValueError
        For halves of different shapes, no pairs, or an unknown norm.
    """

    def __init__(
        self,
        first: torch.Tensor,
        second: torch.Tensor,
        *,
        step: float = 10.0,
        factor: float = 1.3,
        input_norm: float = 2,
        output_norm: float = 2,
    ) -> None:
        if first.shape != second.shape or first.ndim < 2 or len(first) == 0:
            raise ValueError(
                "first and second must be inputs of the same shape (p, ...), p at least 1, got "
                f"{tuple(first.shape)} and {tuple(second.shape)}"
            )
        step = _checks.positive(step, "step")
        self.factor = _checks.positive(factor, "factor")
        self.norms = (
            _checks.one_of(input_norm, "input_norm", NORMS),
            _checks.one_of(output_norm, "output_norm", NORMS),
        )
        self.first, self.second = first.detach().clone(), second.detach().clone()
        self.steps = torch.full((len(first),), step, dtype=first.dtype, device=first.device)

    def quotients(self, net: nn.Module) -> torch.Tensor:
        """Quotient of each pair, (p,), without a gradient."""
        with evaluating(net), torch.no_grad():
            return quotients(net, self.first, self.second, *self.norms)

    def update(self, net: nn.Module) -> torch.Tensor:
        """One adversarial update of each pair: Algorithm 1.

        Returns
        -------
        Tensor, (p,)
            The quotients after it.
        """
        first, second = self.first.requires_grad_(), self.second.requires_grad_()
        with evaluating(net):
            before = quotients(net, first, second, *self.norms)
            # half the gradient of L^2 is L grad L; each pair's depends on that pair alone
            ascent = torch.autograd.grad(0.5 * (before**2).sum(), (first, second))
            before = before.detach()
            self.first, self.second = first.detach(), second.detach()
            along = self.steps.reshape(-1, *[1] * (first.ndim - 1))
            moved = [
                half + along * by
                for half, by in zip((self.first, self.second), ascent, strict=True)
            ]
            with torch.no_grad():
                after = quotients(net, moved[0], moved[1], *self.norms)
        unit = torch.finfo(first.dtype).eps
        size = 1 + _norm(moved[0], self.norms[0])
        apart = _norm(moved[0] - moved[1], self.norms[0]) >= math.sqrt(unit) * size
        kept = (after > before) & apart & torch.isfinite(after)
        chosen = kept.reshape(along.shape)
        self.first = torch.where(chosen, moved[0], self.first)
        self.second = torch.where(chosen, moved[1], self.second)
        self.steps = torch.where(kept, self.steps * self.factor, self.steps / self.factor)
        return torch.where(kept, after, before)

    def penalty(
        self, net: nn.Module, values: torch.Tensor, power: int = 2, pooling: str = "max"
    ) -> torch.Tensor:
        """The regulariser without its strength, differentiable in the parameters of `net`.

        Parameters
        ----------
        net : torch.nn.Module
        values : Tensor, (p,)
            The pairs' quotients, which tell the worst pair: only that one is run again.
        power : {1, 2}
        pooling : {"max", "mean"}
            Of the quotients to that power: CLIP's (5), or the mean that the authors' code offers.
        """
        worst = int(values.argmax())
        pair = slice(worst, worst + 1) if pooling == "max" else slice(None)
        with evaluating(net):
            each = quotients(net, self.first[pair], self.second[pair], *self.norms)
        return (each**power).mean()


def largest_quotient(net: nn.Module, pairs: LipschitzSet, updates: int = 100) -> float:
    """The largest quotient after so many updates: a lower bound of the Lipschitz constant."""
    values = pairs.quotients(net)
    for _ in range(_checks.count(updates, "updates", least=0)):
        values = pairs.update(net)
    return float(values.max())


def noisy_copies(pool: Any, size: int = 500, noise: float = 0.1) -> Draw:
    """Pairs of an input u of `pool` and ``u + noise U(0, 1)``, as in CLIP's classification.

    Parameters
    ----------
    pool : array_like, (n, ...)
        Inputs that are not trained on.
    size : int
        Pairs at a time, drawn without replacement; at most n of them.
    noise : float
    """
    pool = torch.as_tensor(pool)
    size = min(_checks.count(size, "size"), len(pool))
    noise = _checks.positive(noise, "noise")

    def draw(generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        first = pool[torch.randperm(len(pool), generator=generator)[:size]]
        return first, first + noise * torch.rand(
            first.shape, generator=generator, dtype=first.dtype
        )

    return draw


def uniform_pairs(
    low: float, high: float, size: int, noise: float, dim: int = 1, dtype: torch.dtype | None = None
) -> Draw:
    """Pairs of x uniform in the cube [low, high]^dim and a copy with Gaussian noise."""
    size, dim = _checks.count(size, "size"), _checks.count(dim, "dim")
    noise = _checks.positive(noise, "noise")
    if not low < high:
        raise ValueError(f"low must be below high, got {low} and {high}")

    def draw(generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        uniform = torch.rand(size, dim, generator=generator, dtype=dtype)
        first = low + (high - low) * uniform
        return first, first + noise * torch.randn(size, dim, generator=generator, dtype=first.dtype)

    return draw
