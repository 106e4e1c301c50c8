"""What Yin and Lesage-Landry (2026), section 4, report: to be set beside what we find.

Read from the paper's Table 1 and from the text beside Figure 1; the figure's own values are not
printed anywhere.
"""

from __future__ import annotations

# In the paper's order.
DATASETS = ("servo", "machine", "solar", "rastrigin", "wine")
BASES = ("sgd", "pgd", "admm")
STATISTICS = ("min", "max", "mean")

# Table 1's two halves: the base whose objective is reduced, and the methods.
HALVES = {"l2": ("sgd", ("C-l2", "samp-l2")), "lipschitz": ("admm", ("C-lip", "samp-lip"))}
NAMES = {"l2": r"$\ell_2$", "lipschitz": "Lipschitz"}  # of the halves, in figures

# Table 1: reduction in per cent of the minimum, maximum and mean objective over ten trials, by
# data set and method.
TABLE1 = {
    ("servo", "C-l2"): (20.76, 25.42, 23.71),
    ("servo", "samp-l2"): (16.10, 14.42, 14.00),
    ("machine", "C-l2"): (9.07, 11.08, 9.74),
    ("machine", "samp-l2"): (4.89, 5.24, 5.63),
    ("solar", "C-l2"): (2.84, 4.27, 3.76),
    ("solar", "samp-l2"): (-3.84, -1.94, -3.21),
    ("rastrigin", "C-l2"): (3.70, 3.93, 3.88),
    ("rastrigin", "samp-l2"): (-9.04, -13.48, -13.06),
    ("wine", "C-l2"): (1.19, 2.13, 1.56),
    ("wine", "samp-l2"): (-74.60, -82.83, -75.55),
    ("servo", "C-lip"): (3.84, 6.59, 5.92),
    ("servo", "samp-lip"): (-10.31, -55.02, -27.18),
    ("machine", "C-lip"): (5.85, 8.28, 7.46),
    ("machine", "samp-lip"): (-2.57, -21.03, -10.32),
    ("solar", "C-lip"): (2.67, 5.28, 3.74),
    ("solar", "samp-lip"): (-3.60, -5.57, -3.95),
    ("rastrigin", "C-lip"): (4.40, 3.17, 3.89),
    ("rastrigin", "samp-lip"): (-93.43, -125.24, -109.45),
    ("wine", "C-lip"): (3.50, 7.20, 5.55),
    ("wine", "samp-lip"): (-91.15, -124.66, -101.83),
}

# Figure 1's models. A base named B gives the paper's B-ADMM and B-C-lip.
MODELS = ("base", "ADMM", "C-lip")

# "(base)-C-lip is the only model that achieves the lowest median MSE over some datasets and base
# models, namely": where it has the lowest median at every attack size.
LOWEST_THROUGHOUT = (
    ("solar", "pgd"),
    ("solar", "admm"),
    ("machine", "sgd"),
    ("machine", "pgd"),
    ("machine", "admm"),
    ("servo", "sgd"),
    ("wine", "sgd"),
    ("wine", "admm"),
)


def table1(dataset: str, method: str, statistic: str) -> float | None:
    """The paper's entry, in per cent; None for what its Table 1 does not have."""
    row = TABLE1.get((dataset, method))
    return None if row is None else row[STATISTICS.index(statistic)]


def tint(percent: float) -> tuple[str, int]:
    """The colour and the strength, in per cent, of the paper's tint for an entry of Table 1."""
    size = abs(percent)
    if percent >= 0:
        return "red", 8 if size < 5 else 16 if size < 10 else 28
    return "blue", 8 if size < 5 else 16 if size < 10 else 24
