"""Figures of fact K: a square that is cut until its steepest slope is known, and the ladder."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator

from studies.common.style import COLORS, INK, parts_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

UPPER, LOWER, EXACT = COLORS["base"], COLORS["alternating"], COLORS["joint"]


def cut_square(
    stages: dict[str, np.ndarray], edge: float, witness: np.ndarray, steps: pd.DataFrame
) -> Figure:
    """Values over the square by colour, one axis for each stage, and the interval as it closes.

    Parameters
    ----------
    stages : dict of ndarray (k, k)
        By title, values at a grid of the square, first input along rows from left to right; NaN
        where no slope can be the steepest.
    edge : float
        The square is [-edge, edge]^2.
    witness : ndarray, (2,)
        Where the steepest slope was met.
    steps : DataFrame
        Columns ``pieces``, ``upper`` and ``lower``.
    """
    figure, axes = plt.subplots(2, 2, figsize=(7.6, 7.0))
    *maps, last = axes.ravel()
    low = min(np.nanmin(values) for values in stages.values())
    high = max(np.nanmax(values) for values in stages.values())
    for ax, (title, values) in zip(maps, stages.items(), strict=True):
        image = ax.imshow(
            values,
            origin="lower",
            extent=(-edge, edge, -edge, edge),
            vmin=low,
            vmax=high,
            cmap="viridis",
            interpolation="nearest",
        )
        ax.plot(*witness, "*", color=UPPER, ms=11, mec="white", mew=0.6)
        ax.set(title=title, xlabel="first input", ylabel="second input")
        ax.title.set_size(10)
        ax.grid(False)
    figure.colorbar(image, ax=list(axes[:, 0]), location="left", label="slope, or its bound")
    end = steps.tail(1)
    steps = pd.concat([steps, end.assign(pieces=end["pieces"] + 1)])  # the last step has a width
    last.fill_between(
        steps["pieces"], steps["lower"], steps["upper"], step="post", color=INK, alpha=0.2, lw=0
    )
    last.plot(steps["pieces"], steps["upper"], color=UPPER, drawstyle="steps-post", label="proved")
    last.plot(steps["pieces"], steps["lower"], color=LOWER, drawstyle="steps-post", label="met")
    last.set(xlabel="pieces looked at", ylabel="Lipschitz constant")
    last.xaxis.set_major_locator(MaxNLocator(integer=True))
    last.legend(fontsize=8)
    return figure


def rungs(table: pd.DataFrame) -> Figure:
    """Each network's rungs, relative to its certificate; an axis for each kind of network.

    Parameters
    ----------
    table : DataFrame
        Columns ``dataset``, ``network``, ``attained``, ``lower``, ``upper``, ``formal`` and
        ``certificate``.
    """
    parts = parts_of(table, "network")
    figure, row = plt.subplots(
        1, len(parts), figsize=(2.6 * len(parts), 3.2), sharey=True, sharex=True, squeeze=False
    )
    for ax, (name, part) in zip(row[0], parts, strict=True):
        places = np.arange(len(part))[::-1]
        scale = part["certificate"]
        ax.hlines(places, part["lower"] / scale, part["upper"] / scale, color=EXACT, lw=5)
        ax.plot(part["lower"] / scale, places, "|", color=EXACT, ms=12, label="exact")
        ax.plot(part["attained"] / scale, places, "o", ms=4, color=LOWER, label="at the data")
        ax.plot(part["formal"] / scale, places, "x", ms=6, color=UPPER, label="any pattern")
        ax.axvline(1.0, color=INK, lw=1, ls="--", label="certificate")
        ax.set(title=name, yticks=places, yticklabels=part["dataset"], xlabel="of the certificate")
        ax.title.set_size(10)
    row[0][-1].legend(fontsize=8, loc="center left")
    return figure
