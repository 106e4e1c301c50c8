"""Pauli et al.'s training by the alternating direction method of multipliers."""

from lipsnn.train.admm.engine import AdmmResult, Iteration, run
from lipsnn.train.admm.entry import train_admm
from lipsnn.train.admm.interior import StepSolution
from lipsnn.train.admm.step import FixedStep

__all__ = ["AdmmResult", "FixedStep", "Iteration", "StepSolution", "run", "train_admm"]
