"""Every figure of the book, from a tidy table, in one house style."""

from lipsnn.plot.refinement import attack_curve, fitted_slice, objective_history
from studies.common.style import COLORS, INK, palette, use_house_style

__all__ = [
    "COLORS",
    "INK",
    "attack_curve",
    "fitted_slice",
    "objective_history",
    "palette",
    "use_house_style",
]
