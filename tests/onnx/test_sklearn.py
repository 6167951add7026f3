"""Models of scikit-learn, through skl2onnx: labels, probabilities and gradients by the features."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.errors import UnsupportedError
from tests.peers import peer

# Warnings are of scikit-learn, some of whose models stop before they are done.
pytestmark = [pytest.mark.conformance, pytest.mark.filterwarnings("ignore")]


def digits(datasets: Any) -> Any:
    return datasets.load_digits(return_X_y=True)


def iris(datasets: Any) -> Any:
    return datasets.load_iris(return_X_y=True)


def tumours(datasets: Any) -> Any:
    return datasets.load_breast_cancer(return_X_y=True)


def spaced(datasets: Any) -> Any:
    """Classes that do not count from 0."""
    x, y = datasets.load_wine(return_X_y=True)
    return x, 3 * y + 5


def diabetes(datasets: Any) -> Any:
    return datasets.load_diabetes(return_X_y=True)


def two_targets(datasets: Any) -> Any:
    x, y = datasets.load_diabetes(return_X_y=True)
    return x, np.stack([y, np.sqrt(y)], axis=1)


def counted(datasets: Any) -> Any:
    """Features that are whole numbers."""
    x, y = datasets.load_iris(return_X_y=True)
    return np.round(x[:, :2]).astype(np.int64), y


# A model of scikit-learn: the data it learns from, how it is made.
Model = tuple[Callable[[Any], Any], Callable[[Any], Any]]

CLASSIFIERS: dict[str, Model] = {
    "MLPClassifier": (digits, lambda sk: sk.neural_network.MLPClassifier((16,), max_iter=30)),
    "MLPClassifier of two classes": (
        tumours,
        lambda sk: sk.pipeline.make_pipeline(
            sk.preprocessing.StandardScaler(),
            sk.neural_network.MLPClassifier((8, 5), activation="tanh", max_iter=60),
        ),
    ),
    "LogisticRegression": (iris, lambda sk: sk.linear_model.LogisticRegression(max_iter=200)),
    "LogisticRegression of two classes": (
        tumours,
        lambda sk: sk.pipeline.make_pipeline(
            sk.preprocessing.StandardScaler(), sk.linear_model.LogisticRegression()
        ),
    ),
    "OneVsRestClassifier": (
        iris,
        lambda sk: sk.multiclass.OneVsRestClassifier(sk.linear_model.LogisticRegression()),
    ),
    "MinMaxScaler": (
        spaced,
        lambda sk: sk.pipeline.make_pipeline(
            sk.preprocessing.MinMaxScaler(), sk.linear_model.LogisticRegression()
        ),
    ),
    "RobustScaler": (
        spaced,
        lambda sk: sk.pipeline.make_pipeline(
            sk.preprocessing.RobustScaler(),
            sk.preprocessing.Normalizer("l1"),
            sk.linear_model.LogisticRegression(),
        ),
    ),
    "Normalizer": (
        iris,
        lambda sk: sk.pipeline.make_pipeline(
            sk.preprocessing.Normalizer(), sk.linear_model.LogisticRegression(C=100.0)
        ),
    ),
    "PCA": (
        digits,
        lambda sk: sk.pipeline.make_pipeline(
            sk.preprocessing.MaxAbsScaler(),
            sk.decomposition.PCA(8, whiten=True, random_state=0),
            sk.linear_model.LogisticRegression(),
        ),
    ),
    "SelectKBest": (
        iris,
        lambda sk: sk.pipeline.make_pipeline(
            sk.feature_selection.SelectKBest(k=2), sk.linear_model.LogisticRegression()
        ),
    ),
    "OneHotEncoder": (
        counted,
        lambda sk: sk.pipeline.make_pipeline(
            sk.preprocessing.OneHotEncoder(), sk.linear_model.LogisticRegression()
        ),
    ),
    "Binarizer": (
        iris,
        lambda sk: sk.pipeline.make_pipeline(
            sk.preprocessing.Binarizer(threshold=2.05), sk.linear_model.LogisticRegression()
        ),
    ),
}
REGRESSORS: dict[str, Model] = {
    "LinearRegression": (diabetes, lambda sk: sk.linear_model.LinearRegression()),
    "Ridge": (two_targets, lambda sk: sk.linear_model.Ridge()),
    "MLPRegressor": (
        diabetes,
        lambda sk: sk.neural_network.MLPRegressor(hidden_layer_sizes=(16,), max_iter=50),
    ),
    "PolynomialFeatures": (
        lambda datasets: (diabetes(datasets)[0][:, :3], diabetes(datasets)[1]),
        lambda sk: sk.pipeline.make_pipeline(
            sk.preprocessing.PolynomialFeatures(2), sk.linear_model.Ridge()
        ),
    ),
}
FLAT = "Binarizer"  # no gradient: its probabilities have steps, and are constant between them
INTS = "OneHotEncoder"  # takes ints, and is exported with 32 bits
ONLY_32 = "PolynomialFeatures"  # exported with 32 bits, or as a model that mixes them with 64


def fitted(listed: Model) -> tuple[Any, Any]:
    """A model that has learnt from its data, and the features."""
    sklearn = peer("sklearn")
    for part in ("datasets", "decomposition", "feature_selection", "linear_model", "multiclass",
                 "neural_network", "pipeline", "preprocessing"):  # fmt: skip
        peer(f"sklearn.{part}")
    load, make = listed
    x, y = load(sklearn.datasets)
    model = make(sklearn)
    for step in getattr(model, "named_steps", {"": model}).values():
        if "random_state" in step.get_params():
            step.set_params(random_state=0)
    return model.fit(x, y), x


def imported(model: Any, x: Any, dtype: Any, **options: Any) -> gc.Graph:
    """The graph of a model, for features of a dtype."""
    skl2onnx = peer("skl2onnx")
    one = x[:1] if x.dtype.kind == "i" else x[:1].astype(dtype)
    return gc.from_onnx(skl2onnx.to_onnx(model, one, **options))


def called(module: gc.Module, program: Any, x: Any) -> list[Any]:
    """What a function of the module takes."""
    from tests.onnx.backend import arguments

    (name,) = module.lowered.graph.inputs
    return arguments(module, program, {name: x})


def predicted(graph: gc.Graph, x: Any, dtype: Any) -> Any:
    """What the generated module says of some features."""
    module = gc.compile(graph, inference=True)
    given = x if x.dtype.kind == "i" else x.astype(dtype)
    return module.load().predict(*called(module, module.lowered.predict, given))


TOLERANCES = {np.float32: 2e-5, np.float64: 1e-12}
in_both_widths = pytest.mark.parametrize("dtype", list(TOLERANCES), ids=lambda t: t.__name__)


@in_both_widths
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_labels_and_probabilities_are_those_of_scikit_learn(name: str, dtype: Any) -> None:
    model, x = fitted(CLASSIFIERS[name])
    graph = imported(model, x, dtype, options={"zipmap": False})
    label, probabilities = predicted(graph, x, dtype)
    rounded = x.astype(dtype)  # the model sees what is left of the features
    assert label.dtype == np.int64
    assert len({*label.tolist()}) > 1
    np.testing.assert_array_equal(label, model.predict(rounded))
    tolerance = TOLERANCES[np.float32 if name == INTS else dtype]
    np.testing.assert_allclose(probabilities, model.predict_proba(rounded), rtol=0, atol=tolerance)


@in_both_widths
@pytest.mark.parametrize("name", REGRESSORS)
def test_predictions_are_those_of_scikit_learn(name: str, dtype: Any) -> None:
    if name == ONLY_32 and dtype is np.float64:
        pytest.skip("skl2onnx mixes 32 and 64 bits")
    model, x = fitted(REGRESSORS[name])
    y = predicted(imported(model, x, dtype), x, dtype)
    expected = model.predict(x.astype(dtype))
    scale = np.abs(expected).max()
    np.testing.assert_allclose(y, expected.reshape(y.shape), rtol=0, atol=TOLERANCES[dtype] * scale)


SMOOTH = [name for name in (*CLASSIFIERS, *REGRESSORS) if name not in (FLAT, INTS, ONLY_32)]


@pytest.mark.parametrize("name", SMOOTH)
def test_gradients_by_the_features_are_those_of_scikit_learn(name: str) -> None:
    """Differences of scikit-learn's own numbers along random directions, one for each row."""
    model, x = fitted({**CLASSIFIERS, **REGRESSORS}[name])
    classifies = name in CLASSIFIERS
    graph = imported(model, x, np.float64, **{"options": {"zipmap": False}} if classifies else {})
    module = gc.compile(graph, wrt=[*graph.inputs])
    rng = np.random.default_rng(0)
    points = x[rng.permutation(len(x))[:20]] + 1e-3 * rng.normal(size=(20, x.shape[1]))
    net = module.load()
    outputs, residuals = net.forward(*called(module, module.lowered.forward, points))
    result = outputs[-1] if classifies else outputs
    bar = rng.normal(size=result.shape)
    (gradient,) = net.backward(residuals, bar).values()

    evaluate = model.predict_proba if classifies else model.predict
    direction, step = rng.normal(size=points.shape) * x.std(axis=0), 1e-5
    ends = [evaluate(points + sign * step * direction).reshape(bar.shape) for sign in (1, -1)]
    slopes = ((ends[0] - ends[1]) / (2 * step) * bar).sum(axis=1)
    np.testing.assert_allclose((gradient * direction).sum(axis=1), slopes, rtol=1e-6, atol=1e-7)
    assert np.abs(slopes).max() > 1e-6


def test_labels_that_are_strings_are_refused() -> None:
    load, make = CLASSIFIERS["LogisticRegression"]
    words = np.array(["setosa", "versicolor", "virginica"])
    model, x = fitted((lambda datasets: (load(datasets)[0], words[load(datasets)[1]]), make))
    with pytest.raises(UnsupportedError, match="labels that are strings") as error:
        imported(model, x, np.float32, options={"zipmap": False})
    assert "as ints" in (error.value.hint or "")


def test_a_list_of_dictionaries_is_refused_with_the_way_out() -> None:
    model, x = fitted(CLASSIFIERS["LogisticRegression"])
    with pytest.raises(UnsupportedError, match="ZipMap") as error:
        imported(model, x, np.float32)
    assert "zipmap" in (error.value.hint or "")
