"""The five regression data sets of the paper's experiments.

The four UCI sets carry the names of the `uci_datasets` collection, which the paper's shapes
match; raw files are shipped with the package (see data/ATTRIBUTION.md) and converted here.
The folds of that collection are not shipped: splits are a seeded ten-fold partition of ours.
The two sets of images, which are found or downloaded, come from `lipsnn.images`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from typing import Any

import numpy as np

from lipsnn import _checks
from lipsnn._checks import Array
from lipsnn.images import ImageSet, load_images

__all__ = ["DATASETS", "Dataset", "ImageSet", "load_dataset", "load_images"]

SPLITS = 10
# A data set before any split: names of the columns and values (n, d + 1), the target last.
Table = tuple[list[str], Array]
# One partition for all users of a data set; its seed is not a setting.
_PARTITION_SEED = 2026

_SHA256 = {
    "servo.data": "7f22f352e7f86f2bd043c934878a5a7b5673f893e6315509c7c9190a1d4aa00f",
    "machine.data": "c95f0e52fb8381a14a24aa7e9f4b50f72a08639ecfd8cc619ab779919dbd448b",
    "flare.dat": "1173cc928d9788ae0cfecfedbd256c0286c577b9a8388dd8d5b24c7ef058d15a",
    "winequality-red.csv": "4a402cf041b025d4566d954c3b9ba8635a3a8a01e039005d97d6a710278cf05e",
}


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set, split and standardised on its training part.

    Attributes
    ----------
    name, variant : str
    split : int
        Which of the ten parts is the test part.
    X_train, X_test : ndarray, (n_train, d) and (n_test, d)
        Inputs with mean 0 and standard deviation 1 on the training part; a column that is
        constant there is only centred.
    y_train, y_test : ndarray, (n_train,) and (n_test,)
        Targets, standardised likewise.
    features : tuple of str
        Names of the input columns.
    target : str
    X_mean, X_scale : ndarray, (d,)
        ``raw = X * X_scale + X_mean``.
    y_mean, y_scale : float
    """

    name: str
    variant: str
    split: int
    X_train: Array
    y_train: Array
    X_test: Array
    y_test: Array
    features: tuple[str, ...]
    target: str
    X_mean: Array
    X_scale: Array
    y_mean: float
    y_scale: float


def load_dataset(
    name: str,
    split: int = 0,
    variant: str = "paper",
    *,
    dimension: int = 2,
    size: int = 1000,
    noise: float = 0.0,
    seed: int = 0,
) -> Dataset:
    """One split of a data set of the paper's experiments.

    Parameters
    ----------
    name : {"servo", "machine", "solar", "wine", "rastrigin"}
    split : int
        0 to 9: which part of the seeded ten-fold partition is the test part.
    variant : {"paper", "clean"}
        "paper" is what the collection behind the paper holds: two corrupted rows in machine,
        and alcohol as the target of wine with quality among the inputs. "clean" mends the
        rows and predicts quality. The other sets are the same in both.
    dimension, size, noise, seed
        Only for rastrigin (the paper does not give them): number of inputs, of samples,
        standard deviation of the Gaussian noise on the target, and seed of the draw.

    Returns
    -------
    Dataset
        Standardised inputs and target.

    Raises
    ------
    ValueError
        For an unknown name, variant or split.
    FileNotFoundError, OSError
        If a shipped raw file is missing or was changed.
    """
    if not 0 <= _checks.count(split, "split", least=0) < SPLITS:
        raise ValueError(f"split must be one of 0 to {SPLITS - 1}, got {split}")
    columns, raw = raw_table(name, variant, dimension, size, noise, seed)
    train, test = _partition(len(raw), split)
    mean, scale = _standardisation(raw[train])
    scaled = (raw - mean) / scale
    X, y = scaled[:, :-1], scaled[:, -1]
    return Dataset(
        name=name,
        variant=variant,
        split=split,
        X_train=X[train],
        y_train=y[train],
        X_test=X[test],
        y_test=y[test],
        features=tuple(columns[:-1]),
        target=columns[-1],
        X_mean=mean[:-1],
        X_scale=scale[:-1],
        y_mean=float(mean[-1]),
        y_scale=float(scale[-1]),
    )


def _partition(size: int, split: int) -> tuple[Array, Array]:
    """Indices of the training and the test part: those of scikit-learn's shuffled `KFold`."""
    order = np.arange(size)
    np.random.RandomState(_PARTITION_SEED).shuffle(order)
    test = np.sort(np.array_split(order, SPLITS)[split])
    return np.setdiff1d(order, test), test


def _standardisation(X: Array) -> tuple[Array, Array]:
    """Mean and scale of each column, to the last bit those of scikit-learn's `StandardScaler`."""
    n = len(X)
    mean = X.sum(axis=0) / n
    apart = X - mean
    variance = ((apart**2).sum(axis=0) - apart.sum(axis=0) ** 2 / n) / n
    eps = np.finfo(np.float64).eps
    constant = variance <= n * eps * variance + (n * mean * eps) ** 2
    return mean, np.where(constant, 1.0, np.sqrt(variance))


def rastrigin(dimension: int, size: int, noise: float = 0.0, seed: int = 0) -> Table:
    """Samples of ``f(x) = 10 d + sum(x_i^2 - 10 cos 2 pi x_i)``, x uniform in [-5.12, 5.12]^d.

    Returns
    -------
    names : list of str
    values : ndarray, (size, dimension + 1)
        The target, with Gaussian noise of standard deviation `noise`, is the last column.
    """
    dimension = _checks.count(dimension, "dimension")
    size = _checks.count(size, "size", least=SPLITS)
    noise = _checks.nonnegative(noise, "noise")
    rng = np.random.default_rng(_checks.count(seed, "seed", least=0))
    X = rng.uniform(-5.12, 5.12, size=(size, dimension))
    y = 10 * dimension + (X**2 - 10 * np.cos(2 * np.pi * X)).sum(axis=1)
    names = [f"x{i + 1}" for i in range(dimension)]
    return [*names, "value"], np.column_stack([X, y + noise * rng.standard_normal(size)])


def raw_table(name: str, variant: str = "paper", *drawn: Any) -> Table:
    """Names and values of a data set, target last, before any split or scaling."""
    _checks.one_of(name, "name", DATASETS)
    _checks.one_of(variant, "variant", ("paper", "clean"))
    return rastrigin(*drawn) if name == "rastrigin" else _UCI[name](variant)


def _rows(filename: str, separator: str = ",") -> list[list[str]]:
    """The fields of a shipped file, line by line, if its bytes are the published ones."""
    path = files("lipsnn") / "data" / filename
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise FileNotFoundError(
            f"the data file {path} is missing: reinstall lipsnn, which ships it"
        ) from None
    if sha256(content).hexdigest() != _SHA256[filename]:
        raise OSError(f"the data file {path} was changed or is damaged: reinstall lipsnn")
    lines = [line for line in content.decode("ascii").splitlines() if line.strip()]
    return [[field.strip() for field in line.split(separator)] for line in lines]


def _letter(text: str) -> float:
    """A = 1, B = 2, ..., as the collection numbers category letters."""
    return float(ord(text) - ord("A") + 1)


def _servo(variant: str) -> Table:
    table = [
        [_letter(motor), _letter(screw), float(pgain), float(vgain), np.log(float(rise))]
        for motor, screw, pgain, vgain, rise in _rows("servo.data")
    ]
    return ["motor", "screw", "pgain", "vgain", "log rise time"], np.array(table)


def _machine(variant: str) -> Table:
    rows = _rows("machine.data")
    names = sorted({row[0] for row in rows} - {"harris"})
    code = {vendor: float(k + 1) for k, vendor in enumerate([*names, "harris"])}
    table = []
    for vendor, _model, *numbers in rows:
        myct, mmin, mmax, cach, chmin, chmax, prp, erp = map(float, numbers)
        row = [code[vendor], myct, mmin, mmax, cach, chmin, chmax, np.log(prp)]
        if vendor == "wang" and variant == "paper":
            # in the collection the vendor's code and MYCT are fused into one number,
            # so that every later field stands one place further left
            fused = float(f"{code[vendor]:.0f}{myct:.0f}")
            row = [fused, mmin, mmax, cach, chmin, chmax, prp, np.log(erp)]
        table.append(row)
    columns = ["vendor", "MYCT", "MMIN", "MMAX", "CACH", "CHMIN", "CHMAX", "log PRP"]
    return columns, np.array(table)


def _solar(variant: str) -> Table:
    table = []
    for row in _rows("flare.dat"):
        if row[0].startswith("@"):
            continue
        spot, distribution, *middle, c, _m, _x, zurich = row
        # the raw file lacks the tenth input, the area of the largest spot, which is always 1
        letters = [_letter(zurich), _letter(spot), _letter(distribution)]
        table.append([*letters, *map(float, middle), 1.0, float(c)])
    columns = (
        "Zurich class,spot size,spot distribution,activity,evolution,previous 24 h,"
        "historically complex,became complex,area,area of largest spot,C-class flares"
    )
    return columns.split(","), np.array(table)


def _wine(variant: str) -> Table:
    header, *rows = _rows("winequality-red.csv", ";")
    order = [*range(10), 10, 11] if variant == "clean" else [*range(10), 11, 10]
    return [header[k].strip('"') for k in order], np.array(rows, dtype=float)[:, order]


_UCI: dict[str, Callable[[str], Table]] = {
    "servo": _servo,
    "machine": _machine,
    "solar": _solar,
    "wine": _wine,
}
DATASETS = (*_UCI, "rastrigin")
