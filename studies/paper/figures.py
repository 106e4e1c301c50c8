"""Figures and tables of the main paper's experiments: Table 1, Figure 1, sensitivity, cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullLocator

from studies.common.style import COLORS, INK, parts_of
from studies.paper import printed
from studies.paper.tables import in_paper_order, medians

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from pandas.io.formats.style import Styler

# Colour, marker and dash of each method: any one of the three tells them apart.
STYLES = {
    "base": (COLORS["base"], "o", "-"),
    "ADMM": ("#b98a1e", "s", (0, (1, 1.2))),
    "C-lip": (COLORS["alternating"], "^", "-"),
    "samp-lip": ("#c55a91", "v", (0, (1, 1.2))),
    "joint": (COLORS["joint"], "D", (0, (4, 2))),
    "walk": ("#a878c8", "X", (0, (4, 1.5, 1, 1.5))),
    "C-l2": (COLORS["alternating"], "^", "-"),
    "samp-l2": ("#c55a91", "v", (0, (1, 1.2))),
    "balanced": (INK, "P", (0, (4, 2))),
}
MODELS = ("base", "ADMM", "C-lip", "joint", "walk")
TITLES = {"min": "Min", "max": "Max", "mean": "Avg"}
# the tints' colours at full strength; they lie on whatever the page's background is
_TINTS = {"red": "214, 48, 49", "blue": "52, 110, 235"}
_CHOICES = {
    "strength": "strengths, relative",
    "epochs": "epochs, relative",
    "penalty": "ADMM's penalty, relative",
}


def table1(table: pd.DataFrame, problem: str) -> Styler:
    """One half of Table 1 as the paper sets it, its entries beside ours, regime by regime.

    Parameters
    ----------
    table : DataFrame
        See `studies.paper.tables.table1`; with a column ``regime`` or without.
    problem : {"l2", "lipschitz"}
    """
    half = table[table["problem"] == problem]
    # a column for each regime that there is, and the printed one
    regimes = list(dict.fromkeys(half["regime"])) if "regime" in half else []
    ours = [half[half["regime"] == regime] for regime in regimes] or [half]
    values = dict(zip(regimes or ["ours"], ours, strict=True)) | {"printed": ours[0]}

    def column(whose: str) -> pd.DataFrame:
        value = "paper_percent" if whose == "printed" else "reduction_percent"
        return values[whose].pivot(index=["dataset", "method"], columns="statistic", values=value)

    found = pd.concat({whose: column(whose) for whose in values}, axis=1).swaplevel(axis=1)
    rows = [
        (dataset, method)
        for dataset in in_paper_order(half["dataset"], printed.DATASETS)
        for method in dict.fromkeys(half["method"])
        if (dataset, method) in found.index
    ]
    order = [(statistic, whose) for statistic in printed.STATISTICS for whose in values]
    shown = found.reindex(index=rows, columns=order)
    shown.index = pd.MultiIndex.from_tuples(rows, names=["Dataset", "Method"])
    shown.columns = pd.MultiIndex.from_tuples([(f"{TITLES[s]}, %", w) for s, w in order])
    return (
        shown.style.format("{:+.2f}", na_rep="")
        .map(_tinted)
        .set_uuid(f"table1-{problem}-{'-'.join(values)}")  # a page may show two of them
        .set_table_styles(
            [
                {"selector": "th, td", "props": "white-space: nowrap; padding-inline: 0.25rem;"},
                {"selector": "th", "props": "text-align: left;"},
                {"selector": "td", "props": "text-align: right;"},
                {"selector": "th.row_heading", "props": "vertical-align: top;"},
            ]
        )
    )


def reductions(trials: pd.DataFrame) -> Figure:
    """The reduction of the objective in every single trial, a panel for each half of Table 1.

    Parameters
    ----------
    trials : DataFrame
        Columns ``dataset``, ``problem``, ``base``, ``method``, ``objective`` and
        ``initial_objective``.
    """
    figure, panels = plt.subplots(1, 2, sharey=True, figsize=(9.0, 4.6))
    datasets = in_paper_order(trials["dataset"], printed.DATASETS)
    shown: dict[str, Line2D] = {}
    for ax, (problem, (base, paper_methods)) in zip(panels, printed.HALVES.items(), strict=True):
        half = trials[(trials["problem"] == problem) & (trials["base"] == base)]
        methods = [m for m in STYLES if m in set(half["method"]) and m != "base"]
        methods.sort(key=lambda method: method not in paper_methods)
        for number, method in enumerate(methods):
            color, marker, _ = STYLES[method]
            part = half[half["method"] == method]
            percent = 100 * (1 - part["objective"] / part["initial_objective"])
            # a row for each data set, in which each method has its own height
            height = part["dataset"].map(datasets.index) + 0.8 * (
                (number + 0.5) / len(methods) - 0.5
            )
            (drawn,) = ax.plot(percent, height, marker, color=color, ms=5, alpha=0.7, mew=0)
            shown.setdefault(method, drawn)
        ax.axvline(0, color=INK, lw=1)
        ax.set_xscale("symlog", linthresh=10, linscale=0.8)
        ax.set_xticks([-100, -30, -10, -5, 0, 5, 10, 30, 100])
        ax.xaxis.set_major_formatter("{x:.0f}")
        ax.grid(False, axis="y")
        for line in range(1, len(datasets)):
            ax.axhline(line - 0.5, color=INK, lw=0.8, alpha=0.4)
        ax.tick_params(axis="x", labelsize=8)
        ax.set_xlim(min(-12.0, ax.get_xlim()[0]), 60)
        ax.set(
            title=f"{printed.NAMES[problem]}, base: {base.upper()}", xlabel="objective lower by, %"
        )
    panels[0].set_yticks(range(len(datasets)), datasets)
    panels[0].set_ylim(len(datasets) - 0.5, -0.5)
    figure.legend(shown.values(), shown.keys(), loc="outside upper center", ncols=4, fontsize=9)
    return figure


def figure1(attacks: pd.DataFrame, models: Sequence[str] = MODELS) -> Figure:
    """Figure 1: test error against attack size, a panel for each data set and base.

    Lines are medians over the trials, bands reach from the lower to the upper quartile.

    Parameters
    ----------
    attacks : DataFrame
        Columns ``dataset``, ``base``, ``model``, ``trial``, ``radius`` and ``mse``.
    models : sequence of str
        Those to draw, in order.
    """
    table = medians(attacks[attacks["model"].isin(models)])
    datasets = in_paper_order(table["dataset"], printed.DATASETS)
    bases = in_paper_order(table["base"], printed.BASES)
    figure, grid = panels(datasets, bases, 2.1)
    for line, dataset in zip(grid, datasets, strict=True):
        for ax, base in zip(line, bases, strict=True):
            part = table[(table["dataset"] == dataset) & (table["base"] == base)]
            for model in models:
                curve = part[part["model"] == model].sort_values("radius")
                band = curve["lower"], curve["upper"]
                ax.fill_between(curve["radius"], *band, color=STYLES[model][0], alpha=0.13, lw=0)
                ax.plot(curve["radius"], curve["median"], **styled(model))
    named(grid, datasets, bases)
    legend(figure, [model for model in models if model in set(table["model"])])
    return figure


def named(grid: Any, datasets: Sequence[str], bases: Sequence[str]) -> None:
    """Names and axes of panels of test errors, data sets down and base networks across."""
    for line, dataset in zip(grid, datasets, strict=True):
        line[0].set_ylabel(f"{dataset}\ntest MSE")
        for ax in line:
            ax.set_yscale("log")
            _plain_ticks(ax)
    for top, bottom, base in zip(grid[0], grid[-1], bases, strict=True):
        top.set_title(f"base: {base.upper()}", fontsize=11)
        bottom.set_xlabel(r"attack size ($\ell_2$)")


def sensitivity(table: pd.DataFrame) -> Figure:
    """How the reductions move with one setting, the others kept.

    Parameters
    ----------
    table : DataFrame
        Columns ``choice`` (of the setting), ``factor`` (on what was chosen; 1 is that itself),
        ``dataset``, ``method`` and ``reduction_percent``.
    """
    choices = [choice for choice in _CHOICES if choice in set(table["choice"])]
    datasets = in_paper_order(table["dataset"], printed.DATASETS)
    figure, grid = panels(datasets, choices, 1.9)
    for line, dataset in zip(grid, datasets, strict=True):
        for ax, choice in zip(line, choices, strict=True):
            part = table[(table["dataset"] == dataset) & (table["choice"] == choice)]
            ax.axhline(0, color=INK, lw=1)
            for method, curve in parts_of(part.sort_values("factor"), "method"):
                ax.plot(curve["factor"], curve["reduction_percent"], **styled(method))
            ax.set_xscale("log")
            ax.set_xticks(sorted(table.loc[table["choice"] == choice, "factor"].unique()))
            ax.xaxis.set_major_formatter("{x:g}")
            ax.xaxis.set_minor_locator(NullLocator())
        line[0].set_ylabel(f"{dataset}\nreduction, %")
    for ax, choice in zip(grid[-1], choices, strict=True):
        ax.set_xlabel(_CHOICES[choice])
    legend(figure, list(dict.fromkeys(table["method"])))
    return figure


def cost(times: pd.DataFrame) -> Figure:
    """Seconds of each step of a trial, the mean over trials, a mark for each data set.

    Parameters
    ----------
    times : DataFrame
        Columns ``dataset``, ``step`` and ``seconds``.
    """
    means = times.groupby(["step", "dataset"])["seconds"].mean().unstack()
    means = means.loc[means.max(axis=1).sort_values().index]
    figure, ax = plt.subplots(figsize=(7.4, 1.2 + 0.34 * len(means)))
    styles = list(STYLES.values())
    for number, dataset in enumerate(in_paper_order(means.columns, printed.DATASETS)):
        color, marker, _ = styles[number % len(styles)]
        ax.plot(
            means[dataset], range(len(means)), marker, color=color, ms=8, alpha=0.9, label=dataset
        )
    ax.set(xscale="log", xlabel="seconds of one trial", yticks=range(len(means)))
    ax.set_yticklabels(means.index)
    figure.legend(loc="outside upper center", ncols=len(means.columns), fontsize=9)
    return figure


def _tinted(percent: float) -> str:
    """The paper's tint as the cell's background; none where there is no number."""
    if pd.isna(percent):
        return ""
    color, strength = printed.tint(percent)
    return f"background-color: rgba({_TINTS[color]}, {strength / 100 + 0.04:.2f})"


def _plain_ticks(ax: Axes) -> None:
    """Numbers like 0.3 on a logarithmic axis, few of them."""
    ax.yaxis.set_minor_locator(LogLocator(subs=(2.0, 5.0)))
    ax.yaxis.set_major_formatter("{x:.3g}")
    ax.yaxis.set_minor_formatter("{x:.3g}")
    ax.tick_params(axis="y", which="both", labelsize=8)


def panels(datasets: Sequence[str], columns: Sequence[str], height: float) -> tuple[Figure, Any]:
    """A grid with a row of this height for each data set, which share what they can."""
    return plt.subplots(
        len(datasets),
        len(columns),
        sharex="col",
        sharey="row",
        squeeze=False,
        figsize=(1.2 + 2.7 * len(columns), 1.0 + height * len(datasets)),
    )


def styled(method: str, **changed: Any) -> dict[str, Any]:
    """How the line of a method or model is drawn."""
    color, marker, dash = STYLES[method]
    return {"color": color, "marker": marker, "ls": dash, "ms": 5, "lw": 1.6, **changed}


def legend(figure: Figure, methods: Sequence[str], **changed: Any) -> None:
    """One legend over all panels, of these methods' lines."""
    handles = [Line2D([], [], label=method, **styled(method, **changed)) for method in methods]
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles), fontsize=9)
