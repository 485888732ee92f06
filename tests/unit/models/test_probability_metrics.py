"""Figures from probabilities, against scikit-learn."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.calibration import calibration_curve
from sklearn.metrics import average_precision_score, log_loss, roc_auc_score

from lnn.models import probability_metrics
from lnn.models.evaluation import evaluate

Drawn = tuple[NDArray[Any], NDArray[np.int64]]


def drawn(seed: int, classes: int, dtype: type = np.float64) -> Drawn:
    """Probabilities (K, m) that know something of the labels; every second set has many equal ones."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, 60)
    logits = rng.normal(size=(classes, 60))
    logits[labels, np.arange(60)] += rng.uniform(0, 3)
    if seed % 2:
        logits = np.round(logits)
    odds = np.exp(logits)
    return (odds / odds.sum(axis=0)).astype(dtype), labels


@pytest.mark.parametrize("seed", range(8))
def test_order_of_two_classes_as_scikit_learn_scores_it(seed: int) -> None:
    probabilities, labels = drawn(seed, 2)
    found = evaluate(["a", "b"], probabilities, labels)
    assert found.roc_auc == pytest.approx(roc_auc_score(labels, probabilities[1]), abs=1e-12)
    assert found.average_precision == pytest.approx(average_precision_score(labels, probabilities[1]), abs=1e-12)
    of_first = average_precision_score(labels == 0, probabilities[0])
    assert found.by_class[0].average_precision == pytest.approx(of_first, abs=1e-12)
    assert found.by_class[1].average_precision == found.average_precision


@pytest.mark.parametrize("classes", [2, 3, 5])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_log_loss_and_reliability_as_scikit_learn_has_them(classes: int, dtype: type) -> None:
    probabilities, labels = drawn(classes, classes, dtype)
    names = [f"c{index}" for index in range(classes)]
    found = evaluate(names, probabilities, labels)
    whole = probabilities.T.astype(np.float64)
    expected = log_loss(labels, whole / whole.sum(axis=1, keepdims=True), labels=range(classes))
    assert found.log_loss == pytest.approx(expected, abs=1e-12)
    confidence, right = probabilities.max(axis=0).astype(np.float64), probabilities.argmax(axis=0) == labels
    shares, means = calibration_curve(right, confidence, n_bins=probability_metrics.BINS)
    filled = [one for one in found.reliability if one.examples]
    assert [one.accuracy for one in filled] == pytest.approx(list(shares))
    assert [one.confidence for one in filled] == pytest.approx(list(means))
    weights = [one.examples / 60 for one in filled]
    assert found.calibration_error == pytest.approx(float(np.dot(weights, np.abs(shares - means))), abs=1e-12)


def test_a_sure_and_wrong_model_has_a_finite_log_loss() -> None:
    found = evaluate(["a", "b"], np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([0, 0]))
    assert found.log_loss == pytest.approx(log_loss([0, 0], [[1.0, 0.0], [0.0, 1.0]], labels=[0, 1]))
    assert math.isfinite(found.log_loss)


def test_units_that_are_all_sure_share_their_probability_in_the_log_loss() -> None:
    """Three sigmoid units may all say 1: that is no knowledge."""
    found = evaluate(["a", "b", "c"], np.ones((3, 4)), np.array([0, 1, 2, 0]))
    assert found.log_loss == pytest.approx(math.log(3))


def test_of_examples_of_one_class_nothing_can_be_ordered() -> None:
    found = evaluate(["a", "b"], np.array([[0.9, 0.6], [0.1, 0.4]]), np.array([0, 0]))
    assert (found.roc_auc, found.average_precision, found.by_class[0].average_precision) == (None, None, 1.0)


def test_more_than_two_classes_have_no_single_order() -> None:
    found = evaluate(["a", "b", "c"], *drawn(1, 3))
    assert (found.roc_auc, found.average_precision) == (None, None)
