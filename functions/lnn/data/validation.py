"""Validation of a ``datasets.h5`` from anyone.

What the file declares (shapes, types, links, filters) is checked first, against a memory limit, before any value is
read. Values are then checked block by block. A problem reads
``dataset: found what is there; expected what should be, or how to mend it``, and one DatasetError carries all of them.

``lnn.data.dataset.inspect_dataset`` runs this module as a program that checks one file: see ``lnn.data.inspection``.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from lnn.data.axis_order import examples_elsewhere, is_picture, picture_warning
from lnn.data.borders import Borders
from lnn.data.class_names import MAX_NAME_BYTES, clash, expected, flaw, kept, oversize
from lnn.data.hdf5 import (
    MAX_INFLATION,
    Hdf5File,
    blocks,
    chunk_problem,
    declared_problem,
    holds_text,
    least_rows,
    open_file,
    reading,
)
from lnn.data.inspection import reply
from lnn.data.mends import feature_mend, is_one_hot, label_mend, label_type_mend, name_mend, one_hot_mend
from lnn.data.preprocessing import MAX_BYTES as MAX_PREPROCESSING_BYTES
from lnn.data.preprocessing import PREPROCESSING, Preprocessing
from lnn.data.repeated_examples import MOST_COMPARED, Hashes, count_repeated, hashes_of
from lnn.data.summary import DatasetSummary
from lnn.data.value_range import Range, apart_warnings, range_of, scale_of, value_warnings
from lnn.data.weights import WEIGHTS, as_weights, shape_flaw
from lnn.data.weights import flaw as flaw_of_weights
from lnn.errors import DatasetError, Hdf5Error, InputError
from lnn.text.characters import quoted

if TYPE_CHECKING:
    import h5py

FEATURES = ("train_set_x", "test_set_x")
LABELS = ("train_set_y", "test_set_y")
VALIDATION = ("validation_set_x", "validation_set_y")
"""A dataset may have one set more, examples that measure a model while it is trained."""
CLASSES = "list_classes"
TARGETS = "list_targets"

MAX_BYTES = 16 * 2**30
"""Default limit for all arrays of a file together: Launch cannot read more in its 15 minutes."""
BLOCK_LIMIT = 2**28
"""Default limit for the block that must be read at once."""
MAX_CLASSES = 65_536
MAX_TARGETS = 1_000
"""A run's record, of at most 400 KB, has their names and figures of each."""
LARGEST_TARGET = 1e30
"""float32 reaches 3e38, of which predictions need some; squares of the errors then stay in DynamoDB's range, too."""
FEW_NUMBERS = 20
"""Targets that are whole numbers, and no more than so many different ones, may be classes."""
NAMES_SHOWN = 5
"""Classes that a warning names."""
COUNTED_AT_ONCE = 2**20
"""Labels that are counted by class at once."""
BLOCK_COPIES = 4
"""Copies of a block that is one chunk: packed, unpacked in a buffer that grows by doubling, and as an array."""


@dataclass(slots=True)
class Features:
    """Statistics of a dataset of examples, gathered while its values are read."""

    low: float = math.inf
    high: float = -math.inf
    hashes: list[Hashes] = field(default_factory=list)
    """Hashes of the first ``MOST_COMPARED`` examples."""
    borders: Borders = field(default_factory=Borders)
    """Of pictures."""


def examine_dataset(path: str | Path, max_bytes: int = MAX_BYTES, block_limit: int = BLOCK_LIMIT) -> DatasetSummary:
    """Check the whole file in this process, structure first, then every value. Raises DatasetError with all problems.

    ``max_bytes`` limits the size of all arrays, and so the time to read them; ``block_limit`` limits the block that
    must be read at once, and so the memory of the check.
    """
    problems: list[str] = []
    with open_dataset(path) as file:
        own = VALIDATION if any(map(file.holds, VALIDATION)) else ()
        features, of_labels = (*FEATURES, *own[:1]), (*LABELS, *own[1:])
        weights = filter(file.holds, [WEIGHTS])
        found = {name: _find(file, name, problems) for name in (*features, *of_labels, *weights)}
        numbers = _holds_numbers(file, found["train_set_y"])
        if not numbers or file.holds(TARGETS):
            names = TARGETS if numbers else CLASSES
            found[names] = _find(file, names, problems)
        if file.holds(CLASSES) and file.holds(TARGETS):
            problems.append(f"{TARGETS}: found beside {CLASSES}; expected one of them: remove {CLASSES} for regression")
        _check_structure(found, max_bytes, block_limit, file.size, problems)
        if problems:
            raise DatasetError(problems)
        for name, dataset in found.items():
            if dataset is not None and (problem := chunk_problem(dataset)):
                problems.append(f"{name}: {problem}")
        if problems:
            raise DatasetError(problems)

        # From here on every dataset exists and has a valid shape, type and size.
        sets = {name: dataset for name, dataset in found.items() if dataset is not None}
        classes: list[str] = []
        targets: list[str] = []
        if numbers:
            labels = {name: _check_targets(sets[name], name, problems) for name in of_labels}
            targets = _target_names(sets.get(TARGETS), labels["train_set_y"].shape[1], problems)
        else:
            classes = _check_names(sets[CLASSES], CLASSES, "class", problems)
            labels = {name: _check_labels(sets[name], name, len(classes), problems) for name in of_labels}
        train, test = (sets[name] for name in FEATURES)
        seen = {name: _check_features(sets[name], name, train.dtype, problems) for name in features}
        columns = _check_preprocessing(file, train, problems)
        _check_weights(sets.get(WEIGHTS), problems)
        if problems:
            raise DatasetError(problems)

        image_shape = tuple(train.shape[1:]) if train.ndim > 2 else None
        value_range = _value_range(train, seen["train_set_x"])
        return DatasetSummary(
            m=train.shape[0],
            m_test=test.shape[0],
            features=math.prod(train.shape[1:]),
            classes=classes,
            image_shape=image_shape,
            dtype=train.dtype.newbyteorder("=").name,
            scale=scale_of(train.dtype, value_range),
            value_range=value_range,
            border=seen["train_set_x"].borders.border(value_range) if value_range else None,
            columns=columns,
            targets=targets,
            class_counts=[] if numbers else _class_counts(labels["train_set_y"], classes),
            m_validation=sets[own[0]].shape[0] if own else 0,
            weighted=WEIGHTS in sets,
            warnings=[
                *_feature_warnings(train, seen),
                *_label_warnings(labels["train_set_y"], classes, named=TARGETS in sets),
            ],
        )


def _holds_numbers(file: Hdf5File, y: h5py.Dataset | None) -> bool:
    """True for a dataset of regression: it names targets, or has no classes and floating-point numbers as labels."""
    return not file.holds(CLASSES) and (file.holds(TARGETS) or (y is not None and y.dtype.kind == "f"))


# Opening -------------------------------------------------------------------------------------------------------------


@contextmanager
def open_dataset(path: str | Path) -> Iterator[Hdf5File]:
    """The file, open for reading. An Hdf5Error inside the block becomes a DatasetError."""
    try:
        with open_file(path) as file:
            yield file
    except Hdf5Error as error:
        raise DatasetError(error.problems) from error


# Structure: what the file declares -----------------------------------------------------------------------------------


def _find(file: Hdf5File, name: str, problems: list[str]) -> h5py.Dataset | None:
    """The dataset of that name; None, with a problem added, if it is missing or unsafe to read."""
    try:
        return file.dataset(name)
    except Hdf5Error as error:
        mend = "" if file.holds(name) else name_mend(name, file.holds)
        problems += [f"{problem}; {mend}" if mend else problem for problem in error.problems]
        return None


def _check_structure(
    found: dict[str, h5py.Dataset | None], max_bytes: int, block_limit: int, file_bytes: int, problems: list[str]
) -> None:
    """Types, shapes, sizes and filters of the datasets that were found, as declared: no chunk is unpacked for that."""
    numbers = CLASSES not in found
    train = found["train_set_x"]
    for name, dataset in found.items():
        if dataset is not None:
            _check_storage(name, dataset, block_limit, problems)
            _check_type(name, dataset, problems, numbers=numbers)
    _check_weights_shape(found.get(WEIGHTS), train, problems)
    splits = [name.removesuffix("_set_x") for name in found if name.endswith("_set_x")]
    turned = {
        split: _check_shapes(split, found[f"{split}_set_x"], found[f"{split}_set_y"], problems, numbers=numbers)
        for split in splits
    }
    for split in splits[1:]:
        other = found[f"{split}_set_x"]
        if train is not None and other is not None and not (turned["train"] or turned[split]):
            _check_alike(train, split, other, problems)
        if numbers:
            _check_targets_alike(found, split, problems)
    if numbers:
        _check_target_names(found, problems)
    classes = found.get(CLASSES)
    if classes is not None and not (classes.ndim == 1 and 2 <= classes.size <= MAX_CLASSES):
        problems.append(
            f"{CLASSES}: found shape {classes.shape}; expected (K,), the names of 2 to {MAX_CLASSES:,} classes"
        )
    total = sum(dataset.nbytes for dataset in found.values() if dataset is not None)
    sizes = ", ".join(f"{name} {dataset.shape}" for name, dataset in found.items() if dataset is not None)
    found_all = f"datasets.h5: found {total / 2**20:,.0f} MiB of values ({sizes})"
    if total > max_bytes:
        problems.append(
            f"{found_all}; expected at most {max_bytes / 2**20:,.0f} MiB: use fewer examples, smaller images, or uint8"
        )
    elif not problems and total > MAX_INFLATION * file_bytes:
        problems.append(f"{found_all}; expected no more than a file of {file_bytes:,} bytes can hold: write all values")


def _check_weights_shape(weights: h5py.Dataset | None, train: h5py.Dataset | None, problems: list[str]) -> None:
    """The shape of the training examples' weights, if there are some."""
    if weights is not None and train is not None and (wrong := shape_flaw(weights.shape, train.shape[0])):
        problems.append(f"{WEIGHTS}: {wrong}")


def _check_target_names(found: dict[str, h5py.Dataset | None], problems: list[str]) -> None:
    """The number of targets: as many as there are names."""
    train, names = found["train_set_y"], found.get(TARGETS)
    if train is None or train.ndim > 2:
        return
    targets = _targets_in(train.shape)
    if not 1 <= targets <= MAX_TARGETS:
        problems.append(f"train_set_y: found {targets:,} targets; expected 1 to {MAX_TARGETS:,}")
    if names is not None and names.shape != (targets,):
        problems.append(f"{TARGETS}: found shape {names.shape}; expected ({targets},), a name for each target")


def _check_targets_alike(found: dict[str, h5py.Dataset | None], split: str, problems: list[str]) -> None:
    """The number of targets: the same in another split as in training."""
    train, other = found["train_set_y"], found[f"{split}_set_y"]
    if train is None or other is None or max(train.ndim, other.ndim) > 2:
        return
    targets, others = _targets_in(train.shape), _targets_in(other.shape)
    if others != targets and 1 <= targets <= MAX_TARGETS:
        problems.append(f"{split}_set_y: found {others:,} targets; expected {targets:,}, as in train_set_y")


def _targets_in(shape: tuple[int, ...]) -> int:
    """The targets of an example, given the shape of labels: (m,), (1, m) and (m, 1) have one."""
    return 1 if len(shape) < 2 or shape[0] == 1 else shape[1]


def _check_shapes(
    split: str, x: h5py.Dataset | None, y: h5py.Dataset | None, problems: list[str], *, numbers: bool
) -> bool:
    """Check the shapes of one split; return True when its examples lie along another axis than the first."""
    elsewhere = None
    if x is not None:
        name = f"{split}_set_x"
        if not 2 <= x.ndim <= 4:
            problems.append(f"{name}: found shape {x.shape}; expected (m, n), (m, h, w) or (m, h, w, c)")
        elif x.shape[0] == 0:
            problems.append(f"{name}: found zero examples; expected at least one")
        elif 0 in x.shape:
            problems.append(f"{name}: found shape {x.shape}; expected at least one feature in each example")
    if y is not None:
        check = _check_target_rows if numbers and y.ndim == 2 and y.shape[0] > 1 else _check_label_shape
        elsewhere = check(split, None if x is None else x.shape, y.shape, problems)
    return elsewhere is not None


def _check_label_shape(split: str, x: tuple[int, ...] | None, y: tuple[int, ...], problems: list[str]) -> str | None:
    """Check the shape of one label for each example; return where ``x`` has them, if not along its first axis."""
    name, elsewhere, found = f"{split}_set_y", None, math.prod(y)
    m = None if x is None else x[0]
    if len(y) > 2 or is_one_hot(y):
        mend = f": {one_hot_mend(y, m)}" if len(y) == 2 else ""
        problems.append(f"{name}: found shape {y}; expected (m,), (m, 1) or (1, m), one label for each example{mend}")
    elif x is not None and (elsewhere := examples_elsewhere(x, found)):
        problems.append(f"{split}_set_x: {elsewhere}")
    elif x is not None and found != m:
        problems.append(f"{name}: found {found:,} labels; expected {m:,}, one for each example in {split}_set_x")
    return elsewhere


def _check_target_rows(split: str, x: tuple[int, ...] | None, y: tuple[int, ...], problems: list[str]) -> None:
    """Check the shape (m, targets) of numbers to predict."""
    if x is not None and y[0] != x[0]:
        mend = ": save y.T" if y[1] == x[0] else ""
        problems.append(
            f"{split}_set_y: found shape {y}; expected ({x[0]},) or ({x[0]}, targets), a row for each example in "
            f"{split}_set_x{mend}"
        )


def _check_alike(train: h5py.Dataset, split: str, other: h5py.Dataset, problems: list[str]) -> None:
    if train.shape[1:] != other.shape[1:]:
        problems.append(
            f"{split}_set_x: found examples of shape {other.shape[1:]}; expected {train.shape[1:]}, as in train_set_x"
        )
    if (train.dtype == np.uint8) != (other.dtype == np.uint8):
        problems.append(
            f"{split}_set_x: found {_type_name(other.dtype)}; expected {_type_name(train.dtype)}, as in train_set_x: "
            "uint8 is divided by 255 and float is not"
        )


def _check_type(name: str, dataset: h5py.Dataset, problems: list[str], *, numbers: bool) -> None:
    dtype = dataset.dtype
    if name in (CLASSES, TARGETS):
        _check_names_type(name, dtype, problems)
    elif name == WEIGHTS:
        if dtype.kind not in "iuf" or dtype.itemsize > 8:
            problems.append(f"{name}: found {_type_name(dtype)}; expected numbers from 0, such as float64")
    elif name in (*LABELS, VALIDATION[1]) and numbers:
        if dtype.kind not in "iuf" or dtype.itemsize > 8:
            problems.append(f"{name}: found {_type_name(dtype)}; expected float32 or float64, the numbers to predict")
    elif name in (*LABELS, VALIDATION[1]):
        if dtype.kind not in "iu" and not (dtype.kind in "fb" and is_one_hot(dataset.shape)):
            mend = f": {told}" if (told := label_type_mend(dtype)) else ""
            problems.append(f"{name}: found {_type_name(dtype)}; expected integers, the classes' indices from 0{mend}")
    elif dtype != np.uint8 and not (dtype.kind == "f" and dtype.itemsize <= 8):
        mend = f": {told}" if (told := feature_mend(dtype, pictures=dataset.ndim > 2)) else ""
        problems.append(f"{name}: found {_type_name(dtype)}; expected uint8, float32 or float64{mend}")


def _check_names_type(name: str, dtype: np.dtype[Any], problems: list[str]) -> None:
    if not holds_text(dtype) and dtype.kind not in "iu":
        of_what = "classes" if name == CLASSES else "targets"
        problems.append(f"{name}: found {_type_name(dtype)}; expected bytes, str or integers, the {of_what}' names")
    elif dtype.kind == "S" and dtype.itemsize > MAX_NAME_BYTES:
        problems.append(f"{name}: found names of {dtype.itemsize:,} bytes; expected at most {MAX_NAME_BYTES:,}")


def _type_name(dtype: np.dtype[Any]) -> str:
    kinds = {"O": "Python objects or strings", "V": "compound or opaque values", "S": "bytes"}
    return kinds.get(dtype.kind, dtype.name)


def _check_storage(name: str, dataset: h5py.Dataset, block_limit: int, problems: list[str]) -> None:
    """Check that chunks and filters take no more memory to read than ``block_limit``."""
    if name in (*FEATURES, VALIDATION[0]):
        at_once = least_rows(dataset) * math.prod(dataset.shape[1:]) * dataset.dtype.itemsize
    else:  # small enough to be read at once
        at_once = dataset.nbytes
    if problem := declared_problem(dataset, at_once, block_limit):
        problems.append(f"{name}: {problem}")


# Values --------------------------------------------------------------------------------------------------------------


def _check_names(dataset: h5py.Dataset, source: str, kind: str, problems: list[str]) -> list[str]:
    """The names of classes or targets. Those of variable length are read singly: each may be as long as the file."""
    names: list[str] = []
    with reading(source):
        stored = dataset if dataset.dtype.kind == "O" else dataset[...]
    for index in range(len(dataset)):
        with reading(source):
            raw = stored[index]
        name = raw if isinstance(raw, bytes) else str(raw).encode(errors="surrogateescape")
        text, wrong = _name_in(name)
        if wrong:
            problems.append(f"{source}: found {name[:40]!r} at index {index}, {wrong}; {expected(kind)}")
        names.append(text)
        if len(problems) > 10:
            break
    if problem := oversize(names):
        problems.append(f"{source}: {problem}")
    if problem := clash(filter(None, names), kind):
        problems.append(f"{source}: {problem}")
    return [kept(name) for name in names]


def _name_in(stored: bytes) -> tuple[str, str | None]:
    """(name, None), or ("", what keeps the bytes from being one)."""
    if len(stored) > MAX_NAME_BYTES:
        return "", f"which takes {len(stored):,} bytes"
    try:
        text = stored.decode()
    except UnicodeDecodeError:
        return "", "which is not UTF-8"
    wrong = flaw(text)
    return ("", wrong) if wrong else (text, None)


def _check_labels(dataset: h5py.Dataset, name: str, classes: int, problems: list[str]) -> npt.NDArray[Any]:
    """The labels, (m,): in the smallest type that holds them, since there may be many millions."""
    with reading(name):
        y: npt.NDArray[Any] = dataset[...].ravel()
    wrong = np.flatnonzero((y < 0) | (y >= classes))
    if wrong.size:
        mend = f": {told}" if (told := label_mend(y, classes)) else ""
        problems.append(
            f"{name}: found label {y[wrong[0]]} at index {wrong[0]} ({wrong.size:,} labels out of range); "
            f"expected 0 to {classes - 1}, for the {classes} names in {CLASSES}{mend}"
        )
    elif name == "train_set_y" and (y == y[0]).all():
        problems.append(f"{name}: found only label {y[0]}; expected examples of at least two classes")
    return y if wrong.size else y.astype(np.min_scalar_type(classes))


def target_matrix(stored: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Labels of regression, as a dataset stores them, as (m, targets)."""
    y = stored.reshape(-1, _targets_in(stored.shape))
    return y.astype(np.float64, copy=False)


def _check_targets(dataset: h5py.Dataset, name: str, problems: list[str]) -> npt.NDArray[Any]:
    """The numbers to predict, (m, targets)."""
    with reading(name):
        y = target_matrix(dataset[...])
    wrong = np.argwhere(~((y >= -LARGEST_TARGET) & (y <= LARGEST_TARGET)))
    if len(wrong):
        example, target = wrong[0]
        place = example if y.shape[1] == 1 else f"({example}, {target})"
        problems.append(
            f"{name}: found {y[example, target]} at index {place} ({len(wrong):,} such values); expected finite "
            f"numbers up to {LARGEST_TARGET:g}: remove these examples, or scale the numbers down"
        )
    elif name == "train_set_y":
        constant = np.flatnonzero((y == y[0]).all(axis=0))
        if len(constant):
            of_target = "" if y.shape[1] == 1 else f" of target {constant[0]}"
            problems.append(
                f"{name}: found only {y[0, constant[0]]}{of_target}; expected numbers that differ: there is nothing to "
                "learn from one number"
            )
    return y


def _check_weights(dataset: h5py.Dataset | None, problems: list[str]) -> None:
    """The values of the training examples' weights, if there are some."""
    if dataset is not None:
        with reading(WEIGHTS):
            weights = as_weights(dataset)
        if wrong := flaw_of_weights(weights):
            problems.append(f"{WEIGHTS}: {wrong}")


def _target_names(dataset: h5py.Dataset | None, targets: int, problems: list[str]) -> list[str]:
    """The names of the targets: those of the dataset, or numbered ones."""
    if dataset is not None:
        return _check_names(dataset, TARGETS, "target", problems)
    return ["target"] if targets == 1 else [f"target{number}" for number in range(1, targets + 1)]


def _check_features(dataset: h5py.Dataset, name: str, dtype: np.dtype[Any], problems: list[str]) -> Features:
    """Read every value; floats must be finite, and any value may turn out to be unreadable.

    Also gathers the range and the hashes of the examples; ``dtype`` is that of the training examples.
    """
    seen = Features()
    with reading(name):
        for start, block in blocks(dataset):
            if block.dtype.kind == "f" and not (finite := np.isfinite(block)).all():
                first = tuple(int(index) for index in np.argwhere(~finite)[0])
                place = (start + first[0], *first[1:])
                problems.append(
                    f"{name}: found {block[first]} at {place}; expected finite numbers: remove or replace NaN and inf"
                )
                return seen
            seen.low, seen.high = min(seen.low, float(block.min())), max(seen.high, float(block.max()))
            if block.ndim > 2 and is_picture(block.shape[1:]):
                seen.borders.add(block)
            if start < MOST_COMPARED:
                seen.hashes.append(hashes_of(block[: MOST_COMPARED - start], dtype))
    return seen


def read_preprocessing(file: Hdf5File) -> Preprocessing | None:
    """How the features were made of a table; None for examples that were stored as they are. Raises InputError."""
    if not file.holds(PREPROCESSING):
        return None
    return Preprocessing.decode(*file.arrays([PREPROCESSING], MAX_PREPROCESSING_BYTES))


def _check_preprocessing(file: Hdf5File, train: h5py.Dataset, problems: list[str]) -> list[str]:
    """The columns of the table that the examples come from."""
    try:
        preprocessing = read_preprocessing(file)
    except InputError as error:
        problems += error.problems
        return []
    if preprocessing is None:
        return []
    if train.ndim != 2 or train.dtype.kind != "f" or train.shape[1] != preprocessing.width:
        problems.append(
            f"{PREPROCESSING}: found columns that make {preprocessing.width} features; expected those of train_set_x, "
            f"{_type_name(train.dtype)} of shape {train.shape}: make the dataset again, or take {PREPROCESSING} out"
        )
    return preprocessing.names


# Warnings: likely mistakes that do not prevent training -----------------------------------------------------------


def _value_range(train: h5py.Dataset, seen: Features) -> Range | None:
    if train.ndim == 2 and train.dtype != np.uint8:
        return None
    return range_of(train.dtype, seen.low, seen.high)


def _feature_warnings(train: h5py.Dataset, seen_of: dict[str, Features]) -> Iterator[str]:
    seen = seen_of["train_set_x"]
    for warning in value_warnings(train.dtype, train.ndim > 2, seen.low, seen.high):
        yield f"train_set_x: {warning}"
    others = {name: others for name, others in seen_of.items() if others is not seen}
    for name, other in others.items():
        for warning in apart_warnings((seen.low, seen.high), (other.low, other.high)):
            yield f"{name}: {warning}"
    if train.ndim > 2 and (odd := picture_warning(train.shape[1:], matlab="MATLAB_class" in train.attrs)):
        yield f"train_set_x: {odd}"
    for name, other in others.items():
        tested = np.concatenate(other.hashes)
        if repeated := count_repeated(np.concatenate(seen.hashes), tested):
            yield (
                f"{name}: found {repeated:,} of {len(tested):,} examples in train_set_x as well, so the "
                f"{name.removesuffix('_set_x')} scores say too much; take them out of one of the two"
            )


def _label_warnings(labels: npt.NDArray[Any], classes: list[str], *, named: bool) -> Iterator[str]:
    """Warnings about classes, or about targets, which may be ``named`` in the dataset."""
    if classes:
        yield from _class_warnings(labels, classes)
    elif not named and labels.shape[1] == 1 and (labels == np.floor(labels)).all():
        different = np.unique(labels)
        if len(different) <= min(FEW_NUMBERS, len(labels) - 1):
            yield (
                f"train_set_y: found {len(different)} different whole numbers and no list_classes, so a model would "
                "predict numbers; if they are classes, save them as integers from 0, and their names as list_classes; "
                "if not, save the name of the number as list_targets"
            )


def _class_counts(labels: npt.NDArray[Any], classes: list[str]) -> list[int]:
    # Block by block: bincount makes 8 bytes of every label.
    starts = range(0, len(labels), COUNTED_AT_ONCE)
    of_blocks = [np.bincount(labels[start : start + COUNTED_AT_ONCE], minlength=len(classes)) for start in starts]
    counts: list[int] = np.sum(of_blocks, axis=0).tolist()
    return counts


def _class_warnings(labels: npt.NDArray[Any], classes: list[str]) -> Iterator[str]:
    counts = _class_counts(labels, classes)
    for number, found in ((0, "no example"), (1, "one example only")):
        few = [name for name, count in zip(classes, counts, strict=True) if count == number]
        if few:
            more = f" and {len(few) - NAMES_SHOWN} more" if len(few) > NAMES_SHOWN else ""
            names = ", ".join(map(quoted, few[:NAMES_SHOWN]))
            yield (
                f"train_set_y: found {found} of class {names}{more}, which cannot be learned; add examples, or leave "
                "the class out"
            )


# As a program --------------------------------------------------------------------------------------------------------


def main(path: str, max_bytes: int, block_limit: int) -> None:
    """Examine one file within limited memory; print {"summary": {...}} or {"problems": [...]}."""
    reply(lambda: {"summary": asdict(examine_dataset(path, max_bytes, block_limit))}, BLOCK_COPIES * block_limit)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
