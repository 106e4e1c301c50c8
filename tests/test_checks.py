"""What is no array of real numbers gets one clear error."""

import warnings
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch

import lipsnn
from lipsnn import _checks

X = np.arange(6.0).reshape(3, 2)
Y = np.array([1.0, 2.0, 4.0])
NET = lipsnn.ShallowNet([[1.0, 1.0, 0.0]], [1.0])


def masked(X):
    return np.ma.masked_array(X, X.flat[-1] == X)


BAD = {
    "masked": (masked(X), "masked entries"),
    "list of masked rows": (list(masked(X)), "masked entries"),
    "complex": (X + 0j, "complex"),
    "complex in objects": (X.astype(object) + np.complex128(1j), "real number"),
    "dates": (np.full((3, 2), np.datetime64("2020-01-01")), "dates"),
    "time differences": (np.full((3, 2), np.timedelta64(1, "s")), "time differences"),
    "dates of pandas": (pd.DataFrame({"a": pd.date_range("2020", periods=3), "b": 1.0}), "real"),
    "structured": (np.zeros((3, 2), dtype=[("a", float), ("b", float)]), "structured"),
    "text": (np.array([["1", "2"]] * 3), "text"),
    "text in objects": (np.array([[1, "2"]] * 3, dtype=object), "real number"),
    "bytes": (np.array([[b"1", b"2"]] * 3), "text"),
    "NA": (pd.DataFrame({"a": pd.array([1, None, 3], dtype="Int64"), "b": 1.0}), "impute"),
    "None": ([[1.0, None]] * 3, "impute"),
    "NaN": (np.where(X == 0, np.nan, X), "NaN"),
    "sparse": (scipy.sparse.csr_array(X), "toarray"),
    "sparse matrix": (scipy.sparse.coo_matrix(X), "toarray"),
    "sparse tensor": (torch.tensor(X).to_sparse(), "to_dense"),
    "complex tensor": (torch.tensor(X) + 0j, "complex"),
    "meta tensor": (torch.tensor(X).to("meta"), "meta"),
    "quantised": (torch.quantize_per_tensor(torch.tensor(X).float(), 0.1, 0, torch.qint8), "dequ"),
    "nested": (torch.nested.nested_tensor(list(torch.tensor(X))), "padded"),
    "huge": ([[10**400, 1]] * 3, "beyond float64"),
    "ragged": ([[1.0, 2.0], [3.0], [4.0, 5.0]], "numeric"),
    "one row": (X[0], "reshape"),
    "nothing": (None, "numeric"),
}


@pytest.mark.parametrize("name", BAD)
def test_inputs_that_are_no_numbers(name):
    value, message = BAD[name]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ValueError, match=message):
            lipsnn.objective(NET, value, Y, 1.0, "l2")
        with pytest.raises(ValueError, match=message):
            lipsnn.train_sgd(value, Y, 2, 0.1, epochs=1)


@pytest.mark.parametrize("name", ["masked", "complex", "dates", "text", "sparse", "NaN"])
def test_targets_that_are_no_numbers(name):
    value, message = BAD[name]
    y = (
        value[:, [0]]
        if name == "sparse"
        else value.ravel()[-3:]
        if name == "masked"
        else (value.ravel()[:3])
    )
    with pytest.raises(ValueError, match=message):
        lipsnn.objective(NET, X, y, 1.0, "l2")


GOOD = {
    "integers": X.astype(np.int8),
    "booleans mean 0 and 1": X > 2,
    "half": X.astype(np.float16),
    "fractions": np.array([[Fraction(1, 2), Decimal("0.5")]] * 3, dtype=object),
    "a mask of nothing": np.ma.masked_array(X, np.zeros_like(X, dtype=bool)),
    "DataFrame": pd.DataFrame(X, index=[7, 8, 9]),
    "nullable": pd.DataFrame({"a": pd.array([1, 2, 3], dtype="Int64"), "b": 1.0}),
    "tensor with gradient": torch.tensor(X, requires_grad=True),
    "rows with gradient": [torch.tensor(row, requires_grad=True) for row in X],
    "bfloat16": torch.tensor(X).bfloat16(),
    "rows of bfloat16": [torch.tensor(row).bfloat16() for row in X],
    "integers of torch": torch.tensor(X).int(),
}


@pytest.mark.parametrize("name", GOOD)
def test_inputs_that_hold_numbers(name):
    array = _checks.inputs(GOOD[name], 2)
    assert array.shape == (3, 2)
    assert array.dtype == np.float64
    lipsnn.objective(NET, GOOD[name], Y, 1.0, "l2")


@pytest.mark.parametrize(
    "y",
    [
        Y[:, None],
        Y[:, None].tolist(),
        pd.DataFrame(Y),
        pd.Series(Y, index=[5, 6, 7]),
        torch.tensor(Y)[:, None],
        torch.tensor(Y)[:, None].bfloat16(),
    ],
)
def test_one_column_is_a_target(y):
    value = lipsnn.objective(NET, X, y, 1.0, "l2")
    assert value == lipsnn.objective(NET, X, Y, 1.0, "l2")


@pytest.mark.parametrize("seed", [np.int64(3), np.uint8(3), np.int32(3), 3.0, torch.tensor(3)])
def test_seeds_of_any_integer_type(seed):
    run = lipsnn.train_sgd(X, Y, 2, 1e-3, seed, epochs=1)
    assert run == lipsnn.train_sgd(X, Y, 2, 1e-3, 3, epochs=1)


@pytest.mark.parametrize("seed", [1.5, -1, "3", None, True, np.inf, np.nan, [3]])
def test_seeds_that_are_none(seed):
    with pytest.raises(ValueError, match="whole number"):
        lipsnn.train_sgd(X, Y, 2, 1e-3, seed, epochs=1)


@pytest.mark.parametrize("value", ["1", b"1", True, 1j, None, [1.0, 2.0], np.nan, 10**400])
def test_numbers_that_are_none(value):
    with pytest.raises(ValueError, match="strength must be"):
        lipsnn.objective(NET, X, Y, value, "l2")


RNG = np.random.default_rng(0)
DATA, NOISE = RNG.normal(size=(30, 2)), RNG.normal(size=30)


@pytest.mark.parametrize(
    ("scale", "shift", "message"),
    [((1.0, 1e4), 0.0, "standardise"), ((1.0, 1.0), 1e3, "subtract"), ((1e-5, 1), 99.0, ".*;.*")],
)
def test_one_warning_where_a_bound_says_little(scale, shift, message):
    wide, far = DATA * np.array(scale), NOISE + shift
    net = lipsnn.ShallowNet([[1.0, 1.0, 0.0]], [1.0])
    with pytest.warns(UserWarning, match=message) as caught:
        lipsnn.train_sgd(wide, far, 2, 1e-3, epochs=1)
    assert len(caught) == 1
    with pytest.warns(UserWarning, match=message):
        _checks.warn_of_scales(wide, far - net(wide))


def test_no_warning_for_standardised_data_or_constant_features():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        lipsnn.train_sgd(np.hstack([DATA, np.ones((30, 1))]), NOISE, 2, 1e-3, epochs=1)
        _checks.warn_of_scales(DATA[:1], NOISE[:1] + 100)
        _checks.warn_of_scales(DATA, np.zeros(30))
        _checks.warn_of_scales(DATA, NOISE + 1e3, centred=True)
