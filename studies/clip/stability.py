"""Why CLIP with the worst pair fails on MNIST: `python -m studies.clip stability`.

Short runs towards one target, by three rules. After some epochs the step is taken apart: gradients
of loss and penalty, the largest curvature, and what has become of the first layer.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.sparse.linalg import LinearOperator, eigsh
from torch import nn

from lipsnn.train.clip import noisy_copies
from studies.clip import images
from studies.clip.regularizers import Discrepancy, Lipschitz, Pairs
from studies.clip.training import ClipResult, train_clip
from studies.common import provenance
from studies.common.command import parse

MOMENTUM = 0.9  # of the library's "sgd"
# What differs between the rules; the strengths that they need differ as much as the increments.
RULES: dict[str, dict[str, Any]] = {
    "worst pair": {"pooling": "max", "learning_rate": 0.1, "increment": 0.03},
    "mean": {"pooling": "mean", "learning_rate": 0.1, "increment": 0.3},
    "worst pair, small steps": {"pooling": "max", "learning_rate": 0.02, "increment": 0.3},
}
SETTINGS: dict[str, Any] = {
    "data": "mnist",
    "images": 20_000,
    "pairs": 200,
    "redraw": 700,
    "target": 0.9,
    "warmup": 3,
    "every": 1,
    "epochs": 60,
    "probe_every": 3,
    "probed": 1000,
}


def steepest_curvature(value: torch.Tensor, parameters: Sequence[torch.Tensor]) -> float:
    """Largest eigenvalue of the Hessian of `value`, to a hundredth, by Lanczos' method."""
    gradient = torch.cat(
        [g.flatten() for g in torch.autograd.grad(value, parameters, create_graph=True)]
    )

    def product(along: np.ndarray) -> np.ndarray:
        vector = torch.from_numpy(along).to(gradient).reshape(gradient.shape)
        parts = torch.autograd.grad(gradient, parameters, vector, retain_graph=True)
        return torch.cat([part.flatten() for part in parts]).numpy()

    hessian = LinearOperator((len(gradient),) * 2, matvec=product, dtype=np.float32)
    start = np.random.default_rng(0).normal(size=len(gradient)).astype(np.float32)
    (largest,) = eigsh(hessian, k=1, which="LA", v0=start, tol=0.01, return_eigenvectors=False)
    return float(largest)


def probe(result: ClipResult, X: torch.Tensor, y: torch.Tensor, pooling: str) -> dict[str, float]:
    """One epoch's end: the network with its pairs, and the images X with their classes.

    Returns
    -------
    dict
        ``loss_gradient`` and ``penalty_gradient`` (their lengths, the penalty's with its strength);
        ``curvature``, the largest of loss and penalty together; ``first_norm``; ``flat``, the share
        of the first layer's sigmoids whose slope is below 0.01, of 0.25 at most.
    """
    assert result.pairs is not None
    assert isinstance(result.net, nn.Sequential)
    net, parameters = result.net, list(result.net.parameters())
    loss = nn.functional.cross_entropy(net(X), y)
    penalty = result.strength * result.pairs.penalty(
        net, result.pairs.quotients(net), pooling=pooling
    )
    lengths = [
        float(torch.cat([g.flatten() for g in gradient]).norm())
        for gradient in (
            torch.autograd.grad(part, parameters, retain_graph=True) for part in (loss, penalty)
        )
    ]
    curvature = steepest_curvature(loss + penalty, parameters)
    with torch.no_grad():
        outputs = net[:3](X)  # flatten, linear, sigmoid
    return {
        "loss_gradient": lengths[0],
        "penalty_gradient": lengths[1],
        "curvature": curvature,
        "first_norm": images.first_norm(net),
        "flat": float((outputs * (1 - outputs) < 0.01).double().mean()),
    }


def rows(rule: str, seed: int = 0, data_dir: str | None = None, **changed: Any) -> list[dict]:
    """A row for each of the epochs after which one rule's run is probed.

    Parameters
    ----------
    rule : str
        Of `RULES`.
    seed : int
    data_dir : str, optional
        Where the images are.
    **changed
        Settings other than those of `SETTINGS`.
    """
    settings, own = SETTINGS | changed, RULES[rule]
    X, y, X_test, y_test = images.load(settings["data"], data_dir)
    order = torch.randperm(len(X), generator=torch.Generator().manual_seed(seed))
    order = order[: settings["images"]]
    aside, used = order[: len(order) // 10], order[len(order) // 10 :]
    probed = used[: settings["probed"]]
    found = []
    with tempfile.TemporaryDirectory() as folder:
        every = settings["probe_every"]
        regularizer = Lipschitz(
            Pairs(noisy_copies(X[aside], settings["pairs"]), settings["redraw"]),
            own["increment"],
            Discrepancy(
                settings["target"],
                own["increment"],
                settings["warmup"],
                settings["every"],
                least=own["increment"],
            ),
            pooling=own["pooling"],
        )
        for epoch in range(every, settings["epochs"] + 1, every):
            result = train_clip(
                images.network(settings["data"], seed),
                X[used],
                y[used],
                regularizer,
                epochs=epoch,  # the checkpoint has all but the last of them
                learning_rate=own["learning_rate"],
                seed=seed,
                checkpoint=Path(folder) / "run.pt",
                progress=False,
            )
            last = result.history.iloc[-1]
            found.append(
                {
                    "rule": rule,
                    "learning_rate": own["learning_rate"],
                    "target": settings["target"],
                    "epoch": epoch,
                    "strength": last["strength"],
                    "accuracy": last["accuracy"],
                    "worst_class": images.worst_class(result.net, X_test, y_test),
                }
                | probe(result, X[probed], y[probed], own["pooling"])
            )
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m studies.clip stability", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=SETTINGS["epochs"])
    parser.add_argument("--data-dir", help="where the images are (see lipsnn.images)")
    options = parse(parser, arguments, "clip_stability.csv", epochs=3)
    code, start = provenance.commit(Path.cwd()), time.perf_counter()
    torch.set_num_threads(1)  # more would change the order of sums
    found = pd.DataFrame(
        [
            row
            for rule in RULES
            for row in rows(rule, options.seed, options.data_dir, epochs=options.epochs)
        ]
    )
    provenance.write_table(
        options.output,
        found.round(6),
        commit=code,
        seconds=time.perf_counter() - start,
        seed=options.seed,
        sources="studies/clip/stability.py",
        made_by=options.made_by,
        settings=SETTINGS | {"epochs": options.epochs, "momentum": MOMENTUM, "rules": RULES},
    )
    print(found.groupby("rule", sort=False).tail(1).to_string())
    return 0
