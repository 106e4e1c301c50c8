"""Figures of facts A and B: the certificate as a small problem, and as a norm."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np

from studies.common.style import COLORS, INK, axes_of, palette, parts_of, plain_ticks

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LOWER, UPPER = COLORS["alternating"], COLORS["base"]
# pages that draw the same thing use the same colour for it
STEEPEST = COLORS["joint"]


def turning_ellipse(
    slopes: np.ndarray, factors: dict[int, np.ndarray], values: pd.DataFrame, steepest: np.ndarray
) -> Figure:
    """Left, P as an ellipse at some steps of the ascent; right, the two values it gives.

    Parameters
    ----------
    slopes : ndarray, (m, 2)
        zbar_i of a network with two inputs.
    factors : dict of int to ndarray, (2, k)
        R with P = RR' at the steps to draw.
    values : DataFrame
        Columns ``step``, ``lower`` and ``upper``.
    steepest : ndarray, (2,)
        The gradient of largest norm over all patterns: the formal global constant.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(7.4, 3.6))
    reach = 1.15
    unit = slopes / np.linalg.norm(slopes, axis=1).max()
    for row in unit:
        left.plot([0, row[0]], [0, row[1]], color=INK, linewidth=1, alpha=0.8)
    left.scatter(unit[:, 0], unit[:, 1], s=10, color=INK, linewidths=0, label="slopes (scaled)")
    circle = np.array([np.cos(t := np.linspace(0, 2 * np.pi, 200)), np.sin(t)])
    strengths = np.linspace(0.3, 1.0, len(factors))
    for (step, factor), alpha in zip(factors.items(), strengths, strict=True):
        P = factor @ factor.T
        lengths, axes = np.linalg.eigh(P / np.trace(P))
        outline = axes @ (np.sqrt(np.maximum(lengths, 0.0))[:, None] * circle)
        left.plot(
            *outline, color=LOWER, alpha=alpha, linewidth=1.2 + alpha, label=f"$P$, step {step}"
        )
    direction = steepest / np.linalg.norm(steepest) * reach
    left.plot(
        *np.array([-direction, direction]).T,
        ls="--",
        lw=1.5,
        color=STEEPEST,
        label="steepest direction",
    )
    left.set(aspect="equal", xlim=(-reach, reach), ylim=(-reach, reach))
    left.set(xlabel="first input", ylabel="second input")
    left.grid(False)
    right.plot(values["step"], values["upper"], "o-", ms=4, color=UPPER, label="upper: multipliers")
    right.plot(values["step"], values["lower"], "o-", ms=4, color=LOWER, label="lower: $P$ itself")
    level = float(np.linalg.norm(steepest))
    right.axhline(level, ls="--", lw=1.5, color=STEEPEST, label="formal constant FGL")
    right.set(xlabel="step of the ascent", ylabel="Lipschitz bound")
    right.legend(fontsize=8)
    figure.legend(
        *left.get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=8
    )
    return figure


def rounding_ratio(table: pd.DataFrame, ax: Axes | None = None) -> Figure:
    """How far the bound can lie above the formal constant, by the number of inputs.

    Parameters
    ----------
    table : DataFrame
        Columns ``inputs``, ``ratio`` (bound over formal constant) and ``kind``; the kind
        "isotropic" is drawn as a curve, every other as points.
    """
    figure, ax = axes_of(ax)
    colors = palette(table["kind"])
    for kind, part in parts_of(table, "kind"):
        mark = "-" if kind == "isotropic" else "o"
        label = "slopes spread evenly" if kind == "isotropic" else kind
        ax.plot(
            part["inputs"], part["ratio"], mark, ms=4, alpha=0.8, color=colors[kind], label=label
        )
    ax.axhline(np.sqrt(np.pi / 2), ls="--", color=COLORS["base"], label=r"$\sqrt{\pi/2}$")
    ax.set(xlabel="inputs $d$", ylabel="bound / formal constant", xscale="log")
    ax.legend()
    return figure


def seconds_by_width(table: pd.DataFrame, ax: Axes | None = None) -> Figure:
    """Wall time of several ways to the same number, against the width of the network.

    Parameters
    ----------
    table : DataFrame
        Columns ``form``, ``width`` and ``seconds``.
    """
    figure, ax = axes_of(ax)
    colors = palette(table["form"])
    for form, part in parts_of(table, "form"):
        ax.plot(part["width"], part["seconds"], "o-", color=colors[form], label=form)
    ax.set(xlabel="hidden units $m$", ylabel="seconds", xscale="log", yscale="log")
    plain_ticks(ax.xaxis)
    plain_ticks(ax.yaxis)
    ax.legend()
    return figure


def unit_balls(balls: pd.DataFrame, arrows: pd.DataFrame) -> Figure:
    """The unit ball of the certificate in two-dimensional slices, with gradients on its surface.

    Parameters
    ----------
    balls : DataFrame
        Columns ``slice`` (its title), ``across`` and ``up``, one closed curve per slice, and
        optionally ``across_label`` and ``up_label``.
    arrows : DataFrame
        Columns ``slice``, ``across``, ``up``, ``by_across`` and ``by_up``.
    """
    slices = parts_of(balls, "slice")
    figure, row = plt.subplots(1, len(slices), figsize=(3.7 * len(slices), 3.8), squeeze=False)
    for ax, (name, curve) in zip(row[0], slices, strict=True):
        for level in (0.5, 1.0, 1.5):
            ax.plot(
                level * curve["across"],
                level * curve["up"],
                color=LOWER,
                linewidth=2.5 if level == 1 else 1,
                alpha=1.0 if level == 1 else 0.5,
            )
        here = arrows[arrows["slice"] == name]
        ax.quiver(
            here["across"],
            here["up"],
            here["by_across"],
            here["by_up"],
            angles="xy",
            scale=9,
            width=0.007,
            color=UPPER,
        )
        ax.axhline(0, color=INK, linewidth=0.8)
        ax.axvline(0, color=INK, linewidth=0.8)
        ax.set(title=name, aspect="equal")
        ax.set(xlabel=curve["across_label"].iloc[0], ylabel=curve["up_label"].iloc[0])
        ax.title.set_size(10)
        ax.grid(False)
    return figure


def descent_path(table: pd.DataFrame, levels: dict[str, float]) -> Figure:
    """Problem (4) under gradient descent: its two terms stacked, beside levels to compare with.

    Parameters
    ----------
    table : DataFrame
        Columns ``step``, ``loss`` and ``penalty`` (lam_lip L^2).
    levels : dict of str to float
        Objectives to draw as dashed lines.
    """
    figure, ax = axes_of(None)
    ax.stackplot(
        table["step"],
        table["penalty"],
        table["loss"],
        colors=[COLORS["alternating"], COLORS["base"]],
        alpha=0.45,
        linewidth=0,
        labels=[r"penalty $\lambda_{\mathrm{lip}} L^2$", "loss"],
    )
    for (name, level), style in zip(levels.items(), ("--", ":"), strict=False):
        ax.axhline(level, ls=style, color=COLORS["joint"], label=name)
    ax.set(xlabel="gradient step", ylabel="objective of problem (4)", xlim=(0, None))
    ax.set_ylim(0, 1.25 * (table["loss"] + table["penalty"]).iloc[0])
    ax.legend(loc="upper right", ncols=2, fontsize=9)
    return figure
