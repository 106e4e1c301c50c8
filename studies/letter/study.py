"""The letter of Pauli et al.: what its two examples have in common.

Its networks are "nominal" (the loss alone), "l2" (with weight decay), "lipschitz" (ADMM with the
regulariser, T updated after each round) and "enforced" (ADMM with a bound as a constraint). The
settings are those of the authors' code as far as they are known. What it leaves open was settled
before the first run, except for two things in the plane: the falling rate within ADMM and its 20
rounds came after a run at the constant rate, whose loss jumped about. Both rates are in the table.

- the loss is looked at after each block of the letter's least number of steps or epochs, and a
  descent stops once a block moves it by less than 0.01, or after `Setting.blocks` blocks;
- weight decay is on all parameters, biases too, and ADMM starts from that network, as in the
  authors' code for the toy examples;
- a round of ADMM has one block of steps, and the number of rounds is fixed; where the letter's rule
  would have stopped is recorded;
- the enforced bound is half the certified bound of the network with weight decay.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.nn import functional

from lipsnn._checks import Array
from lipsnn.certificate import certify_layers, margin_bounds, norm_product
from lipsnn.convert import as_network
from lipsnn.train import AdmmResult
from studies.common import provenance, runner

NETWORKS = ("nominal", "l2", "lipschitz", "enforced")
# A descent stops once a block moves the loss by less.
SETTLED = 0.01


@dataclass(frozen=True)
class Setting:
    """How the networks of one example are trained.

    Attributes
    ----------
    widths : tuple of int
        Inputs, hidden units of each layer, classes.
    activation : {"Tanh", "ReLU"}
    learning_rate : float
    batch_size : int or None
        None is the full batch.
    block : int
        Steps or epochs between two looks at the loss, and in each round of ADMM.
    blocks : int
        The most that a descent takes.
    decay : float
        lam: the loss of "l2" has lam/2 times the sum of squares of all parameters.
    penalty, strength : float
        r and mu of ADMM.
    rounds : int
        Of ADMM.
    least, moved : int, float
        The letter stops ADMM after this many rounds once L moves by less than `moved`.
    """

    widths: tuple[int, ...]
    activation: str
    learning_rate: float
    batch_size: int | None
    block: int
    blocks: int
    decay: float
    penalty: float
    strength: float
    rounds: int
    least: int
    moved: float


@dataclass(frozen=True, eq=False)
class Trained:
    """Networks by name, seconds of each, and ADMM's rounds.

    Attributes
    ----------
    nets : dict of nn.Sequential
    seconds : dict of float
        The Lipschitz networks' count their start.
    feasible : dict of float
        sqrt(rho) of Wbar, for the two that ADMM trained.
    history : list of dict
        ``network``, ``round`` and the fields of `lipsnn.train.admm.engine.Iteration`.
    """

    nets: dict[str, nn.Sequential]
    seconds: dict[str, float]
    feasible: dict[str, float]
    history: list[dict[str, Any]]


def network(setting: Setting, seed: int) -> nn.Sequential:
    """Torch's default initial weights; torch's global generator is left as it was."""
    modules: list[nn.Module] = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for inputs, outputs in zip(setting.widths[:-1], setting.widths[1:], strict=True):
            modules += [nn.Linear(inputs, outputs), getattr(nn, setting.activation)()]
    return nn.Sequential(*modules[:-1])


def settled(before: float, loss: float) -> bool:
    """Whether a descent stops after a block that changed the loss so."""
    return abs(before - loss) < SETTLED


def train(
    descend: Callable[[float], nn.Sequential],
    admm: Callable[[nn.Sequential, float | None, float | None], AdmmResult],
    setting: Setting,
    names: Sequence[str] = NETWORKS,
) -> Trained:
    """The networks of `names`, those of ADMM from the one with weight decay.

    Parameters
    ----------
    descend : callable
        From lam to a trained network.
    admm : callable
        From a start, mu or None and L_des or None to what ADMM reached.
    setting : Setting
    names : sequence of str
        Of `NETWORKS`, with "l2" before those that start from it.
    """
    nets: dict[str, nn.Sequential] = {}
    seconds: dict[str, float] = {}
    feasible: dict[str, float] = {}
    history: list[dict[str, Any]] = []
    for name in names:
        begun = time.perf_counter()
        if name in ("nominal", "l2"):
            nets[name] = descend(setting.decay if name == "l2" else 0.0)
            seconds[name] = time.perf_counter() - begun
            continue
        if name == "lipschitz":
            result = admm(nets["l2"], setting.strength, None)
        else:
            result = admm(nets["l2"], None, certify_layers(nets["l2"]).bound / 2)
        nets[name], feasible[name] = result.net, result.history[-1].bound
        seconds[name] = seconds["l2"] + time.perf_counter() - begun
        history += [
            {"network": name, "round": k, **asdict(iteration)}
            for k, iteration in enumerate(result.history, start=1)
        ]
    return Trained(nets, seconds, feasible, history)


def letter_stop(bounds: Sequence[float], least: int, moved: float) -> int:
    """The round at which the letter's rule stops; the last one if it does not."""
    for k in range(max(least, 2), len(bounds) + 1):
        if abs(bounds[k - 1] - bounds[k - 2]) < moved:
            return k
    return len(bounds)


def cross_entropy(net: nn.Sequential, X: Array, y: Array) -> float:
    """The mean over the samples."""
    return float(functional.cross_entropy(_logits(net, X), torch.as_tensor(y)))


def squares(net: nn.Sequential) -> float:
    """The sum of squares of all weights and biases."""
    return float(sum((p.detach() ** 2).sum() for p in net.parameters()))


def accuracy(net: nn.Sequential, X: Array, y: Array) -> float:
    """The share of samples whose class is right."""
    return float((_logits(net, X).argmax(1) == torch.as_tensor(y)).double().mean())


def steepest(net: nn.Sequential, X: Array) -> float:
    """The largest spectral norm of the Jacobian at any of these points."""
    points = _tensor(net, X)
    jacobians = torch.func.vmap(torch.func.jacrev(net))(points)
    return float(torch.linalg.matrix_norm(jacobians.detach(), 2).max())


def certified_radii(net: nn.Sequential, X: Array, y: Array) -> Array:
    """How far each input can move without another class, by the bounds of the margins; 0 where the
    class is wrong already."""
    outputs = _logits(net, X).double().numpy()
    bounds = margin_bounds(net)
    own = outputs[np.arange(len(y)), y][:, None] - outputs
    # a margin whose bound is 0 never changes; a class has none with itself
    with np.errstate(divide="ignore", invalid="ignore"):
        radii = own / bounds[y]
    radii[np.arange(len(y)), y] = np.inf
    return np.maximum(np.nanmin(radii, axis=1), 0.0)


def measures(net: nn.Sequential, X: Array, y: Array, test: tuple[Array, Array]) -> dict[str, float]:
    """What a table says of a network: loss, accuracies, bounds, slope and certified radius."""
    bound = certify_layers(net).bound
    return {
        "loss": cross_entropy(net, X, y),
        "train_accuracy": accuracy(net, X, y),
        "test_accuracy": accuracy(net, *test),
        "bound": bound,
        "norm_product": norm_product(as_network(net)),
        "steepest": steepest(net, test[0][:2000]),
        "radius": float(np.median(certified_radii(net, *test))),
    }


def rows(
    setting: Setting, done: Trained, X: Array, y: Array, test: tuple[Array, Array]
) -> list[dict[str, Any]]:
    """A row for each network."""
    found = []
    for name, net in done.nets.items():
        rounds = [line["bound"] for line in done.history if line["network"] == name]
        found.append(
            {
                "network": name,
                **measures(net, X, y, test),
                "feasible_bound": done.feasible.get(name, float("nan")),
                "letter_stop": letter_stop(rounds, setting.least, setting.moved) if rounds else 0,
                "seconds": done.seconds[name],
            }
        )
    return found


def _logits(net: nn.Sequential, X: Array) -> torch.Tensor:
    with torch.no_grad():
        return net(_tensor(net, X))


def _tensor(net: nn.Sequential, X: Array) -> torch.Tensor:
    """In the network's dtype."""
    return torch.as_tensor(X).to(next(net.parameters()))


def collect(outcomes: Sequence[runner.Outcome], part: str) -> pd.DataFrame:
    """The "rows" or the "history" of all trials, with what tells them apart."""
    return runner.table(outcomes, ("example", "rate", "seed"), lambda value: value[part])


def write(
    output: Path,
    tables: Mapping[str, pd.DataFrame],
    outcomes: Sequence[runner.Outcome],
    commit: str,
    **facts: Any,
) -> int:
    """Write `output` with each suffix before ".csv"; the exit code, 1 if a trial failed."""
    failed = runner.report_failed(outcomes, "example", "rate", "seed")
    for suffix, table in tables.items():
        provenance.write_table(
            output.with_name(f"{output.stem}{suffix}.csv"),
            table,
            commit=commit,
            seconds=sum(outcome.seconds for outcome in outcomes),
            failed=len(failed),
            **facts,
        )
    return int(bool(failed))
