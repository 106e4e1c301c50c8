"""Figures of Lipschitz training: what fixing T, |a|, signs and patterns leaves of problem (4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns

from studies.common.style import COLORS, INK, axes_of, palette, parts_of

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from lipsnn._checks import Array

_LOW = sns.color_palette("viridis_r", as_cmap=True)
_VERDICTS = {
    True: ("o", COLORS["joint"], "feasible"),
    False: ("x", COLORS["base"], "infeasible"),
}


def outer_weight_plane(table: pd.DataFrame, multipliers: Array, best: Array) -> Figure:
    """Problem (8) over two fixed outer weights, at one T: contours inside an ellipse.

    Parameters
    ----------
    table : DataFrame
        Columns ``ring``, ``ray``, ``kappa_1``, ``kappa_2`` and ``objective``, on a polar grid of
        feasible points.
    multipliers : ndarray, (2,)
        The diagonal of T.
    best : ndarray, (2,)
        The kappa of the optimum of (4).
    """
    figure, ax = plt.subplots(figsize=(6.2, 4.4))
    columns = ("kappa_1", "kappa_2", "objective")
    grid = [table.pivot(index="ring", columns="ray", values=c).to_numpy() for c in columns]
    levels = _levels(table["objective"])
    drawn = ax.contourf(*grid, levels=levels, cmap=_LOW, alpha=0.75, extend="max")
    figure.colorbar(drawn, ax=ax, label="optimum of (8)", format="%.2f")
    _lemma_6(ax, multipliers)
    ax.plot(*best, "*", color=COLORS["base"], markersize=15, label="$|a|$ of an optimum of (4)")
    ax.set(xlabel=r"$\kappa_1$", ylabel=r"$\kappa_2$")
    figure.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def feasible_plane(table: pd.DataFrame, multipliers: Array) -> Figure:
    """What the solver said of (8) at kappa, against what Lemma 6 says.

    Parameters
    ----------
    table : DataFrame
        Columns ``kappa_1``, ``kappa_2`` and ``feasible``.
    multipliers : ndarray, (2,)
    """
    figure, ax = plt.subplots(figsize=(6.8, 4.2))
    for verdict, (marker, color, label) in _VERDICTS.items():
        part = table[table["feasible"] == verdict]
        ax.plot(part["kappa_1"], part["kappa_2"], marker, color=color, ms=5, label=label)
    _lemma_6(ax, multipliers)
    ax.set(xlabel=r"$\kappa_1$", ylabel=r"$\kappa_2$")
    ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def bisection(table: pd.DataFrame, predicted: float, ax: Axes | None = None) -> Figure:
    """How far a bisection on the solver's verdict is from the predicted edge, step by step.

    Parameters
    ----------
    table : DataFrame
        Columns ``step``, ``scale`` (the factor on kappa that was tried) and ``feasible``.
    predicted : float
        The factor at which (11) is lost.
    """
    figure, ax = axes_of(ax)
    ax.axhline(0, color=INK, linestyle="--", label="predicted edge (11)")
    for verdict, (marker, color, label) in _VERDICTS.items():
        part = table[table["feasible"] == verdict]
        ax.plot(part["step"], part["scale"] / predicted - 1, marker, color=color, label=label)
    ax.set_yscale("symlog", linthresh=1e-6)
    ax.set(xlabel="step of the bisection", ylabel="relative distance to the edge")
    ax.legend()
    return figure


def scaling(table: pd.DataFrame, reference: float, ax: Axes | None = None) -> Figure:
    """Optimal values against a common factor on kappa, a line per case.

    Parameters
    ----------
    table : DataFrame
        Columns ``case``, ``scale`` and ``objective``, NaN where infeasible.
    reference : float
        The optimum of (4), drawn as a level.
    """
    figure, ax = axes_of(ax)
    colors = palette(table["case"])
    for case, part in parts_of(table, "case"):
        ax.plot(part["scale"], part["objective"], "o-", ms=4, color=colors[case], label=case)
    ax.axhline(reference, color=INK, linestyle="--", label="optimum of (4)")
    ax.set(xlabel=r"factor on $\kappa$", ylabel="optimal objective")
    ax.legend()
    return figure


def weight_space(table: pd.DataFrame, X: Array, optima: pd.DataFrame) -> Figure:
    """Problem (8) with one unit and one input over all its weights, sign by sign.

    Parameters
    ----------
    table : DataFrame
        Columns ``sign``, ``w``, ``b`` and ``objective`` on a grid.
    X : ndarray, (n, 1)
        Samples: each is a line ``w x + b = 0``, and the lines bound the cones (5).
    optima : DataFrame
        Columns ``sign``, ``w``, ``b`` and ``best``: the optimum of (12) in each cone.
    """
    figure, axes = plt.subplots(1, 2, figsize=(8.6, 3.9), sharex=True, sharey=True)
    levels = _levels(table["objective"])
    for ax, (sign, part) in zip(axes, table.groupby("sign", sort=False), strict=True):
        grid = part.pivot(index="b", columns="w", values="objective")
        drawn = ax.contourf(
            grid.columns, grid.index, grid, levels=levels, cmap=_LOW, alpha=0.75, extend="both"
        )
        w = np.asarray(grid.columns)
        for x in X[:, 0]:
            ax.plot(w, -w * x, color=INK, linewidth=1)
        found = optima[optima["sign"] == sign]
        ax.plot(found["w"], found["b"], "o", color=COLORS["base"], ms=6, mec=INK)
        ax.plot(*found.loc[found["best"], ["w", "b"]].T.to_numpy(), "*", color="white", mec=INK)
        ax.lines[-1].set_markersize(17)
        ax.set(
            xlabel="weight $w$",
            xlim=(w.min(), w.max()),
            ylim=(grid.index.min(), grid.index.max()),
            title=f"sign $s = {sign:+.0f}$",
        )
    axes[0].set_ylabel("bias $b$")
    figure.colorbar(drawn, ax=axes, label="objective of (8)", format="%.2f")
    return figure


def enumeration(table: pd.DataFrame, searched: float, ax: Axes | None = None) -> Figure:
    """The optimum of (12) for every choice of patterns and signs, sorted.

    Parameters
    ----------
    table : DataFrame
        Column ``objective``.
    searched : float
        The best value of (8) that a global search knows.
    """
    figure, ax = axes_of(ax)
    values = np.sort(table["objective"].to_numpy())
    ax.step(np.arange(1, len(values) + 1), values, where="mid", color=COLORS["alternating"])
    ax.axhline(searched, color=INK, linestyle="--", label="global search on (8)")
    ax.plot(1, values[0], "*", color=COLORS["base"], ms=15, label="least of all (12)")
    ax.set(xscale="log", xlabel="patterns and signs, sorted", ylabel="optimum of (12)")
    ax.legend()
    return figure


def slice_of_restriction(grid: pd.DataFrame, points: pd.DataFrame) -> Figure:
    """A plane in the space of hidden weights, with what (12) keeps of it.

    Parameters
    ----------
    grid : DataFrame
        Columns ``alpha``, ``beta``, ``objective`` and ``inside`` (the cones of (12)).
    points : DataFrame
        Columns ``name``, ``alpha`` and ``beta``; the first two are joined.
    """
    figure, ax = plt.subplots(figsize=(7.0, 4.4))
    shape = {c: grid.pivot(index="beta", columns="alpha", values=c) for c in grid.columns[2:]}
    alpha, beta = shape["objective"].columns, shape["objective"].index
    levels = _levels(grid["objective"])
    drawn = ax.contourf(
        alpha, beta, shape["objective"], levels=levels, cmap=_LOW, alpha=0.75, extend="both"
    )
    figure.colorbar(drawn, ax=ax, label="objective of (8)", format="%.0f")
    inside = shape["inside"].astype(float)
    ax.contour(alpha, beta, inside, levels=[0.5], colors="white", linewidths=2.5)
    ax.contourf(alpha, beta, inside, levels=[-1, 0.5], colors=INK, alpha=0.5)
    ax.plot(points["alpha"][:2], points["beta"][:2], "--", color="black")
    for (name, part), marker in zip(parts_of(points, "name"), "D*o", strict=True):
        color = COLORS["base"] if marker == "D" else "black"
        size = 19 if marker == "*" else 11
        ax.plot(
            part["alpha"],
            part["beta"],
            marker,
            color=color,
            ms=size,
            mec="white",
            label=name,
            ls="",
        )
    ax.set(xlabel=r"$\alpha$, times the network", ylabel=r"$\beta$, times the optimum")
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=3)
    return figure


def segment(table: pd.DataFrame, ax: Axes | None = None) -> Figure:
    """Objectives on the line from the network (0) to the optimum of (12) (1).

    Parameters
    ----------
    table : DataFrame
        Columns ``theta``, ``program`` (the convex function of (12)), ``objective`` (of (8)) and
        ``inside`` (the cones of (12)).
    """
    figure, ax = axes_of(ax)
    inside = table["theta"][table["inside"]]
    ax.axvspan(inside.min(), inside.max(), color=INK, alpha=0.2, lw=0, label="the restriction")
    ax.plot(table["theta"], table["objective"], color=COLORS["base"], label="(8), patterns move")
    color = COLORS["alternating"]
    ax.plot(table["theta"], table["program"], "--", color=color, label="(12), patterns held")
    for theta, marker, label in ((0, "D", "network"), (1, "*", "optimum of (12)")):
        value = np.interp(theta, table["theta"], table["program"])
        ax.plot(theta, value, marker, color=INK, ms=11, label=label, ls="")
    ax.set(xlabel="position from the network (0) to the optimum (1)", ylabel="objective")
    ax.legend()
    return figure


def contained(table: pd.DataFrame, ax: Axes | None = None) -> Figure:
    """Optimal values of (6) and (12) as fractions of the network's objective.

    Parameters
    ----------
    table : DataFrame
        Columns ``case``, ``program`` and ``ratio``.
    """
    figure, ax = axes_of(ax)
    colors = dict(zip(("(6)", "(12)"), (COLORS["joint"], COLORS["alternating"]), strict=True))
    sns.barplot(table, x="case", y="ratio", hue="program", palette=colors, ax=ax, saturation=1)
    ax.axhline(1, color=COLORS["base"], label="the network")
    ax.set(xlabel="", ylabel="optimum / network's objective")
    ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def _lemma_6(ax: Axes, multipliers: Array) -> None:
    """The two conditions of Lemma 6 in the plane of two outer weights."""
    box = np.sqrt(2 * multipliers)
    angle = np.linspace(0, np.pi / 2, 200)
    ax.plot([0, box[0], box[0]], [box[1], box[1], 0], ":", color=INK, label=r"$\kappa_i^2 = 2t_i$")
    ax.plot(
        box[0] * np.cos(angle),
        box[1] * np.sin(angle),
        color=INK,
        label=r"$\frac{1}{2}\sum_i \kappa_i^2/t_i = 1$",
    )
    ax.set(xlim=(0, 1.12 * box[0]), ylim=(0, 1.12 * box[1]))


def _levels(values: pd.Series) -> Array:
    """Contour levels that crowd towards the least value."""
    low, high = np.nanmin(values), np.nanquantile(values, 0.95)
    return np.asarray(low + (high - low) * np.linspace(0, 1, 15) ** 2)
