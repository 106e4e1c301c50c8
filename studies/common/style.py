"""The house style: one picture that reads on a light and on a dark page.

Figures have no background and mid-tone ink; colours are named by what they stand for and are the
same on every page.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.ticker import LogFormatter

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
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
    """Set matplotlib, seaborn and, in a notebook, the format of displayed figures and numbers."""
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
        pd.set_option("display.float_format", number)


def number(value: float) -> str:
    """What a table shows of a number: four digits, two where it is tiny or huge."""
    if value == 0 or 1e-3 <= abs(value) < 1e5:
        return f"{value:.4g}" if abs(value) < 1e4 else f"{value:.0f}"
    return f"{value:.1e}"


def palette(names: Iterable[str]) -> dict[str, str]:
    """A colour for each name: its own if it has one, else a spare one, or one that none has."""
    names = list(dict.fromkeys(names))
    unused = [color for name, color in COLORS.items() if name not in names and color != INK]
    spare = iter([*_OTHERS, *unused] * 3)
    return {name: COLORS.get(name) or next(spare) for name in names}


def axes_of(ax: Axes | None) -> tuple[Figure, Axes]:
    """`ax` and its figure, or a new one."""
    if ax is None:
        figure, ax = plt.subplots()
        return figure, ax
    drawn_on = ax.get_figure(root=True)
    assert drawn_on is not None
    return drawn_on, ax


def plain_ticks(axis: Axis) -> None:
    """Label a logarithmic axis that spans few powers of ten with plain numbers."""
    axis.set_major_formatter(LogFormatter())
    axis.set_minor_formatter(LogFormatter(minor_thresholds=(2, 0.5)))


def parts_of(table: pd.DataFrame, column: str) -> list[tuple[str, pd.DataFrame]]:
    """The rows of each value of `column`, in order of first appearance."""
    return [(str(name), part) for name, part in table.groupby(column, sort=False)]
