"""``datasets.h5``: checked, read, turned into the matrices that the network takes; and written.

h5py is imported where it is used: only what opens a file pays for it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lnn.dataset_checks import CLASSES, FEATURES, LABELS, MAX_BYTES, DatasetSummary, open_file, reading
from lnn.errors import DatasetError

__all__ = [
    "MAX_BYTES",
    "Dataset",
    "DatasetSummary",
    "inspect_dataset",
    "label_matrix",
    "load_dataset",
    "standardize",
    "write_dataset",
]


@dataclass(frozen=True, slots=True)
class Dataset:
    """The arrays, examples first, x still in the type it is stored in."""

    train_x: npt.NDArray[Any]
    """(m, n), C order."""
    train_y: npt.NDArray[np.int64]
    """(m,)"""
    test_x: npt.NDArray[Any]
    """(m_test, n), C order."""
    test_y: npt.NDArray[np.int64]
    """(m_test,)"""


def inspect_dataset(path: str | Path, max_bytes: int = MAX_BYTES, seconds: float = 60) -> DatasetSummary:
    """Check the whole file: structure first, then every value. Raises DatasetError with all problems.

    ``max_bytes`` bounds what the arrays may take once read. The work is done in a process of its own, which may take
    ``seconds``: on some damaged files the HDF5 library loops for ever or crashes.
    """
    name = Path(path).name
    command = [sys.executable, "-m", "lnn.dataset_checks", str(path), str(max_bytes)]
    search_path = os.pathsep.join(entry for entry in sys.path if entry)
    try:
        done = subprocess.run(  # noqa: S603 - this interpreter and this module
            command, capture_output=True, check=False, timeout=seconds, env={**os.environ, "PYTHONPATH": search_path}
        )
    except subprocess.TimeoutExpired:
        raise DatasetError(
            f"{name}: cannot be read: the file is damaged, or too much to check in {seconds:g} s; "
            "write or upload it again"
        ) from None
    if done.returncode < 0:
        raise DatasetError(
            f"{name}: cannot be read: the file is damaged so that reading it ended with signal {-done.returncode}; "
            "write or upload it again"
        )
    if done.returncode:
        raise RuntimeError(f"the dataset could not be checked: {done.stderr.decode(errors='replace')[-2000:]}")
    answer = json.loads(done.stdout)
    if "problems" in answer:
        raise DatasetError(answer["problems"])
    shape = answer["summary"].pop("image_shape")
    return DatasetSummary(**answer["summary"], image_shape=None if shape is None else tuple(shape))


def load_dataset(path: str | Path, summary: DatasetSummary) -> Dataset:
    """Read a file that ``inspect_dataset`` has passed. Raises DatasetError if it cannot be read after all."""
    with open_file(path) as file:
        arrays = {}
        for name in (*FEATURES, *LABELS):
            with reading(name):
                arrays[name] = file[name][...]
    x = {name: arrays[name].reshape(len(arrays[name]), summary.features) for name in FEATURES}
    x = {name: values.astype(values.dtype.newbyteorder("="), copy=False) for name, values in x.items()}
    y = {name: arrays[name].ravel().astype(np.int64, copy=False) for name in LABELS}
    return Dataset(x["train_set_x"], y["train_set_y"], x["test_set_x"], y["test_set_y"])


def standardize(x: npt.NDArray[Any], scale: float, dtype: npt.DTypeLike) -> npt.NDArray[np.floating[Any]]:
    """Examples first (m, n), as stored, to the network's X (n, m) of ``dtype``, divided by ``scale``.

    X is a transposed view of C-ordered memory, so an example's features stay side by side. Raises DatasetError
    if a float64 value is too large for float32.
    """
    with np.errstate(over="ignore"):
        X: npt.NDArray[np.floating[Any]] = x.astype(dtype, copy=scale != 1.0)
    if scale != 1.0:
        X /= scale
    elif X.dtype.itemsize < x.dtype.itemsize and not np.isfinite(X).all():
        raise DatasetError(
            f'features: found values too large for {X.dtype.name}; use "dtype": "float64", or scale them down'
        )
    return X.T


def label_matrix(y: npt.NDArray[np.int64], units: int, dtype: npt.DTypeLike) -> npt.NDArray[np.floating[Any]]:
    """Class indices (m,) to the network's Y: (1, m) for one output unit, else one-hot (units, m).

    ``units`` are those of the output layer: 1 for two classes with a sigmoid, otherwise one for each class.
    """
    if units == 1:
        return y.astype(dtype)[np.newaxis]
    Y = np.zeros((units, len(y)), dtype)
    Y[y, np.arange(len(y))] = 1
    return Y


def write_dataset(
    path: str | Path,
    train_x: npt.NDArray[Any],
    train_y: npt.ArrayLike,
    test_x: npt.NDArray[Any],
    test_y: npt.ArrayLike,
    classes: Sequence[str],
) -> None:
    """Write a ``datasets.h5``: gzip, and the same bytes for the same input."""
    import h5py

    with h5py.File(path, "w") as file:
        arrays = {"train_set_x": train_x, "train_set_y": train_y, "test_set_x": test_x, "test_set_y": test_y}
        for name, values in arrays.items():
            data = np.asarray(values)
            file.create_dataset(
                name, data=data, compression="gzip", compression_opts=9, shuffle=data.itemsize > 1, track_times=False
            )
        file.create_dataset(CLASSES, data=np.array([name.encode() for name in classes]), track_times=False)
