"""Datasets of numbers to predict: what makes one, its shapes, names and values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from lnn.data.dataset import load_labels
from lnn.data.summary import DatasetSummary
from lnn.data.validation import examine_dataset
from lnn.errors import DatasetError

X = np.random.default_rng(0).normal(size=(6, 3))
Y = np.array([0.5, 1.5, -2.0, 4.0, 0.25, 3.0])


def write(path: Path, **changes: Any) -> Path:
    content = {"train_set_x": X, "train_set_y": Y, "test_set_x": X[:2] + 1, "test_set_y": Y[:2]} | changes
    with h5py.File(path, "w") as file:
        for name, value in content.items():
            file[name] = value
    return path


def summary_of(tmp_path: Path, **changes: Any) -> DatasetSummary:
    return examine_dataset(write(tmp_path / "d.h5", **changes))


@pytest.mark.parametrize("shape", [(6,), (6, 1), (1, 6)])
def test_floats_without_classes_are_one_target(shape: tuple[int, ...], tmp_path: Path) -> None:
    test_shape = tuple(2 if side == 6 else side for side in shape)
    found = summary_of(tmp_path, train_set_y=Y.reshape(shape), test_set_y=Y[:2].reshape(test_shape))
    assert (found.classes, found.targets, found.warnings) == ([], ["target"], [])
    train, test = (load_labels(tmp_path / "d.h5", name) for name in ("train_set_y", "test_set_y"))
    assert (train[:, 0].tolist(), test[:, 0].tolist()) == (Y.tolist(), Y[:2].tolist())


def test_each_column_is_a_target_with_its_name(tmp_path: Path) -> None:
    two = np.column_stack([Y, Y**2]).astype("f4")
    changes = {"train_set_y": two, "test_set_y": two[:2]}
    assert summary_of(tmp_path, **changes).targets == ["target1", "target2"]
    assert summary_of(tmp_path, **changes, list_targets=[b"height", b"weight"]).targets == ["height", "weight"]
    train = load_labels(tmp_path / "d.h5", "train_set_y")
    assert (train.dtype, train.tolist()) == (np.float64, two.tolist())


def test_integers_are_numbers_where_targets_are_named(tmp_path: Path) -> None:
    counts = np.array([3, 0, 7, 2, 2, 9])
    found = summary_of(tmp_path, train_set_y=counts, test_set_y=counts[:2], list_targets=[b"bikes"])
    assert (found.targets, found.classes, found.warnings) == (["bikes"], [], [])


def test_floats_that_may_be_classes_have_a_warning(tmp_path: Path) -> None:
    (warning,) = summary_of(tmp_path, train_set_y=np.array([0.0, 1, 1, 0, 1, 0])).warnings
    assert "found 2 different whole numbers and no list_classes" in warning


MANY = np.zeros((6, 1001))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"train_set_y": [0.5, np.nan, 1, 2, 3, 4]},
            "train_set_y: found nan at index 1 (1 such values); expected finite",
        ),
        (
            {"test_set_y": [1e60, 1]},
            "test_set_y: found 1e+60 at index 0 (1 such values); expected finite numbers up to",
        ),
        ({"train_set_y": np.full(6, 2.5)}, "train_set_y: found only 2.5; expected numbers that differ"),
        ({"train_set_y": Y[:5]}, "train_set_y: found 5 labels; expected 6, one for each example in train_set_x"),
        (
            {"train_set_y": np.zeros((2, 6)), "test_set_y": np.zeros((2, 2))},
            "train_set_y: found shape (2, 6); expected (6,) or (6, targets), a row for each example in",
        ),
        ({"train_set_y": np.column_stack([Y, Y])}, "test_set_y: found 1 targets; expected 2, as in train_set_y"),
        ({"train_set_y": MANY, "test_set_y": MANY[:2]}, "train_set_y: found 1,001 targets; expected 1 to 1,000"),
        ({"list_targets": [b"a", b"b"]}, "list_targets: found shape (2,); expected (1,), a name for each target"),
        ({"list_targets": [b"\xff"]}, "list_targets: found b'\\xff' at index 0, which is not UTF-8; expected a name"),
        ({"list_targets": [b"a"], "list_classes": [b"a", b"b"]}, "list_targets: found beside list_classes"),
        (
            {"test_set_y": np.array([b"a", b"b"])},
            "test_set_y: found bytes; expected float32 or float64",
        ),
        ({"list_classes": [b"a", b"b"]}, "train_set_y: found float64; expected integers, the classes' indices from 0"),
    ],
)
def test_numbers_that_cannot_be_learned_are_refused_with_a_mend(
    changes: dict[str, Any], told: str, tmp_path: Path
) -> None:
    with pytest.raises(DatasetError) as refused:
        summary_of(tmp_path, **changes)
    assert any(problem.startswith(told) for problem in refused.value.problems), refused.value.problems
