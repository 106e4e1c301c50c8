"""Figures of the multi-layer certificate: its benchmark."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np

from lipsnn.plot.style import palette

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

NAMES = {
    "lipsdp-neuron": "lipsnn (exact)",
    "plain-lmi": "LMI, CVXPY",
    "eclipse": "ECLipsE",
    "eclipse-fast": "ECLipsE-Fast",
    "product": "product of norms",
}
_MARKS = dict(zip(NAMES, "osv^D", strict=True))


def benchmark(table: pd.DataFrame) -> Figure:
    """Seconds, and bounds over the exact value, against depth: a column of panels per width.

    Parameters
    ----------
    table : DataFrame
        Columns ``method``, ``depth``, ``width``, ``cpu_seconds`` and ``bound``, both empty where a
        method was stopped.
    """
    widths = sorted(table["width"].unique())
    figure, axes = plt.subplots(
        2, len(widths), figsize=(2.6 * len(widths) + 1, 5.2), sharex=True, sharey="row"
    )
    axes = axes.reshape(2, -1)
    colors = palette(NAMES.values())
    for column, width in enumerate(widths):
        here = table[table["width"] == width]
        exact = here[here["method"] == "lipsdp-neuron"].set_index("depth")["bound"]
        for method, name in NAMES.items():
            part = here[here["method"] == method].dropna(subset=["bound"]).sort_values("depth")
            style = {"marker": _MARKS[method], "color": colors[name], "label": name}
            axes[0, column].loglog(part["depth"], part["cpu_seconds"], **style)
            ratio = part["bound"] / part["depth"].map(exact)
            axes[1, column].loglog(part["depth"], ratio, **style)
        axes[0, column].set_title(f"width {width}")
        depths = np.unique(here["depth"])
        axes[1, column].set_xticks(depths, [str(depth) for depth in depths])
        axes[1, column].minorticks_off()
        axes[1, column].set_xlabel("hidden layers")
    axes[0, 0].set_ylabel("CPU seconds")
    axes[1, 0].set_ylabel("bound over exact value")
    axes[0, 0].legend(fontsize="x-small")
    return figure
