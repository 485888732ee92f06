"""``datasets.h5``: checked, read, and written.

h5py is imported inside functions, so that only code that opens a file pays for the import.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lnn.data.hdf5 import blocks, reading
from lnn.data.inspection import inspect
from lnn.data.matrices import label_matrix, standardize
from lnn.data.preprocessing import Preprocessing
from lnn.data.summary import DatasetSummary
from lnn.data.validation import (
    BLOCK_LIMIT,
    CLASSES,
    MAX_BYTES,
    TARGETS,
    VALIDATION,
    open_dataset,
    read_preprocessing,
    target_matrix,
)
from lnn.data.weights import WEIGHTS, as_weights
from lnn.errors import DatasetError, InputError
from lnn.network.types import Targets

__all__ = [
    "BLOCK_LIMIT",
    "MAX_BYTES",
    "DatasetSummary",
    "examples_per_shard",
    "feature_shards",
    "inspect_dataset",
    "label_matrix",
    "load_labels",
    "load_preprocessing",
    "load_weights",
    "standardize",
    "write_dataset",
]


SHARD_BYTES = 16 * 2**20
"""Approximate size of a shard of features: large enough for S3's throughput, small enough to hold beside a model."""


def inspect_dataset(
    path: str | Path, max_bytes: int = MAX_BYTES, block_limit: int = BLOCK_LIMIT, seconds: float | None = None
) -> DatasetSummary:
    """Check the whole file: structure first, then every value. Raises DatasetError with all problems.

    ``max_bytes`` limits the size of all arrays, ``block_limit`` the size of a block that is read at once. A child
    process does the work within ``seconds`` (None: depending on the file's size).
    """
    try:
        answer = inspect("lnn.data.validation", path, max_bytes, block_limit, seconds=seconds)
    except InputError as error:
        raise DatasetError(error.problems) from error
    summary = answer["summary"]
    # JSON has no tuples.
    tuples = {name: summary[name] and tuple(summary[name]) for name in ("image_shape", "value_range", "border")}
    return DatasetSummary(**{**summary, **tuples})


def load_labels(path: str | Path, name: str) -> Targets:
    """Labels of a file that ``inspect_dataset`` has passed: class indices (m,), or numbers (m, targets).

    ``name`` is that of the dataset, such as train_set_y. Raises DatasetError if they cannot be read nevertheless.
    """
    with open_dataset(path) as file, reading(name):
        stored = file.dataset(name)[...]
        return stored.ravel().astype(np.int64, copy=False) if file.holds(CLASSES) else target_matrix(stored)


def load_weights(path: str | Path) -> npt.NDArray[np.float64]:
    """The weights of the training examples (m,), of a file that ``inspect_dataset`` has passed and that has some.

    Raises DatasetError if they cannot be read nevertheless.
    """
    with open_dataset(path) as file, reading(WEIGHTS):
        return as_weights(file.dataset(WEIGHTS))


def load_preprocessing(path: str | Path) -> Preprocessing | None:
    """How the features were made of a table's columns, of a file that ``inspect_dataset`` has passed; None for others.

    Raises DatasetError if it cannot be read nevertheless.
    """
    with open_dataset(path) as file:
        return read_preprocessing(file)


def examples_per_shard(summary: DatasetSummary) -> int:
    """How many examples make a shard of about ``SHARD_BYTES``; at least one."""
    return max(1, SHARD_BYTES // (summary.features * np.dtype(summary.dtype).itemsize))


def feature_shards(
    path: str | Path, name: str, features: int, rows: int, chosen: npt.NDArray[np.bool_] | None = None
) -> Iterator[npt.NDArray[Any]]:
    """The examples of dataset ``name``, in order: arrays (rows, features) in C order, the last may have fewer rows.

    ``chosen`` (m,) says which of them; None is all. Memory holds one block of the file and one shard, which the next
    shard overwrites. Raises DatasetError if the file cannot be read, although ``inspect_dataset`` has passed it.
    """
    with open_dataset(path) as file, reading(name):
        dataset = file.dataset(name)
        examples = len(dataset) if chosen is None else int(np.count_nonzero(chosen))
        shard = np.empty((min(rows, examples), features), dataset.dtype.newbyteorder("="))
        filled = 0
        for start, values in blocks(dataset):
            block = values.reshape(len(values), features)
            if chosen is not None:
                block = block[chosen[start : start + len(block)]]
            while len(block):
                taken = min(len(block), len(shard) - filled)
                shard[filled : filled + taken] = block[:taken]
                block = block[taken:]
                filled += taken
                if filled == len(shard):
                    yield shard
                    filled = 0
        if filled:
            yield shard[:filled]


def write_dataset(
    path: str | Path,
    train_x: npt.NDArray[Any],
    train_y: npt.ArrayLike,
    test_x: npt.NDArray[Any],
    test_y: npt.ArrayLike,
    classes: Sequence[str] = (),
    targets: Sequence[str] = (),
    validation: tuple[npt.NDArray[Any], npt.ArrayLike] | None = None,
    weights: npt.ArrayLike | None = None,
) -> None:
    """Write a ``datasets.h5``: gzip, and the same bytes for the same input.

    Class indices come with the names of ``classes``, numbers to predict with those of ``targets``. ``validation`` are
    the examples and labels of a validation set, ``weights`` (m,) those of the training examples.
    """
    import h5py

    with h5py.File(path, "w") as file:
        arrays = {"train_set_x": train_x, "train_set_y": train_y, "test_set_x": test_x, "test_set_y": test_y}
        arrays |= dict(zip(VALIDATION, validation or (), strict=False))
        if weights is not None:
            arrays[WEIGHTS] = weights
        for name, values in arrays.items():
            data = np.asarray(values)
            file.create_dataset(
                name, data=data, compression="gzip", compression_opts=9, shuffle=data.itemsize > 1, track_times=False
            )
        source, names = (TARGETS, targets) if targets else (CLASSES, classes)
        file.create_dataset(source, data=np.array([name.encode() for name in names]), track_times=False)
