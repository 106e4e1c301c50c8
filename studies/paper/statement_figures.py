"""Figure 1 as ratios to the base, paired by trial, with the paper's claim in the panel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.lines import Line2D

from studies.common.style import INK
from studies.paper import printed, statement
from studies.paper.figures import STYLES, legend, panels, styled
from studies.paper.tables import in_paper_order

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def ratios(attacks: pd.DataFrame, models: Sequence[str] = ("ADMM", "C-lip", "joint")) -> Figure:
    """Each model's error over its base's, a panel for each data set and base.

    Lines are medians over the trials of the ratio, bars reach from its lower to its upper
    quartile. Below the line at 1 the model's error is lower than its base's in most trials.

    Parameters
    ----------
    attacks : DataFrame
        Of one regime and one norm: regime, dataset, base, norm, model, trial, radius, mse.
    models : sequence of str
        Those to draw.
    """
    table = statement.ratios(attacks)
    table = table[table["model"].isin(models)]
    datasets = in_paper_order(table["dataset"], printed.DATASETS)
    bases = in_paper_order(table["base"], printed.BASES)
    figure, grid = panels(datasets, bases, 1.75)
    radii = np.sort(table["radius"].unique())
    step = 0.16 * np.diff(radii).min() if len(radii) > 1 else 0.01
    for line, dataset in zip(grid, datasets, strict=True):
        for ax, base in zip(line, bases, strict=True):
            part = table[(table["dataset"] == dataset) & (table["base"] == base)]
            claimed = (dataset, base) in printed.LOWEST_THROUGHOUT
            if claimed:
                ax.set_facecolor((*_rgb(STYLES["C-lip"][0]), 0.13))
                ax.text(0.03, 0.04, "paper: C-lip lowest", transform=ax.transAxes, fontsize=7.5)
            ax.axhline(1, color=INK, lw=1.1)
            for number, model in enumerate(models):
                curve = part[part["model"] == model].sort_values("radius")
                at = curve["radius"] + step * (number - (len(models) - 1) / 2)
                bars = {"color": STYLES[model][0], "lw": 1.3, "alpha": 0.75}
                ax.vlines(at, curve["lower"], curve["upper"], **bars)
                ax.plot(at, curve["median"], **styled(model, ms=4.5, lw=1.3))
            ax.margins(y=0.16)
            ax.tick_params(labelsize=8)
        line[0].set_ylabel(f"{dataset}\nerror / base's", fontsize=9)
    for top, bottom, base in zip(grid[0], grid[-1], bases, strict=True):
        top.set_title(f"base: {base.upper()}", fontsize=11)
        bottom.set_xlabel("attack size", fontsize=9)
    legend(figure, [model for model in models if model in set(table["model"])])
    return figure


def verdicts(margins: pd.DataFrame) -> Figure:
    """By how much each row of the statement holds, by regime and first attack size.

    Parameters
    ----------
    margins : DataFrame
        See `statement.margins`; of one norm, the rows that the paper names.
    """
    rows = list(printed.LOWEST_THROUGHOUT)
    regimes = list(dict.fromkeys(margins["regime"]))
    starts = sorted(margins["start"].unique())
    figure, axes = plt.subplots(
        1,
        len(regimes),
        sharey=True,
        figsize=(1.8 + (3.3 if len(regimes) < 3 else 2.3) * len(regimes), 4.2),
        squeeze=False,
    )
    colors = ("#7d828a", "#2f8fc4", "#2d9d78", "#b98a1e")
    for ax, regime in zip(axes[0], regimes, strict=True):
        here = margins[margins["regime"] == regime]
        for number, start in enumerate(starts):
            part = here[here["start"] == start].set_index(["dataset", "base"])
            for height, row in enumerate(rows):
                if row not in part.index:
                    continue
                r = part.loc[row]
                y = height + 0.22 * (number - (len(starts) - 1) / 2)
                color = colors[number % len(colors)]
                ax.plot([r["lower"], r["upper"]], [y, y], color=color, lw=1.6, alpha=0.8)
                ax.plot(
                    r["excess_percent"],
                    y,
                    "o",
                    ms=6,
                    color=color,
                    mfc=color if r["holds"] else "none",
                    mew=1.4,
                )
        ax.axvline(0, color=INK, lw=1.2)
        ax.set_xscale("symlog", linthresh=2, linscale=1.0)
        ax.xaxis.set_major_formatter("{x:g}")
        ax.set_title(regime, fontsize=10.5)
        ax.tick_params(axis="x", labelsize=8)
        ax.grid(False, axis="y")
    figure.supxlabel("C-lip's median over the lowest other, %", fontsize=9)
    axes[0, 0].set_yticks(range(len(rows)), [f"{d}, {b.upper()}" for d, b in rows])
    axes[0, 0].set_ylim(len(rows) - 0.5, -0.5)
    handles = [
        Line2D([], [], color=colors[k % len(colors)], marker="o", ls="-", label=f"sizes from {s:g}")
        for k, s in enumerate(starts)
    ]
    handles.append(Line2D([], [], color=INK, marker="o", mfc="none", ls="", label="does not hold"))
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles), fontsize=9)
    return figure


def _rgb(color: str) -> tuple[float, float, float]:
    from matplotlib.colors import to_rgb

    return to_rgb(color)
