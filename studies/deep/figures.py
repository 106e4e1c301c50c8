"""Figures of the deep study."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib.pyplot as plt

from studies.common.style import INK, palette, parts_of, plain_ticks

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


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
    figure, axes = plt.subplots(1, len(sets), figsize=(9.0, 3.8), squeeze=False)
    colors = palette(rows["training"])
    for ax, (dataset, part) in zip(axes[0], sets, strict=True):
        for training, both in parts_of(part, "training"):
            (before, after), color = (
                both.sort_values("refined")[columns].to_numpy(),
                colors[training],
            )
            ax.annotate("", after, before, arrowprops={"arrowstyle": "-|>", "color": color})
            ax.plot(*before, "o", mfc="none", mew=2, color=color)
            ax.plot(*after, "o", color=color, label=training)
        ax.set(xscale="log", xlabel="training loss (mean cross-entropy)", title=dataset)
        plain_ticks(ax.xaxis)
        ax.margins(0.15)
    axes[0, 0].set_ylabel("certified accuracy")
    axes[0, 0].plot([], [], "o", mfc="none", mew=2, color=INK, label="before the refinement")
    named = axes[0, 0].get_legend_handles_labels()
    figure.legend(*named, loc="outside lower center", ncols=5)
    return figure
