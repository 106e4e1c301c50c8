"""Figures of Algorithm 1: its steps, its sampled variant, and the paper's table of reductions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.lines import Line2D

from studies.common.style import COLORS, INK, axes_of, palette

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def half_steps(table: pd.DataFrame, ax: Axes | None = None) -> Figure:
    """Both halves of each round of Algorithm 1, as a staircase.

    Parameters
    ----------
    table : DataFrame
        Columns ``half`` (what was solved, in order) and ``excess`` (of the objective over the
        optimum of the joint program).
    """
    figure, ax = axes_of(ax)
    steps = np.arange(len(table))
    ax.step(steps, table["excess"], where="post", color=INK, linewidth=1)
    for (half, part), color in zip(
        table.assign(step=steps).groupby("half", sort=False),
        (COLORS["base"], COLORS["joint"], COLORS["alternating"]),
        strict=True,
    ):
        ax.plot(part["step"], part["excess"], "o", color=color, label=half)
    ax.set(yscale="log", xlabel="half steps", ylabel="objective above the joint optimum")
    ax.legend()
    return figure


def alternation_parts(table: pd.DataFrame) -> Figure:
    """Objective, loss and L round by round, relative to the base network.

    Parameters
    ----------
    table : DataFrame
        Columns ``dataset``, ``strength``, ``round``, ``objective``, ``loss`` and ``bound``.
    """
    figure, axes = plt.subplots(1, 3, figsize=(9.6, 3.6))
    colors = palette(table["dataset"])
    dashes = dict(zip(table["strength"].unique(), ("-", "--", ":"), strict=False))
    for ax, quantity in zip(axes, ("objective", "loss", "bound"), strict=True):
        for (name, strength), part in table.groupby(["dataset", "strength"], sort=False):
            relative = part[quantity] / part[quantity].iloc[0]
            label = f"{name}, strength {strength:g}"
            color = colors[str(name)]
            ax.plot(part["round"], relative, dashes[strength], color=color, label=label)
        ax.axhline(1, color=INK, linewidth=1)
        ax.set(xlabel="round", title={"bound": "bound $L$"}.get(quantity, quantity))
    axes[0].set_ylabel("relative to the base network")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


def sampled_reductions(table: pd.DataFrame, full: pd.DataFrame) -> Figure:
    """Reductions of the objective, each dot one draw of half the patterns.

    Parameters
    ----------
    table : DataFrame
        Columns ``dataset``, ``method`` and ``reduction`` (in percent), a row per draw.
    full : DataFrame
        The same columns, for all patterns: one row per data set and method.
    """
    methods = list(table["method"].unique())
    figure, axes = plt.subplots(1, len(methods), figsize=(8.4, 3.8))
    order = list(table["dataset"].unique())
    for ax, method in zip(axes, methods, strict=True):
        part = table[table["method"] == method]
        sns.stripplot(
            part, x="dataset", y="reduction", order=order, color=COLORS["base"], alpha=0.7, ax=ax
        )
        whole = full[full["method"] == method].set_index("dataset").loc[order, "reduction"]
        ax.plot(range(len(order)), whole, "*", color=COLORS["joint"], ms=15, label="all patterns")
        ax.plot([], [], "o", color=COLORS["base"], label="half of the patterns")
        ax.axhline(0, color=INK, linewidth=1)
        ax.set_yscale("symlog", linthresh=10)
        ax.yaxis.set_major_formatter("{x:.0f}")
        ax.margins(y=0.1)
        ax.set(title=method, xlabel="", ylabel="", xlim=(-0.6, len(order) - 0.4))
    axes[0].set_ylabel("reduction of the objective, %")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def printed_statistics(table: pd.DataFrame) -> Figure:
    """Min and Max of each row of the paper's Table 1 against its Avg, as it prints them.

    Parameters
    ----------
    table : DataFrame
        Columns ``row``, ``side`` (the title of its panel), ``min``, ``max``, ``avg`` (in percent)
        and ``ordered`` (whether min <= avg <= max).
    """
    sides = list(table["side"].unique())
    figure, axes = plt.subplots(1, len(sides), figsize=(9.0, 4.4))
    for ax, side in zip(axes, sides, strict=True):
        part = table[table["side"] == side].iloc[::-1]
        low, high = part["min"] - part["avg"], part["max"] - part["avg"]
        colors = np.where(part["ordered"], COLORS["joint"], COLORS["base"])
        ax.hlines(part["row"], low, high, colors=colors, linewidth=1.5)
        ax.scatter(low, part["row"], marker="<", color=colors, s=45)
        ax.scatter(high, part["row"], marker="s", color=colors, s=40)
        ax.axvline(0, color=INK, linewidth=1)
        ax.set_xscale("symlog", linthresh=3)
        ax.xaxis.set_major_formatter("{x:.0f}")
        ax.margins(x=0.08)
        ax.set(xlabel="printed minus Avg, percentage points", title=side)
    marks = [
        Line2D([], [], color=INK, marker=m, ls="", label=n) for m, n in (("<", "Min"), ("s", "Max"))
    ]
    for color, label in ((COLORS["joint"], "in order"), (COLORS["base"], "out of order")):
        marks.append(Line2D([], [], color=color, label=label))
    figure.legend(handles=marks, loc="outside lower center", ncols=4)
    return figure
