"""Figures of facts C, D and E: the joint program, its arrow and the walk over cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import MaxNLocator

from studies.common.style import COLORS, INK, axes_of, palette, parts_of

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def alternation_excess(table: pd.DataFrame, ax: Axes | None = None) -> Figure:
    """How far the alternation stays above the joint optimum, one line per run.

    Parameters
    ----------
    table : DataFrame
        Columns ``run``, ``step``, ``excess`` (objective over the joint one, minus 1) and
        ``kink`` (whether the largest eigenvalue is multiple where the run ends).
    """
    figure, ax = axes_of(ax)
    named = set()
    for _, part in parts_of(table, "run"):
        kink = bool(part["kink"].iloc[0])
        label = "ends on a kink: repeated eigenvalue" if kink else "ends where $L$ is smooth"
        ax.plot(
            part["step"],
            part["excess"],
            "-" if kink else "--",
            marker="o",
            ms=3,
            lw=1.5,
            color=COLORS["base"] if kink else COLORS["alternating"],
            label=None if kink in named else label,
        )
        named.add(kink)
    ax.set(xlabel="rounds of the alternation", ylabel="excess over the joint optimum")
    ax.set_yscale("log")
    ax.legend()
    return figure


def stall_landscape(grid: pd.DataFrame, paths: pd.DataFrame) -> Figure:
    """The objective over one weight direction and one direction of shares, and who stops where.

    Parameters
    ----------
    grid : DataFrame
        Columns ``weights``, ``shares`` (0 where the alternation ended, 1 at the joint optimum)
        and ``excess`` (objective over the joint one, as a fraction of the alternation's).
    paths : DataFrame
        Columns ``path``, ``weights`` and ``shares``: alternations confined to this plane.
    """
    figure, ax = axes_of(None)
    figure.set_size_inches(6.2, 5.0)
    table = grid.pivot(index="shares", columns="weights", values="excess")
    levels = [0.03, 0.15, 0.35, 0.6, 0.8, 1.0, 1.3, 1.8, 2.6, 4.0]
    ax.contour(table.columns, table.index, table, levels=levels, colors=INK, linewidths=0.9)
    ax.contourf(
        table.columns, table.index, table, levels=[-1, 1], colors=[COLORS["joint"]], alpha=0.18
    )
    colors = palette(paths["path"])
    for name, part in parts_of(paths, "path"):
        ax.plot(part["weights"], part["shares"], ".-", lw=1.5, color=colors[name], label=name)
        ax.plot(part["weights"].iloc[-1], part["shares"].iloc[-1], "X", ms=8, color=colors[name])
    ax.plot(0, 0, "o", ms=10, color=COLORS["alternating"], label="end of Algorithm 1")
    ax.plot(1, 1, "s", ms=9, color=COLORS["joint"], label="joint optimum")
    ax.annotate(
        "",
        (0.27, 0.27),
        (0.03, 0.03),
        arrowprops={"arrowstyle": "->", "color": COLORS["joint"], "lw": 2},
    )
    ax.set(
        xlabel="weights: from Algorithm 1's to the joint ones", ylabel="shares $q$ (that is $T$)"
    )
    ax.grid(False)
    ax.legend(fontsize=8, loc="upper left")
    return figure


def cone_fan(lines: np.ndarray, path: pd.DataFrame, ax: Axes | None = None) -> Figure:
    """Weight space of a unit with one input, its cones, and the way of the units through them.

    Parameters
    ----------
    lines : ndarray, (n,)
        The samples x_k; sample k cuts the plane of (slope, bias) along ``slope x_k + bias = 0``.
    path : DataFrame
        Columns ``unit``, ``step``, ``slope`` and ``bias``, of ``|a_i| w_i``.
    """
    figure, ax = axes_of(ax)
    reach = 1.15 * float(np.hypot(path["slope"], path["bias"]).max())
    for x in lines:
        direction = np.array([1.0, -x]) / np.hypot(1.0, x) * 2 * reach
        ax.plot(*np.array([-direction, direction]).T, color=INK, lw=0.9, alpha=0.7)
    colors = palette(path["unit"])
    for unit, part in parts_of(path, "unit"):
        part = part.sort_values("step")
        ax.plot(part["slope"], part["bias"], ".-", lw=1.5, color=colors[unit], label=unit)
        ax.plot(part["slope"].iloc[0], part["bias"].iloc[0], "D", ms=7, color=colors[unit])
        ax.plot(part["slope"].iloc[-1], part["bias"].iloc[-1], "*", ms=14, color=colors[unit])
    ax.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
    ax.set(xlabel=r"slope of $|a_i| w_i$", ylabel=r"bias of $|a_i| w_i$")
    ax.grid(False)
    ax.legend(fontsize=8)
    return figure


def walk_history(table: pd.DataFrame, levels: dict[str, float], ax: Axes | None = None) -> Figure:
    """Objective along walks over cells, with levels to hold them against.

    Parameters
    ----------
    table : DataFrame
        Columns ``walk``, ``step`` (0 the base network, 1 the joint program) and ``objective``.
    levels : dict of str to float
        Objectives to draw as dashed lines.
    """
    figure, ax = axes_of(ax)
    colors = palette(table["walk"])
    used = set()
    for name, part in parts_of(table, "walk"):
        # the palette repeats: a second walk of a colour is dashed
        style = "o--" if colors[name] in used else "o-"
        used.add(colors[name])
        ax.plot(part["step"], part["objective"], style, ms=4, color=colors[name], label=name)
    shades = [COLORS["joint"], COLORS["alternating"]]
    for (name, level), style, color in zip(levels.items(), ("--", ":"), shades, strict=False):
        ax.axhline(level, ls=style, color=color, label=name)
    ax.set(xlabel="programs solved", ylabel="objective of problem (4)")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.legend(fontsize=8)
    return figure


def sparsity(matrices: dict[str, np.ndarray], hubs: dict[str, np.ndarray]) -> Figure:
    """Which entries of symmetric matrices can differ from zero, the rows of the hub in colour.

    Parameters
    ----------
    matrices : dict of str to ndarray, (k, k)
        By title.
    hubs : dict of str to ndarray of int
        Rows through which all others are coupled.
    """
    figure, row = plt.subplots(1, len(matrices), figsize=(2.9 * len(matrices), 3.2), squeeze=False)
    for ax, (name, matrix) in zip(row[0], matrices.items(), strict=True):
        rows, columns = np.nonzero(matrix)
        hub = np.isin(rows, hubs[name]) | np.isin(columns, hubs[name])
        size = 8000 / len(matrix) ** 2
        spokes = {"s": size, "marker": "s", "linewidths": 0}
        ax.scatter(columns[hub], rows[hub], color=COLORS["joint"], label="hub", **spokes)
        ax.scatter(columns[~hub], rows[~hub], color=INK, label="spokes", **spokes)
        ax.set(xlim=(-1, len(matrix)), ylim=(len(matrix), -1), aspect="equal", xticks=[], yticks=[])
        ax.set_title(f"{name}\norder {len(matrix)}", size=9)
        for spine in ax.spines.values():
            spine.set_visible(True)
    figure.legend(*row[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure
