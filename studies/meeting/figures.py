"""Figures of the meeting of all systems."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter

from studies.common.style import COLORS, INK, parts_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure


# The systems that meet; the refinements keep the colours that they have elsewhere.
METHODS = {
    "SGD": INK,
    "weight decay": "#b98a1e",
    "PGD training": "#c55a91",
    "ADMM": "#6f8f3a",
    "CLIP": COLORS["base"],
    "direct": "#a878c8",
    "alternating": COLORS["alternating"],
    "joint": COLORS["joint"],
    "walk": "#8a6f5c",
}


def tradeoff(rows: pd.DataFrame, error: str, label: str) -> Figure:
    """Error against certified bound, a line for each method along its setting.

    Parameters
    ----------
    rows : DataFrame
        Columns ``dataset``, ``method``, ``setting``, ``bound``, ``test`` and `error`; the mean over
        the splits is drawn.
    error : str
        The column of the right panels.
    label : str
        Its axis label.
    """
    names = list(dict.fromkeys(rows["dataset"]))
    figure, axes = plt.subplots(
        len(names), 2, figsize=(9.0, 0.8 + 3.0 * len(names)), squeeze=False, sharex="row"
    )
    markers = dict(zip(METHODS, "osv^DPX*<", strict=True))
    for row, name in zip(axes, names, strict=True):
        means = rows[rows["dataset"] == name].groupby(["method", "setting"], sort=False)
        means = means[["bound", "test", error]].mean().reset_index()
        for ax, column in zip(row, ("test", error), strict=True):
            for method, line in parts_of(means, "method"):
                line = line.sort_values("bound")
                ax.plot(
                    line["bound"],
                    line[column],
                    f"{markers[method]}-",
                    ms=5,
                    lw=1.3,
                    color=METHODS[method],
                    label=method,
                )
            ax.set(xscale="log", yscale="log")
            for axis in (ax.xaxis, ax.yaxis):
                axis.set_major_locator(LogLocator(subs=(1, 2, 3, 5)))
                axis.set_major_formatter(ScalarFormatter())
                axis.set_minor_formatter(NullFormatter())
        row[0].set_ylabel(f"{name}\ntest error, clean (MSE)")
        row[1].set_ylabel(label)
    for ax in axes[-1]:
        ax.set_xlabel("certified Lipschitz bound $L$")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=5)
    return figure
