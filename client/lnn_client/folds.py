"""Folds of a dataset, for cross-validation: each training example validates in one of them and trains in the others.

A fold's dataset has the source's test examples. Where the source's numbers are standardized, the fold's are
standardized anew, by the examples that train in it: the source's mean and deviation are of those that validate, too.
Categories, and what stands in for missing values, stay those of all training examples.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lnn.data.dataset import examples_per_shard, feature_shards, load_labels, load_preprocessing, load_weights
from lnn.data.preprocessing import PREPROCESSING, Preprocessing
from lnn.data.validation import FEATURES, LABELS
from lnn.errors import InputError
from lnn.text.characters import quoted
from lnn_client.class_folders import TEST, TRAIN, VALIDATION
from lnn_client.dataset_files import PartWriter, write_dataset_file, write_names
from lnn_client.moments import Moments

if TYPE_CHECKING:
    from h5py import File

    from lnn.data.summary import DatasetSummary

MOST_FOLDS = 20


def fold_of(labels: NDArray[Any], folds: int, seed: int) -> NDArray[np.int8]:
    """The fold in which each example validates, (m,), from 1: always alike for one seed.

    Labels (m,) are classes, which are spread evenly: a class's numbers of examples in two folds differ by one at most,
    and so do the folds' sizes. Of numbers (m, targets) any examples make a fold.
    """
    strata = labels if labels.ndim == 1 else np.zeros(len(labels), np.int8)
    drawn = np.random.default_rng(seed).permutation(len(strata))
    # Class after class, shuffled within each, dealt out like cards.
    dealt = drawn[np.argsort(strata[drawn], kind="stable")]
    found = np.empty(len(strata), np.int8)
    found[dealt] = np.arange(len(strata)) % folds + 1
    return found


def check_folds(summary: DatasetSummary, folds: int) -> None:
    """Raises InputError unless each class has an example at least for each fold."""
    if not 2 <= folds <= MOST_FOLDS:
        raise InputError(f"folds: found {folds}; expected 2 to {MOST_FOLDS}")
    if summary.m_validation:
        raise InputError(
            f"folds: found {summary.m_validation:,} validation examples in the dataset; expected none, since the folds "
            "are what validates: make it without"
        )
    if summary.m < folds:
        raise InputError(f"folds: found {summary.m} training examples; expected at least {folds}, one for each fold")
    for name, count in zip(summary.classes, summary.class_counts, strict=True):
        if 0 < count < folds:
            raise InputError(
                f"folds: found {count} training examples of class {quoted(name)}; expected at least {folds}, one for "
                "each fold: take fewer folds, or leave the class out"
            )


def summary_of_fold(summary: DatasetSummary, folds: int) -> DatasetSummary:
    """What is in the dataset of the fold that has the fewest examples to train with."""
    counts = [count - -(-count // folds) for count in summary.class_counts]
    validating = -(-summary.m // folds)
    return replace(summary, m=summary.m - validating, m_validation=validating, class_counts=counts)


@dataclass(frozen=True, slots=True)
class Folds:
    """The folds of a dataset that was checked; ``of`` (m,) has the fold in which each training example validates."""

    source: Path
    summary: DatasetSummary
    of: NDArray[np.int8]

    @classmethod
    def drawn(cls, source: Path, summary: DatasetSummary, folds: int, seed: int) -> Folds:
        """Raises InputError: see ``check_folds``."""
        check_folds(summary, folds)
        return cls(source, summary, fold_of(load_labels(source, LABELS[0]), folds, seed))

    def write(self, path: Path, fold: int) -> None:
        """Write the dataset of one fold, from 1. Raises InputError where it would not be accepted for training."""
        validates = self.of == fold
        preprocessing = load_preprocessing(self.source)
        change = None if preprocessing is None else self._standardized(preprocessing, ~validates)

        def fill(file: File) -> None:
            train_x, test_x = FEATURES
            labels, tested = (load_labels(self.source, name) for name in LABELS)
            if self.summary.classes:
                least = np.min_scalar_type(len(self.summary.classes))
                labels, tested = labels.astype(least), tested.astype(least)
            weights = load_weights(self.source)[~validates] if self.summary.weighted else None
            for part, name, y, w, chosen in (
                (TRAIN, train_x, labels[~validates], weights, ~validates),
                (VALIDATION, train_x, labels[validates], None, validates),
                (TEST, test_x, tested, None, None),
            ):
                self._copy(file, part, self._examples(name, chosen), y, w, change)
            write_names(file, self.summary.classes, self.summary.targets)
            if change is not None:
                file.create_dataset(PREPROCESSING, data=change.preprocessing.encode())

        write_dataset_file(path, self.source, fill)

    def _copy(
        self,
        file: File,
        part: str,
        examples: Iterator[NDArray[Any]],
        labels: NDArray[Any],
        weights: NDArray[np.float64] | None,
        change: _Standardized | None,
    ) -> None:
        writer, at = None, 0
        for block in examples:
            shape = self.summary.image_shape or block.shape[1:]
            writer = writer or PartWriter(file, part, shape, block.dtype, labels, weighted=weights is not None)
            values = block.reshape(-1, *shape) if change is None else (block - change.mean) / change.scale
            some = slice(at, at + len(block))
            writer.add(values, labels[some], None if weights is None else weights[some])
            at += len(block)

    def _examples(self, name: str, chosen: NDArray[np.bool_] | None) -> Iterator[NDArray[Any]]:
        """Stored examples, as rows of features, some at a time."""
        return feature_shards(self.source, name, self.summary.features, examples_per_shard(self.summary), chosen)

    def _standardized(self, preprocessing: Preprocessing, trains: NDArray[np.bool_]) -> _Standardized:
        moments = Moments()
        for block in self._examples(FEATURES[0], trains):
            moments.add(block.astype(np.float64))
        changes = [
            column.kind == "number" and (column.mean, column.scale) != (0.0, 1.0)
            for column in preprocessing.columns
            for _ in range(column.width)
        ]
        mean, scale = np.where(changes, moments.mean, 0.0), np.where(changes, moments.scale, 1.0)
        columns, at = [], 0
        for column in preprocessing.columns:
            center, width = column.scale * float(mean[at]), float(scale[at])
            columns.append(
                replace(column, mean=column.mean + center, scale=column.scale * width) if changes[at] else column
            )
            at += column.width
        return _Standardized(replace(preprocessing, columns=columns), mean, scale)


@dataclass(frozen=True, slots=True)
class _Standardized:
    """How features of the source become a fold's: less ``mean`` (n,), divided by ``scale`` (n,)."""

    preprocessing: Preprocessing
    """What a raw row goes through for the fold's features."""
    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
