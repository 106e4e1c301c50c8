from . import activations as activations
from . import attack as attack
from . import autograd as autograd
from . import certificate as certificate
from . import convert as convert
from . import convex as convex
from . import datasets as datasets
from . import enclosure as enclosure
from . import files as files
from . import images as images
from . import losses as losses
from . import network as network
from . import solvers as solvers
from . import status as status
from . import torch as torch
from . import train as train
from . import verify as verify
from .attack import pgd_attack
from .certificate import Certificate, ExactConstant, certify, certify_layers, exact_constant
from .convert import as_network
from .convex import Refinement, Round, objective, refine
from .datasets import Dataset, ImageSet, load_dataset, load_images
from .enclosure import certified_error
from .network import Network, ShallowNet
from .train import AdmmResult, train_admm, train_lipschitz, train_pgd, train_sgd

__all__ = [
    "AdmmResult",
    "Certificate",
    "Dataset",
    "ExactConstant",
    "ImageSet",
    "Network",
    "Refinement",
    "Round",
    "ShallowNet",
    "as_network",
    "certified_error",
    "certify",
    "certify_layers",
    "exact_constant",
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

__version__: str
