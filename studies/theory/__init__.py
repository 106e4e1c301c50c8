"""Figures of the theory pages: one module a topic."""
