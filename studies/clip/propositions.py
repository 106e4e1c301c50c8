"""Figures of CLIP's propositions: fits at several strengths, and what they pay."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib.pyplot as plt

from studies.common.style import COLORS, INK, axes_of, palette, parts_of

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def fits(lines: pd.DataFrame, points: pd.DataFrame, ax: Axes | None = None) -> Figure:
    """Fits of one data set at several strengths.

    Parameters
    ----------
    lines : DataFrame
        Columns ``fit`` (its label), ``x`` and ``value``.
    points : DataFrame
        Columns ``x`` and ``y``.
    """
    figure, ax = axes_of(ax)
    ax.scatter(points["x"], points["y"], s=14, color=INK, linewidths=0, label="data")
    colors = palette(lines["fit"])
    for fit, part in parts_of(lines, "fit"):
        ax.plot(part["x"], part["value"], color=colors[fit], lw=1.6, label=fit)
    ax.set(xlabel="$x$", ylabel="$f(x)$")
    ax.legend(fontsize=9)
    return figure


def along_strength(
    table: pd.DataFrame, limits: dict[str, float], thresholds: list[float]
) -> Figure:
    """Risk (left) and Lipschitz constant (right) of the minimisers, against the strength.

    Parameters
    ----------
    table : DataFrame
        Columns ``family``, ``strength``, ``risk`` and ``constant``.
    limits : dict of str to float
        Keys ``risk`` and ``constant``: levels that a proposition predicts, dashed.
    thresholds : list of float
        Strengths from which on a family's minimiser is constant, in the order of the families.
    """
    figure, row = plt.subplots(1, 2, figsize=(7.6, 3.4))
    colors = palette(table["family"])
    for ax, column in zip(row, ("risk", "constant"), strict=True):
        for (family, part), threshold in zip(parts_of(table, "family"), thresholds, strict=True):
            ax.plot(part["strength"], part[column], "o-", ms=3, color=colors[family], label=family)
            ax.axvline(threshold, color=colors[family], ls=":", lw=1.5)
        ax.axhline(limits[column], color=COLORS["base"], ls="--", lw=1.5)
        ax.set(xscale="log", xlabel=r"strength $\lambda$")
    row[0].set_ylabel("risk (mean squared error)")
    row[1].set_ylabel("Lipschitz constant")
    row[0].legend(fontsize=8)
    return figure
