"""Folds: each training example validates once, classes are spread evenly, and nothing of a fold trains its network."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lnn.data.dataset import load_preprocessing, write_dataset
from lnn.errors import InputError
from lnn_client.datasets import check_dataset
from lnn_client.folds import Folds, check_folds, fold_of, summary_of_fold
from lnn_client.table_datasets import Choices, make_dataset
from lnn_client.tables import open_table

FOLDS = 3


@given(st.lists(st.integers(0, 4), min_size=1, max_size=80), st.integers(2, 7), st.integers(0, 3))
def test_a_class_is_spread_evenly_over_the_folds_and_the_folds_are_equally_large(
    labels: list[int], folds: int, seed: int
) -> None:
    found = fold_of(np.array(labels), folds, seed)
    assert found.shape == (len(labels),)
    assert set(found.tolist()) <= set(range(1, folds + 1))
    for of_class in (found, *(found[np.array(labels) == label] for label in set(labels))):
        sizes = np.bincount(of_class, minlength=folds + 1)[1:]
        assert sizes.max() - sizes.min() <= 1


def test_the_seed_alone_decides() -> None:
    labels = np.arange(60) % 3
    np.testing.assert_array_equal(fold_of(labels, 4, 7), fold_of(labels, 4, 7))
    assert (fold_of(labels, 4, 7) != fold_of(labels, 4, 8)).any()
    assert (fold_of(labels, 4, 7) != np.arange(60) % 4 + 1).any()


def test_numbers_to_predict_are_shuffled_into_folds() -> None:
    found = fold_of(np.linspace(0, 1, 11)[:, np.newaxis], 3, 0)
    assert sorted(Counter(found.tolist()).values()) == [3, 4, 4]


def pictures(path: Path) -> Path:
    """Twenty pictures, each of one number of its own, of two classes; and four to test with."""
    X = np.broadcast_to(np.arange(20, dtype=np.uint8)[:, None, None], (20, 2, 3))
    tested = np.full((4, 2, 3), 200, np.uint8)
    write_dataset(path, X, np.arange(20) % 2, tested, np.arange(4) % 2, ["even", "odd"])
    return path


def parts(path: Path) -> dict[str, Any]:
    with h5py.File(path) as file:
        return {name: values[...] for name, values in file.items()}


def test_each_example_validates_in_one_fold_and_trains_in_the_others(tmp_path: Path) -> None:
    source = pictures(tmp_path / "d.h5")
    folds = Folds.drawn(source, check_dataset(source), FOLDS, seed=0)
    whole, validated = parts(source), []
    for fold in range(1, FOLDS + 1):
        path = tmp_path / f"{fold}.h5"
        folds.write(path, fold)
        summary, found = check_dataset(path), parts(path)
        assert summary.image_shape == (2, 3)
        assert summary.m + summary.m_validation == 20
        trains, validates = found["train_set_x"][:, 0, 0].tolist(), found["validation_set_x"][:, 0, 0].tolist()
        assert sorted(trains + validates) == list(range(20))
        assert found["train_set_y"].tolist() == [value % 2 for value in trains]
        assert found["validation_set_y"].tolist() == [value % 2 for value in validates]
        for name in ("test_set_x", "test_set_y", "list_classes"):
            np.testing.assert_array_equal(found[name], whole[name])
        assert found["train_set_x"].dtype == np.uint8
        validated += validates
    assert sorted(validated) == list(range(20))
    least = summary_of_fold(check_dataset(source), FOLDS)
    assert (least.m, least.m_validation, least.class_counts) == (13, 7, [6, 6])


def test_an_example_that_trains_in_a_fold_keeps_its_weight(tmp_path: Path) -> None:
    X, weights = np.arange(20.0)[:, np.newaxis] / 20, np.arange(20) / 4
    source, path = tmp_path / "d.h5", tmp_path / "fold.h5"
    write_dataset(source, X, np.arange(20) % 2, X, np.arange(20) % 2, ["even", "odd"], weights=weights)
    folds = Folds.drawn(source, check_dataset(source), FOLDS, seed=0)
    for fold in range(1, FOLDS + 1):
        folds.write(path, fold)
        assert check_dataset(path).weighted
        found = parts(path)
        np.testing.assert_array_equal(
            found["train_set_w"], weights[np.rint(found["train_set_x"][:, 0] * 20).astype(int)]
        )


def test_a_tables_numbers_are_standardized_by_those_that_train_in_the_fold(tmp_path: Path) -> None:
    """What a fold stores is what its own preprocessing makes of the raw rows, whose mean and deviation it has."""
    rng = np.random.default_rng(1)
    raw = [(f"{value:.6f}", "ab"[index % 2], "xyz"[index % 3]) for index, value in enumerate(rng.normal(50, 9, 40))]
    table = tmp_path / "t.csv"
    table.write_text("size,side,label\n" + "\n".join(",".join(row) for row in raw) + "\n")
    source = tmp_path / "d.h5"
    make_dataset(source, open_table(table), Choices("label"), lambda _: None)
    sizes = [float(row[0]) for row in raw]
    folds = Folds.drawn(source, check_dataset(source), FOLDS, seed=0)
    for fold in range(1, FOLDS + 1):
        path = tmp_path / f"{fold}.h5"
        folds.write(path, fold)
        found, preprocessing = parts(path), load_preprocessing(path)
        assert preprocessing is not None
        trained = found["train_set_x"].astype(np.float64)
        np.testing.assert_allclose([trained[:, 0].mean(), trained[:, 0].std()], [0.0, 1.0], atol=1e-6)
        assert set(np.unique(trained[:, 1:])) == {0.0, 1.0}
        for part in ("train", "validation", "test"):
            stored = found[f"{part}_set_x"]
            restored = [preprocessing.raw(x.astype(np.float64)) for x in stored]
            nearest = [min(sizes, key=lambda size, row=row: abs(size - row[0])) for row in restored]
            rows = [(size, row[1]) for size, row in zip(nearest, restored, strict=True)]
            np.testing.assert_allclose(preprocessing.matrix(rows).T, stored, atol=1e-5)


def test_numbers_that_are_stored_as_they_are_stay_so(tmp_path: Path) -> None:
    source = tmp_path / "d.h5"
    X = np.linspace(3, 7, 24).reshape(12, 2)
    write_dataset(source, X, X[:, 0], X, X[:, 0], targets=["size"])
    folds = Folds.drawn(source, check_dataset(source), FOLDS, seed=0)
    path = tmp_path / "1.h5"
    folds.write(path, 1)
    found = parts(path)
    both = np.concatenate([found["train_set_x"], found["validation_set_x"]])
    np.testing.assert_array_equal(both[np.argsort(both[:, 0])], X)
    assert found["list_targets"].tolist() == [b"size"]
    np.testing.assert_array_equal(found["train_set_y"].ravel(), found["train_set_x"][:, 0])


def test_too_few_examples_for_the_folds_are_refused(tmp_path: Path) -> None:
    source = tmp_path / "d.h5"
    X, y = np.linspace(0, 1, 40).reshape(20, 2), np.repeat([0, 1], [16, 4])
    write_dataset(source, X, y, X, y, ["many", "few"])
    summary = check_dataset(source)
    check_folds(summary, 4)
    with pytest.raises(InputError, match=r"found 4 training examples of class 'few'; expected at least 5"):
        check_folds(summary, 5)
    for folds in (1, 21):
        with pytest.raises(InputError, match="expected 2 to 20"):
            check_folds(summary, folds)
    write_dataset(source, X, y, X, y, ["many", "few"], validation=(X, y))
    with pytest.raises(InputError, match="found 20 validation examples"):
        check_folds(check_dataset(source), 2)
