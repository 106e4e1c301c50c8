"""Figures of the pages on activation patterns, the l2 program and merging units."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import Wedge
from matplotlib.ticker import LogLocator, NullLocator

from studies.common.style import COLORS, INK, axes_of, palette, parts_of
from studies.theory.background import draw_cells, graded

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def cone_fan(cones: pd.DataFrame, samples: pd.DataFrame) -> Figure:
    """The cones (5) of one input: wedges of the plane of (w, b), and what each does to the data.

    Parameters
    ----------
    cones : DataFrame
        Columns ``name``, ``start`` and ``end`` (angles in degrees, counter-clockwise) and
        ``active``, the number of active samples.
    samples : DataFrame
        Columns ``name``, ``x`` and ``active``: whether the sample at x is active in the cone.
    """
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(7.6, 3.8), gridspec_kw={"width_ratios": [1.1, 1]}
    )
    shade = graded()
    most = max(cones["active"].max(), 1)
    for cone in cones.to_dict("records"):
        start, end = cone["start"], cone["end"]
        color = shade(0.1 + 0.8 * cone["active"] / most)
        left.add_patch(Wedge((0, 0), 1, start, end, fc=color, ec="#ffffff", lw=1))
        middle = np.deg2rad((start + end) / 2)
        # a narrow wedge is labelled further out
        reach = 0.75 if end - start > 30 else 1.16
        ink = "#ffffff" if reach < 1 else INK
        place = (reach * np.cos(middle), reach * np.sin(middle))
        left.annotate(cone["name"], place, ha="center", va="center", color=ink, fontsize="small")
    left.set(xlim=(-1.25, 1.25), ylim=(-1.25, 1.25), aspect="equal")
    left.set(xlabel="weight $w$", ylabel="bias $b$", xticks=[0], yticks=[0])
    names = list(dict.fromkeys(samples["name"]))
    height = samples["name"].map({name: k for k, name in enumerate(names)})
    on = samples["active"]
    style: dict[str, Any] = {"ls": "none", "color": COLORS["alternating"], "ms": 7}
    right.plot(samples["x"][on], height[on], "o", label="active", **style)
    right.plot(samples["x"][~on], height[~on], "o", mfc="none", label="inactive", **style)
    right.set(xlabel="samples $x$", ylabel="cone", yticks=range(len(names)), yticklabels=names)
    right.invert_yaxis()
    figure.legend(*right.get_legend_handles_labels(), loc="outside upper right", ncols=2)
    return figure


def pattern_disc(data: pd.DataFrame, disc: pd.DataFrame) -> Figure:
    """The cones of two inputs, seen on the half sphere of hidden weights, beside the data.

    Parameters
    ----------
    data : DataFrame
        Columns ``x1`` and ``x2``.
    disc : DataFrame
        A full grid ``x1``, ``x2`` over the square around the disc: ``value``, the number of
        active samples, NaN outside, and ``cell``, a number per pattern.
    """
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(7.6, 3.4), gridspec_kw={"width_ratios": [1, 1.35]}
    )
    left.plot(data["x1"], data["x2"], "o", color=COLORS["alternating"])
    left.set(xlabel="input $x_1$", ylabel="input $x_2$", title="samples", aspect="equal")
    draw_cells(right, disc, "active samples")
    right.set(title="units: one half of the sphere", xlabel="weight $w_1$", ylabel="weight $w_2$")
    right.set(xticks=[0], yticks=[0])
    return figure


def pattern_counts(table: pd.DataFrame, ax: Axes | None = None) -> Figure:
    """How many patterns there are, against the number of samples.

    Parameters
    ----------
    table : DataFrame
        Columns ``samples``, ``inputs``, ``formula``, ``enumerated`` (NaN where not done) and
        ``all`` (2^n).
    """
    figure, ax = axes_of(ax)
    whole = table.drop_duplicates("samples")
    ax.plot(whole["samples"], whole["all"], ":", color=INK, label="all 0/1 vectors, $2^n$")
    colors = palette(table["inputs"].astype(str))
    for inputs, part in parts_of(table, "inputs"):
        ax.plot(
            part["samples"], part["formula"], color=colors[inputs], label=f"formula, $d$ = {inputs}"
        )
        ax.plot(part["samples"], part["enumerated"], "o", color=colors[inputs])
    ax.plot([], [], "o", color=INK, label="enumerated")
    ax.set(xlabel="number of samples $n$", ylabel="activation patterns", yscale="log")
    ax.legend(fontsize="small")
    return figure


def balance(table: pd.DataFrame, ax: Axes | None = None) -> Figure:
    """The l2 cost of one unit over its rescalings, for units of the same product.

    Parameters
    ----------
    table : DataFrame
        Columns ``unit``, ``gamma``, ``cost`` and ``product``, the value |w||a|.
    """
    figure, ax = axes_of(ax)
    colors = palette(table["unit"])
    for name, part in parts_of(table, "unit"):
        ax.plot(part["gamma"], part["cost"], color=colors[name], label=name)
        ax.axhline(part["product"].iloc[0], color=colors[name], ls=":", lw=1.5)
        least = part.nsmallest(1, "cost")
        ax.plot(least["gamma"], least["cost"], "o", color=colors[name])
    ax.plot([], [], ":", color=INK, label="the products $|w||a|$")
    cost = r"$\frac{1}{2}\left(|\gamma w|^2 + (a/\gamma)^2\right)$"
    ax.set(xlabel=r"rescaling $\gamma$", ylabel=cost, xscale="log")
    ax.xaxis.set_major_locator(LogLocator(base=2))
    ax.xaxis.set_major_formatter("{x:g}")
    ax.xaxis.set_minor_locator(NullLocator())
    ax.legend(fontsize="small")
    return figure


def value_by_width(table: pd.DataFrame, levels: dict[str, float], ax: Axes | None = None) -> Figure:
    """Optimal values of the non-convex problem against the width, and of convex programs.

    Parameters
    ----------
    table : DataFrame
        Columns ``method``, ``width`` and ``value``; a method with several values per width is
        drawn as dots, one with a single value as a line.
    levels : dict
        Optimal value of each convex program, drawn as a level.
    """
    figure, ax = axes_of(ax)
    colors = palette([*table["method"], *levels])
    for name, part in parts_of(table, "method"):
        many = part["width"].duplicated().any()
        marker: dict[str, Any] = {"marker": "s"}
        if many:
            marker = {"ls": "none", "marker": "o", "ms": 8, "alpha": 0.5, "zorder": 3}
        ax.plot(part["width"], part["value"], color=colors[name], label=name, **marker)
    for name, level in levels.items():
        ax.axhline(level, color=colors[name], ls="--", label=name)
    ax.set(xlabel="width $m$", ylabel="value of problem (4)")
    ax.set_xticks(sorted(table["width"].unique()))
    ax.legend(fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def fits(lines: pd.DataFrame, data: pd.DataFrame, ax: Axes | None = None) -> Figure:
    """Fitted functions of one input over the data.

    Parameters
    ----------
    lines : DataFrame
        Columns ``model``, ``x`` and ``output``.
    data : DataFrame
        Columns ``x`` and ``y``.
    """
    figure, ax = axes_of(ax)
    colors = palette(lines["model"])
    for k, (name, part) in enumerate(parts_of(lines, "model")):
        style = ("-", (0, (4, 2)), ":")[k % 3]
        ax.plot(part["x"], part["output"], color=colors[name], ls=style, label=name)
    ax.plot(data["x"], data["y"], "o", color=INK, label="data")
    ax.set(xlabel="input $x$", ylabel="output")
    ax.legend(fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def merged_functions(table: pd.DataFrame, samples: pd.DataFrame) -> Figure:
    """A network before and after merging two units: its values, and its slope.

    Parameters
    ----------
    table : DataFrame
        Columns ``network``, ``x``, ``output`` and ``slope``.
    samples : DataFrame
        Columns ``x`` and ``y``: the data, on which nothing changes.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(7.6, 3.2), sharex=True)
    colors = palette(table["network"])
    for k, (name, part) in enumerate(parts_of(table, "network")):
        style: dict[str, Any] = {"color": colors[name], "ls": ("-", (0, (4, 2)))[k % 2]}
        left.plot(part["x"], part["output"], label=name, **style)
        right.plot(part["x"], part["slope"], **style)
    left.plot(samples["x"], samples["y"], "o", color=INK, label="samples", zorder=3)
    left.set(xlabel="input $x$", ylabel="$f(x)$")
    right.set(xlabel="input $x$", ylabel="slope $f'(x)$")
    figure.legend(*left.get_legend_handles_labels(), loc="outside upper right", ncols=3)
    return figure


def merged_share(table: pd.DataFrame, marks: pd.DataFrame, ax: Axes | None = None) -> Figure:
    """The bound after merging two units, against the share q that the merged one is given.

    Parameters
    ----------
    table : DataFrame
        Columns ``share`` and ``rho``.
    marks : DataFrame
        Columns ``share``, ``rho`` and ``text``: points to label.
    """
    figure, ax = axes_of(ax)
    ax.plot(table["share"], table["rho"], color=COLORS["alternating"])
    for k, mark in enumerate(marks.to_dict("records")):
        color = (COLORS["base"], COLORS["joint"])[k % 2]
        ax.plot(mark["share"], mark["rho"], "o", color=color, ms=8, label=mark["text"])
    ax.set(xlabel="share $q$ of the merged unit", ylabel=r"least $\rho = L^2$")
    ax.legend(fontsize="small")
    return figure
