"""Figures of CLIP's experiments."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from studies.common.style import COLORS, INK, palette, parts_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def strength_label(strength: float) -> str:
    """``lambda = ...`` as mathematics."""
    if strength == 0 or strength >= 0.001:
        return rf"$\lambda = {strength:g}$"
    return rf"$\lambda = 10^{{{np.log10(strength):.0f}}}$"


def curves(points: pd.DataFrame, samples: pd.DataFrame) -> Figure:
    """Figure 2: a panel for each strength, a line for each reading and seed.

    Parameters
    ----------
    points : DataFrame
        Columns ``reading``, ``seed``, ``strength``, ``x``, ``value`` and ``paper``, the value that
        was read off the paper's figure, or NaN.
    samples : DataFrame
        Columns ``x``, ``y`` and ``truth``.
    """
    strengths = list(dict.fromkeys(points["strength"]))
    figure, axes = plt.subplots(1, len(strengths), figsize=(9.0, 3.2), sharey=True, squeeze=False)
    names = dict.fromkeys(points["reading"])
    colors = dict(zip(names, (COLORS["alternating"], COLORS["base"]), strict=False))
    truth = samples.sort_values("x")
    for ax, strength in zip(axes[0], strengths, strict=True):
        ax.scatter(samples["x"], samples["y"], s=8, color=INK, alpha=0.6, linewidths=0)
        ax.plot(truth["x"], truth["truth"], color=INK, lw=1, ls=":", label="truth")
        here = points[points["strength"] == strength]
        for reading, part in parts_of(here, "reading"):
            for k, (_, line) in enumerate(parts_of(part, "seed")):
                ax.plot(
                    line["x"],
                    line["value"],
                    color=colors[reading],
                    lw=1.4,
                    alpha=0.9 if k == 0 else 0.45,
                    ls="-" if reading == "code" else "--",
                    label=f"ours, {reading}" if k == 0 else None,
                )
        read = here.dropna(subset=["paper"]).drop_duplicates("x")
        ax.plot(
            read["x"], read["paper"], "D", ms=5, mfc="none", color=COLORS["joint"], label="paper"
        )
        ax.set(title=strength_label(strength), xlabel="$x$")
    axes[0, 0].set_ylabel("$f(x)$")
    figure.legend(*axes[0, -1].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


def estimates(rows: pd.DataFrame) -> Figure:
    """Lower and upper values around the exact constant, as multiples of it, by strength.

    Parameters
    ----------
    rows : DataFrame
        Columns ``strength``, ``seed``, ``exact`` and any of ``sampled``, ``estimate``, ``pursued``
        and ``certificate``.
    """
    figure, ax = plt.subplots(figsize=(7.0, 3.4))
    shown = {
        "certificate": ("certificate", "s", COLORS["base"], -0.15),
        "pursued": ("CLIP's set, pursued", "^", COLORS["joint"], 0.0),
        "estimate": ("CLIP's set, as training left it", "v", COLORS["alternating"], 0.15),
    }
    strengths = list(dict.fromkeys(rows["strength"]))
    at = {strength: k for k, strength in enumerate(strengths)}
    for column, (label, marker, color, shift) in shown.items():
        if column in rows:
            place = [at[strength] + shift for strength in rows["strength"]]
            ax.plot(place, rows[column] / rows["exact"], marker, ms=6, color=color, label=label)
    ax.axhline(1, color=INK, lw=1.2, ls="--")
    ax.set_xticks(range(len(strengths)), [strength_label(s) for s in strengths])
    ax.set(ylabel="multiple of the exact constant", ylim=(0, None))
    ax.legend(fontsize=8, ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    return figure


def classifiers(table: pd.DataFrame, columns: dict[str, str]) -> Figure:
    """Table 1 as dots: a row of panels for each data set, a panel for each column.

    Parameters
    ----------
    table : DataFrame
        Columns ``dataset``, ``model`` and those of `columns`; where there is ``paper_NAME`` beside
        NAME, it is drawn too. Models for which ``failed`` is true, if there is such a column, are
        drawn as crosses.
    columns : dict
        Column to its title.
    """
    names = list(dict.fromkeys(table["dataset"]))
    models = list(dict.fromkeys(table["model"]))
    figure, axes = plt.subplots(
        len(names),
        len(columns),
        figsize=(9.0, 0.6 + (0.5 + 0.25 * len(models)) * len(names)),
        sharey=True,
        squeeze=False,
    )
    kinds = palette(dict.fromkeys(map(_kind, table["model"])))
    height = {model: -k for k, model in enumerate(models)}
    for row, name in zip(axes, names, strict=True):
        part = table[table["dataset"] == name]
        level = part["model"].map(height)
        color = part["model"].map(lambda model: kinds[_kind(model)])
        failed = part["failed"] if "failed" in part else pd.Series(False, index=part.index)
        for ax, (column, title) in zip(row, columns.items(), strict=True):
            for marker, drawn in (("o", ~failed), ("X", failed)):
                if drawn.any():
                    ax.scatter(
                        part.loc[drawn, column],
                        level[drawn],
                        s=38,
                        marker=marker,
                        color=color[drawn],
                        zorder=3,
                    )
            source = "paper_" + column.partition(" ")[0]
            if source in part and part[source].notna().any():
                ax.scatter(part[source], level, s=34, marker="D", facecolors="none", edgecolors=INK)
            ax.set(title=f"{name}: {title}" if ax is row[0] else title, xlim=(-3, 103))
            ax.set_yticks(list(height.values()), list(height))
    for ax in axes[-1]:
        ax.set_xlabel("accuracy (%)")
    return figure


def _kind(model: str) -> str:
    """A model's name without its target: "CLIP mean" of "CLIP mean 85"."""
    return model.rpartition(" ")[0] or model


def steering(history: pd.DataFrame) -> Figure:
    """Accuracy (left) and strength (right) by epoch, a line for each model of up to two kinds.

    Parameters
    ----------
    history : DataFrame
        Columns ``model``, ``epoch``, ``accuracy``, ``strength`` and ``target``.
    """
    figure, row = plt.subplots(1, 2, figsize=(8.0, 3.4))
    colors = palette(dict.fromkeys(history["target"]))
    kinds = dict.fromkeys(map(_kind, history["model"]))
    styles = dict(zip(kinds, ("-", (0, (5, 1.5))), strict=False))
    for model, part in parts_of(history, "model"):
        target = part["target"].iloc[0]
        look = {"color": colors[target], "ls": styles[_kind(model)], "lw": 1.5}
        row[0].plot(part["epoch"], 100 * part["accuracy"], label=model, **look)
        row[0].axhline(100 * target, color=colors[target], lw=1, ls=":")
        row[1].plot(part["epoch"], part["strength"], **look)
    row[0].set(xlabel="epoch", ylabel="training accuracy (%)")
    row[1].set(xlabel="epoch", ylabel=r"strength $\lambda$", yscale="log")
    figure.legend(*row[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def stability(rows: pd.DataFrame) -> Figure:
    """Accuracy, length of the penalty's step, and the first layer's norm by epoch, for each rule.

    Parameters
    ----------
    rows : DataFrame
        Columns ``rule``, ``epoch``, ``accuracy``, ``target``, ``learning_rate``,
        ``penalty_gradient`` and ``first_norm``.
    """
    figure, panels = plt.subplots(1, 3, figsize=(9.0, 3.2))
    colors = palette(dict.fromkeys(rows["rule"]))
    for rule, part in parts_of(rows, "rule"):
        lengths = part["learning_rate"] * part["penalty_gradient"]
        lines = (100 * part["accuracy"], lengths, part["first_norm"])
        for ax, line in zip(panels, lines, strict=True):
            ax.plot(part["epoch"], line, color=colors[rule], lw=1.5, label=rule)
    panels[0].axhline(100 * rows["target"].iloc[0], color=INK, lw=1, ls="--")
    panels[2].set_yscale("log")
    labels = ("training accuracy (%)", "length of the penalty's step", "norm of the first weights")
    for ax, label in zip(panels, labels, strict=True):
        ax.set(xlabel="epoch", ylabel=label)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure
