"""Arrays as a dataset: which examples are for what, what the labels are, and how rows become features."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lnn.data.axis_order import examples_elsewhere
from lnn.data.mends import is_one_hot
from lnn.data.preprocessing import PREPROCESSING, Column, Preprocessing
from lnn.data.splits import held_out
from lnn.data.weights import WEIGHTS, flaw
from lnn.errors import InputError
from lnn.text.characters import quoted
from lnn_client.array_files import CLASSES, FEATURE_NAMES, Arrays
from lnn_client.class_folders import TEST, TRAIN, VALIDATION, Part
from lnn_client.dataset_files import (
    Made,
    PartWriter,
    expected_size,
    hold_out_validation,
    write_dataset_file,
    write_names,
)
from lnn_client.datasets import TEST_SHARE
from lnn_client.labels import MAX_LABELS, are_quantities
from lnn_client.moments import Moments

if TYPE_CHECKING:
    from h5py import File

BLOCK_BYTES = 2**24
MOST_STANDARDIZED = 4_096
"""Features that are standardized unasked: more have no room in the description of the preprocessing."""
LABEL = "y"
"""Name of the label, and of the number to predict, where the arrays give it none."""


@dataclass(frozen=True, slots=True)
class ArrayChoices:
    """How arrays become a dataset."""

    test: float | None = None
    """The share of each class for testing; None: ``TEST_SHARE``, unless the arrays are split."""
    standardize: bool | None = None
    """None: rows of numbers of which some lie beyond -1 to 1."""
    regression: bool = False
    """The labels are numbers to predict, however few different ones there are."""
    seed: int = 0
    validation: float | None = None
    """The share of the training examples that makes a validation set; None: only examples that are given as one."""


@dataclass(frozen=True, slots=True)
class _Labels:
    """What there is to learn."""

    classes: list[str]
    """None in regression."""
    targets: list[str]
    y: dict[str, NDArray[Any]]
    """Of each array of labels by its role: class indices (m,), or numbers (m,) or (m, targets)."""


@dataclass(frozen=True, slots=True)
class _Part:
    """Examples for training, testing or validation."""

    name: Part
    x: NDArray[Any]
    y: NDArray[Any]
    rows: NDArray[np.int64]
    """Which of them, in order."""


def make_dataset(
    path: Path,
    arrays: Arrays,
    choices: ArrayChoices,
    step: Callable[[int], object] = lambda _: None,
    tell: Callable[[str], object] = lambda _: None,
) -> Made:
    """Write the arrays as a dataset; a failure leaves nothing behind.

    ``tell`` is called with the size beforehand, and ``step`` with the number of examples of each block.

    Raises:
        InputError: what is wrong with the arrays, or would not be accepted for training.
    """
    if arrays.is_split and choices.test is not None:
        raise InputError(f"{arrays.path} says by itself which examples are for testing; omit --test")
    if "validation_set_x" in arrays.found and choices.validation is not None:
        raise InputError(f"{arrays.path} says by itself which examples are for validation; omit --validation")
    for role, array in arrays.found.items():
        if role.endswith("x"):
            _check_counts(arrays, role, array)
    labels = _labels(arrays, regression=choices.regression)
    weights = _weights(arrays)
    parts = _parts(arrays, labels, choices)
    preprocessing, dtype = _preprocessing(arrays, parts, labels, choices)
    shape = parts[0].x.shape[1:]
    tell(expected_size(sum(len(part.rows) for part in parts), shape, dtype))
    made = Made(labels.classes, preprocessing, math.prod(shape), dropped=list(arrays.left_out))

    def fill(file: File) -> None:
        for part in parts:
            own = weights if part.name == TRAIN else None
            writer = PartWriter(file, part.name, shape, dtype, part.y, weighted=own is not None)
            for rows in _blocks(part):
                of_rows = None if own is None else own[rows]
                writer.add(_features(part.x[rows], preprocessing), part.y[rows], of_rows)
                step(len(rows))
            counts = {TRAIN: made.train, TEST: made.test, VALIDATION: made.validation}[part.name]
            counts.update(Counter(part.y[part.rows].tolist()) if labels.classes else {0: len(part.rows)})
        write_names(file, labels.classes, labels.targets)
        if preprocessing is not None:
            file.create_dataset(PREPROCESSING, data=preprocessing.encode())

    made.warnings = write_dataset_file(path, arrays.path, fill)
    return made


def _check_counts(arrays: Arrays, role: str, x: NDArray[Any]) -> None:
    """Raises InputError where examples and labels are not equally many."""
    y, names = arrays.found[f"{role[:-1]}y"], (arrays.names[role], arrays.names[f"{role[:-1]}y"])
    m = max(y.shape) if y.ndim == 2 and min(y.shape) == 1 else y.shape[0] if y.ndim else 0
    if x.ndim and len(x) == m:
        return
    if wrong := examples_elsewhere(x.shape, m):
        raise InputError(f"{arrays.path}: {quoted(names[0])}: {wrong}")
    raise InputError(
        f"{arrays.path}: found {quoted(names[0])} of shape {x.shape} and {quoted(names[1])} of shape {y.shape}; "
        "expected as many labels as examples"
    )


# Weights -------------------------------------------------------------------------------------------------------------


def weights_of(given: Any, shape: tuple[int, ...], where: str) -> NDArray[np.float64]:
    """Weights of examples as an array of the ``shape`` (m,). Raises InputError, which begins with ``where``."""
    try:
        weights = np.asarray(given, np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{where}: found {quoted(str(given)[:40])}; expected numbers from 0, a weight for each example"
        ) from error
    if weights.shape != shape:
        expected = ", ".join(map(str, shape))
        raise InputError(f"{where}: found shape {weights.shape}; expected ({expected},), a weight for each example")
    if wrong := flaw(weights):
        raise InputError(f"{where}: {wrong}")
    return weights


def _weights(arrays: Arrays) -> NDArray[np.float64] | None:
    """The weights of the examples that are, or may be, for training."""
    if WEIGHTS not in arrays.found:
        return None
    x = arrays.found["train_set_x" if "train_set_x" in arrays.found else "x"]
    return weights_of(arrays.found[WEIGHTS], x.shape[:1], f"{arrays.path}: {quoted(arrays.names[WEIGHTS])}")


# Labels --------------------------------------------------------------------------------------------------------------


def _labels(arrays: Arrays, *, regression: bool) -> _Labels:
    y = {role: _plain(array) for role, array in arrays.found.items() if role.endswith("y")}
    names = [_text(value) for value in arrays.found[CLASSES].ravel().tolist()] if CLASSES in arrays.found else []
    for role, labels in y.items():
        where = f"{arrays.path}: {quoted(arrays.names[role])}"
        if labels.dtype.kind not in "SUbiuf":
            raise InputError(f"{where}: found {labels.dtype}; expected numbers or texts as labels")
        if labels.dtype.kind == "f" and not np.isfinite(labels).all():
            raise InputError(
                f"{where}: found NaN or infinity at index {int(np.argwhere(~np.isfinite(labels))[0][0])}; expected a "
                "label for each example: leave the others out, X[np.isfinite(y)] and y[np.isfinite(y)]"
            )
        if (regression or labels.ndim == 2) and labels.dtype.kind in "SUb":
            raise InputError(f"{where}: found {labels.dtype}; expected numbers to predict, or no --regression")
    if regression or any(labels.ndim == 2 for labels in y.values()):
        return _numbers(y, names)
    return _classes(arrays, y, names)


def _plain(y: NDArray[Any]) -> NDArray[Any]:
    """Labels as (m,), one-hot ones as indices; numbers of several targets stay (m, targets)."""
    if y.ndim == 2 and min(y.shape) == 1:
        return y.ravel()
    if is_one_hot(y.shape) and y.dtype.kind in "biuf" and _picks_one(y):
        return np.asarray(y.argmax(axis=1))
    return np.asarray(y)


def _picks_one(y: NDArray[Any]) -> bool:
    return bool(((y == 0) | (y == 1)).all() and (y.sum(axis=1) == 1).all())


def _numbers(y: Mapping[str, NDArray[Any]], names: Sequence[str]) -> _Labels:
    targets = next(iter(y.values())).shape[1:] or (1,)
    default = [LABEL] if targets == (1,) else [f"{LABEL}{index}" for index in range(targets[0])]
    named = list(names) if len(names) == targets[0] else default
    return _Labels([], named, {role: labels.astype(np.float64) for role, labels in y.items()})


def _classes(arrays: Arrays, y: Mapping[str, NDArray[Any]], names: list[str]) -> _Labels:
    """Classes by name; numbers are indices where there are names for them, and names of classes otherwise."""
    kinds = {labels.dtype.kind for labels in y.values()}
    if kinds <= set("SU"):
        return _named(arrays, {role: np.array([_text(value) for value in part.tolist()]) for role, part in y.items()})
    if kinds & set("SU"):
        raise InputError(f"{arrays.path}: found texts and numbers as labels; expected one of them")
    every = np.concatenate(list(y.values()))
    whole = kinds == {"b"} or not (every % 1).any()
    if len(names) > 1:
        if not whole:
            raise InputError(
                f"{arrays.path}: found labels with fractions, and the names of {len(names)} classes; expected whole "
                "numbers from 0 as labels, or no names"
            )
        return _Labels(names, [], {role: _indices(labels, names) for role, labels in y.items()})
    if kinds == {"b"}:
        return _Labels(["false", "true"], [], {role: labels.astype(np.int64) for role, labels in y.items()})
    found = np.unique(every)
    counted = whole and len(found) <= MAX_LABELS and np.array_equal(found, np.arange(len(found)))
    if not counted and are_quantities(every):
        return _numbers(y, names)
    return _named(arrays, {role: labels.astype(np.int64) for role, labels in y.items()})


def _indices(labels: NDArray[Any], names: Sequence[str]) -> NDArray[np.int64]:
    """Labels as indices of the names: they are, unless some lie beyond and all are names themselves."""
    whole = labels.astype(np.int64)
    found = np.unique(whole).tolist()
    if found[-1] >= len(names) and {str(label) for label in found} <= set(names):
        return np.array([names.index(str(label)) for label in found])[np.searchsorted(found, whole)]
    return whole


def _named(arrays: Arrays, y: dict[str, NDArray[Any]]) -> _Labels:
    """The different labels are the names of the classes."""
    found = np.unique(np.concatenate(list(y.values())))
    if not 2 <= len(found) <= MAX_LABELS:
        shown = f"{len(found):,} different" if len(found) else "no"
        one = f" ({quoted(str(found[0])[:40])} only)" if len(found) == 1 else ""
        raise InputError(f"{arrays.path}: found {shown} labels{one}; expected 2 to {MAX_LABELS:,} different classes")
    return _Labels([str(name) for name in found.tolist()], [], {role: np.searchsorted(found, y[role]) for role in y})


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


# Examples ------------------------------------------------------------------------------------------------------------


def _parts(arrays: Arrays, labels: _Labels, choices: ArrayChoices) -> list[_Part]:
    """Which examples are for training, and which for testing. Raises InputError where none is left for either."""
    source = "train_set_" if "train_set_x" in arrays.found else ""
    x, y = arrays.found[f"{source}x"], labels.y[f"{source}y"]
    if arrays.is_split:
        pairs = [(x, y), (arrays.found["test_set_x"], labels.y["test_set_y"])]
        parts = [_Part(name, *pair, np.arange(len(pair[1]))) for name, pair in zip((TRAIN, TEST), pairs, strict=True)]
    else:
        strata = y if labels.classes else np.zeros(len(y), np.int64)
        testing = held_out(strata, TEST_SHARE if choices.test is None else choices.test, choices.seed)
        parts = [_Part(TRAIN, x, y, np.flatnonzero(~testing)), _Part(TEST, x, y, np.flatnonzero(testing))]
    if "validation_set_x" in arrays.found:
        x, y = arrays.found["validation_set_x"], labels.y["validation_set_y"]
        parts.append(_Part(VALIDATION, x, y, np.arange(len(y))))
    elif choices.validation is not None:
        train = parts[0]
        training = np.zeros(len(train.y), np.bool_)
        training[train.rows] = True
        chosen = hold_out_validation(training, train.y, choices.validation, choices.seed, arrays.path)
        parts = [
            _Part(TRAIN, train.x, train.y, np.flatnonzero(training & ~chosen)),
            *parts[1:],
            _Part(VALIDATION, train.x, train.y, np.flatnonzero(chosen)),
        ]
    for part in parts:
        if not len(part.rows):
            raise InputError(f"{arrays.path}: no example is left for {part.name}; expected at least one")
    return parts


def _preprocessing(
    arrays: Arrays, parts: Sequence[_Part], labels: _Labels, choices: ArrayChoices
) -> tuple[Preprocessing | None, np.dtype[Any]]:
    """How features are made, from the training examples alone, and the type that they are stored in."""
    dtypes = {part.x.dtype for part in parts}
    for part in parts:
        _check_values(arrays, part)
    if all(dtype == np.uint8 for dtype in dtypes):
        return None, np.dtype(np.uint8)
    x = parts[0].x
    if x.ndim > 2 and all(dtype.kind in "iu" for dtype in dtypes):
        return None, np.dtype(np.uint8)
    wide = all(dtype == np.float64 for dtype in dtypes)
    stored = np.dtype(np.float64 if wide else np.float32)
    if x.ndim != 2 or choices.standardize is False:
        return None, stored
    moments, largest = Moments(), 0.0
    for rows in _blocks(parts[0]):
        block = x[rows].astype(np.float64)
        moments.add(block)
        largest = max(largest, float(np.abs(block).max(initial=0.0)))
    if choices.standardize is None and (largest <= 1 or x.shape[1] > MOST_STANDARDIZED):
        return None, stored
    scale = np.broadcast_to(moments.scale, x.shape[1:])
    mean = np.broadcast_to(moments.mean, x.shape[1:])
    names = _feature_names(arrays, x.shape[1])
    columns = [Column(name, "number", float(mean[place]), float(scale[place])) for place, name in enumerate(names)]
    return Preprocessing(columns, labels.targets[0] if len(labels.targets) == 1 else LABEL), np.dtype(np.float32)


def _feature_names(arrays: Arrays, count: int) -> list[str]:
    """The names that the arrays give the features, or x0, x1, ..."""
    given = arrays.found.get(FEATURE_NAMES)
    names = [_text(value) for value in given.ravel().tolist()] if given is not None else []
    return names if len(set(names)) == len(names) == count else [f"x{place}" for place in range(count)]


def _check_values(arrays: Arrays, part: _Part) -> None:
    """Raises InputError for examples that are no finite numbers, or pictures of more than 8 bits."""
    kind = part.x.dtype.kind
    role = f"{part.name}_set_x"
    where = f"{arrays.path}: {quoted(arrays.names.get(role, arrays.names.get('x', 'x')))}"
    if kind not in "biuf":
        raise InputError(
            f"{where}: found {part.x.dtype}; expected numbers as examples: of texts make a table, and take "
            "lnn dataset from-table"
        )
    for rows in _blocks(part) if part.x.dtype != np.uint8 else ():
        block = part.x[rows]
        if kind == "f" and not np.isfinite(block).all():
            place = rows[np.argwhere(~np.isfinite(block))[0][0]]
            raise InputError(
                f"{where}: found NaN or infinity in example {place}; expected finite numbers: leave such examples out, "
                "or fill them; a table does that: lnn dataset from-table --missing mean"
            )
        if kind in "iu" and part.x.ndim > 2 and (block.min() < 0 or block.max() > 255):
            raise InputError(
                f"{where}: found integers from {block.min():,} to {block.max():,} in pictures; expected 0 to 255: save "
                '(x / white).astype("float32"), where white is 65535 in 16 bits'
            )


def _blocks(part: _Part) -> Iterator[NDArray[np.int64]]:
    """Which examples of the part are read at once."""
    of_one = max(1, math.prod(part.x.shape[1:]) * part.x.dtype.itemsize)
    rows = max(1, BLOCK_BYTES // of_one)
    for start in range(0, len(part.rows), rows):
        yield part.rows[start : start + rows]


def _features(x: NDArray[Any], preprocessing: Preprocessing | None) -> NDArray[Any]:
    """Stored examples of raw ones, (m, ...)."""
    if preprocessing is None:
        return x
    columns = preprocessing.columns
    return (x.astype(np.float64) - [column.mean for column in columns]) / [column.scale for column in columns]
