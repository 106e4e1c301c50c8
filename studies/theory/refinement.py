"""Figures of one refinement: the objective falling, the function before and after, the attack."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib.pyplot as plt

from studies.common.style import COLORS, DASHES, axes_of, palette, parts_of

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def objective_history(table: pd.DataFrame, ax: Axes | None = None) -> Figure:
    """The objective of problem (4) falling, step by step.

    Parameters
    ----------
    table : DataFrame
        Columns ``method``, ``step`` (0 is the base network) and ``objective``. A method with a
        single step is drawn as a level that the others can be held against.
    """
    figure, ax = axes_of(ax)
    colors = palette(table["method"])
    for method, part in parts_of(table, "method"):
        part = part.sort_values("step")
        if len(part) == 2:
            level = part["objective"].iloc[-1]
            ax.axhline(level, color=colors[method], linestyle="--")
            ax.plot(1, level, "s", color=colors[method], label=f"{method}: one solve")
        else:
            rounds = int(part["step"].max())
            label = f"{method}: {rounds} rounds"
            ax.plot(part["step"], part["objective"], "o-", color=colors[method], label=label)
    start = table.loc[table["step"] == 0, "objective"].iloc[0]
    ax.plot(0, start, "D", color=COLORS["base"], label="base network", zorder=3)
    ax.set(xlabel="convex programs solved", ylabel="objective of problem (4)")
    ax.legend()
    return figure


def fitted_slice(lines: pd.DataFrame, points: pd.DataFrame, ax: Axes | None = None) -> Figure:
    """Fitted functions along a line through input space, with the data near it.

    Parameters
    ----------
    lines : DataFrame
        Columns ``model``, ``position`` (along the line, in input units) and ``output``.
    points : DataFrame
        Columns ``position``, ``target`` and ``distance`` (of the sample from the line); nearer
        samples are drawn larger.
    """
    figure, ax = axes_of(ax)
    near = 1.0 / (1.0 + points["distance"] ** 2)
    ax.scatter(
        points["position"],
        points["target"],
        s=90 * near / near.max(),
        color=COLORS["data"],
        alpha=0.55,
        linewidths=0,
        label="data (larger: nearer the line)",
    )
    colors = palette(lines["model"])
    for model, part in parts_of(lines, "model"):
        style = DASHES.get(model, "-")
        ax.plot(part["position"], part["output"], ls=style, color=colors[model], label=model)
    ax.set(xlabel="position along the line", ylabel="target (standardised)")
    ax.legend()
    return figure


def attack_curve(table: pd.DataFrame, ax: Axes | None = None) -> Figure:
    """Test error against attack size.

    Parameters
    ----------
    table : DataFrame
        Columns ``model``, ``radius`` and ``mse``.
    """
    figure, ax = axes_of(ax)
    colors = palette(table["model"])
    for model, part in parts_of(table, "model"):
        style = DASHES.get(model, "-")
        ax.plot(part["radius"], part["mse"], marker="o", ls=style, color=colors[model], label=model)
    ax.set(xlabel=r"attack radius ($\ell_2$, standardised inputs)", ylabel="test MSE", yscale="log")
    ax.legend()
    return figure


def layer_sweeps(table: pd.DataFrame) -> Figure:
    """Objective, loss and certified bound of a deep network in time, by sweeps and by training.

    Parameters
    ----------
    table : DataFrame
        Columns ``method``, ``seconds``, ``quantity`` and ``value``.
    """
    quantities = list(dict.fromkeys(table["quantity"]))
    figure, axes = plt.subplots(1, len(quantities), figsize=(9.6, 3.2))
    colors = {"sweeps over the layers": COLORS["joint"], "more training": COLORS["base"]}
    for axis, quantity in zip(axes, quantities, strict=True):
        for method, part in parts_of(table[table["quantity"] == quantity], "method"):
            style = "o-" if method == "sweeps over the layers" else "-"
            axis.plot(part["seconds"], part["value"], style, color=colors[method], label=method)
        axis.set(xlabel="seconds", title=quantity)
        axis.set_ylim(bottom=0)
    axes[0].legend()
    return figure
