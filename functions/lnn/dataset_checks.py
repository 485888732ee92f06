"""Whether a ``datasets.h5`` can be trained on.

A file comes from anyone. What it declares (shapes, types, links, filters) is checked first, against a memory
limit, before any value is read; values are then checked block by block. A problem reads
``dataset: found what is there; expected what should be, or how to mend it``, and one DatasetError carries all of them.

Run as a program, it checks one file for ``lnn.dataset.inspect_dataset``: see ``lnn.inspection``.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lnn.class_names import clash, kept
from lnn.errors import DatasetError, Hdf5Error
from lnn.hdf5 import Hdf5File, blocks, holds_text, least_rows, open_file, reading, storage_problem
from lnn.inspection import reply

if TYPE_CHECKING:
    import h5py

FEATURES = ("train_set_x", "test_set_x")
LABELS = ("train_set_y", "test_set_y")
CLASSES = "list_classes"

MAX_BYTES = 16 * 2**30
"""Default for the most that all arrays of a file may take together: more is not read in Launch's 15 minutes."""
BLOCK_LIMIT = 2**28
"""Default for the most that may have to be read at once."""
MAX_CLASSES = 65_536
MAX_NAME_BYTES = 1_024
MAX_NAMES_BYTES = 60_000
"""All names as JSON: an attribute of ``params.h5`` holds 64 KB, and a run in DynamoDB, which has them twice, 400 KB."""
BLOCK_COPIES = 4
"""A block that is one chunk is there packed, unpacked into a buffer that grows by doubling, and as an array."""


@dataclass(frozen=True, slots=True)
class DatasetSummary:
    """What the rest of the system needs to know of a data set before, or without, reading it."""

    m: int
    m_test: int
    features: int
    classes: list[str]
    image_shape: tuple[int, ...] | None
    """(h, w, c) or (h, w) of one example; None for rows of features."""
    dtype: str
    """numpy's name of the type the training examples are stored in."""
    scale: float
    """What ``standardize`` divides by: 255 for uint8, 1 for float."""


def examine_dataset(path: str | Path, max_bytes: int = MAX_BYTES, block_limit: int = BLOCK_LIMIT) -> DatasetSummary:
    """Check the whole file in this process, structure first, then every value. Raises DatasetError with all problems.

    ``max_bytes`` bounds what the arrays would take together, and so how long it takes to read them; ``block_limit``
    what must be read at once, and so the memory that checking can take.
    """
    problems: list[str] = []
    with open_dataset(path) as file:
        found = {name: _find(file, name, problems) for name in (*FEATURES, *LABELS, CLASSES)}
        _check_structure(found, max_bytes, block_limit, problems)
        if problems:
            raise DatasetError(problems)

        # From here on every dataset is there, and its shape, type and size are as they should be.
        sets = {name: dataset for name, dataset in found.items() if dataset is not None}
        classes = _check_classes(sets[CLASSES], problems)
        for name in LABELS:
            _check_labels(sets[name], name, len(classes), problems)
        for name in FEATURES:
            _check_features(sets[name], name, problems)
        if problems:
            raise DatasetError(problems)

        train, test = sets["train_set_x"], sets["test_set_x"]
        return DatasetSummary(
            m=train.shape[0],
            m_test=test.shape[0],
            features=math.prod(train.shape[1:]),
            classes=classes,
            image_shape=tuple(train.shape[1:]) if train.ndim > 2 else None,
            dtype=train.dtype.newbyteorder("=").name,
            scale=255.0 if train.dtype == np.uint8 else 1.0,
        )


# Opening -------------------------------------------------------------------------------------------------------------


@contextmanager
def open_dataset(path: str | Path) -> Iterator[Hdf5File]:
    """The file, open for reading. Any trouble with HDF5 inside the block becomes a DatasetError."""
    try:
        with open_file(path) as file:
            yield file
    except Hdf5Error as error:
        raise DatasetError(error.problems) from error


# Structure: what the file declares -----------------------------------------------------------------------------------


def _find(file: Hdf5File, name: str, problems: list[str]) -> h5py.Dataset | None:
    """The dataset of that name; None, with a problem noted, if it is not there or is not one that may be read."""
    try:
        return file.dataset(name)
    except Hdf5Error as error:
        problems += error.problems
        return None


def _check_structure(
    found: dict[str, h5py.Dataset | None], max_bytes: int, block_limit: int, problems: list[str]
) -> None:
    """Types, shapes, sizes and filters of the datasets that were found."""
    for name, dataset in found.items():
        if dataset is not None:
            _check_type(name, dataset, problems)
            _check_storage(name, dataset, block_limit, problems)
    train, test = found["train_set_x"], found["test_set_x"]
    _check_shapes("train", train, found["train_set_y"], problems)
    _check_shapes("test", test, found["test_set_y"], problems)
    if train is not None and test is not None:
        _check_alike(train, test, problems)
    classes = found[CLASSES]
    if classes is not None and not (classes.ndim == 1 and 2 <= classes.size <= MAX_CLASSES):
        problems.append(
            f"{CLASSES}: found shape {classes.shape}; expected (K,), the names of 2 to {MAX_CLASSES:,} classes"
        )
    total = sum(dataset.nbytes for dataset in found.values() if dataset is not None)
    if total > max_bytes:
        sizes = ", ".join(f"{name} {dataset.shape}" for name, dataset in found.items() if dataset is not None)
        problems.append(
            f"datasets.h5: found {total / 2**20:,.0f} MiB of values ({sizes}); "
            f"expected at most {max_bytes / 2**20:,.0f} MiB: use fewer examples, smaller images, or uint8"
        )


def _check_shapes(split: str, x: h5py.Dataset | None, y: h5py.Dataset | None, problems: list[str]) -> None:
    if x is not None:
        name = f"{split}_set_x"
        if not 2 <= x.ndim <= 4:
            problems.append(f"{name}: found shape {x.shape}; expected (m, n), (m, h, w) or (m, h, w, c)")
        elif x.shape[0] == 0:
            problems.append(f"{name}: found zero examples; expected at least one")
        elif 0 in x.shape:
            problems.append(f"{name}: found shape {x.shape}; expected at least one feature in each example")
    if y is not None:
        name = f"{split}_set_y"
        if y.ndim > 2 or (y.ndim == 2 and y.shape[0] != 1):
            problems.append(f"{name}: found shape {y.shape}; expected (m,) or (1, m), one label for each example")
        elif x is not None and y.size != x.shape[0]:
            problems.append(
                f"{name}: found {y.size:,} labels; expected {x.shape[0]:,}, one for each example in {split}_set_x"
            )


def _check_alike(train: h5py.Dataset, test: h5py.Dataset, problems: list[str]) -> None:
    if train.shape[1:] != test.shape[1:]:
        problems.append(
            f"test_set_x: found examples of shape {test.shape[1:]}; expected {train.shape[1:]}, as in train_set_x"
        )
    if (train.dtype == np.uint8) != (test.dtype == np.uint8):
        problems.append(
            f"test_set_x: found {_type_name(test.dtype)}; expected {_type_name(train.dtype)}, as in train_set_x: "
            "uint8 is divided by 255 and float is not"
        )


def _check_type(name: str, dataset: h5py.Dataset, problems: list[str]) -> None:
    dtype = dataset.dtype
    if name == CLASSES:
        if not holds_text(dtype):
            problems.append(f"{name}: found {_type_name(dtype)}; expected bytes or str, the classes' names")
        elif dtype.kind == "S" and dtype.itemsize > MAX_NAME_BYTES:
            problems.append(f"{name}: found names of {dtype.itemsize:,} bytes; expected at most {MAX_NAME_BYTES:,}")
    elif name in LABELS:
        if dtype.kind not in "iu":
            mend = ': save them with .astype("int64")' if dtype.kind in "fb" else ""
            problems.append(f"{name}: found {_type_name(dtype)}; expected integers, the classes' indices from 0{mend}")
    elif dtype != np.uint8 and not (dtype.kind == "f" and dtype.itemsize <= 8):
        mend = ': save it with .astype("uint8") for 0 to 255, else .astype("float32")' if dtype.kind in "iub" else ""
        problems.append(f"{name}: found {_type_name(dtype)}; expected uint8, float32 or float64{mend}")


def _type_name(dtype: np.dtype[Any]) -> str:
    kinds = {"O": "Python objects or strings", "V": "compound or opaque values", "S": "bytes"}
    return kinds.get(dtype.kind, dtype.name)


def _check_storage(name: str, dataset: h5py.Dataset, block_limit: int, problems: list[str]) -> None:
    """Chunks and filters: nothing that takes more memory to read than a block may."""
    if name in FEATURES:
        at_once = least_rows(dataset) * math.prod(dataset.shape[1:]) * dataset.dtype.itemsize
    else:  # small enough to be read at once
        at_once = dataset.nbytes
    if problem := storage_problem(dataset, at_once, block_limit):
        problems.append(f"{name}: {problem}")


# Values --------------------------------------------------------------------------------------------------------------


def _check_classes(dataset: h5py.Dataset, problems: list[str]) -> list[str]:
    """The class names, one read at a time: each may be as long as the file."""
    names: list[str] = []
    for index in range(len(dataset)):
        with reading(CLASSES):
            raw = dataset[index]
        name = raw if isinstance(raw, bytes) else str(raw).encode()
        try:
            text = name.decode() if len(name) <= MAX_NAME_BYTES else ""
        except UnicodeDecodeError:
            text = ""
        if not text.strip() or not text.isprintable():
            problems.append(
                f"{CLASSES}: found {name[:40]!r} at index {index}; expected a name in UTF-8, printable and at most "
                f"{MAX_NAME_BYTES:,} bytes long"
            )
        names.append(text)
        if len(problems) > 10:
            break
    size = len(json.dumps(names))
    if size > MAX_NAMES_BYTES:
        problems.append(
            f"{CLASSES}: found {len(names):,} names that take {size:,} bytes in all, as JSON; "
            f"expected at most {MAX_NAMES_BYTES:,}: use shorter names"
        )
    if problem := clash(filter(None, names)):
        problems.append(f"{CLASSES}: {problem}")
    return [kept(name) for name in names]


def _check_labels(dataset: h5py.Dataset, name: str, classes: int, problems: list[str]) -> None:
    with reading(name):
        y = dataset[...].ravel()
    wrong = np.flatnonzero((y < 0) | (y >= classes))
    if wrong.size:
        problems.append(
            f"{name}: found label {y[wrong[0]]} at index {wrong[0]} ({wrong.size:,} labels out of range); "
            f"expected 0 to {classes - 1}, for the {classes} names in {CLASSES}"
        )
    elif name == "train_set_y" and (y == y[0]).all():
        problems.append(f"{name}: found only label {y[0]}; expected examples of at least two classes")


def _check_features(dataset: h5py.Dataset, name: str, problems: list[str]) -> None:
    """Reads every value: float ones must be finite, and uint8 ones can only be unreadable."""
    with reading(name):
        for start, block in blocks(dataset):
            if block.dtype.kind != "f":
                continue
            finite = np.isfinite(block)
            if not finite.all():
                first = tuple(int(index) for index in np.argwhere(~finite)[0])
                place = (start + first[0], *first[1:])
                problems.append(
                    f"{name}: found {block[first]} at {place}; expected finite numbers: remove or replace NaN and inf"
                )
                return


# As a program --------------------------------------------------------------------------------------------------------


def main(path: str, max_bytes: int, block_limit: int) -> None:
    """Examine one file within bounded memory; print {"summary": {...}} or {"problems": [...]}."""
    reply(lambda: {"summary": asdict(examine_dataset(path, max_bytes, block_limit))}, BLOCK_COPIES * block_limit)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
