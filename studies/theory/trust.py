"""What a proved bound rests on: the road from data to bound, coloured by who has to trust what."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import matplotlib.pyplot as plt
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Patch

from studies.common.style import COLORS, INK

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TRUSTED, CHECKED, FREE, GIVEN = COLORS["joint"], COLORS["alternating"], COLORS["base"], INK
MEANING = {
    GIVEN: "what is asked about, and the answer",
    CHECKED: "checked on inputs, and refused if it differs",
    FREE: "may be wrong: then there is no proof",
    TRUSTED: "has to be right",
}


class Step(NamedTuple):
    """A box: what it is, what is in it, its place, and how far it is trusted."""

    title: str
    detail: str
    across: float
    up: float
    color: str


STEPS = {
    "data": Step("data, training", "any, by any tool", 0, 1, GIVEN),
    "module": Step("network", "torch, ONNX,\nscikit-learn", 1, 1, GIVEN),
    "conversion": Step("conversion", "compared with\nthe original", 2, 1, CHECKED),
    "numbers": Step("Network", "its weights as\nreal numbers", 3, 1, GIVEN),
    "solver": Step("solver", "float64, any\nmethod or package", 3, 0, FREE),
    "multipliers": Step("multipliers", "$T$ and $L$, in memory\nor in a file", 2, 0, FREE),
    "verify": Step("verify", "exact arithmetic,\nno solver", 1, 0, TRUSTED),
    "bound": Step("proved bound", "$L$, for all inputs", 0, 0, GIVEN),
}
ROAD = ["data", "module", "conversion", "numbers", "solver", "multipliers", "verify", "bound"]
_WIDTH, _HEIGHT, _PITCH, _RISE = 1.32, 0.78, 1.75, 1.6


def trust_model() -> Figure:
    """The steps from data to a proved bound; the weights go to `verify` past the solver."""
    figure, ax = plt.subplots(figsize=(7.4, 3.7))
    for step in STEPS.values():
        _box(ax, step)
    for here, there in pairwise(ROAD):
        step, following = STEPS[here], STEPS[there]
        across, up = following.across - step.across, following.up - step.up
        _arrow(
            ax, _place(step, 1.06 * across, 1.1 * up), _place(following, -1.06 * across, -1.1 * up)
        )
    # past the solver
    ends = _place(STEPS["numbers"], -0.5, -1.1), _place(STEPS["verify"], 0.5, 1.1)
    _arrow(ax, *ends, TRUSTED, 1.6)
    ax.text(
        1.9 * _PITCH,
        0.55 * _RISE,
        "the weights themselves",
        color=TRUSTED,
        fontsize=9,
        ha="right",
        va="bottom",
    )
    ax.set(xlim=(-0.8, 3 * _PITCH + 0.8), ylim=(-0.6, _RISE + 0.6), aspect="equal")
    ax.axis("off")
    handles = [
        Patch(facecolor="none", edgecolor=color, linewidth=1.8, label=label)
        for color, label in MEANING.items()
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=2, fontsize=9)
    return figure


def _place(step: Step, across: float = 0.0, up: float = 0.0) -> tuple[float, float]:
    """A point of a box, in halves of its width and height from its middle."""
    return (
        step.across * _PITCH + across * _WIDTH / 2,
        step.up * _RISE + up * _HEIGHT / 2,
    )


def _box(ax: Axes, step: Step) -> None:
    x, y = _place(step, -1, -1)
    ax.add_patch(
        FancyBboxPatch(
            (x, y),
            _WIDTH,
            _HEIGHT,
            boxstyle="round,pad=0.02,rounding_size=0.08",
            facecolor="none",
            edgecolor=step.color,
            linewidth=1.8,
            linestyle="--" if step.color == FREE else "-",
        )
    )
    ax.text(
        *_place(step, 0, 0.52),
        step.title,
        ha="center",
        va="center",
        fontsize=10,
        color=step.color,
        weight="bold",
    )
    ax.text(
        *_place(step, 0, -0.28), step.detail, ha="center", va="center", fontsize=8, linespacing=1.1
    )


def _arrow(
    ax: Axes,
    here: tuple[float, float],
    there: tuple[float, float],
    color: str = INK,
    width: float = 1.4,
) -> None:
    ax.add_patch(
        FancyArrowPatch(
            here,
            there,
            arrowstyle="-|>",
            mutation_scale=12,
            color=color,
            linewidth=width,
            shrinkA=0,
            shrinkB=0,
        )
    )
