"""Losses: value, derivative and mean agree, and targets are checked."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch

from lipsnn import train_admm, train_pgd, train_sgd
from lipsnn.attack import accuracy, pgd_inputs
from lipsnn.losses import LOSSES, SQUARED, Huber, as_loss
from studies.clip.training import train_clip


@pytest.mark.parametrize("loss", [SQUARED, Huber(0.4), LOSSES["logistic"]])
def test_the_derivatives_are_those_of_differences(loss):
    rng = np.random.default_rng(0)
    outputs, h = rng.normal(size=30), 1e-6
    y = loss.targets(rng.integers(0, 2, size=30), ())
    for what, derivative in ((loss.value, loss.gradient), (loss.gradient, loss.curvature)):
        differences = (what(outputs + h, y) - what(outputs - h, y)) / (2 * h)
        np.testing.assert_allclose(derivative(outputs, y), differences, atol=1e-8)
    both = (torch.from_numpy(part)[:, None] for part in (outputs, y))
    assert float(loss.mean(*both)) == pytest.approx(loss.value(outputs, y).mean())


def test_labels_of_the_logistic_loss():
    loss = LOSSES["logistic"]
    for y in ([0, 1, 1], [-1, 1, 1], [False, True, True]):
        np.testing.assert_array_equal(loss.targets(y, ()), [-1.0, 1.0, 1.0])
    assert loss.targets([0, 1], (1,)).shape == (2, 1)
    for y in ([0, 2], [-1, 0, 1], [0.5, 1]):
        with pytest.raises(ValueError, match="labels -1 and 1, or 0 and 1"):
            loss.targets(y, ())
    with pytest.raises(ValueError, match="delta must be positive"):
        Huber(0.0)


def test_means_are_what_they_say():
    rng = np.random.default_rng(0)
    outputs, y, c = rng.normal(size=(30, 4)), rng.normal(size=(30, 4)), rng.integers(0, 4, 30)
    f, t = torch.from_numpy(outputs), torch.from_numpy(y)
    squares = ((outputs - y) ** 2).sum(axis=1)
    assert float(LOSSES["squared"].mean(f, t)) == pytest.approx(squares.mean() / 2)
    assert float(LOSSES["mse"].mean(f, t)) == pytest.approx(squares.mean() / 4)
    logs = np.log(np.exp(outputs).sum(axis=1)) - outputs[np.arange(30), c]
    entropy = LOSSES["cross_entropy"].mean(f, torch.from_numpy(c))
    assert float(entropy) == pytest.approx(logs.mean())


def test_derivatives_of_cross_entropy_are_those_of_autograd():
    rng = np.random.default_rng(0)
    loss, f, c = LOSSES["cross_entropy"], 3 * rng.normal(size=(5, 4)), rng.integers(0, 4, 5)
    outputs, classes = torch.from_numpy(f).requires_grad_(), torch.from_numpy(c)

    def total(given):
        return torch.nn.functional.cross_entropy(given, classes, reduction="sum")

    assert loss.value(f, c).sum() == pytest.approx(total(outputs).item())
    (by,) = torch.autograd.grad(total(outputs), outputs)
    np.testing.assert_allclose(loss.gradient(f, c), by, atol=1e-12)
    second = torch.autograd.functional.hessian(total, outputs).numpy()
    roots = loss.roots(f, c)
    for i, root in enumerate(roots):
        np.testing.assert_allclose(root @ root.T, second[i, :, i], atol=1e-12)


def test_names():
    assert as_loss("cross-entropy") is as_loss("cross_entropy") is LOSSES["cross_entropy"]
    assert as_loss("squares") is as_loss("squared")
    assert as_loss(SQUARED) is SQUARED
    with pytest.raises(ValueError, match="'mse', 'cross_entropy'"):
        as_loss("hinge")


@pytest.mark.parametrize(
    "train",
    [
        lambda *a, **k: train_sgd(*a, 3, 0.1, epochs=2, **k),
        lambda *a, **k: train_pgd(*a, 3, 0.1, radius=0.1, epochs=2, **k),
        lambda *a, **k: train_admm(*a, 3, 0.1, iterations=1, epochs=1, **k).net,
    ],
)
def test_seeds_of_numpys_types_are_taken_and_others_named(train):
    X = np.random.default_rng(0).normal(size=(20, 2))
    expected = train(X, X[:, 0], seed=5)
    for seed in (np.int64(5), np.uint8(5), np.int32(5)):
        np.testing.assert_array_equal(train(X, X[:, 0], seed=seed).weights, expected.weights)
    for seed in (-1, 1.5, True):
        with pytest.raises(ValueError, match="seed must be a whole number"):
            train(X, X[:, 0], seed=seed)


CLASSES = np.array([0, 2, 1, 1])
LABELS = {
    "booleans": CLASSES > 0,
    "uint8": CLASSES.astype(np.uint8),
    "whole floats": CLASSES.astype(np.float16),
    "one column": CLASSES[:, None],
    "list": CLASSES.tolist(),
    "rows": CLASSES[:, None].tolist(),
    "Series": pd.Series(CLASSES, index=[9, 8, 7, 6]),
    "DataFrame": pd.DataFrame(CLASSES),
    "objects": CLASSES.astype(object),
    "tensor": torch.tensor(CLASSES).to(torch.uint8)[:, None],
    "tensors": list(torch.tensor(CLASSES).bfloat16().requires_grad_()),
}
NO_LABELS = {
    "one-hot": (np.eye(3)[CLASSES], "argmax"),
    "two columns": (np.stack([CLASSES, CLASSES], 1), "argmax"),
    "one number": (1, "shape"),
    "fractions": (CLASSES + 0.5, "whole class numbers"),
    "NaN": (np.array([0, np.nan, 1, 1]), "NaN"),
    "infinite": (np.array([0, np.inf, 1, 1]), "infinite"),
    "from one": (CLASSES + 1, "count classes from 0"),
    "negative": (CLASSES - 1, "got -1 at index 0"),
    "too large for int64": (CLASSES * 1e300, "from 0 to 2"),
    "names": (np.array(["cat", "dog", "cat", "cow"]), "return_inverse"),
    "names in objects": (pd.Series(["cat", "dog", "cat", "cow"], dtype=object), "return_inverse"),
    "categories": (pd.Series(["cat", "dog", "cat", "cow"], dtype="category"), "return_inverse"),
    "masked": (np.ma.masked_equal(CLASSES, 2), "masked"),
    "sparse": (scipy.sparse.csr_array(CLASSES[:, None]), "toarray"),
    "complex": (CLASSES + 0j, "complex"),
    "NA": (pd.Series(pd.array([0, None, 1, 1], dtype="Int64")), "impute"),
    "structured": (np.zeros(4, dtype=[("class", int)]), "structured"),
    "None": (None, "numeric"),
}


@pytest.mark.parametrize("name", LABELS)
def test_labels_of_every_kind_are_class_numbers(name):
    found = LOSSES["cross_entropy"].targets(LABELS[name], (3,))
    assert found.dtype == np.int64
    np.testing.assert_array_equal(found, CLASSES > 0 if name == "booleans" else CLASSES)


@pytest.mark.parametrize("name", NO_LABELS)
def test_what_holds_no_labels_is_named(name):
    y, message = NO_LABELS[name]
    with pytest.raises(ValueError, match=message):
        LOSSES["cross_entropy"].targets(y, (3,))


@pytest.mark.parametrize("name", ["one-hot", "fractions", "NaN", "from one", "names", "masked"])
def test_attack_accuracy_and_training_take_the_same_labels(name):
    y, message = NO_LABELS[name]
    X = np.random.default_rng(0).normal(size=(4, 2))
    net = torch.nn.Sequential(torch.nn.Linear(2, 4), torch.nn.ReLU(), torch.nn.Linear(4, 3))
    for use in (
        lambda: accuracy(net, X, y),
        lambda: pgd_inputs(net, X, y, 0.1, iterations=1),
        lambda: train_clip(net, X, y, regularizer="none", epochs=1, progress=False),
        lambda: train_admm(X, y, strength=0.1, init=net, loss="cross_entropy", iterations=1),
    ):
        with pytest.raises(ValueError, match=message):
            use()
