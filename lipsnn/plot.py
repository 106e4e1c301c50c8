"""Every figure of the book, from a tidy table, in one house style.

Figures have no background and mid-tone ink, so that one picture reads on a light and on a dark
page; colours are named by what they stand for and are the same on every page.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import seaborn as sns

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Contrast with white and with the dark theme's near-black is at least 4 to 1 for each.
INK = "#7d828a"
COLORS = {
    "base": "#d1603d",
    "alternating": "#2f8fc4",
    "joint": "#2d9d78",
    "data": INK,
}
# curves that nearly coincide stay visible when the later one is dashed
DASHES = {"joint": (0, (4, 2))}
_OTHERS = ("#a878c8", "#b98a1e", "#c55a91", "#6f8f3a")


def use_house_style() -> None:
    """Set matplotlib, seaborn and, in a notebook, the format of displayed figures."""
    sns.set_theme(
        context="notebook",
        style="ticks",
        rc={
            "figure.figsize": (7.0, 3.6),
            "figure.facecolor": "none",
            "figure.constrained_layout.use": True,
            "axes.facecolor": "none",
            "savefig.facecolor": "none",
            "axes.edgecolor": INK,
            "axes.labelcolor": INK,
            "axes.titlecolor": INK,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "grid.color": INK,
            "grid.alpha": 0.2,
            "xtick.color": INK,
            "ytick.color": INK,
            "text.color": INK,
            "legend.frameon": False,
            "lines.linewidth": 2.0,
            "font.family": "DejaVu Sans",
            "svg.hashsalt": "lipsnn",
        },
    )
    try:
        from IPython import get_ipython
        from matplotlib_inline.backend_inline import set_matplotlib_formats
    except ImportError:
        return
    if get_ipython() is not None:
        # no date in the file, and no tight box, which would cut a caption's alignment
        set_matplotlib_formats("svg", metadata={"Date": None})


def palette(names: Iterable[str]) -> dict[str, str]:
    """A colour for each name: its own if it has one, else one of the spare colours."""
    spare = iter(_OTHERS * 3)
    return {name: COLORS.get(name) or next(spare) for name in dict.fromkeys(names)}


def objective_history(table: pd.DataFrame, ax: Axes | None = None) -> Figure:
    """The objective of problem (4) falling, step by step.

    Parameters
    ----------
    table : DataFrame
        Columns ``method``, ``step`` (0 is the base network) and ``objective``. A method with a
        single step is drawn as a level that the others can be held against.
    """
    figure, ax = _axes(ax)
    colors = palette(table["method"])
    for method, part in _parts(table, "method"):
        part = part.sort_values("step")
        if len(part) == 2:
            level = part["objective"].iloc[-1]
            ax.axhline(level, color=colors[method], linestyle="--")
            ax.plot(1, level, "s", color=colors[method], label=f"{method}: one solve")
        else:
            rounds = int(part["step"].max())
            label = f"{method}: {rounds} rounds"
            ax.plot(part["step"], part["objective"], "o-", color=colors[method], label=label)
    start = table.loc[table["step"] == 0, "objective"].iloc[0]
    ax.plot(0, start, "D", color=COLORS["base"], label="base network", zorder=3)
    ax.set(xlabel="convex programs solved", ylabel="objective of problem (4)")
    ax.legend()
    return figure


def fitted_slice(lines: pd.DataFrame, points: pd.DataFrame, ax: Axes | None = None) -> Figure:
    """Fitted functions along a line through input space, with the data near it.

    Parameters
    ----------
    lines : DataFrame
        Columns ``model``, ``position`` (along the line, in input units) and ``output``.
    points : DataFrame
        Columns ``position``, ``target`` and ``distance`` (of the sample from the line); nearer
        samples are drawn larger.
    """
    figure, ax = _axes(ax)
    near = 1.0 / (1.0 + points["distance"] ** 2)
    ax.scatter(
        points["position"],
        points["target"],
        s=90 * near / near.max(),
        color=COLORS["data"],
        alpha=0.55,
        linewidths=0,
        label="data (larger: nearer the line)",
    )
    colors = palette(lines["model"])
    for model, part in _parts(lines, "model"):
        style = DASHES.get(model, "-")
        ax.plot(part["position"], part["output"], ls=style, color=colors[model], label=model)
    ax.set(xlabel="position along the line", ylabel="target (standardised)")
    ax.legend()
    return figure


def attack_curve(table: pd.DataFrame, ax: Axes | None = None) -> Figure:
    """Test error against attack size.

    Parameters
    ----------
    table : DataFrame
        Columns ``model``, ``radius`` and ``mse``.
    """
    figure, ax = _axes(ax)
    colors = palette(table["model"])
    for model, part in _parts(table, "model"):
        style = DASHES.get(model, "-")
        ax.plot(part["radius"], part["mse"], marker="o", ls=style, color=colors[model], label=model)
    ax.set(xlabel="attack radius (l2, standardised inputs)", ylabel="test MSE", yscale="log")
    ax.legend()
    return figure


def _axes(ax: Axes | None) -> tuple[Figure, Axes]:
    if ax is None:
        figure, ax = plt.subplots()
        return figure, ax
    drawn_on = ax.get_figure(root=True)
    assert drawn_on is not None
    return drawn_on, ax


def _parts(table: pd.DataFrame, column: str) -> list[tuple[str, pd.DataFrame]]:
    """The rows of each value of `column`, in order of first appearance."""
    return [(str(name), part) for name, part in table.groupby(column, sort=False)]
