"""The picture of the intro: fixed patterns, one convex program, a better network.

Computed by lipsnn when the book is built, on a one-dimensional toy, and drawn four times: wide and
tall, for light and dark pages. The style sheet shows the one that fits.
"""

from __future__ import annotations

from dataclasses import dataclass

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Polygon

import lipsnn
from book.layout import Layout
from studies.common.style import COLORS

STRENGTH = 0.1
SPAN = (-3.4, 3.4)


@dataclass(frozen=True)
class Theme:
    """Colours of a page: text, muted text, and the off cells of the pattern table."""

    ink: str
    muted: str
    empty: str


THEMES = {
    "light": Theme("#22272e", "#6a717b", "#e4e7eb"),
    "dark": Theme("#e6e9ed", "#9aa2ad", "#333a44"),
}


@dataclass(frozen=True)
class Toy:
    """Noisy samples of a sine, a network fitted too closely, and its refinement."""

    X: np.ndarray
    y: np.ndarray
    base: lipsnn.ShallowNet
    refined: lipsnn.Refinement


def make_toy() -> Toy:
    """The network is trained with hardly any weight decay, so that it chases the noise."""
    rng = np.random.default_rng(1)
    x = np.sort(rng.uniform(-3, 3, 24))
    y = np.sin(1.1 * x) + 0.4 * rng.normal(size=x.size)
    X = x[:, None]
    base = lipsnn.train_sgd(X, y, 24, 1e-5, 3, epochs=1500, learning_rate=3e-2)
    refined = lipsnn.refine(base, X, y, STRENGTH, method="joint", progress=False)
    return Toy(X, y, base, refined)


def write_all(layout: Layout) -> None:
    """Write idea-{wide,tall}-{light,dark}.svg."""
    layout.generated.mkdir(parents=True, exist_ok=True)
    toy = make_toy()
    for shape in ("wide", "tall"):
        for name, theme in THEMES.items():
            path = layout.generated / f"idea-{shape}-{name}.svg"
            # a fixed salt and no date: the same input gives the same file
            with matplotlib.rc_context({"svg.hashsalt": "lipsnn", "font.family": "DejaVu Sans"}):
                draw(toy, theme, wide=shape == "wide").savefig(
                    path, facecolor="none", metadata={"Date": None}
                )


def draw(toy: Toy, theme: Theme, *, wide: bool) -> Figure:
    """The three panels in a row or in a column, with arrows between them."""
    if wide:
        figure = Figure(figsize=(9.0, 3.6))
        grid = figure.add_gridspec(
            1, 3, left=0.012, right=0.988, top=0.89, bottom=0.19, wspace=0.48
        )
        axes = [figure.add_subplot(grid[0, k]) for k in range(3)]
    else:
        figure = Figure(figsize=(4.0, 10.8))
        grid = figure.add_gridspec(3, 1, left=0.07, right=0.97, top=0.96, bottom=0.055, hspace=0.6)
        axes = [figure.add_subplot(grid[k, 0]) for k in range(3)]
    before, after = toy.refined.initial_certificate, toy.refined.certificate
    assert before is not None
    assert after is not None
    _panel(axes[0], "1  Trained network", _values(toy.refined.initial_objective, before), theme)
    _panel(axes[1], "2  Which units are on", "training samples", theme)
    _panel(axes[2], "3  Refined network", _values(toy.refined.objective, after), theme)
    _fit(axes[0], toy, toy.base, COLORS["base"], before.bound, theme)
    _patterns(axes[1], toy, theme)
    _fit(axes[2], toy, toy.refined.net, COLORS["joint"], after.bound, theme)
    _arrow(figure, axes[0], axes[1], "keep\nfixed", theme, wide=wide)
    _arrow(figure, axes[1], axes[2], "convex\nprogram", theme, wide=wide)
    return figure


def _values(objective: float, certificate: lipsnn.Certificate) -> str:
    return f"slopes up to $L$ = {certificate.bound:.2f}\nerror + $\\lambda L^2$ = {objective:.2f}"


def _panel(ax: Axes, title: str, note: str, theme: Theme) -> None:
    ax.set_title(title, color=theme.ink, fontsize=12.5, fontweight="bold", loc="left", pad=8)
    ax.set_xlabel(note, color=theme.ink, fontsize=11, labelpad=8)
    ax.set(xticks=[], yticks=[], facecolor="none")
    for spine in ax.spines.values():
        spine.set(color=theme.muted, linewidth=0.8)


def _fit(
    ax: Axes, toy: Toy, net: lipsnn.ShallowNet, color: str, bound: float, theme: Theme
) -> None:
    """Data, the fitted line, and the wedge of slopes that the bound allows."""
    position = np.linspace(*SPAN, 1201)[:, None]
    values = net(position)
    # The bound holds everywhere: from any point, x = 0 here, the curve cannot leave the wedge.
    y0 = float(net([[0.0]])[0])
    reach = 2 * (SPAN[1] - SPAN[0])
    for side in (-1, 1):
        far = side * reach
        corners = [(0, y0), (far, y0 + bound * reach), (far, y0 - bound * reach)]
        ax.add_patch(Polygon(corners, closed=True, color=color, alpha=0.13, linewidth=0))
        slope = [y0 - side * bound * reach, y0 + side * bound * reach]
        ax.plot([-reach, reach], slope, color=color, linewidth=1.2, linestyle=(0, (4, 3)))
    ax.scatter(toy.X[:, 0], toy.y, s=22, color=theme.ink, alpha=0.75, linewidths=0, zorder=3)
    if net is not toy.base:
        ax.plot(position, toy.base(position), color=COLORS["base"], linewidth=1.1, alpha=0.7)
        middle = {"ha": "center", "va": "center"}
        ax.text(0.15, 1.72, "too steep", middle, color=theme.ink, fontsize=10.5)
    ax.plot(position, values, color=color, linewidth=2.6, zorder=4)
    ax.set(xlim=SPAN, ylim=(-2.1, 2.1))


def _patterns(ax: Axes, toy: Toy, theme: Theme) -> None:
    """The table of units against samples, filled where a unit is active."""
    active = toy.base.patterns(toy.X).T
    # units by the side they are active on and by how many samples that is
    order = np.lexsort((active.sum(axis=1), active[:, -1]))
    table = active[order][::-1]
    colors = ListedColormap([theme.empty, COLORS["alternating"]])
    ax.pcolormesh(table, cmap=colors, vmin=0, vmax=1, edgecolors="none")
    for k in range(active.shape[1] + 1):
        ax.axvline(k, color=theme.empty, linewidth=0.6, alpha=0.6)
    for k in range(active.shape[0] + 1):
        ax.axhline(k, color=theme.empty, linewidth=0.6, alpha=0.6)
    for word, kind, color in (("on", True, "white"), ("off", False, theme.ink)):
        row, column = _middle(table == kind)
        ax.text(column, row, word, color=color, fontsize=12, ha="center", va="center")
    ax.set_ylabel("units", color=theme.ink, fontsize=11)


def _middle(where: np.ndarray) -> tuple[float, float]:
    """The middle of the largest square of true entries, as row and column."""
    size = np.zeros(np.add(where.shape, 1), dtype=int)
    for i, j in np.argwhere(where):
        size[i + 1, j + 1] = 1 + min(size[i, j], size[i, j + 1], size[i + 1, j])
    row, column = np.unravel_index(size.argmax(), size.shape)
    half = size.max() / 2
    return float(row - half), float(column - half)


def _arrow(figure: Figure, start: Axes, end: Axes, label: str, theme: Theme, *, wide: bool) -> None:
    a, b = start.get_position(), end.get_position()
    if wide:
        y = (a.y0 + a.y1) / 2
        # the label of an axis stands on the left of its panel
        left, right = a.x1 + 0.012, b.x0 - (0.036 if end.get_ylabel() else 0.012)
        ends = [(left, y), (right, y)]
        place, align = ((left + right) / 2, y + 0.04), ("center", "bottom")
    else:
        x = 0.5
        # the titles and notes take the ends of the gap
        ends = [(x, a.y0 - 0.050), (x, b.y1 + 0.030)]
        place, align = (x + 0.05, (ends[0][1] + ends[1][1]) / 2), ("left", "center")
        label = label.replace("\n", " ")
    figure.add_artist(
        FancyArrowPatch(
            *ends,
            transform=figure.transFigure,
            arrowstyle="simple,head_length=9,head_width=12,tail_width=3",
            color=theme.muted,
            linewidth=0,
        )
    )
    figure.text(
        *place, label, color=theme.ink, fontsize=11, ha=align[0], va=align[1], linespacing=1.15
    )
