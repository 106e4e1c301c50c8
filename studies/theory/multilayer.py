"""Figures of the multi-layer certificate: its pattern, its two sides, margins, its benchmark."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np

from studies.common.style import COLORS, INK, palette

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from lipsnn._checks import Array

NAMES = {
    "lipsdp-neuron": "lipsnn (exact)",
    "plain-lmi": "LMI, CVXPY",
    "eclipse": "ECLipsE",
    "eclipse-fast": "ECLipsE-Fast",
    "product": "product of norms",
}
_MARKS = dict(zip(NAMES, "osv^D", strict=True))


def pattern(matrices: dict[str, Array], sizes: list[int], labels: list[str]) -> Figure:
    """Which entries of symmetric matrices differ from zero, with the borders of the layers.

    Parameters
    ----------
    matrices : dict of str to ndarray, (order, order)
        By title.
    sizes : list of int
        Of the diagonal blocks.
    labels : list of str
        Of the blocks.
    """
    figure, row = plt.subplots(1, len(matrices), figsize=(3.1 * len(matrices), 3.4), squeeze=False)
    ends = np.cumsum([0, *sizes])
    middles = (ends[:-1] + ends[1:] - 1) / 2
    for ax, (name, matrix) in zip(row[0], matrices.items(), strict=True):
        rows, columns = np.nonzero(matrix)
        near = np.abs(
            np.searchsorted(ends, rows, "right") - np.searchsorted(ends, columns, "right")
        )
        mark = {"s": (170 / len(matrix)) ** 2, "marker": "s", "linewidths": 0}
        for what, here, color in (
            ("within a layer or between neighbours", near <= 1, COLORS["alternating"]),
            ("farther apart", near > 1, COLORS["base"]),
        ):
            ax.scatter(columns[here], rows[here], color=color, label=what, **mark)
        for end in ends[1:-1]:
            ax.axhline(end - 0.5, color=INK, lw=0.6)
            ax.axvline(end - 0.5, color=INK, lw=0.6)
        order = len(matrix)
        ax.set(xlim=(-0.5, order - 0.5), ylim=(order - 0.5, -0.5), aspect="equal")
        ax.set_xticks(middles, labels)
        ax.set_yticks(middles, labels)
        ax.tick_params(length=0)
        ax.set_title(name, size=10)
        ax.grid(False)
    figure.legend(*row[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def enclosure(table: pd.DataFrame, slope: float) -> Figure:
    """Bound and lower value after each number of iterations, above a slope that is attained.

    Parameters
    ----------
    table : DataFrame
        Columns ``iterations``, ``bound`` and ``lower``.
    slope : float
    """
    figure, ax = plt.subplots(figsize=(7.0, 3.4))
    steps = table["iterations"]
    ax.plot(steps, table["bound"], "v-", color=COLORS["base"], label="bound, from multipliers $T$")
    lower = table["lower"]
    ax.plot(
        steps, lower, "^-", color=COLORS["alternating"], label="lower value, from covariances $X$"
    )
    ax.fill_between(steps, lower, table["bound"], color=INK, alpha=0.15, lw=0)
    ax.axhline(slope, color=INK, ls="--", label="steepest slope found")
    ax.set(xlabel="interior-point iterations", ylabel="Lipschitz bound")
    ax.legend()
    return figure


def margins(bounds: Array, single: float) -> Figure:
    """The bound of each margin, in the cells of a table, as a share of sqrt(2) times one bound.

    Parameters
    ----------
    bounds : ndarray, (k, k)
        As of `margin_bounds`.
    single : float
        The bound of all outputs together.
    """
    k = len(bounds)
    share = np.where(np.eye(k, dtype=bool), np.nan, bounds / (np.sqrt(2) * single))
    figure, ax = plt.subplots(figsize=(4.6, 3.8))
    shown = ax.imshow(share, cmap="viridis", vmin=0, vmax=1)
    for i, j in np.argwhere(~np.isnan(share)):
        dark = share[i, j] < 0.6
        text: dict[str, Any] = {
            "ha": "center",
            "va": "center",
            "size": 9,
            "color": "white" if dark else "black",
        }
        ax.text(j, i, f"{share[i, j]:.2f}", **text)
    ax.set_xticks(range(k))
    ax.set_yticks(range(k))
    ax.set(xlabel="output $j$", ylabel="output $i$")
    ax.grid(False)
    figure.colorbar(shown, ax=ax, label=r"bound of $f_i - f_j$ over $\sqrt{2}\,L$")
    return figure


def benchmark(table: pd.DataFrame) -> Figure:
    """Seconds, and bounds over the exact value, against depth: a column of panels per width.

    Parameters
    ----------
    table : DataFrame
        Columns ``method``, ``depth``, ``width``, ``cpu_seconds`` and ``bound``, both empty where a
        method was stopped; 0 seconds, too short for the clock, are not drawn.
    """
    widths = sorted(table["width"].unique())
    figure, axes = plt.subplots(
        2, len(widths), figsize=(2.6 * len(widths) + 1, 5.2), sharex=True, sharey="row"
    )
    axes = axes.reshape(2, -1)
    spare = palette(name for method, name in NAMES.items() if method != "lipsdp-neuron")
    colors = {NAMES["lipsdp-neuron"]: COLORS["alternating"], **spare}
    for column, width in enumerate(widths):
        here = table[table["width"] == width]
        exact = here[here["method"] == "lipsdp-neuron"].set_index("depth")["bound"]
        for method, name in NAMES.items():
            part = here[here["method"] == method].dropna(subset=["bound"]).sort_values("depth")
            style = {"marker": _MARKS[method], "color": colors[name], "label": name}
            timed = part[part["cpu_seconds"] > 0]
            axes[0, column].loglog(timed["depth"], timed["cpu_seconds"], **style)
            ratio = part["bound"] / part["depth"].map(exact)
            axes[1, column].loglog(part["depth"], ratio, **style)
        axes[0, column].set_title(f"width {width}")
        depths = np.unique(here["depth"])
        axes[1, column].set_xticks(depths, [str(depth) for depth in depths])
        axes[1, column].minorticks_off()
        axes[1, column].set_xlabel("hidden layers")
    axes[0, 0].set_ylabel("CPU seconds")
    axes[1, 0].set_ylabel("bound over exact value")
    handles = axes[0, 0].get_legend_handles_labels()
    figure.legend(*handles, fontsize="small", loc="outside lower center", ncols=len(NAMES))
    return figure
