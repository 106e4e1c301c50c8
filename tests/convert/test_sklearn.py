import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    MaxAbsScaler,
    MinMaxScaler,
    PolynomialFeatures,
    RobustScaler,
    StandardScaler,
)

from lipsnn import as_network, certify, objective

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
RNG = np.random.default_rng(0)
X = RNG.normal(size=(80, 3)) * [1, 10, 0.1] + 5
Y = X[:, 0] - X[:, 1] / 10


def regressor(**settings):
    return MLPRegressor(hidden_layer_sizes=(7,), max_iter=5, random_state=0, **settings)


@pytest.mark.parametrize("activation", ["relu", "tanh", "logistic"])
def test_regressors(activation):
    model = MLPRegressor(
        hidden_layer_sizes=(7, 4), activation=activation, max_iter=5, random_state=0
    ).fit(X, np.column_stack([Y, -Y]))
    net = as_network(model, X)
    np.testing.assert_allclose(net(X), model.predict(X), rtol=1e-12)
    assert net.widths == (7, 4)


@pytest.mark.parametrize(
    "scaler",
    [
        StandardScaler(),
        StandardScaler(with_mean=False),
        StandardScaler(with_std=False),
        MinMaxScaler((-1, 3)),
        MaxAbsScaler(),
        RobustScaler(),
        RobustScaler(with_centering=False),
        "passthrough",
        make_pipeline(StandardScaler(), make_pipeline(MaxAbsScaler())),
    ],
)
def test_pipelines_fold_their_scaler(scaler):
    model = make_pipeline(scaler, regressor()).fit(X, Y)
    net = as_network(model)
    np.testing.assert_allclose(net(X)[:, 0], model.predict(X), rtol=1e-10)
    step = 1e-5 * np.eye(3)
    slopes = [(model.predict(X + h) - model.predict(X - h)) / 2e-5 for h in step]
    assert np.linalg.norm(slopes, axis=0).max() <= certify(model).bound * (1 + 1e-6)
    assert objective(model, X, Y, 1.0, "lipschitz") == objective(net, X, Y, 1.0, "lipschitz")


@pytest.mark.parametrize("classes", [2, 4])
def test_classifiers_give_logits(classes):
    labels = RNG.integers(0, classes, 80)
    model = MLPClassifier(hidden_layer_sizes=(7,), max_iter=5, random_state=0).fit(X, labels)
    logits = as_network(model)(X)
    if classes == 2:
        chances = 1 / (1 + np.exp(-logits[:, 0]))
        np.testing.assert_allclose(chances, model.predict_proba(X)[:, 1], rtol=1e-10)
    else:
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        chances = powers / powers.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(chances, model.predict_proba(X), rtol=1e-10)
    assert model.out_activation_ in ("logistic", "softmax")


def test_a_model_of_single_precision_keeps_it():
    model = make_pipeline(StandardScaler(), regressor()).fit(X.astype("f4"), Y.astype("f4"))
    assert as_network(model).dtype == "float32"


def changed(model, **values):
    vars(model).update(values)
    return model


def with_scale(value):
    scaler = changed(StandardScaler().fit(X), scale_=np.array([1.0, value, 1.0]))
    return changed(
        make_pipeline(StandardScaler(), regressor()).fit(X, Y),
        steps=[("scaler", scaler), ("mlp", regressor().fit(X, Y))],
    )


class Doubled(MLPRegressor):
    __name__ = "MLPRegressor"

    def predict(self, X):
        return 2 * super().predict(X)


Doubled.__name__ = "MLPRegressor"


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (regressor(), "not fitted"),
        (Ridge().fit(X, Y), "Ridge is not supported"),
        (make_pipeline(PolynomialFeatures(2), regressor()).fit(X, Y), "PolynomialFeatures is not"),
        (make_pipeline(MinMaxScaler(clip=True), regressor()).fit(X, Y), "with clip"),
        (regressor(activation="identity").fit(X, Y), "no activation"),
        (Doubled(hidden_layer_sizes=(3,), max_iter=2).fit(X, Y), "is not supported"),
        (changed(regressor().fit(X, Y), predict=abs), "a predict of its own"),
        (make_pipeline(StandardScaler(), "passthrough").fit(X), "StandardScaler at the end"),
        (make_pipeline("passthrough").fit(X), "Pipeline is not supported"),
        (with_scale(0.0), "divides by zero"),
        (with_scale(np.nan), "not finite"),
    ],
)
def test_what_cannot_be_read_is_named(model, message):
    with pytest.raises(ValueError, match=message):
        as_network(model)
