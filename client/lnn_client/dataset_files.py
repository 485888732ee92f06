"""A dataset as it is written: part by part, checked, and in its place only when it is whole."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
from numpy.typing import NDArray

from lnn.data.splits import held_out
from lnn.data.weights import WEIGHTS
from lnn.errors import InputError
from lnn_client.datasets import check_dataset

if TYPE_CHECKING:
    from h5py import File

    from lnn.data.preprocessing import Preprocessing

CHUNK_BYTES = 2**20


@dataclass(slots=True)
class Made:
    """What has become of a table, of arrays or of pictures."""

    classes: list[str]
    """Their names; none in regression."""
    preprocessing: Preprocessing | None = None
    """How the features were made of columns; None for examples as they are."""
    features: int = 0
    train: Counter[int] = field(default_factory=Counter)
    """Examples by class; all under 0 in regression."""
    test: Counter[int] = field(default_factory=Counter)
    validation: Counter[int] = field(default_factory=Counter)
    """Without any example where the dataset has no validation set."""
    dropped: list[str] = field(default_factory=list)
    """What of the source is not in the dataset, and why."""
    warnings: list[str] = field(default_factory=list)


def hold_out_validation(
    training: NDArray[np.bool_], labels: NDArray[Any], share: float, seed: int, source: Path
) -> NDArray[np.bool_]:
    """Which of the training examples (m,) make the validation set: a share of each class, or of all numbers to predict.

    It is drawn as the parameter ``validation`` of a training draws it, by another seed than the test set.

    Raises:
        InputError: none is left to train on, or to validate with.
    """
    strata = labels[training] if labels.dtype.kind == "i" else np.zeros(int(training.sum()), np.int8)
    chosen = np.zeros(len(training), np.bool_)
    chosen[training] = held_out(strata, share, seed + 1)
    if not chosen.any():
        raise InputError(f"{source}: no example is left to validate with; expected two of a class at least")
    return chosen


def write_dataset_file(path: Path, source: Path, fill: Callable[[File], object]) -> list[str]:
    """Write the HDF5 file that ``fill`` fills, and check it; returns what is odd about it.

    A failure leaves nothing behind. Problems name ``source``, not the file.

    Raises:
        InputError: it would not be accepted for training.
    """
    unfinished = path.with_name(path.name + ".part")
    try:
        with h5py.File(unfinished, "w") as file:
            fill(file)
        warnings = check_dataset(unfinished).warnings
        unfinished.replace(path)
    except InputError as error:
        raise InputError([problem.replace(str(unfinished), str(source)) for problem in error.problems]) from error
    finally:
        unfinished.unlink(missing_ok=True)
    return warnings


def expected_size(examples: int, shape: Sequence[int], dtype: np.dtype[Any]) -> str:
    """What is about to be written, before compression."""
    sides = " x ".join(f"{side:,}" for side in (examples, *shape))
    stored = examples * math.prod(shape) * dtype.itemsize
    return f"{sides} values of {dtype.name}, {stored:,} bytes before compression"


def write_names(file: File, classes: Sequence[str], targets: Sequence[str]) -> None:
    """The names of the classes, or in regression of the numbers to predict."""
    if classes:
        file.create_dataset("list_classes", data=[name.encode() for name in classes])
    else:
        file.create_dataset("list_targets", data=[name.encode() for name in targets])


class PartWriter:
    """The examples of one part, such as ``train``, appended batch by batch."""

    def __init__(
        self,
        file: File,
        part: str,
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        labels: NDArray[Any],
        *,
        weighted: bool = False,
    ) -> None:
        """``shape`` and ``dtype`` are those of one stored example, ``labels`` (m, ...) are like those to come.

        With ``weighted``, for the training examples alone, each gets a weight.
        """
        rows = max(1, CHUNK_BYTES // max(1, math.prod(shape) * dtype.itemsize))
        self._x = file.create_dataset(
            f"{part}_set_x", (0, *shape), dtype, maxshape=(None, *shape), chunks=(rows, *shape),
            compression="gzip", compression_opts=4, shuffle=dtype.itemsize > 1,
        )  # fmt: skip
        of_one = labels.shape[1:]
        self._y = file.create_dataset(
            f"{part}_set_y", (0, *of_one), labels.dtype, maxshape=(None, *of_one), chunks=(2**14, *of_one),
            compression="gzip",
        )  # fmt: skip
        self._w = (
            file.create_dataset(WEIGHTS, (0,), np.float64, maxshape=(None,), chunks=(2**14,), compression="gzip")
            if weighted
            else None
        )
        self._count = 0

    def add(self, X: NDArray[Any], labels: NDArray[Any], weights: NDArray[np.float64] | None = None) -> None:
        """The next examples, (m, ...), with their labels, (m, ...), and their weights (m,), if they get some."""
        count = self._count + len(X)
        self._x.resize(count, axis=0)
        self._y.resize(count, axis=0)
        # What is too large becomes infinite, which the check of the dataset names.
        with np.errstate(over="ignore"):
            self._x[self._count :] = X.astype(self._x.dtype, copy=False)
        self._y[self._count :] = labels
        if self._w is not None:
            self._w.resize(count, axis=0)
            self._w[self._count :] = weights
        self._count = count
