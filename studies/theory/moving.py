"""Figures that move without a kernel: what a page needs of them, as data with a still picture.

The book's script `moving.js` draws the data under a slider; where no script runs, in a notebook
or in print, the still picture stands.
"""

from __future__ import annotations

import base64
import html
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np

from lipsnn.convex.path import RefinementPath
from lipsnn.network import ShallowNet
from studies.common.style import COLORS
from studies.paper.figures import STYLES

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

_DIGITS = 5


@dataclass(frozen=True, eq=False)
class Moving:
    """A figure that a slider moves; a notebook shows it by its last line.

    Attributes
    ----------
    kind : {"strength", "certificate", "attack"}
    data : dict
        JSON, as `moving.js` reads it.
    still : Figure
        What stands where no script runs.
    alt, caption : str
    """

    kind: str
    data: Mapping[str, Any]
    still: Figure
    alt: str
    caption: str

    def _repr_html_(self) -> str:
        text = json.dumps(_rounded(self.data), separators=(",", ":")).replace("</", "<\\/")
        alt = html.escape(self.alt)
        return (
            f'<figure class="moving-figure" data-kind="{self.kind}" data-label="{alt}">\n'
            f'<div class="moving-still"><img src="{_picture(self.still)}" alt="{alt}"></div>\n'
            f'<script type="application/json">{text}</script>\n'
            f"<figcaption>{html.escape(self.caption)}</figcaption>\n</figure>"
        )


def strength(
    path: RefinementPath,
    base: ShallowNet,
    X: np.ndarray,
    y: np.ndarray,
    span: tuple[float, float],
    *,
    alt: str,
    caption: str,
) -> Moving:
    """The refined function, its cells and slopes, loss and bound, by strength (one input).

    Parameters
    ----------
    path : RefinementPath
        From weak to strong.
    base : ShallowNet
        With one input.
    X, y : ndarray, (n, 1) and (n,)
    span : (float, float)
        The inputs to show.
    """
    frames = [
        {**row, "line": _line(one.net, span)}
        for row, one in zip(
            path.table[["strength", "loss", "bound", "objective"]].to_dict("records"),
            path.refinements,
            strict=True,
        )
    ]
    shown = [0, len(frames) // 2, len(frames) - 1]
    figure, axes = plt.subplots(1, 3, figsize=(8.4, 2.9), sharey=True)
    for ax, k in zip(axes, shown, strict=True):
        ax.scatter(X[:, 0], y, s=14, color=COLORS["data"], linewidths=0)
        ax.plot(*np.array(_line(base, span)).T, color=COLORS["base"], lw=1.0)
        ax.plot(*np.array(frames[k]["line"]).T, color=COLORS["joint"])
        ax.set_title(
            rf"$\lambda$ = {frames[k]['strength']:.2g}, $L$ = {frames[k]['bound']:.2f}", fontsize=11
        )
        ax.set_xlabel("input $x$")
    data = {
        "points": np.column_stack([X[:, 0], y]).tolist(),
        "base": _line(base, span),
        "frames": frames,
        "start": shown[1],
        "colors": COLORS,
    }
    return Moving("strength", data, _closed(figure), alt, caption)


def certificate(
    slopes: np.ndarray,
    frames: Sequence[Mapping[str, Any]],
    steepest: np.ndarray,
    still: Figure,
    *,
    alt: str,
    caption: str,
) -> Moving:
    """P as an ellipse over the slopes, and the two values that it gives, by step (two inputs).

    Parameters
    ----------
    slopes : ndarray, (m, 2)
    frames : sequence of mapping
        Keys ``P`` (2, 2), ``lower`` and ``upper``, a mapping for each step.
    steepest : ndarray, (2,)
        The gradient of largest norm over all patterns; its norm is the formal constant.
    """
    formal = float(np.linalg.norm(steepest))
    data = {
        "slopes": (slopes / np.linalg.norm(slopes, axis=1).max()).tolist(),
        "frames": [
            {
                "P": [float(P[0, 0]), float(P[0, 1]), float(P[1, 1])],
                "lower": frame["lower"],
                "upper": frame["upper"],
            }
            for frame in frames
            for P in [np.asarray(frame["P"])]
        ],
        "steepest": (1.15 * steepest / formal).tolist(),
        "formal": formal,
        "start": 0,
        "colors": COLORS,
    }
    return Moving("certificate", data, _closed(still), alt, caption)


def attack(curves: pd.DataFrame, still: Figure, *, alt: str, caption: str) -> Moving:
    """Test error by attack radius, of every trial, for a choice of data sets and bases.

    Parameters
    ----------
    curves : DataFrame
        Columns ``dataset``, ``base``, ``model``, ``trial``, ``radius`` and ``mse``, all radii in
        every trial; and ``certified``, what no attack exceeds, NaN where it is not known.
    """
    radii = sorted(curves["radius"].unique())
    panels = []
    for (dataset, base), part in curves.groupby(["dataset", "base"], sort=False):
        below, above = (
            {
                str(model): [
                    [None if np.isnan(v) else v for v in one[side]]
                    for _, one in rows.groupby("radius")
                ]
                for model, rows in part.groupby("model", sort=False)
            }
            for side in ("mse", "certified")
        )
        of = {"dataset": dataset, "base": str(base).upper()}
        panels.append(of | {"models": below, "certified": above})
    styles = {
        name: {"color": color, "dash": " ".join(f"{3 * d:g}" for d in _dashes(dash))}
        for name, (color, _, dash) in STYLES.items()
    }
    data = {"radii": radii, "panels": panels, "styles": styles, "start": len(radii) - 1}
    return Moving("attack", data, _closed(still), alt, caption)


def _line(net: ShallowNet, span: tuple[float, float]) -> list[list[float]]:
    """Corners of the graph of a network with one input: one straight piece in each cell."""
    slope, shift = net.weights[:, 0], net.weights[:, 1]
    with np.errstate(divide="ignore", invalid="ignore"):
        kinks = -shift / slope
    live = (slope != 0) & (net.outer != 0) & (kinks > span[0]) & (kinks < span[1])
    x = np.unique([span[0], *kinks[live], span[1]])
    # cells too narrow to see, whose slopes rounding would spoil, join their neighbours
    x = x[np.diff(x, prepend=-np.inf) > 2e-3 * (span[1] - span[0])]
    return np.column_stack([x, net(x[:, None])]).tolist()


def _dashes(dash: Any) -> tuple[float, ...]:
    """Lengths of a matplotlib line style, none for a solid line."""
    return () if dash == "-" else tuple(dash[1])


def _picture(figure: Figure) -> str:
    """The figure as the address of an image."""
    with io.BytesIO() as file:
        figure.savefig(file, format="svg", metadata={"Date": None})
        return "data:image/svg+xml;base64," + base64.b64encode(file.getvalue()).decode()


def _closed(figure: Figure) -> Figure:
    """The figure, which the notebook then does not show by itself."""
    plt.close(figure)
    return figure


def _rounded(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    return float(f"{value:.{_DIGITS}g}") if isinstance(value, float) else value
