"""CLIP's regression example: Figure 2, and how much CLIP underestimates a network it has trained.

`python -m studies.clip regression` writes results/full/clip_figure2.csv (the curves),
clip_slopes.csv (a row for each curve) and clip_estimate.csv.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn
from tqdm import tqdm

from lipsnn._checks import Array
from lipsnn.certificate import certify, enumerated_constant
from lipsnn.losses import Loss, Squared
from lipsnn.network import ShallowNet
from lipsnn.train.clip import largest_quotient
from lipsnn.train.sgd import train_sgd
from studies.clip.printed import PAPER_CURVES, PAPER_RMS, PAPER_SLOPES
from studies.clip.regularizers import Lipschitz, Pairs, uniform_pairs
from studies.clip.training import ClipResult, train_clip
from studies.common import provenance
from studies.common.command import parse

# Each strength starts from the network of the one before.
STRENGTHS = (0.0, 10.0, 1.0, 1e-10)


class _SumOfSquares(Squared):
    """``sum_k (f(x_k) - y_k)^2``, in place of the mean: the source's full batch has one step."""

    def mean(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return ((outputs - targets) ** 2).sum()


# What "lambda" multiplies, and beside what, is not the same in the paper and in its code.
READINGS: dict[str, tuple[str | Loss, dict[str, Any]]] = {
    "printed": ("mse", {"power": 1, "pooling": "max"}),
    "code": (_SumOfSquares(), {"power": 2, "pooling": "mean"}),
}


def truth(x: Array) -> Array:
    """``max(|x| - 3, 0) / 2``."""
    return np.maximum(np.abs(x) - 3, 0) / 2


def samples(seed: int, noise: float = 0.07) -> tuple[Array, Array]:
    """The 34 samples: those of 100 equispaced points of [-4, 4] that lie in three intervals."""
    x = np.linspace(-4, 4, 100)
    x = x[(x <= -3) | (abs(x) <= 0.3) | (x >= 3)]
    return x, truth(x) + noise * np.random.default_rng(seed).normal(size=len(x))


def network(seed: int, widths: tuple[int, ...] = (500, 200, 100)) -> nn.Sequential:
    """The source's network: sigmoid after every layer, the last included."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers: list[nn.Module] = []
        for inputs, outputs in zip((1, *widths), (*widths, 1), strict=True):
            layers += [nn.Linear(inputs, outputs), nn.Sigmoid()]
        return nn.Sequential(*layers)


def chain(
    reading: str,
    seed: int = 0,
    *,
    epochs: int = 500,
    free_epochs: int = 1500,
    learning_rate: float = 1e-3,
    pairs: int = 100,
    widths: tuple[int, ...] = (500, 200, 100),
) -> dict[float, ClipResult]:
    """The four networks of Figure 2, one for each strength.

    The unregularised one comes first; lambda = 10 starts from it, 1 from 10, and 1e-10 from 1. The
    Lipschitz set is drawn anew in every epoch: x uniform in [-4, 4] and a copy with Gaussian noise
    of 0.1. Adam on the full batch: the source names plain gradient descent with momentum, under
    which this network stays on the plateau of the constants for hundreds of epochs.

    Parameters
    ----------
    reading : {"printed", "code"}
        "printed" is the mean loss and the worst pair's quotient, CLIP's (2) and (5). "code" is the
        sum of squares and the mean of the squared quotients, as the authors' code has them.
    seed : int
        Of samples, initial weights and pairs.
    epochs, free_epochs : int
        With and without regularisation.
    learning_rate : float
    pairs : int
    widths : tuple of int
    """
    x, y = samples(seed)
    X = torch.tensor(x, dtype=torch.float32)[:, None]
    net: nn.Module = network(seed, widths)
    results = {}
    loss, how = READINGS[reading]
    for strength in STRENGTHS:
        drawn = Pairs(uniform_pairs(-4, 4, pairs, 0.1), redraw=1, step=1.0)
        results[strength] = train_clip(
            net,
            X,
            y,
            Lipschitz(drawn, strength, **how) if strength else None,
            loss=loss,
            epochs=epochs if strength else free_epochs,
            batch_size=len(x),
            learning_rate=learning_rate,
            optimizer="adam",
            seed=seed,
            progress=False,
        )
        net = results[strength].net
    return results


def curve(net: nn.Module, x: Array) -> Array:
    """Values of a network of one variable."""
    with torch.no_grad():
        return net(torch.tensor(x, dtype=torch.float32)[:, None])[:, 0].double().numpy()


def figure_rows(reading: str, seed: int, **settings: Any) -> tuple[list[dict], list[dict]]:
    """Curves and their summaries, of one reading and seed."""
    x = np.round(np.linspace(-4, 4, 321), 10)
    points, summaries = [], []
    for strength, result in chain(reading, seed, **settings).items():
        values = curve(result.net, x)
        named = {"reading": reading, "seed": seed, "strength": strength}
        printed = PAPER_CURVES[strength]
        points += [
            {**named, "x": at, "value": value, "paper": printed.get(at, np.nan)}
            for at, value in zip(x, values, strict=True)
        ]
        off = [curve(result.net, np.array([at]))[0] - value for at, value in printed.items()]
        summaries.append(
            {
                **named,
                "mse": np.mean((curve(result.net, samples(seed)[0]) - samples(seed)[1]) ** 2),
                "max_slope": np.abs(np.diff(values) / np.diff(x)).max(),
                "rms": np.sqrt(np.mean((values - truth(x)) ** 2)),
                "rms_to_paper": np.sqrt(np.mean(np.square(off))),
                "paper_max_slope": PAPER_SLOPES.get(strength, np.nan),
                "paper_rms": PAPER_RMS[strength],
                "epochs": len(result.history),
                "seconds": result.history["seconds"].sum(),
            }
        )
    return points, summaries


def box_pairs(X: Array, size: int, noise: float = 0.1) -> Pairs:
    """Uniform pairs in the data's box, redrawn every tenth epoch of batches of 32."""
    draw = uniform_pairs(float(X.min()), float(X.max()), size, noise, X.shape[1], torch.float64)
    return Pairs(draw, redraw=10 * -(-len(X) // 32), step=1.0)


def trained(
    net: nn.Module, X: Array, y: Array, how: Lipschitz, loss: str, epochs: int, seed: int
) -> ClipResult:
    """A shallow network trained on, by Adam at 3e-3 over batches of 32."""
    return train_clip(
        net,
        X,
        y,
        how,
        loss=loss,
        epochs=epochs,
        batch_size=32,
        learning_rate=3e-3,
        optimizer="adam",
        seed=seed,
        progress=False,
    )


def estimate_rows(
    X: Array,
    y: Array,
    seed: int,
    strengths: tuple[float, ...] = (0.0, 0.003, 0.03, 0.3),
    *,
    width: int = 20,
    epochs: int = 200,
    pairs: int = 50,
    noise: float = 0.1,
) -> list[dict[str, float]]:
    """A shallow ReLU network trained by CLIP: its estimate, its exact constant, its certificate.

    Mean squared error and squared quotient of the worst pair, as in the source's classification,
    from a network that was trained without regularisation. The Lipschitz set is redrawn every tenth
    epoch. ``estimate`` is the largest quotient of the last set, ``pursued`` after 500 further
    updates of it, ``sampled`` the largest gradient on the data.
    """
    start = train_sgd(X, y, width, 0.0, seed, epochs=epochs).to_torch()
    rows = []
    drawn = box_pairs(X, pairs, noise)
    for strength in strengths:
        result = trained(start, X, y, Lipschitz(drawn, strength), "mse", epochs, seed)
        net = ShallowNet.from_torch(result.net)
        assert result.pairs is not None
        rows.append(
            {
                "strength": strength,
                "seed": seed,
                "mse": float(np.mean((net(X) - y) ** 2)),
                "estimate": largest_quotient(result.net, result.pairs, 0),
                "pursued": largest_quotient(result.net, result.pairs, 500),
                "sampled": float(np.linalg.norm(net.gradient(X), axis=1).max()),
                "exact": enumerated_constant(net),
                "certificate": certify(net).bound,
            }
        )
    return rows


def estimate_data(seed: int, size: int = 200) -> tuple[Array, Array]:
    """Rastrigin's function of two variables near its middle, where it has few hills."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(-1, 1, size=(size, 2))
    return X, (20 + (X**2 - 10 * np.cos(2 * np.pi * X)).sum(axis=1)) / 40


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m studies.clip regression", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=500)
    parser.add_argument("--free-epochs", type=int, default=1500, help="without regularisation")
    options = parse(parser, arguments, "", seeds=1, epochs=20, free_epochs=60)
    code = provenance.commit(Path.cwd())
    seeds = range(options.seeds)
    settings = {"epochs": options.epochs, "free_epochs": options.free_epochs}

    start = time.perf_counter()
    points, summaries = [], []
    for reading, seed in tqdm([(reading, seed) for reading in READINGS for seed in seeds]):
        found = figure_rows(reading, seed, **settings)
        points += found[0]
        summaries += found[1]
    seconds = time.perf_counter() - start
    for name, rows in (("clip_figure2", points), ("clip_slopes", summaries)):
        provenance.write_table(
            options.output / f"{name}.csv",
            pd.DataFrame(rows),
            commit=code,
            seconds=seconds,
            seeds=list(seeds),
            sources="studies/clip/regression.py",
            made_by=options.made_by,
            **settings,
        )

    start = time.perf_counter()
    rows = [row for seed in tqdm(seeds) for row in estimate_rows(*estimate_data(seed), seed)]
    provenance.write_table(
        options.output / "clip_estimate.csv",
        pd.DataFrame(rows),
        commit=code,
        seconds=time.perf_counter() - start,
        seeds=list(seeds),
        sources="studies/clip/regression.py",
        made_by=options.made_by,
    )
    print(pd.DataFrame(summaries).to_string(), pd.DataFrame(rows).to_string(), sep="\n")
    return 0
