"""Figures of Pauli et al.: fitted graphs, rounds of ADMM, many starts, decision regions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np

from studies.common.style import COLORS, INK, palette, parts_of

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NAMES = {"nominal": "nominal", "l2": "L2", "lipschitz": "Lipschitz", "direct": "direct"}
_DASHES = {"nominal": (0, (1, 1)), "l2": (0, (5, 2)), "lipschitz": "-", "direct": (0, (4, 1, 1, 1))}
PALETTE = {
    "nominal": COLORS["base"],
    "l2": COLORS["alternating"],
    "lipschitz": COLORS["joint"],
    "direct": palette(["direct"])["direct"],
}


def graphs(table: pd.DataFrame, ax: Axes) -> None:
    """Fitted functions over the data.

    Parameters
    ----------
    table : DataFrame
        Columns ``network``, ``x`` and ``y``; the network "data" is drawn as points.
    ax : Axes
    """
    for name, part in parts_of(table, "network"):
        if name == "data":
            ax.plot(part["x"], part["y"], ".", color=INK, label="data", zorder=1)
        else:
            ax.plot(part["x"], part["y"], ls=_DASHES[name], color=PALETTE[name], label=NAMES[name])
    ax.set(xlabel="$x$", ylabel="$f(x)$")
    ax.legend(fontsize="small")


def slopes(table: pd.DataFrame, ax: Axes) -> None:
    """The certified bound of each network beside the steepest slope that it really has.

    Parameters
    ----------
    table : DataFrame
        Columns ``network``, ``bound`` and ``steepest``.
    ax : Axes
    """
    at = np.arange(len(table))
    shades = [PALETTE[name] for name in table["network"]]
    ax.barh(at, table["bound"], 0.6, color=shades, alpha=0.35, lw=0, label="certified bound $L$")
    ax.barh(at, table["steepest"], 0.25, color=shades, lw=0, label="steepest slope seen")
    ax.set_yticks(at, [NAMES[name] for name in table["network"]])
    ax.invert_yaxis()
    ax.grid(visible=False, axis="y")
    ax.set(xlabel="slope")
    ax.legend(fontsize="small", loc="lower left", bbox_to_anchor=(0, 1), ncols=2)


def trade_off(trade: pd.DataFrame, table: pd.DataFrame, ax: Axes) -> None:
    """Training error against bound: direct descent along its strength, and single networks.

    Parameters
    ----------
    trade : DataFrame
        Columns ``bound`` and ``mse``, a row per strength.
    table : DataFrame
        Columns ``network``, ``mse``, ``bound``, ``paper_mse`` and ``paper_bound``: Table I.
    ax : Axes
    """
    order = trade.sort_values("bound")
    ax.plot(order["bound"], order["mse"], "o-", color=PALETTE["direct"], label=NAMES["direct"])
    printed = table.dropna(subset=["paper_mse"])
    for name, part in parts_of(printed, "network"):
        ax.plot(part["bound"], part["mse"], "D", color=PALETTE[name], label=NAMES[name])
    paper = (printed["paper_bound"], printed["paper_mse"])
    ax.plot(*paper, "x", ms=10, mew=1.5, color=INK, label="printed")
    ax.set(xlabel="certified bound $L$", ylabel="training MSE")
    ax.legend(fontsize="small")


def admm(table: pd.DataFrame, desired: float | None = None) -> Figure:
    """Loss, bound and residuals of each round of ADMM.

    Parameters
    ----------
    table : DataFrame
        Columns ``round``, ``loss``, ``bound``, ``certified``, ``primal`` and ``dual``.
    desired : float, optional
        L_des, drawn as a level.
    """
    figure, axes = plt.subplots(1, 3, figsize=(9.5, 3.0))
    rounds = table["round"]
    axes[0].plot(rounds, table["loss"], color=PALETTE["lipschitz"])
    axes[0].set(xlabel="round of ADMM", ylabel="mean squared error of $W$")
    if desired is None:
        axes[1].plot(rounds, table["bound"], color=PALETTE["lipschitz"], label="fixed $T$")
    else:
        axes[1].axhline(desired, color=INK, label="$L_{des}$")
    axes[1].plot(rounds, table["certified"], ls="--", color=PALETTE["lipschitz"], label="$T$ free")
    axes[1].legend(fontsize="small")
    axes[1].set(xlabel="round of ADMM", ylabel=r"bound of $\bar W$")
    for column, label, style in (
        ("primal", r"$|W - \bar W|$", "-"),
        ("dual", r"$r$ times the change of $\bar W$", "--"),
    ):
        axes[2].semilogy(rounds, table[column], ls=style, color=PALETTE["lipschitz"], label=label)
    axes[2].set(xlabel="round of ADMM", ylabel="residual")
    axes[2].legend(fontsize="small")
    return figure


def starts(table: pd.DataFrame) -> Figure:
    """Training error and bound of every start, with the paper's point.

    Parameters
    ----------
    table : DataFrame
        Columns ``network``, ``train_mse``, ``bound``, ``paper_train_mse``, ``paper_bound``.
    """
    figure, axes = plt.subplots(1, 3, figsize=(9.5, 3.1))
    for ax, (name, part) in zip(axes, parts_of(table, "network"), strict=True):
        ax.plot(part["bound"], part["train_mse"], "o", color=PALETTE[name], alpha=0.7, label="ours")
        paper = part[["paper_bound", "paper_train_mse"]].iloc[0]
        ax.plot(*paper, "x", ms=10, mew=2.5, color=INK, label="printed")
        ax.set(title=NAMES[name], xlabel="certified bound $L$")
        ax.legend(fontsize="small")
        ax.ticklabel_format(useOffset=False)
    axes[0].set_ylabel("training MSE")
    return figure


def regions(grids: pd.DataFrame, samples: pd.DataFrame, titles: dict[str, str]) -> Figure:
    """Decision regions of several networks over the unit square, a panel each.

    Parameters
    ----------
    grids : DataFrame
        Columns ``network``, ``x``, ``y`` (a regular grid, in any order) and ``label``.
    samples : DataFrame
        Columns ``x``, ``y`` and ``label``: the training points.
    titles : dict
        Of the panels, by network.
    """
    figure, axes = plt.subplots(1, len(titles), figsize=(3.2 * len(titles), 3.4), sharey=True)
    shades = [COLORS["base"], COLORS["alternating"], COLORS["joint"]]
    marks = ["o", "s", "^"]
    for ax, (name, title) in zip(np.atleast_1d(axes), titles.items(), strict=True):
        part = grids[grids["network"] == name].sort_values(["y", "x"])
        x, y = np.unique(part["x"]), np.unique(part["y"])
        labels = part["label"].to_numpy().reshape(len(y), len(x))
        ax.contourf(x, y, labels, levels=[-0.5, 0.5, 1.5, 2.5], colors=shades, alpha=0.35)
        for label, (shade, mark) in enumerate(zip(shades, marks, strict=True)):
            own = samples[samples["label"] == label]
            ax.plot(own["x"], own["y"], mark, color=shade, ms=5, mec=INK, mew=0.5)
        for radius in (0.2, 0.4):
            ax.add_patch(plt.Circle((0.5, 0.5), radius, fill=False, ls=":", color=INK))
        ax.set(title=title, aspect="equal", xlim=(0, 1), ylim=(0, 1))
    return figure
