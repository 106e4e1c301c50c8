"""The paper's five data sets, and three larger ones: one in a package, two drawn by formula."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.datasets import make_friedman1
from sklearn.model_selection import KFold
from sklearn.preprocessing import StandardScaler

from lipsnn.datasets import DATASETS, Dataset, Table, load_dataset

# The partition of `load_dataset`, which is scikit-learn's; no setting.
_SPLITS, _SEED = 10, 2026


@dataclass(frozen=True)
class Source:
    """Where a larger data set comes from.

    Attributes
    ----------
    read : callable
        Its columns and values, the target last.
    origin, licence : str
    sha256 : str
        Of the values in float64, rounded to six decimals, row by row.
    """

    read: Callable[[], Table]
    origin: str
    licence: str
    sha256: str


def _friedman() -> Table:
    """``10 sin(pi x1 x2) + 20 (x3 - 1/2)^2 + 10 x4 + 5 x5`` and noise; five inputs do nothing."""
    X, y = make_friedman1(5000, n_features=10, noise=1.0, random_state=0)
    return [*(f"x{i + 1}" for i in range(10)), "value"], np.column_stack([X, y])


def _arm() -> Table:
    """How far four links of lengths in [0, 1] reach, at angles in [0, 2 pi] to one another."""
    rng = np.random.default_rng(0)
    angles, lengths = rng.uniform(0, 2 * np.pi, (10000, 4)), rng.uniform(0, 1, (10000, 4))
    turned = np.cumsum(angles, axis=1)
    reach = np.hypot((lengths * np.cos(turned)).sum(1), (lengths * np.sin(turned)).sum(1))
    names = [*(f"angle {i + 1}" for i in range(4)), *(f"length {i + 1}" for i in range(4))]
    return [*names, "distance"], np.column_stack([angles, lengths, reach])


def _visits() -> Table:
    """Outpatient visits to a doctor in a year, by insurance plan and health."""
    spec = importlib.util.find_spec("statsmodels")  # its import takes seconds, its file does not
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(
            'statsmodels is not installed, and ships these data: pip install "lipsnn[peers]"'
        )
    path = Path(spec.origin).parent / "datasets" / "randhie" / "randhie.csv"
    header, *rows = path.read_text(encoding="ascii").split()
    names = [name.strip('"') for name in header.split(",")]
    values = np.array([[float(field) for field in row.split(",")] for row in rows])
    return [*names[1:], names[0]], np.column_stack([values[:, 1:], values[:, 0]])


LARGER = {
    "friedman": Source(
        _friedman,
        "formula of Friedman (1991), drawn by scikit-learn's make_friedman1",
        "none needed: drawn",
        "82bb68d6370a7e9e5a785435c427c27ffe496e12fd5597fbf93b10ce0bedfc94",
    ),
    "arm": Source(
        _arm,
        "formula of the robot arm function of An and Owen (2001)",
        "none needed: drawn",
        "1b2a4607acf1e6aa56e9f5a62e93e4242d1d3ad544104fda0e856f46a63442f1",
    ),
    "visits": Source(
        _visits,
        "RAND Health Insurance Experiment, as statsmodels ships it (randhie)",
        "public domain",
        "c9e88b68b801d722b6daa0ade12e54c43a49bd85f18fa08cb671083b783f7958",
    ),
}
NAMES = (*DATASETS, *LARGER)


def load(name: str, split: int) -> Dataset:
    """One of ten splits of a data set, standardised on its training part.

    Parameters
    ----------
    name : str
        One of `NAMES`.
    split : int
        0 to 9: the part of the seeded ten-fold partition that is the test part.

    Raises
    ------
    ModuleNotFoundError
        If the package that ships the data is missing.
    OSError
        If what it ships is not what this study was made with.
    """
    if name not in LARGER:
        return load_dataset(name, split)
    source = LARGER[name]
    columns, raw = source.read()
    if digest(raw) != source.sha256:
        raise OSError(f"the data set {name} is not the one of this study: another version ships it")
    train, test = list(KFold(_SPLITS, shuffle=True, random_state=_SEED).split(raw))[split]
    scaler = StandardScaler().fit(raw[train])
    scaled = scaler.transform(raw)
    return Dataset(
        name=name,
        variant="paper",
        split=split,
        X_train=scaled[train, :-1],
        y_train=scaled[train, -1],
        X_test=scaled[test, :-1],
        y_test=scaled[test, -1],
        features=tuple(columns[:-1]),
        target=columns[-1],
        X_mean=scaler.mean_[:-1],
        X_scale=scaler.scale_[:-1],
        y_mean=float(scaler.mean_[-1]),
        y_scale=float(scaler.scale_[-1]),
    )


def digest(values: np.ndarray) -> str:
    """The hash of a table's values; the last digits of sines are not the same everywhere."""
    rounded = np.round(values, 6) + 0.0  # -0.0 is 0.0
    return hashlib.sha256(np.ascontiguousarray(rounded).tobytes()).hexdigest()
