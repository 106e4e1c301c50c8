"""Figures of fact I: a ball that grows, and errors under attack from both sides."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np

from studies.common.style import COLORS, INK, parts_of

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

BALL, BOUND, FOUND = COLORS["joint"], COLORS["base"], COLORS["alternating"]


def growing_ball(
    weights: np.ndarray, center: np.ndarray, shown: list[float], steps: pd.DataFrame, whole: float
) -> Figure:
    """Left, the lines on which units switch and some balls; right, the bound by their radius.

    Parameters
    ----------
    weights : ndarray, (m, 3)
        Hidden weights of a network with two inputs, the bias last.
    center : ndarray, (2,)
    shown : list of float
        Radii of the balls to draw, rising; the last sets the view.
    steps : DataFrame
        Columns ``radius``, ``bound`` and ``sampled``, the steepest slope found in the ball.
    whole : float
        The bound for the whole plane.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(7.6, 3.7))
    reach = 1.15 * shown[-1]
    lengths = np.linalg.norm(weights[:, :2], axis=1)
    feet = (weights[:, :2] @ center + weights[:, 2]) / lengths
    along = np.array([-2 * reach, 2 * reach])
    for w, length, distance in zip(weights, lengths, feet, strict=True):
        normal = w[:2] / length
        foot, across = center - distance * normal, np.array([-normal[1], normal[0]])
        inside = abs(distance) < shown[-1]
        left.plot(
            foot[0] + along * across[0],
            foot[1] + along * across[1],
            color=FOUND if inside else INK,
            linewidth=1.4 if inside else 0.8,
            alpha=1.0 if inside else 0.6,
        )
    angle = np.linspace(0, 2 * np.pi, 200)
    for radius in shown:
        left.plot(
            center[0] + radius * np.cos(angle),
            center[1] + radius * np.sin(angle),
            color=BALL,
            linewidth=1.6,
        )
        right.axvline(radius, color=BALL, linewidth=1, alpha=0.7)
    left.plot(*center, "o", color=BALL, ms=4)
    left.set(xlim=center[0] + np.array([-reach, reach]), ylim=center[1] + np.array([-reach, reach]))
    left.set(aspect="equal", xlabel="first input", ylabel="second input")
    left.grid(False)
    right.axhline(whole, ls="--", lw=1.5, color=INK, label="whole plane")
    right.plot(steps["radius"], steps["bound"], color=BOUND, drawstyle="steps-post", label="bound")
    right.plot(steps["radius"], steps["sampled"], color=FOUND, lw=1.5, label="steepest slope found")
    right.set(xlabel="radius of the ball", ylabel="Lipschitz bound", ylim=(0, None))
    right.legend(fontsize=8, loc="lower right")
    return figure


def by_activation(table: pd.DataFrame) -> Figure:
    """Local bounds by the radius, an axis for each activation.

    Parameters
    ----------
    table : DataFrame
        Columns ``activation``, ``radius``, ``bound`` and ``sampled``, as shares of the bound of
        the whole space.
    """
    kinds = table["activation"].unique()
    figure, axes = plt.subplots(1, len(kinds), figsize=(7.6, 2.6), sharey=True)
    for axis, kind in zip(axes, kinds, strict=True):
        part = table[table["activation"] == kind]
        axis.semilogx(part["radius"], part["bound"], color=BOUND, label="bound")
        axis.semilogx(
            part["radius"], part["sampled"], color=FOUND, ls="--", lw=1.5, label="slope found"
        )
        axis.set(title=kind, xlabel="radius of the ball", ylim=(0, 1.05))
    axes[0].set(ylabel="share of the global bound")
    axes[-1].legend(fontsize=8, loc="upper left")
    return figure


def enclosures(table: pd.DataFrame) -> Figure:
    """Mean errors by attack size, for each network an axis: attack, certificate, global bound.

    Parameters
    ----------
    table : DataFrame
        Columns ``network``, ``radius``, ``pgd``, ``reached``, ``certified`` and ``by_constant``.
    """
    parts = parts_of(table, "network")
    figure, row = plt.subplots(
        1, len(parts), figsize=(3.8 * len(parts), 3.5), sharey=True, squeeze=False
    )
    for ax, (name, part) in zip(row[0], parts, strict=True):
        ax.plot(
            part["radius"], part["by_constant"], ":", color=INK, label="by the Lipschitz constant"
        )
        ax.plot(part["radius"], part["certified"], color=BOUND, label="certified: none is above")
        ax.plot(part["radius"], part["reached"], "x", ms=8, color=BALL, label="best points found")
        ax.plot(part["radius"], part["pgd"], "o", ms=4, color=FOUND, label="PGD")
        ax.set(title=name, xlabel="attack size", ylim=(0, None))
        ax.title.set_size(10)
    row[0][0].set_ylabel("mean squared error")
    row[0][0].legend(fontsize=8, loc="upper left")
    return figure
