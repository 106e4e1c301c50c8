"""The structured solver of programs (6), (12) and the joint one."""

from lipsnn.convex.structured.solve import solve_joint, solve_l2, solve_lipschitz

__all__ = ["solve_joint", "solve_l2", "solve_lipschitz"]
