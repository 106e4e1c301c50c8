"""Pauli et al.'s training by the alternating direction method of multipliers."""

from lipsnn.train.admm.engine import Iteration
from lipsnn.train.admm.entry import AdmmResult, train_admm
from lipsnn.train.admm.free import FreeStep
from lipsnn.train.admm.step import FixedStep, StepSolution

__all__ = ["AdmmResult", "FixedStep", "FreeStep", "Iteration", "StepSolution", "train_admm"]
