"""Base models: what the convex refinement starts from."""

from lipsnn.train.admm import AdmmResult, train_admm
from lipsnn.train.lipschitz import train_lipschitz
from lipsnn.train.pgd import train_pgd
from lipsnn.train.sgd import train_sgd

__all__ = ["AdmmResult", "train_admm", "train_lipschitz", "train_pgd", "train_sgd"]
