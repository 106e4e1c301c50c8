"""Figures of the convergence of ADMM: no convexity, the descent of V, the bound kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np

from studies.common.style import COLORS, INK, palette, parts_of

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

_DASHES = ["-", (0, (5, 2)), (0, (1, 1)), (0, (4, 1, 1, 1))]


def segment(table: pd.DataFrame, ends: tuple[str, str]) -> Figure:
    """A loss along a segment of the weights, with the chord that a convex one would lie below.

    Parameters
    ----------
    table : DataFrame
        Columns ``share``, from 0 to 1, and ``loss``.
    ends : (str, str)
        What the two ends are.
    """
    figure, ax = plt.subplots(figsize=(6.5, 3.0))
    share, loss = table["share"], table["loss"]
    chord = np.interp(share, [0, 1], loss.iloc[[0, -1]])
    ax.plot(share, loss, color=COLORS["base"], label="the loss")
    ax.plot(share, chord, ls="--", color=INK, label="a convex loss would be on or below")
    ax.fill_between(share, chord, loss, where=loss > chord, color=COLORS["base"], alpha=0.15)
    ax.set_xticks([0, 0.5, 1], [ends[0], "halfway", ends[1]])
    ax.set(ylabel="training loss")
    ax.legend(fontsize="small", loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
    return figure


def convergence(table: pd.DataFrame) -> Figure:
    """How far ADMM is from the global minimum, round by round, from several starts.

    Parameters
    ----------
    table : DataFrame
        Columns ``problem`` ("(9)" and "(12)"), ``start``, ``round``, ``gap`` (of the objective,
        relative) and ``V``.
    """
    figure, axes = plt.subplots(1, 2, figsize=(9.5, 3.3))
    shades = {"(9)": COLORS["joint"], "(12)": COLORS["alternating"]}
    for problem, runs in parts_of(table, "problem"):
        for (_, part), dashes in zip(parts_of(runs, "start"), _DASHES, strict=False):
            name = f"{problem} from {part['start'].iloc[0]}"
            for ax, column in zip(axes, ("gap", "V"), strict=True):
                ax.semilogy(
                    part["round"], part[column], ls=dashes, color=shades[problem], label=name
                )
    axes[0].set(xlabel="round of ADMM", ylabel="objective off the minimum, relative")
    axes[1].set(xlabel="round of ADMM", ylabel="$V$")
    axes[1].legend(fontsize="small")
    return figure


def enforced(table: pd.DataFrame, desired: float) -> Figure:
    """Certified bound of the feasible side after every round, and the loss of the other.

    Parameters
    ----------
    table : DataFrame
        Columns ``multipliers`` (how T is chosen), ``round``, ``certified`` and ``loss``.
    desired : float
        L_des.
    """
    figure, axes = plt.subplots(1, 2, figsize=(9.5, 3.2))
    shades = palette(list(dict.fromkeys(table["multipliers"])))
    axes[0].axhline(desired, color=INK, label="$L_{des}$")
    for (name, part), dashes in zip(parts_of(table, "multipliers"), _DASHES, strict=False):
        axes[0].plot(part["round"], part["certified"], ls=dashes, color=shades[name], label=name)
        axes[1].plot(part["round"], part["loss"], ls=dashes, color=shades[name], label=name)
    axes[0].set(xlabel="round of ADMM", ylabel=r"certified bound of $\bar W$")
    axes[1].set(xlabel="round of ADMM", ylabel="loss of $W$")
    axes[0].legend(fontsize="small")
    return figure
