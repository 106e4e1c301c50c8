"""Figures of the letter: rounds of ADMM, accuracy against bound, accuracy under noise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, ScalarFormatter

from studies.common.style import palette, parts_of, plain_ticks
from studies.pauli.figures import PALETTE as _SHALLOW

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

NAMES = {"nominal": "nominal", "l2": "L2", "lipschitz": "Lipschitz", "enforced": "enforced"}
PALETTE = {name: _SHALLOW.get(name) or palette([name])[name] for name in NAMES}
_MARKS = dict(zip(NAMES, "osv^", strict=True))
_DASHES = ["-", (0, (4, 2)), (0, (1, 1))]


def rounds(table: pd.DataFrame) -> Figure:
    """Loss, bound and residual of each round of ADMM, a line for each network and kind.

    Parameters
    ----------
    table : DataFrame
        Columns ``network``, ``kind`` (of line), ``round``, ``loss``, ``bound`` and ``primal``.
    """
    figure, axes = plt.subplots(1, 3, figsize=(9.5, 3.4))
    titles = {
        "loss": "cross-entropy of $W$",
        "bound": r"bound of $\bar W$",
        "primal": r"$|W - \bar W|$",
    }
    kinds = list(dict.fromkeys(table["kind"]))
    for name, part in parts_of(table, "network"):
        for (kind, line), dashes in zip(parts_of(part, "kind"), _DASHES, strict=False):
            label = f"{NAMES[name]}, {kind}" if len(kinds) > 1 else NAMES[name]
            for ax, column in zip(axes, titles, strict=True):
                style: dict[str, Any] = {"color": PALETTE[name], "ls": dashes, "label": label}
                ax.plot(line["round"], line[column], **style)
    for ax, title in zip(axes, titles.values(), strict=True):
        ax.set(xlabel="round of ADMM", title=title)
        ax.title.set_size(11)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes[0].set_yscale("log")
    plain_ticks(axes[0].yaxis)
    axes[2].set_yscale("log")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


def accuracies(table: pd.DataFrame) -> Figure:
    """Test accuracy against certified bound, a point for each network and seed.

    Parameters
    ----------
    table : DataFrame
        Columns ``panel`` (title), ``network``, ``bound`` and ``test_accuracy``.
    """
    panels = parts_of(table, "panel")
    figure, row = plt.subplots(
        1, len(panels), figsize=(1.5 + 3.8 * len(panels), 3.5), squeeze=False, sharey=True
    )
    for ax, (title, part) in zip(row[0], panels, strict=True):
        for name, points in parts_of(part, "network"):
            style: dict[str, Any] = {"color": PALETTE[name], "label": NAMES[name], "ls": "none"}
            ax.plot(
                points["bound"], 100 * points["test_accuracy"], marker=_MARKS[name], ms=8, **style
            )
        ax.set(xlabel="certified bound $L$", title=title, xscale="log")
        ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.xaxis.set_major_formatter(ScalarFormatter())
        ax.xaxis.set_minor_formatter(NullFormatter())
    row[0, 0].set_ylabel("test accuracy (%)")
    figure.legend(*row[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


def under_noise(table: pd.DataFrame) -> Figure:
    """Test accuracy against the level of noise, mean over the seeds: a row for each example.

    Parameters
    ----------
    table : DataFrame
        Columns ``example``, ``seed``, ``network``, ``noise``, ``level`` and ``accuracy``.
    """
    examples = parts_of(table, "example")
    kinds = list(dict.fromkeys(table["noise"]))
    labels = {"Gaussian": "standard deviation", "uniform": "width"}
    figure, axes = plt.subplots(
        len(examples),
        len(kinds),
        figsize=(9.0, 0.8 + 2.9 * len(examples)),
        squeeze=False,
        sharey="row",
    )
    for row, (example, part) in zip(axes, examples, strict=True):
        for ax, kind in zip(row, kinds, strict=True):
            here = part[part["noise"] == kind]
            for name, line in parts_of(here, "network"):
                mean = line.groupby("level")["accuracy"].mean()
                style: dict[str, Any] = {"color": PALETTE[name], "marker": _MARKS[name], "ms": 5}
                ax.plot(mean.index, 100 * mean, label=NAMES[name], **style)
            ax.set(title=f"{example}, {kind} noise", xlabel=f"{labels[kind]} of the noise")
            ax.title.set_size(11)
        row[0].set_ylabel("test accuracy (%)")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure
