"""Figure 1 enclosed: how far apart the two sides of each error are, and which orders that proves.

A network's error under attack is between the worst one `reached` and the `certified` one, which no
attack exceeds. Of two networks the order is proved where these intervals do not meet.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from studies.common.style import INK, palette, parts_of
from studies.paper import printed
from studies.paper.figures import STYLES, named, panels
from studies.paper.tables import in_paper_order

if TYPE_CHECKING:
    from matplotlib.figure import Figure

REFINED = ("C-lip", "joint", "walk")
_PANEL = ["regime", "dataset", "base"]


def gaps(enclosed: pd.DataFrame) -> pd.DataFrame:
    """Mean and largest gap by regime and attack size, for the refined networks and for all.

    Parameters
    ----------
    enclosed : DataFrame
        regime, dataset, base, model, trial, radius, mse, reached, certified.

    Returns
    -------
    DataFrame
        regime, networks ("refined" or "all"), radius, count, gap, largest (both of certified over
        reached, less 1), beyond_pgd (mean of certified over PGD's, less 1).
    """
    table = enclosed.assign(
        gap=enclosed["certified"] / enclosed["reached"] - 1,
        beyond=enclosed["certified"] / enclosed["mse"] - 1,
    )
    parts = []
    for name, part in (("refined", table[table["model"].isin(REFINED)]), ("all", table)):
        groups = part.groupby(["regime", "radius"], sort=False)
        found = {"count": groups.size(), "gap": groups["gap"].mean()}
        found |= {"largest": groups["gap"].max(), "beyond_pgd": groups["beyond"].mean()}
        parts.append(pd.DataFrame(found).reset_index().assign(networks=name))
    return pd.concat(parts, ignore_index=True)


def comparisons(enclosed: pd.DataFrame) -> pd.DataFrame:
    """Every two models of a trial at an attack size above 0: is their order proved, and PGD's?

    Returns
    -------
    DataFrame
        regime, dataset, base, trial, radius, first, second, proved (whether the intervals are
        apart), reversed (whether PGD says the other order than the proved one), difference (of
        the two errors under PGD, relative to the larger).
    """
    keys = [*_PANEL, "trial", "radius"]
    attacked = enclosed[enclosed["radius"] > 0]
    pairs = attacked.merge(attacked, on=keys)
    pairs = pairs[pairs["model_x"] < pairs["model_y"]]
    below = pairs["certified_x"] < pairs["reached_y"]
    above = pairs["certified_y"] < pairs["reached_x"]
    moved = pairs["mse_x"] - pairs["mse_y"]
    found = pairs[keys].assign(first=pairs["model_x"], second=pairs["model_y"])
    found["proved"] = below | above
    found["reversed"] = (below & (moved > 0)) | (above & (moved < 0))
    found["difference"] = moved.abs() / pairs[["mse_x", "mse_y"]].max(axis=1)
    return found.reset_index(drop=True)


def statement(enclosed: pd.DataFrame) -> pd.DataFrame:
    """The paper's statement with medians that are enclosed: at how many sizes is C-lip's lowest?

    A median over the trials is between that of `reached` and that of `certified`.

    Returns
    -------
    DataFrame
        regime, dataset, base, trials, sizes, lowest, not_lowest (how many sizes each is proved
        at); the rows that the paper names.
    """
    rows = []
    for (regime, dataset, base), part in enclosed.groupby(_PANEL, sort=False):
        if (dataset, base) not in printed.LOWEST_THROUGHOUT:
            continue
        part = part[part["model"].isin(printed.MODELS)]
        middle = part.groupby(["model", "radius"])[["reached", "certified"]].median()
        low, high = (middle[side].unstack("model") for side in ("reached", "certified"))
        others = [model for model in printed.MODELS if model != "C-lip"]
        lowest = high["C-lip"] < low[others].min(axis=1)
        beaten = low["C-lip"] > high[others].min(axis=1)
        rows.append(
            {"regime": regime, "dataset": dataset, "base": base}
            | {"trials": part["trial"].nunique(), "sizes": len(low)}
            | {"lowest": int(lowest.sum()), "not_lowest": int(beaten.sum())}
        )
    return pd.DataFrame(rows)


def bands(enclosed: pd.DataFrame, models: Sequence[str] = printed.MODELS) -> Figure:
    """Figure 1 with both sides: medians over the trials of the reached and the certified error.

    Parameters
    ----------
    enclosed : DataFrame
        See `gaps`, of one regime.
    models : sequence of str
        Those to draw, in order.
    """
    by_size = enclosed.groupby(["dataset", "base", "model", "radius"])
    middle = by_size[["reached", "certified"]].median()
    datasets = in_paper_order(enclosed["dataset"], printed.DATASETS)
    bases = in_paper_order(enclosed["base"], printed.BASES)
    figure, grid = panels(datasets, bases, 2.1)
    for line, dataset in zip(grid, datasets, strict=True):
        for ax, base in zip(line, bases, strict=True):
            for model in models:
                curve = middle.xs((dataset, base, model))
                color = STYLES[model][0]
                band = curve["reached"], curve["certified"]
                ax.fill_between(curve.index, *band, color=color, lw=0.8, label=model)
    named(grid, datasets, bases)
    figure.legend(
        *grid[0][0].get_legend_handles_labels(), loc="outside upper center", ncols=len(models)
    )
    return figure


def gaps_of_networks(enclosed: pd.DataFrame) -> Figure:
    """The gap of every network by attack size, a panel for each regime; lines are means.

    Parameters
    ----------
    enclosed : DataFrame
        See `gaps`; attack sizes above 0 are drawn.
    """
    table = enclosed[enclosed["radius"] > 0].assign(
        percent=lambda t: 100 * (t["certified"] / t["reached"] - 1).clip(lower=1e-5)
    )
    regimes = parts_of(table, "regime")
    datasets = in_paper_order(table["dataset"], printed.DATASETS)
    colors = palette(datasets)
    figure, axes = plt.subplots(1, len(regimes), sharey=True, figsize=(8.2, 3.6), squeeze=False)
    for ax, (regime, part) in zip(axes[0], regimes, strict=True):
        step = 0.1 * np.diff(np.sort(part["radius"].unique())).min(initial=0.1)
        for number, dataset in enumerate(datasets):
            here = part[part["dataset"] == dataset]
            at = here["radius"] + step * (number - (len(datasets) - 1) / 2)
            ax.plot(at, here["percent"], ".", color=colors[dataset], ms=4, alpha=0.35, mew=0)
            means = here.groupby("radius")["percent"].mean()
            ax.plot(means.index, means, color=colors[dataset], lw=1.8, label=dataset)
        ax.axhline(1, color=INK, lw=1, ls="--")
        ax.set(title=regime, xlabel="attack size", yscale="log")
        ax.title.set_size(11)
    axes[0][0].set_ylabel("certified above reached, %")
    axes[0][0].yaxis.set_major_formatter("{x:g}")
    handles, names = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper center", ncols=len(names), fontsize=9)
    return figure
