"""Lipschitz certificates and convex training of shallow ReLU networks.

The executable companion to "Convex training of Lipschitz-regularized shallow neural
networks" (Yin and Lesage-Landry, 2026). Data flows one way through the package:
data -> network -> training -> certificate -> convex refinement -> attack -> figure.
"""

from lipsnn.attack import pgd_attack
from lipsnn.certificate import Certificate, certify, certify_layers
from lipsnn.convert import as_network
from lipsnn.convex import Refinement, Round, objective, refine
from lipsnn.datasets import Dataset, ImageSet, load_dataset, load_images
from lipsnn.network import Network, ShallowNet
from lipsnn.train import AdmmResult, train_admm, train_lipschitz, train_pgd, train_sgd

__all__ = [
    "AdmmResult",
    "Certificate",
    "Dataset",
    "ImageSet",
    "Network",
    "Refinement",
    "Round",
    "ShallowNet",
    "as_network",
    "certify",
    "certify_layers",
    "load_dataset",
    "load_images",
    "objective",
    "pgd_attack",
    "refine",
    "train_admm",
    "train_lipschitz",
    "train_pgd",
    "train_sgd",
]

__version__ = "0.1.0"
