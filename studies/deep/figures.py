"""Figures of the deep study."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
from matplotlib.ticker import NullFormatter

from studies.common.style import INK, palette, parts_of

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


def at_equal_time(rows: pd.DataFrame) -> Figure:
    """Objectives over that of descent, an axis for each depth and a row for each data set.

    Parameters
    ----------
    rows : DataFrame
        As `regression` writes them; the base is left out.
    """
    keys = ["dataset", "depth", "split"]
    wide = rows.pivot_table(index=keys, columns="method", values="objective", sort=False)
    share = wide.div(wide["descent"], axis=0)
    methods = [name for name in ("sweeps", "walk", "polish") if name in share]
    colors = palette(methods)
    sets = [name for name, _ in parts_of(rows, "dataset")]
    depths = parts_of(share.reset_index(), "depth")
    figure, axes = plt.subplots(
        1, len(depths), sharex=True, sharey=True, squeeze=False, figsize=(9.0, 3.2)
    )
    for ax, (depth, part) in zip(axes[0], depths, strict=True):
        for k, method in enumerate(methods):
            found = part.groupby("dataset")[method].agg(["min", "median", "max"]).reindex(sets)
            at = [i + 0.22 * (k - (len(methods) - 1) / 2) for i in range(len(sets))]
            ax.hlines(at, found["min"], found["max"], color=colors[method])
            ax.plot(found["median"], at, "o", ms=5, color=colors[method], label=method)
        ax.axvline(1.0, color=INK, lw=1)
        layers = "hidden layer" + "s" * (depth != "1")
        ax.set(xlabel="objective over descent's", title=f"{depth} {layers}")
        ax.set_yticks(range(len(sets)), sets)
    axes[0, 0].invert_yaxis()
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def refinements(rows: pd.DataFrame, certified: str) -> Figure:
    """Certified accuracy against training loss, an arrow from each network to its refinement.

    Parameters
    ----------
    rows : DataFrame
        As `classes.table` makes them; the mean over the splits is drawn.
    certified : str
        The column of the certified accuracy.
    """
    columns = ["loss", certified]
    means = rows.groupby(["dataset", "training", "refined"], sort=False)[columns].mean()
    sets = parts_of(means.reset_index(), "dataset")
    down, across = (len(sets) + 1) // 2, min(2, len(sets))
    size = 4.0 * across, 1.0 + 2.7 * down
    figure, axes = plt.subplots(down, across, figsize=size, squeeze=False)
    colors = palette(rows["training"])
    for ax, (dataset, part) in zip(axes.flat, sets, strict=False):
        for training, both in parts_of(part, "training"):
            (before, after), color = (
                both.sort_values("refined")[columns].to_numpy(),
                colors[training],
            )
            ax.annotate("", after, before, arrowprops={"arrowstyle": "-|>", "color": color})
            ax.plot(*before, "o", mfc="none", mew=2, color=color)
            ax.plot(*after, "o", color=color, label=training)
        ax.set(xscale="log", title=dataset)
        ax.margins(0.15)
        low, high = ax.get_xlim()
        heads = (1, 2, 5) if high < 15 * low else (1, 3)
        ticks = [head * 10.0**k for k in range(-8, 3) for head in heads]
        ax.set_xticks([tick for tick in ticks if low <= tick <= high])
        ax.xaxis.set_major_formatter("{x:g}")
        ax.xaxis.set_minor_formatter(NullFormatter())
    for ax in axes.flat[len(sets) :]:
        ax.set_axis_off()
    for ax in axes[-1]:
        ax.set_xlabel("training loss (mean cross-entropy)")
    for ax in axes[:, 0]:
        ax.set_ylabel("certified accuracy")
    axes[0, 0].plot([], [], "o", mfc="none", mew=2, color=INK, label="before the refinement")
    named = axes[0, 0].get_legend_handles_labels()
    figure.legend(*named, loc="outside lower center", ncols=5)
    return figure
