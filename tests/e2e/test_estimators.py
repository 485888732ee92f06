"""The estimators by scikit-learn's own contract, and in what people put estimators into."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_iris
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures
from sklearn.utils.estimator_checks import parametrize_with_checks

from lnn.network import Network
from lnn_client import Cloud, LambdaClassifier, LambdaRegressor
from support.e2e_cloud import CloudUnderTest


@pytest.fixture(autouse=True)
def here(cloud: CloudUnderTest, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    """The cloud that ``cloud="local"`` means."""
    monkeypatch.setenv("LNN_HOME", str(cloud.home))
    return Cloud("local")


BY_EXAMPLE = "the examples to test with, and those of a batch, are drawn by example: two of weight 1 are not one of 2"


@parametrize_with_checks(
    [LambdaClassifier(), LambdaRegressor()],
    expected_failed_checks=lambda _: {"check_sample_weight_equivalence_on_dense_data": BY_EXAMPLE},
)
def test_the_estimators_keep_scikit_learn_s_contract(estimator: Any, check: Callable[[Any], None]) -> None:
    check(estimator)


def test_a_search_tries_settings_side_by_side_and_the_best_predicts() -> None:
    X, y = load_iris(return_X_y=True, as_frame=True)
    names = np.array(["setosa", "versicolor", "virginica"])[y]
    search = GridSearchCV(LambdaClassifier(epochs=30, random_state=1), {"learning_rate": [1e-6, 0.02]}, cv=3, n_jobs=2)
    search.fit(X, names)
    assert search.best_params_ == {"learning_rate": 0.02}
    assert search.best_score_ > 0.9
    assert list(search.best_estimator_.feature_names_in_) == list(X.columns)
    assert set(search.predict(X)) == set(names)


def test_scores_of_folds_and_a_pipeline_that_makes_features() -> None:
    X, y = load_diabetes(return_X_y=True)
    pipeline = make_pipeline(
        PolynomialFeatures(2, include_bias=False), LambdaRegressor((8,), epochs=20, l2=1.0, random_state=0)
    )
    assert cross_val_score(pipeline, X, y, cv=3).mean() > 0.3


def test_predictions_are_the_network_s_on_standardized_features_and_survive_pickling() -> None:
    X, y = load_iris(return_X_y=True)
    X = X * 1000 + 5
    fitted = LambdaClassifier((8,), epochs=10, random_state=3, settings={"name": "pickled"}).fit(X, y)
    again = pickle.loads(pickle.dumps(fitted))  # noqa: S301 - bytes that were made in this line
    network, preprocessing = fitted.model_.network, fitted.model_.network.preprocessing
    assert preprocessing is not None
    columns = preprocessing.columns
    standardized = (X - [column.mean for column in columns]) / [column.scale for column in columns]
    expected = Network([4, 8, 3], network.activations).predict_proba(network.parameters, standardized.T).T
    for one in (fitted, again):
        np.testing.assert_allclose(one.predict_proba(X), expected, rtol=0, atol=1e-12)
    assert fitted.test_score_ == Cloud("local").run(fitted.run_id_).record.test_accuracy
    assert clone(fitted).get_params() == fitted.get_params()


def test_a_warm_start_goes_on_from_the_last_fit(here: Cloud) -> None:
    X, y = load_iris(return_X_y=True)
    estimator = LambdaClassifier((8,), epochs=15, random_state=0, warm_start=True, cloud=here).fit(X, y)
    first, cost = estimator.run_id_, estimator.loss_ or 0.0
    estimator.fit(X, y)
    record = here.run(estimator.run_id_).record
    assert record.settings["initial_model"] == first
    assert (record.final_cost or cost) < cost


def test_several_targets_are_predicted_from_a_frame() -> None:
    X, y = load_diabetes(return_X_y=True, as_frame=True)
    targets = pd.DataFrame({"disease": y, "twice": 2 * y})
    fitted = LambdaRegressor((8,), epochs=30, random_state=0).fit(X, targets)
    predicted = fitted.predict(X)
    assert predicted.shape == (len(X), 2)
    assert fitted.score(X, targets) > 0.4


def test_weights_of_classes_are_those_of_the_labels(here: Cloud) -> None:
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(60, 3)), np.array(["often"] * 50 + ["seldom"] * 10)
    fitted = LambdaClassifier(epochs=5, class_weight={"seldom": 5.0}, random_state=0).fit(X, y)
    assert here.run(fitted.run_id_).record.settings["class_weight"] == {"class 1": 5.0}


def test_examples_with_weights_bend_the_answer_to_them(here: Cloud) -> None:
    """The same examples are of both kinds: those that weigh more decide, and examples of weight 0 are not uploaded."""
    X, y = np.repeat(np.eye(2), 40, axis=0), np.tile(["cat", "dog"], 40)
    weights = np.where((X[:, 0] == 1) == (y == "cat"), 9.0, 1.0)
    weights[:2] = 0
    fitted = LambdaClassifier((8,), epochs=60, learning_rate=0.05, random_state=0).fit(X, y, sample_weight=weights)
    assert fitted.predict(np.eye(2)).tolist() == ["cat", "dog"]
    record = here.run(fitted.run_id_).record
    assert record.dimensions["examples"] + record.dimensions["test_examples"] == 78


@pytest.mark.parametrize(
    ("settings", "problem"),
    [({"learning_rate": -1}, "learning_rate"), ({"settings": {"clip_norm": 0}}, "clip_norm"), ({"test": 1.5}, "test")],
)
def test_a_bad_setting_is_one_clear_error_and_nothing_is_uploaded(
    here: Cloud, settings: dict[str, Any], problem: str
) -> None:
    before = len(here.runs())
    with pytest.raises(ValueError, match=problem):
        LambdaClassifier(**settings).fit(np.eye(10), np.arange(10) % 2)
    assert len(here.runs()) == before
