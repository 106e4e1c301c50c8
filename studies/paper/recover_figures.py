"""Figures of the recovery: what the epochs explain, and which settings the table determines."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.lines import Line2D

from lipsnn._checks import Array
from studies.common.style import INK, parts_of
from studies.paper import printed
from studies.paper.recover_report import OPTIMIZERS
from studies.paper.tables import in_paper_order, rows_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Colour and marker of each data set.
_STYLES = {
    "servo": ("#d1603d", "o"),
    "machine": ("#2f8fc4", "s"),
    "solar": ("#2d9d78", "^"),
    "rastrigin": ("#a878c8", "D"),
    "wine": ("#b98a1e", "v"),
}


def explained(curve: pd.DataFrame, chosen: int) -> Figure:
    """Reduction by C-l2 against the epochs of the base, and where the paper's values lie.

    Parameters
    ----------
    curve : DataFrame
        dataset, epochs, percent; one method.
    chosen : int
        The epochs that the recovery chose.
    """
    figure, ax = plt.subplots(figsize=(7.4, 4.4))
    epochs = np.sort(curve["epochs"].unique())
    datasets = in_paper_order(curve["dataset"], printed.DATASETS)
    for dataset in datasets:
        part = curve[curve["dataset"] == dataset].sort_values("epochs")
        color, marker = _STYLES[dataset]
        ax.plot(part["epochs"], part["percent"], color=color, lw=1.8)
        level = printed.table1(dataset, "C-l2", "mean") or np.nan
        for at in crossings(part, level):
            ax.plot(at, level, marker, color=color, ms=11, mec=INK, mew=1.2, zorder=4)
        ax.annotate(
            f" {dataset}",
            (part["epochs"].iloc[-1], part["percent"].iloc[-1]),
            xytext=(4, 0),
            textcoords="offset points",
            ha="left",
            va="center",
            color=color,
            fontsize=9,
        )
    ax.axvline(chosen, color=INK, lw=1, ls=(0, (4, 3)))
    ax.annotate(
        "regime paper",
        (chosen, 1),
        xycoords=("data", "axes fraction"),
        xytext=(4, -2),
        textcoords="offset points",
        va="top",
        fontsize=8.5,
    )
    ax.set(xscale="log", yscale="log", xlabel="epochs that the base was trained for")
    ax.set_ylabel("C-l2: objective lower by, %")
    ax.set_xlim(epochs[0] / 1.1, epochs[-1] * 2.2)
    ax.set_xticks(epochs, [f"{e:g}" for e in epochs], fontsize=8)
    ax.xaxis.set_minor_locator(plt.NullLocator())
    ax.yaxis.set_major_formatter("{x:g}")
    handles = [
        Line2D([], [], color=INK, lw=1.8, label="this companion, by epochs"),
        Line2D(
            [],
            [],
            color=INK,
            marker="o",
            ls="",
            ms=10,
            label="where the line meets the paper's value",
        ),
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=2, fontsize=9)
    return figure


def crossings(curve: pd.DataFrame, level: float) -> list[float]:
    """The epochs at which a curve takes a value, by logarithmic interpolation between stations."""
    points = curve.sort_values("epochs")
    x, y = np.log(points["epochs"].to_numpy(float)), points["percent"].to_numpy(float)
    found = []
    for i in range(len(x) - 1):
        if (y[i] - level) * (y[i + 1] - level) <= 0 and y[i] != y[i + 1]:
            found.append(
                float(np.exp(x[i] + (level - y[i]) / (y[i + 1] - y[i]) * (x[i + 1] - x[i])))
            )
    return found


def landscape(near: pd.DataFrame, choices: pd.DataFrame) -> Figure:
    """Distance from the used half over epochs and strength, a panel for each optimiser.

    Parameters
    ----------
    near : DataFrame
        optimizer, learning_rate, batch_size, loss, strength, epochs, distance.
    choices : DataFrame
        draw and the settings it chose; draw 0 is marked by a square, the others by dots.
    """
    groups = list(near.groupby(["optimizer", "learning_rate"], sort=False))
    groups.sort(key=lambda group: group[0])
    strengths = near[["loss", "strength"]].drop_duplicates().sort_values(["loss", "strength"])
    names = [_strength(r.loss, r.strength) for r in rows_of(strengths)]
    epochs = sorted(near["epochs"].unique())
    rows = -(-len(groups) // 2)
    figure, axes = plt.subplots(
        rows, 2, sharey=True, figsize=(7.4, 3.1 * rows), squeeze=False, layout="constrained"
    )
    for spare in axes.flat[len(groups) :]:
        spare.set_axis_off()
    limits = float(near["distance"].min()), float(near["distance"].quantile(0.9))
    for ax, ((optimizer, rate), part) in zip(axes.flat, groups, strict=False):
        part = part.assign(row=[_strength(r.loss, r.strength) for r in rows_of(part)])
        wide = part.pivot_table(index="row", columns="epochs", values="distance")
        wide = wide.reindex(index=names, columns=epochs)
        ax.imshow(
            wide,
            aspect="auto",
            cmap=sns.color_palette("crest", as_cmap=True),
            vmin=limits[0],
            vmax=limits[1],
        )
        batches = part.drop_duplicates("row").set_index("row")["batch_size"].reindex(names)
        for i, name in enumerate(names):
            for j, station in enumerate(epochs):
                value = wide.loc[name, station]
                if np.isfinite(value):
                    middle = (value - limits[0]) / (limits[1] - limits[0])
                    ax.text(
                        j,
                        i,
                        f"{value:.2f}",
                        ha="center",
                        va="center",
                        fontsize=8,
                        color="#10242a" if middle < 0.4 else "white",
                    )
            if pd.notna(batches[name]):
                ax.text(
                    len(epochs) - 0.42,
                    i,
                    _batch(int(batches[name])),
                    fontsize=6.5,
                    va="center",
                    ha="left",
                    rotation=90,
                    color=INK,
                )
        mine = choices[(choices["optimizer"] == optimizer) & (choices["learning_rate"] == rate)]
        for r in rows_of(mine.sort_values("draw")):
            at = (epochs.index(r.epochs) - 0.5, names.index(_strength(r.loss, r.strength)) - 0.5)
            ax.add_patch(
                plt.Rectangle(
                    at,
                    1,
                    1,
                    fill=False,
                    ec="#d1603d",
                    lw=3 if r.draw == 0 else 1.4,
                    ls="-" if r.draw == 0 else (0, (2, 1.5)),
                    zorder=5,
                )
            )
        ax.set_title(f"{OPTIMIZERS[str(optimizer)]}, rate {rate:g}", fontsize=9.5)
        ax.set_xticks(range(len(epochs)), [f"{e:g}" for e in epochs], fontsize=8)
        ax.set_yticks(range(len(names)), names, fontsize=8.5)
        ax.set_xlabel("epochs", fontsize=9)
        ax.tick_params(length=0)
        ax.grid(False)
        for spine in ax.spines.values():
            spine.set_visible(False)
    for line in axes:
        line[0].set_ylabel("strength", fontsize=9)
    return figure


def _strength(loss: str, strength: float) -> str:
    return f"{strength:g} $n$" if loss == "mean" else f"{strength:g} (sum)"


def _batch(size: int) -> str:
    return f"batch {size}" if size else "full batch"


def found_and_printed(table: pd.DataFrame) -> Figure:
    """Every entry of Table 1, ours against the paper's, on the scale of the distance.

    Parameters
    ----------
    table : DataFrame
        problem, dataset, method, statistic, reduction_percent, paper_percent, used.
    """
    figure, axes = plt.subplots(1, 2, figsize=(8.8, 4.3))
    ticks = [-100, -30, -10, -3, 0, 3, 10, 30]
    methods = {"C-l2": "^", "samp-l2": "v", "C-lip": "^", "samp-lip": "v"}
    for ax, (problem, part) in zip(axes, parts_of(table, "problem"), strict=False):
        for r in rows_of(part):
            color = _STYLES[r.dataset][0]
            ax.plot(
                _scaled(r.paper_percent),
                _scaled(r.reduction_percent),
                methods[r.method],
                color=color,
                mfc=color if r.used else "none",
                ms=8,
                mew=1.4,
            )
        ends = np.array([min(ticks) * 2.5, max(ticks) * 1.2])
        ax.plot(_scaled(ends), _scaled(ends), color=INK, lw=1)
        ax.axhline(0, color=INK, lw=0.6)
        ax.axvline(0, color=INK, lw=0.6)
        ax.set_xticks(_scaled(np.array(ticks)), [f"{t:g}" for t in ticks], fontsize=8)
        ax.set_yticks(_scaled(np.array(ticks)), [f"{t:g}" for t in ticks], fontsize=8)
        ax.set(title=printed.NAMES[problem], xlabel="printed, %", ylabel="found, %")
    handles = [
        Line2D([], [], color=color, marker="o", ls="", label=name)
        for name, (color, _) in _STYLES.items()
    ]
    handles += [
        Line2D([], [], color=INK, marker="^", ls="", label="all patterns"),
        Line2D([], [], color=INK, marker="v", ls="", label="half of them"),
        Line2D([], [], color=INK, marker="o", mfc="none", ls="", label="held out"),
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=4, fontsize=9)
    return figure


def _scaled(percent: float | Array) -> Array:
    return np.asarray(np.sign(percent) * np.log1p(np.abs(percent)))


def spread(found: pd.DataFrame) -> Figure:
    """What each cell becomes over all settings of the search, and the printed value.

    Parameters
    ----------
    found : DataFrame
        problem, dataset, method, percent: a row per setting and cell.
    """
    figure, axes = plt.subplots(1, 2, figsize=(8.8, 4.2), sharex=True)
    ticks = np.array([-1000, -100, -30, -10, -3, 0, 3, 10, 30, 100])
    for ax, (problem, part) in zip(axes, parts_of(found, "problem"), strict=True):
        cells = [
            (dataset, method)
            for dataset in in_paper_order(part["dataset"], printed.DATASETS)
            for method in printed.HALVES[problem][1]
        ]
        for height, (dataset, method) in enumerate(cells):
            values = part[(part["dataset"] == dataset) & (part["method"] == method)]["percent"]
            color = _STYLES[dataset][0]
            lift = np.linspace(-0.28, 0.28, len(values))
            ax.plot(
                _scaled(values.to_numpy()), height + lift, "o", color=color, ms=3, alpha=0.6, mew=0
            )
            level = _scaled(printed.table1(dataset, method, "mean") or np.nan)
            ax.plot([level, level], [height - 0.42, height + 0.42], color=INK, lw=2.4)
        ax.axvline(0, color=INK, lw=0.8)
        ax.set_yticks(range(len(cells)), [f"{d} {m}" for d, m in cells], fontsize=8.5)
        ax.set_ylim(len(cells) - 0.5, -0.5)
        ax.set_xticks(_scaled(ticks), [f"{t:g}" for t in ticks], fontsize=8)
        ax.grid(False, axis="y")
        ax.set(title=printed.NAMES[problem], xlabel="objective lower by, %")
    return figure
