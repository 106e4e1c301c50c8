"""Figures of the background pages: units and cells, rescaling, sectors, the ladder, coupled T."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns

from studies.common.style import COLORS, INK, axes_of, palette, parts_of, plain_ticks

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

SIGNS = {"a > 0": COLORS["alternating"], "a < 0": COLORS["base"]}
RUNGS = {
    "sampled": "#a878c8",
    "exact": COLORS["joint"],
    "certificate": COLORS["alternating"],
    "product": COLORS["base"],
}


def graded() -> Colormap:
    """The colour map of every map: mid tones, on which light and dark pages agree."""
    return sns.color_palette("crest_r", as_cmap=True)


def units_and_sum(units: pd.DataFrame, total: pd.DataFrame, ax: Axes | None = None) -> Figure:
    """What each unit adds on a line, and the piecewise linear sum.

    Parameters
    ----------
    units : DataFrame
        Columns ``unit``, ``sign`` ("a > 0" or "a < 0"), ``x`` and ``output``.
    total : DataFrame
        Columns ``x``, ``output`` and ``kink``, true in the rows where a unit switches.
    """
    figure, ax = axes_of(ax)
    named: set[str] = set()
    for _, part in parts_of(units, "unit"):
        sign = str(part["sign"].iloc[0])
        label = None if sign in named else f"one unit, ${sign}$"
        named.add(sign)
        ax.plot(part["x"], part["output"], color=SIGNS[sign], lw=1.3, alpha=0.8, label=label)
    ax.plot(total["x"], total["output"], color=COLORS["joint"], lw=3, label="their sum $f$")
    kinks = total[total["kink"]]
    ax.plot(kinks["x"], kinks["output"], "o", color=COLORS["joint"], ms=7, label="a unit switches")
    ax.set(xlabel="input $x$", ylabel="output")
    ax.legend(fontsize="small")
    return figure


def cell_map(
    table: pd.DataFrame, label: str, points: pd.DataFrame | None = None, ax: Axes | None = None
) -> Figure:
    """A quantity over the plane of two inputs, with the borders between regions.

    Parameters
    ----------
    table : DataFrame
        A full grid: columns ``x1``, ``x2``, ``value`` and ``cell``, a number per cell.
    label : str
        What `value` is.
    points : DataFrame, optional
        Columns ``x1`` and ``x2``: samples to mark.
    """
    figure, ax = axes_of(ax)
    draw_cells(ax, table, label)
    if points is not None:
        ax.plot(points["x1"], points["x2"], ".", color="#ffffff", ms=4, alpha=0.9)
    ax.set(xlabel="input $x_1$", ylabel="input $x_2$")
    return figure


def draw_cells(ax: Axes, table: pd.DataFrame, label: str) -> None:
    """Colour a full grid by ``value`` and draw the borders between its ``cell``s."""
    value = table.pivot(index="x2", columns="x1", values="value")
    cell = table.pivot(index="x2", columns="x1", values="cell").to_numpy()
    x1, x2 = value.columns.to_numpy(), value.index.to_numpy()
    drawn = ax.pcolormesh(
        x1, x2, value, cmap=graded(), shading="nearest", rasterized=True, alpha=0.9
    )
    border = np.zeros(cell.shape, dtype=bool)
    border[:, 1:] |= cell[:, 1:] != cell[:, :-1]
    border[1:] |= cell[1:] != cell[:-1]
    ax.contour(x1, x2, border.astype(float), levels=[0.5], colors="#ffffff", linewidths=0.6)
    bar = ax.figure.colorbar(drawn, ax=ax, label=label)
    bar.outline.set_visible(False)
    ax.grid(False)
    ax.set_aspect("equal")


def rescaling(table: pd.DataFrame, ax: Axes | None = None) -> Figure:
    """What a rescaling of the units changes and what it leaves.

    Parameters
    ----------
    table : DataFrame
        Columns ``spread``, ``quantity`` and ``ratio`` (to its value before).
    """
    figure, ax = axes_of(ax)
    colors = palette(table["quantity"])
    for name, part in parts_of(table, "quantity"):
        ax.plot(part["spread"], part["ratio"], "o-", color=colors[name], label=name)
    ax.set(
        xlabel="spread of the factors (standard deviation of $\\log\\gamma$)",
        ylabel="relative to the given weights",
        yscale="log",
    )
    plain_ticks(ax.yaxis)
    ax.legend()
    return figure


def sector(table: pd.DataFrame, sectors: dict[str, tuple[float, float]]) -> Figure:
    """Increments of activations, each inside its sector; a panel for each.

    Parameters
    ----------
    table : DataFrame
        Columns ``activation``, ``moved`` (u - v) and ``answered`` (phi(u) - phi(v)).
    sectors : dict
        alpha and beta of each activation.
    """
    parts = parts_of(table, "activation")
    figure, axes = plt.subplots(1, len(parts), figsize=(7.6, 2.9), sharex=True, sharey=True)
    for ax, (name, part) in zip(np.atleast_1d(axes), parts, strict=True):
        alpha, beta = sectors[name]
        reach = np.array([-1.0, 1.0]) * part["moved"].abs().max()
        ax.fill_between(reach, alpha * reach, beta * reach, color=COLORS["joint"], alpha=0.25, lw=0)
        ax.plot(reach, beta * reach, color=COLORS["joint"], label=f"slope {beta:g}")
        ax.plot(reach, alpha * reach, "--", color=COLORS["joint"], label=f"slope {alpha:g}")
        ax.plot(part["moved"], part["answered"], ".", ms=2.5, color=COLORS["base"], alpha=0.6)
        ax.set(title=name, xlabel="$u - v$")
        ax.legend(fontsize="small", loc="upper left")
    np.atleast_1d(axes)[0].set_ylabel(r"$\varphi(u) - \varphi(v)$")
    return figure


def slope_ladder(slopes: pd.DataFrame, ladder: dict[str, float], ax: Axes | None = None) -> Figure:
    """The slope of a network of one input, cell by cell, and the rungs above it.

    Parameters
    ----------
    slopes : DataFrame
        Columns ``x`` and ``slope``, the slope's absolute value, on a fine grid.
    ladder : dict
        "sampled", "exact", "certificate" and "product".
    """
    figure, ax = axes_of(ax)
    ax.plot(slopes["x"], slopes["slope"], color=INK, drawstyle="steps-mid", lw=1.5)
    ax.fill_between(slopes["x"], 0, slopes["slope"], step="mid", color=INK, alpha=0.2, lw=0)
    for name, color in RUNGS.items():
        dashed: dict[str, Any] = {"ls": "--", "zorder": 3} if name == "sampled" else {}
        ax.axhline(ladder[name], color=color, label=f"{name}: {ladder[name]:.3g}", **dashed)
    ax.set(xlabel="input $x$", ylabel="$|f'(x)|$", ylim=(0, None))
    ax.legend(fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def gradient_plane(
    gradients: pd.DataFrame, ladder: dict[str, float], ax: Axes | None = None
) -> Figure:
    """The gradient of every cell as a point of the plane, and the rungs as circles.

    Parameters
    ----------
    gradients : DataFrame
        Columns ``g1``, ``g2`` and ``sampled``, whether a sample fell into the cell.
    ladder : dict
        As for `slope_ladder`.
    """
    figure, ax = axes_of(ax)
    for name, color in RUNGS.items():
        dashed = "--" if name == "sampled" else "-"
        ax.add_patch(plt.Circle((0, 0), ladder[name], fill=False, color=color, ls=dashed, lw=2))
        ax.plot([], [], color=color, ls=dashed, label=f"{name}: {ladder[name]:.3g}")
    hit = gradients["sampled"]
    g1, g2 = gradients["g1"], gradients["g2"]
    ax.plot(g1[hit], g2[hit], "o", color=INK, ms=4, label="a region, sampled")
    ax.plot(g1[~hit], g2[~hit], "o", color=INK, mfc="none", ms=4, label="a region, missed")
    ax.plot(0, 0, "+", color=INK)
    reach = 1.05 * max(ladder.values())
    limits = (-reach, reach)
    ax.set(xlabel=r"$\partial f / \partial x_1$", ylabel=r"$\partial f / \partial x_2$")
    ax.set(aspect="equal", xlim=limits, ylim=limits)
    ax.legend(fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def claimed_cone(
    curves: pd.DataFrame, at: tuple[float, float], bounds: dict[str, float], ax: Axes | None = None
) -> Figure:
    """Curves, and the cones in which bounds on the slope say that the first one stays.

    Parameters
    ----------
    curves : DataFrame
        Columns ``curve``, ``x`` and ``output``.
    at : (x, output)
        The point of the first curve from which the cones open.
    bounds : dict
        A bound on the slope by name.
    """
    figure, ax = axes_of(ax)
    x = np.sort(curves["x"].unique())
    widest = np.ptp(curves["output"]) * 0.5
    middle = (curves["output"].max() + curves["output"].min()) / 2
    for (name, bound), color in zip(
        bounds.items(), (COLORS["joint"], COLORS["base"]), strict=False
    ):
        away = bound * np.abs(x - at[0])
        label = f"allowed by {name}"
        ax.fill_between(x, at[1] - away, at[1] + away, color=color, alpha=0.3, lw=0, label=label)
    inks = (COLORS["alternating"], INK)
    for (name, part), color in zip(parts_of(curves, "curve"), inks, strict=False):
        ax.plot(part["x"], part["output"], color=color, label=name)
    ax.plot(*at, "o", color=COLORS["alternating"])
    limits = (middle - 1.5 * widest, middle + 1.5 * widest)
    ax.set(xlabel="input $x$", ylabel="output", ylim=limits)
    ax.legend(fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def form_map(table: pd.DataFrame, marks: pd.DataFrame) -> Figure:
    """A quadratic form over the plane of v, a panel for each T; its negative part stands out.

    Parameters
    ----------
    table : DataFrame
        A full grid for each ``T``: columns ``T``, ``v1``, ``v2`` and ``form``.
    marks : DataFrame
        Columns ``T``, ``v1``, ``v2`` and ``text``: points to label.
    """
    parts = parts_of(table, "T")
    figure, axes = plt.subplots(
        1, len(parts), figsize=(3.9 * len(parts), 3.6), sharex=True, sharey=True
    )
    reach = float(max(-table["form"].min(), 0.1 * table["form"].max()))
    for ax, (name, part) in zip(np.atleast_1d(axes), parts, strict=True):
        form = part.pivot(index="v2", columns="v1", values="form")
        x1, x2 = form.columns.to_numpy(), form.index.to_numpy()
        drawn = ax.pcolormesh(
            x1,
            x2,
            form,
            cmap=sns.diverging_palette(20, 240, s=70, l=55, center="light", as_cmap=True),
            vmin=-reach,
            vmax=reach,
            shading="nearest",
            rasterized=True,
        )
        if form.to_numpy().min() < 0:
            ax.contour(x1, x2, form, levels=[0], colors="#333333", linewidths=1)
        for mark in marks[marks["T"] == name].to_dict("records"):
            at = (mark["v1"], mark["v2"])
            ax.plot(*at, "o", color="#222222", ms=5)
            place: dict[str, Any] = {"xytext": (0, -12), "textcoords": "offset points"}
            ax.annotate(mark["text"], at, color="#222222", ha="center", **place)
        ax.grid(False)
        ax.set(title=name, xlabel="$v_1$", aspect="equal")
    np.atleast_1d(axes)[0].set_ylabel("$v_2$")
    bar = figure.colorbar(drawn, ax=axes, label="quadratic form", extend="max")
    bar.outline.set_visible(False)
    return figure
