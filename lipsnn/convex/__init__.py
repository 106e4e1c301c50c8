"""Convex refinement: programs (6), (12) and the joint one, and Algorithm 1 around them."""

from lipsnn.convex.mapping import sample_half
from lipsnn.convex.objective import objective
from lipsnn.convex.path import RefinementPath, refine_path
from lipsnn.convex.refine import refine
from lipsnn.convex.result import Refinement, Round

__all__ = [
    "Refinement",
    "RefinementPath",
    "Round",
    "objective",
    "refine",
    "refine_path",
    "sample_half",
]
