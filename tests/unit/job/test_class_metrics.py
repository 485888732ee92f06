"""Figures from counts by class, against scikit-learn and scipy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn.metrics import accuracy_score, balanced_accuracy_score, precision_recall_fscore_support

from lnn.job.class_metrics import ClassCounts, ClassMetrics, wilson_interval

Labels = list[tuple[int, int]]


def counted(pairs: Labels, classes: int) -> ClassCounts:
    return {
        "examples": [sum(true == index for true, _ in pairs) for index in range(classes)],
        "predicted": [sum(said == index for _, said in pairs) for index in range(classes)],
        "right": [sum(true == said == index for true, said in pairs) for index in range(classes)],
    }


def metrics_of(pairs: Labels, classes: int) -> ClassMetrics:
    return ClassMetrics([f"c{index}" for index in range(classes)], counted(pairs, classes))


@st.composite
def labeled(draw: st.DrawFn) -> tuple[Labels, int]:
    classes = draw(st.integers(2, 5))
    label = st.integers(0, classes - 1)
    return draw(st.lists(st.tuples(label, label), min_size=1, max_size=40)), classes


@given(labeled())
@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
@pytest.mark.filterwarnings("ignore:A single label was found")
def test_all_figures_are_those_of_scikit_learn(drawn: tuple[Labels, int]) -> None:
    pairs, classes = drawn
    true, said = zip(*pairs, strict=True)
    found = metrics_of(pairs, classes)
    assert found.accuracy == pytest.approx(accuracy_score(true, said), abs=1e-12)
    assert found.balanced_accuracy == pytest.approx(balanced_accuracy_score(true, said), abs=1e-12)
    if len(set(true)) > 1:
        assert found.skill == pytest.approx(balanced_accuracy_score(true, said, adjusted=True), abs=1e-12)
    expected = precision_recall_fscore_support(true, said, labels=range(classes), zero_division=np.nan)
    figures = [(one.precision, one.recall, one.f1, one.examples) for one in found.by_class]
    for of_class, theirs in zip(figures, zip(*expected, strict=True), strict=True):
        assert [np.nan if value is None else value for value in of_class] == pytest.approx(list(theirs), nan_ok=True)


@given(st.integers(0, 300), st.integers(0, 300))
def test_the_interval_is_wilsons(right: int, wrong: int) -> None:
    examples = max(1, right + wrong)
    expected: Any = binomtest(right, examples).proportion_ci(0.95, method="wilson")
    assert wilson_interval(right, examples) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_the_base_rate_is_that_of_the_most_frequent_class() -> None:
    found = metrics_of([(0, 0)] * 2 + [(1, 1)] * 3, 2)
    assert (found.base_rate, found.most_frequent, found.beats_base_rate, found.remark) == (0.6, "c1", True, None)


def test_always_the_most_frequent_class_has_no_skill_and_says_so() -> None:
    found = metrics_of([(0, 0)] * 98 + [(1, 0)] * 2, 2)
    assert (found.accuracy, found.base_rate, found.skill) == (0.98, 0.98, 0.0)
    assert found.remark == "no better than always answering 'c0' (98.0%)"


def test_a_model_that_finds_the_rare_class_at_the_price_of_accuracy_is_not_called_useless() -> None:
    found = metrics_of([(0, 0)] * 90 + [(0, 1)] * 8 + [(1, 1)] * 2, 2)
    assert not found.beats_base_rate
    assert found.skill == pytest.approx(90 / 98)
    assert found.remark is not None
    assert "always answering 'c0' (98.0%), by accuracy; its balanced accuracy is 95.9%" in found.remark


def test_a_set_of_one_class_shows_no_skill() -> None:
    found = metrics_of([(1, 1)] * 3, 2)
    assert (found.accuracy, found.skill, found.beats_base_rate) == (1.0, 0.0, False)


def test_a_line_names_every_class_or_of_many_those_that_are_found_least() -> None:
    assert metrics_of([(0, 0), (0, 0), (0, 1), (1, 1)], 3).recall_in_words == "'c0' 66.7%, 'c1' 100.0%"
    many = [(index, index) for index in range(9)] + [(7, 0), (4, 0), (4, 0), (2, 0), (2, 0), (2, 0)]
    assert metrics_of(many, 9).recall_in_words == "lowest 'c2' 25.0%, 'c4' 33.3%, 'c7' 50.0%"
    assert metrics_of(many, 9).lowest_recall == 0.25
