"""The paper's statement on Figure 1, row by row: does it hold, by how much, for which attacks.

"(base)-C-lip is the only model that achieves the lowest median MSE", over all attack sizes. The
paper does not print the sizes or the norm, so that every range of those tried is asked.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd

from lipsnn._checks import Array
from studies.paper import printed

RIVALS = tuple(model for model in printed.MODELS if model != "C-lip")
RESAMPLES = 2000


def margins(attacks: pd.DataFrame, starts: tuple[float, ...], seed: int = 0) -> pd.DataFrame:
    """By how much C-lip has the lowest median at every attack size from a first one on.

    The excess is that of C-lip's median over the lower of its rivals' medians, in per cent, at
    the size where it is largest: the row holds if it is negative. Its interval is the middle 90 %
    of what resampled trials give (all models and sizes of a trial together, so that it is paired).

    Parameters
    ----------
    attacks : DataFrame
        regime, dataset, base, model, trial, norm, radius, mse.
    starts : tuple of float
        First attack sizes.

    Returns
    -------
    DataFrame
        regime, dataset, base, norm, start, excess_percent, lower, upper, worst_radius, holds,
        share (of the resamples in which it holds), trials, named (whether the paper names it).
    """
    rows = []
    for (regime, dataset, base, norm), part in attacks.groupby(
        ["regime", "dataset", "base", "norm"], sort=False
    ):
        radii, errors = _by_trial(part)
        resampled = _excess(_resampled(errors, seed))
        for start in starts:
            at = radii >= start - 1e-9
            if not at.any():
                continue
            excess = _excess(errors[:, :, at])
            again = resampled[:, at].max(axis=1)
            lower, upper = np.quantile(again, [0.05, 0.95])
            rows.append(
                {"regime": regime, "dataset": dataset, "base": base, "norm": norm, "start": start}
                | {"excess_percent": excess.max(), "lower": lower, "upper": upper}
                | {"worst_radius": radii[at][excess.argmax()], "holds": bool(excess.max() < 0)}
                | {"share": float((again < 0).mean()), "trials": errors.shape[1]}
                | {"named": (dataset, base) in printed.LOWEST_THROUGHOUT}
            )
    return pd.DataFrame(rows)


def of_draws(moved: pd.DataFrame) -> pd.DataFrame:
    """The attacks under what other draws chose, each as a regime of its own.

    Parameters
    ----------
    moved : DataFrame
        "sensitivity-attacks": the columns of `margins`' attacks, choice and factor.
    """
    own = moved[(moved["regime"] == "paper") & (moved["choice"] == "draw")]
    names = own["factor"].map("paper, draw {:.0f}".format)
    return own.assign(regime=names).drop(columns=["choice", "factor"])


def ranges(attacks: pd.DataFrame) -> pd.DataFrame:
    """For how many ranges of attack sizes C-lip has the lowest median throughout.

    Every range from one of the sizes tried to a larger one counts, clean errors among them.

    Returns
    -------
    DataFrame
        regime, dataset, base, norm, ranges, hold, sizes, lowest (at how many single sizes), named.
    """
    rows = []
    for (regime, dataset, base, norm), part in attacks.groupby(
        ["regime", "dataset", "base", "norm"], sort=False
    ):
        radii, errors = _by_trial(part)
        lowest = _excess(errors) < 0
        all_ranges = list(combinations(range(len(radii)), 2))
        hold = sum(bool(lowest[first : last + 1].all()) for first, last in all_ranges)
        rows.append(
            {"regime": regime, "dataset": dataset, "base": base, "norm": norm}
            | {"ranges": len(all_ranges), "hold": hold}
            | {"sizes": len(radii), "lowest": int(lowest.sum())}
            | {"named": (dataset, base) in printed.LOWEST_THROUGHOUT}
        )
    return pd.DataFrame(rows)


def ratios(attacks: pd.DataFrame) -> pd.DataFrame:
    """Each model's error as a ratio to its base's, paired by trial: median and quartiles.

    Returns
    -------
    DataFrame
        regime, dataset, base, norm, model, radius, lower, median, upper, trials.
    """
    keys = ["regime", "dataset", "base", "norm", "trial", "radius"]
    of_base = attacks[attacks["model"] == "base"].set_index(keys)["mse"].rename("of_base")
    paired = attacks[attacks["model"] != "base"].join(of_base, on=keys)
    paired = paired.assign(ratio=paired["mse"] / paired["of_base"])
    groups = paired.groupby([*keys[:4], "model", "radius"], sort=False)["ratio"]
    parts = {"lower": groups.quantile(0.25), "median": groups.median()}
    parts |= {"upper": groups.quantile(0.75), "trials": groups.size()}
    return pd.DataFrame(parts).reset_index()


def _by_trial(part: pd.DataFrame) -> tuple[Array, Array]:
    """Radii, and errors as (model, trial, radius) with C-lip first; whole trials only."""
    order = ["C-lip", *RIVALS]
    wide = part[part["model"].isin(order)].pivot_table(
        index="trial", columns=["model", "radius"], values="mse"
    )
    wide = wide.dropna()
    radii = np.sort(part["radius"].unique())
    return radii, np.stack([wide[model][radii].to_numpy() for model in order])


def _excess(errors: Array) -> Array:
    """C-lip's median over the lowest of the others', in per cent, of (model, .., trial, radius)."""
    middle = np.median(errors, axis=-2)
    return np.asarray(100 * (middle[0] / middle[1:].min(axis=0) - 1))


def _resampled(errors: Array, seed: int) -> Array:
    """Errors of trials drawn again, (model, resample, trial, radius)."""
    rng = np.random.default_rng(seed)
    drawn = rng.integers(errors.shape[1], size=(RESAMPLES, errors.shape[1]))
    return np.asarray(errors[:, drawn])
