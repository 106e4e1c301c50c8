"""Packages that only some calls need: each is imported when it is first used.

A module takes them from here as it would import them, ``from lipsnn._optional import torch``; none
imports them itself. One that is missing is an error that says what to install.
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import TYPE_CHECKING, Any

__all__ = [
    "cp",
    "flint",
    "joblib",
    "nn",
    "onnx",
    "onnx_reference",
    "parquet",
    "pd",
    "pooch",
    "torch",
    "tqdm",
]


class _Package(ModuleType):
    """Stands for a package until an attribute of it is asked for."""

    def __init__(self, name: str, install: str) -> None:
        super().__init__(name)
        self.__dict__["install"] = install

    def __getattr__(self, attribute: str) -> Any:
        try:
            package = importlib.import_module(self.__name__)
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(
                f'{error.name} is not installed, and is needed here: pip install "{self.install}"'
            ) from None
        return getattr(package, attribute)


if TYPE_CHECKING:
    import cvxpy as cp
    import flint
    import joblib
    import onnx
    import onnx.reference as onnx_reference
    import pandas as pd
    import pooch
    import torch
    import tqdm
    from pyarrow import parquet
    from torch import nn
else:
    cp = _Package("cvxpy", "lipsnn[reference]")
    flint = _Package("flint", "python-flint")
    joblib = _Package("joblib", "joblib")
    nn = _Package("torch.nn", "lipsnn[torch]")
    onnx = _Package("onnx", "lipsnn[onnx]")
    onnx_reference = _Package("onnx.reference", "lipsnn[onnx]")
    parquet = _Package("pyarrow.parquet", "pyarrow")
    pd = _Package("pandas", "pandas")
    pooch = _Package("pooch", "pooch")
    torch = _Package("torch", "lipsnn[torch]")
    tqdm = _Package("tqdm", "tqdm")
