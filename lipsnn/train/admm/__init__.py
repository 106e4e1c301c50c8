"""Pauli et al.'s training by the alternating direction method of multipliers."""

from lipsnn.train.admm.engine import AdmmResult, Iteration, run
from lipsnn.train.admm.entry import train_admm
from lipsnn.train.admm.free import FreeStep
from lipsnn.train.admm.options import AdmmOptions
from lipsnn.train.admm.step import FixedStep, StepSolution

__all__ = [
    "AdmmOptions",
    "AdmmResult",
    "FixedStep",
    "FreeStep",
    "Iteration",
    "StepSolution",
    "run",
    "train_admm",
]
