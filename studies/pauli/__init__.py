"""Pauli et al. (2020): the two toy examples, and the convergence of ADMM."""
