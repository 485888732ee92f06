"""Weights of examples, from arrays, frames and tables to the dataset: each training example keeps its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import h5py
import numpy as np
import pandas as pd
import polars as pl
import pytest

from lnn.data.dataset import load_preprocessing
from lnn.data.validation import examine_dataset
from lnn.errors import InputError
from lnn_client import LambdaClassifier, LambdaRegressor, estimators
from lnn_client.training import Source, prepared

M = 40
Y = np.arange(M) % 2
WEIGHTS = np.arange(M) / 8
"""Of each example one of its own; 0 of the first."""


@pytest.fixture(autouse=True)
def _checked_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """The check of a dataset in this process: to start another takes half a second."""
    monkeypatch.setattr("lnn.data.dataset.inspect_dataset", examine_dataset)


def found_in(source: Source) -> dict[str, Any]:
    """The raw first feature of the training examples, and what the dataset holds."""
    with prepared(source) as (path, _):
        with h5py.File(path) as file:
            found = {name: values[...] for name, values in file.items() if name != "preprocessing"}
        preprocessing = load_preprocessing(path)
        column = preprocessing.columns[0] if preprocessing else SimpleNamespace(mean=0.0, scale=1.0)
        found["columns"] = preprocessing.names if preprocessing else None
        found["raw"] = found["train_set_x"][:, 0] * column.scale + column.mean
    return found


@pytest.mark.parametrize("standardize", [False, True])
@pytest.mark.parametrize("kind", [np.asarray, list, pd.Series, pl.Series], ids=["array", "list", "pandas", "polars"])
def test_each_training_row_of_an_array_keeps_its_weight(kind: Any, standardize: bool) -> None:
    X = np.column_stack([np.arange(M), np.ones(M)])
    found = found_in(Source(X, Y, 0.25, standardize, sample_weight=kind(WEIGHTS)))
    assert found["train_set_w"].shape == (30,)
    np.testing.assert_array_equal(found["train_set_w"], WEIGHTS[np.rint(found["raw"]).astype(int)])
    assert not {"test_set_w", "validation_set_w"} & set(found)


def test_without_weights_the_dataset_has_none() -> None:
    assert "train_set_w" not in found_in(Source(np.eye(M), Y))


@pytest.mark.parametrize("library", [pd, pl])
@pytest.mark.parametrize("named", [False, True])
def test_each_training_row_of_a_frame_keeps_its_weight_which_is_no_feature(library: Any, named: bool) -> None:
    columns: dict[str, Any] = {"x": np.arange(M), "kind": list("ab" * (M // 2))}
    weights: Any = WEIGHTS
    if named:
        columns["w"], weights = WEIGHTS, "w"
    found = found_in(Source(library.DataFrame(columns), "kind", sample_weight=weights))
    np.testing.assert_array_equal(found["train_set_w"], WEIGHTS[np.rint(found["raw"]).astype(int)])
    assert found["columns"] == ["x"]


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_the_weights_of_a_table_are_a_column(tmp_path: Path, suffix: str) -> None:
    frame, path = pl.DataFrame({"x": range(M), "w": WEIGHTS, "y": Y}), tmp_path / f"t.{suffix}"
    frame.write_csv(path) if suffix == "csv" else frame.write_parquet(path)
    found = found_in(Source(path, "y", sample_weight="w"))
    np.testing.assert_array_equal(found["train_set_w"], WEIGHTS[np.rint(found["raw"]).astype(int)])
    assert found["columns"] == ["x"]


@pytest.mark.parametrize(
    ("weights", "told"),
    [
        (np.ones(M - 1), r"found shape \(39,\); expected \(40,\), a weight for each example"),
        (np.ones((M, 2)), r"found shape \(40, 2\)"),
        ([1.0] * (M - 1) + [-2.0], "found -2 at index 39"),
        ([np.nan] + [1.0] * (M - 1), "found nan at index 0"),
        (np.zeros(M), "found only 0"),
        (["heavy"] * M, "found .*heavy.*; expected numbers from 0"),
        ("w", "found 'w'; expected numbers from 0"),
    ],
)
def test_weights_that_are_none_are_one_error(weights: Any, told: str) -> None:
    X = np.arange(2.0 * M).reshape(M, 2)
    with pytest.raises(InputError, match=f"^sample_weight: {told}"):
        found_in(Source(X, Y, sample_weight=weights))
    if not isinstance(weights, str):
        with pytest.raises(InputError, match=f"^sample_weight: {told}"):
            found_in(Source(pl.DataFrame({"x": X[:, 0], "y": Y}), "y", sample_weight=weights))


def test_weights_of_files_are_their_own(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("x,y\n1,a\n2,b\n")
    with pytest.raises(InputError, match="is a table; name its column of weights"):
        found_in(Source(tmp_path / "t.csv", "y", sample_weight=[1.0, 2.0]))
    with pytest.raises(InputError, match="is a dataset, whose weights are its own train_set_w"):
        found_in(Source(tmp_path / "d.h5", sample_weight=[1.0, 2.0]))


# Estimators ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def sources(monkeypatch: pytest.MonkeyPatch) -> list[Source]:
    """What the estimators would train on: nothing is trained."""
    kept: list[Source] = []

    def train(_cloud: Any, source: Source, _parameters: Mapping[str, Any]) -> Any:
        kept.append(source)
        record = SimpleNamespace(epoch=1, final_cost=0.0, test_r2=None, test_accuracy=None)
        run = SimpleNamespace(record=record, run_id="", model=lambda: None)
        run.wait = lambda _timeout: run
        return run

    monkeypatch.setattr(estimators, "_cloud", lambda _target: None)
    monkeypatch.setattr(estimators, "train", train)
    return kept


def test_a_classifier_leaves_examples_of_weight_0_out_with_their_classes(sources: list[Source]) -> None:
    X, y = np.arange(8.0).reshape(-1, 1), np.array(list("abcabcab"))
    fitted = LambdaClassifier().fit(X, y, sample_weight=[1, 2, 0, 3, 0, 0, 4, 5])
    (source,) = sources
    assert source.X.ravel().tolist() == [0, 1, 3, 6, 7]
    assert source.sample_weight.tolist() == [1, 2, 3, 4, 5]
    assert fitted.classes_[source.y].tolist() == list("abaab")
    assert fitted.classes_.tolist() == ["a", "b"]
    LambdaClassifier().fit(X, y)
    assert sources[1].sample_weight is None


def test_a_regressor_of_weight_0_is_one_without_the_example(sources: list[Source]) -> None:
    rng = np.random.default_rng(0)
    X, y, weights = rng.normal(size=(9, 2)), rng.normal(5, 3, size=(9, 2)), np.ones(9)
    weights[4], y[4] = 0, 1e9
    weighted = LambdaRegressor().fit(X, y, sample_weight=weights)
    without = LambdaRegressor().fit(np.delete(X, 4, axis=0), np.delete(y, 4, axis=0))
    for one, other in ((sources[0].X, sources[1].X), (sources[0].y, sources[1].y)):
        np.testing.assert_allclose(one, other)
    np.testing.assert_allclose(weighted._mean, without._mean)
    np.testing.assert_allclose(weighted._scale, without._scale)


def test_a_regressor_s_mean_and_scale_are_those_of_repeated_examples(sources: list[Source]) -> None:
    y, weights = np.array([1.0, 5.0, 2.0, 8.0]), np.array([3, 1, 0, 2])
    fitted = LambdaRegressor().fit(np.eye(4), y, sample_weight=weights)
    repeated = np.repeat(y, weights)
    assert fitted._mean == pytest.approx(repeated.mean())
    assert fitted._scale == pytest.approx(repeated.std())


@pytest.mark.parametrize("estimator", [LambdaClassifier(), LambdaRegressor()])
@pytest.mark.parametrize(
    ("weights", "told"),
    [
        (np.ones(5), "sample_weight.shape"),
        (np.ones((4, 1)), "1D array"),
        ([1, 1, 1, -1], "[Nn]egative"),
        ([1, 1, 1, np.nan], "NaN"),
        (np.zeros(4), "non-zero"),
    ],
)
def test_an_estimator_s_bad_weights_are_one_error(
    sources: list[Source], estimator: Any, weights: Any, told: str
) -> None:
    with pytest.raises(ValueError, match=told):
        estimator.fit(np.eye(4), [0, 1, 0, 1], sample_weight=weights)
    assert sources == []


def test_one_class_that_counts_is_too_few(sources: list[Source]) -> None:
    with pytest.raises(ValueError, match=r"found one class, .*1.*; a classifier needs two classes"):
        LambdaClassifier().fit(np.eye(4), [0, 1, 0, 1], sample_weight=[0, 1, 0, 1])
