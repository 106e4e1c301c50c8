"""`lipsnn.autograd` under the name that it had first."""

from lipsnn.autograd import WarmBound, lipschitz_bound

__all__ = ["WarmBound", "lipschitz_bound"]
