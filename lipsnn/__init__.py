"""Lipschitz certificates and convex training of shallow ReLU networks.

The executable companion to "Convex training of Lipschitz-regularized shallow neural
networks" (Yin and Lesage-Landry, 2026). Data flows one way through the package:
data -> network -> training -> certificate -> convex refinement -> attack.
Names and submodules stand in the stub ``__init__.pyi`` and are loaded when first used (SPEC 1).
"""

import pkgutil

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
_submodules = {module.name for module in pkgutil.iter_modules(__path__)}
__all__ = [name for name in __all__ if name not in _submodules]

__version__ = "0.1.0"
