"""Figures of facts C, D and E: the joint program, its arrow and the walk over cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lipsnn.plot.style import COLORS, INK, axes_of, palette, parts_of

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
        label = "ends on a kink: repeated eigenvalue" if kink else "ends where L is smooth"
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
