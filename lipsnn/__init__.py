"""Lipschitz certificates and convex training of shallow ReLU networks.

The executable companion to "Convex training of Lipschitz-regularized shallow neural
networks" (Yin and Lesage-Landry, 2026). Data flows one way through the package:
data -> network -> training -> certificate -> convex refinement -> attack -> figure.
"""

from lipsnn.certificate import Certificate, certify
from lipsnn.network import ShallowNet
from lipsnn.train import train_sgd

__all__ = [
    "Certificate",
    "ShallowNet",
    "certify",
    "train_sgd",
]

__version__ = "0.1.0"
