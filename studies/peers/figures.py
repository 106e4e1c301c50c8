"""Figures of the comparison at equal bound, and its ranking."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator
from scipy.stats import friedmanchisquare, studentized_range

from studies.common.style import COLORS, INK, axes_of, parts_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# A colour for each kind: constructions, penalties scaled down or bounds enforced in training; ours
# keep the colours that they have elsewhere.
LOOKS = {
    **{
        method: ("#8a6f5c", marker)
        for method, marker in zip(
            ("torchlip", "orthogonium", "SLL", "monotonicnetworks", "sandwich", "spectral norm"),
            "sD^vPo",
            strict=True,
        )
    },
    **{
        method: (COLORS["base"], marker)
        for method, marker in zip(("weight decay", "CLIP", "direct", "ADMM"), "xX*<", strict=True)
    },
    "refine": (COLORS["joint"], "o"),
    "walk": (COLORS["alternating"], "h"),
}


def curves(rows: pd.DataFrame, column: str, label: str, over: str | None = None) -> Figure:
    """Error against the bound, a panel for each data set, a line for each method.

    Parameters
    ----------
    rows : DataFrame
        Columns ``dataset``, ``split``, ``method``, ``asked`` and `column`; the median over the
        splits is drawn, and bars from quartile to quartile where there are several.
    column, label : str
        The error, and its axis label.
    over : str, optional
        A method: errors are divided by its own on the same split at the same bound.
    """
    names = list(dict.fromkeys(rows["dataset"]))
    across = min(len(names), 2)
    down = -(-len(names) // across)
    size = 1.0 + 4.8 * across, 1.4 + 3.0 * down
    figure, grid = plt.subplots(down, across, figsize=size, squeeze=False)
    axes = list(grid.flat[: len(names)])
    for ax in grid.flat[len(names) :]:
        ax.set_visible(False)
    keys = ["split", "asked"]
    for ax, name in zip(axes, names, strict=True):
        own = rows[(rows["dataset"] == name) & rows["method"].isin(LOOKS)]
        reference = own[own["method"] == over].set_index(keys)[column] if over else None
        for method, part in parts_of(own, "method"):
            color, marker = LOOKS[method]
            values = part.set_index(keys)[column]
            if reference is not None:
                values = values / reference
            quantiles = values.groupby("asked").quantile(np.array([0.25, 0.5, 0.75])).unstack()
            low, middle, high = (quantiles[q].to_numpy() for q in (0.25, 0.5, 0.75))
            ax.errorbar(
                quantiles.index,
                middle,
                (middle - low, high - middle),
                color=color,
                marker=marker,
                ms=5,
                mfc="none",
                lw=1.0,
                label=method,
            )
        ax.set(xscale="log", yscale="log", title=name)
        low, high = ax.get_ylim()
        ax.xaxis.set_major_locator(LogLocator(subs=(1, 3)))
        ax.yaxis.set_major_locator(
            LogLocator(subs=(1, 2, 5)) if high > 4 * low else MaxNLocator(5, prune="both")
        )
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_formatter("{x:g}")
            axis.set_minor_locator(NullLocator())
    for line in grid:
        line[0].set_ylabel(label)
    for ax in axes[-across:]:
        ax.set_xlabel("certified Lipschitz bound $L$")
    handles = {
        text: handle
        for ax in axes
        for handle, text in zip(*ax.get_legend_handles_labels(), strict=True)
    }
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=4)
    return figure


def ranks(rows: pd.DataFrame, column: str) -> tuple[pd.Series, int, float, float]:
    """Mean ranks over data sets, Friedman's test and Nemenyi's critical difference.

    On each data set the methods are ranked by the mean of `column` over splits and bounds, each
    divided by the best method's there (Demsar 2006: data sets are the independent draws).

    Returns
    -------
    ranks : Series
        By method, best first; only methods that are there on all data sets.
    count : int
        Data sets.
    p : float
        Of Friedman's test; `nan` for fewer than two data sets or three methods.
    difference : float
        Nemenyi's, at the level 0.05.
    """
    cells = rows.pivot_table(index=["dataset", "split", "asked"], columns="method", values=column)
    cells = cells.dropna(axis=1)
    scores = cells.div(cells.min(axis=1), axis=0).groupby("dataset").mean()
    found = scores.rank(axis=1).mean().sort_values()
    n, k = scores.shape
    p = float("nan")
    if n > 1 and k > 2:
        p = float(friedmanchisquare(*scores.to_numpy().T).pvalue)
    quantile = studentized_range.ppf(0.95, k, np.inf) / 2**0.5
    return found, n, p, float(quantile * (k * (k + 1) / (6 * n)) ** 0.5)


def critical_difference(found: pd.Series, difference: float, ax: Axes | None = None) -> Figure:
    """Mean ranks on a line, and bars over those that do not differ by the critical difference."""
    figure, ax = axes_of(ax)
    places = found.to_numpy()
    ax.plot(places, np.zeros(len(places)), "o", color=INK, ms=5)
    for k, (method, place) in enumerate(found.items()):
        left = k < len(found) / 2
        height = -(k if left else len(found) - 1 - k) - 1
        edge = 1 - 0.3 if left else len(found) + 0.3
        ax.plot([place, place, edge], [0, height, height], color=INK, lw=0.8)
        side = "right" if left else "left"
        ax.text(edge, height, f" {method} ({place:.1f}) ", ha=side, va="center", fontsize=9)
    row, last = 0, -1
    for first, place in enumerate(places):
        end = int(np.searchsorted(places, place + difference, side="right")) - 1
        if end > max(first, last):
            row, last = row + 1, end
            ax.plot([place, places[end]], [row, row], color=COLORS["base"], lw=3)
    ax.set(yticks=[], xlim=(-2.5, len(found) + 3.5), xlabel="mean rank (1 is best)")
    ax.set_xticks(range(1, len(found) + 1, 2))
    ax.spines["left"].set_visible(False)
    ax.grid(False)
    return figure
