"""CLIP: training of any torch network with an estimated Lipschitz constant as regulariser.

Bungert, Raab, Roith, Schwinn and Tenbrinck, "CLIP: Cheap Lipschitz training of neural networks",
2021.
"""

from lipsnn.attack import accuracy, pgd_inputs
from lipsnn.train.clip.pairs import (
    LipschitzSet,
    Pairs,
    largest_quotient,
    noisy_copies,
    quotients,
    uniform_pairs,
)
from lipsnn.train.clip.regularizers import Discrepancy, Lipschitz, Weights
from lipsnn.train.clip.training import ClipResult, train_clip

__all__ = [
    "ClipResult",
    "Discrepancy",
    "Lipschitz",
    "LipschitzSet",
    "Pairs",
    "Weights",
    "accuracy",
    "largest_quotient",
    "noisy_copies",
    "pgd_inputs",
    "quotients",
    "train_clip",
    "uniform_pairs",
]
