"""A table as a dataset: which rows are for what, how columns become features, and the file.

The table is read three times, batch by batch: for what its columns hold, for the statistics of the training rows, and
to write the features. Of each row its class and part are kept, in two or three bytes, and nine while parts are drawn;
polars has buffers of its own beside them.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from lnn.data.preprocessing import BOOLEANS, PREPROCESSING, Preprocessing, category_of
from lnn.data.splits import held_out
from lnn.data.weights import LARGEST
from lnn.errors import InputError
from lnn.text.characters import quoted
from lnn_client.class_folders import TEST, TRAIN, VALIDATION, part_named
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
from lnn_client.table_columns import Missing, Statistics, Survey, features_of, numbers_of
from lnn_client.tables import Table

if TYPE_CHECKING:
    import polars as pl
    from h5py import File

Codes: TypeAlias = NDArray[np.signedinteger]

_TRAINING, _TESTING, _VALIDATING, _DROPPED = 0, 1, 2, 3
_PARTS: dict[str, int] = {TRAIN: _TRAINING, TEST: _TESTING, VALIDATION: _VALIDATING}


@dataclass(frozen=True, slots=True)
class Choices:
    """How a table becomes a dataset."""

    label: str
    test: float | str = TEST_SHARE
    """The share of each class for testing, or the column that says which rows are."""
    missing: Missing = "refuse"
    standardize: bool = True
    drop: Sequence[str] = ()
    """Columns to leave out."""
    category: Sequence[str] = ()
    """Columns whose numbers are names."""
    regression: bool = False
    """The labels are numbers to predict, however few different ones there are."""
    seed: int = 0
    validation: float | None = None
    """The share of the training rows that makes a validation set; None: only rows that a column marks so."""
    weights: str | None = None
    """The column that says how much each row counts where it trains; None: all count alike."""

    @property
    def others(self) -> list[str]:
        """The columns that are neither features nor labels, but say something of the rows."""
        return [name for name in (self.test, self.weights) if isinstance(name, str)]


@dataclass(slots=True)
class _Read:
    """What the first reading gathers, batch by batch."""

    surveys: list[Survey]
    labels: _Labels
    parts: list[NDArray[np.int8]] = field(default_factory=list)
    """The part of the split of each row, where a column says it."""
    absent: list[NDArray[np.int32]] = field(default_factory=list)
    """How many values each row lacks, where such rows are dropped."""


@dataclass(slots=True)
class _Rows:
    """What the first reading has found."""

    surveys: list[Survey]
    labels: Codes
    """The class of each row, in regression 0; -1 without a label."""
    classes: list[str]
    """None in regression."""
    parts: NDArray[np.int8]
    """The part of the split that each row belongs to."""


def make_dataset(
    path: Path,
    table: Table,
    choices: Choices,
    step: Callable[[int], object],
    tell: Callable[[str], object] = lambda _: None,
) -> Made:
    """Write the table as a dataset; a failure leaves nothing behind.

    ``step`` is called with the number of rows of each batch, and ``tell`` with the size before anything is written.

    Raises:
        InputError: everything wrong with the table's columns, or what would not be accepted for training.
    """
    dropped: list[str] = []
    names = _feature_names(table, choices, dropped)
    rows = _rows(table, _read(table, names, choices, step), choices, dropped)
    preprocessing = _preprocessing(table, rows, choices, step)
    used = int((rows.parts != _DROPPED).sum())
    tell(expected_size(used, (preprocessing.width,), np.dtype(np.float32)))
    made = Made(rows.classes, preprocessing, preprocessing.width, dropped=dropped)
    made.warnings = write_dataset_file(
        path, table.path, lambda file: _write(file, table, rows, made, preprocessing, choices.weights, step)
    )
    return made


def _feature_names(table: Table, choices: Choices, dropped: list[str]) -> list[str]:
    table.need([choices.label, *choices.others, *choices.drop, *choices.category])
    if choices.weights is not None and choices.weights in (choices.label, choices.test):
        raise InputError(
            f"column {quoted(choices.weights)}: found it named twice; expected a column of weights alone, beside the "
            "label and the split"
        )
    names = [name for name in table.columns if name not in {choices.label, *choices.others, *choices.drop}]
    dropped += [f"column {quoted(name)}: --drop" for name in table.columns if name in choices.drop]
    if "" in names:
        names.remove("")
        dropped.append("the column without a name: it is no feature, but a number of rows as tools write it")
    if not names:
        raise InputError(f"{table.path} has no column but the label; expected at least one to learn from")
    return names


# First reading: what is there ----------------------------------------------------------------------------------------


def _read(table: Table, names: list[str], choices: Choices, step: Callable[[int], object]) -> _Read:
    """Read all rows for what they hold."""
    split = choices.test if isinstance(choices.test, str) else None
    read = _Read([Survey(name) for name in names], _Labels(choices.label, regression=choices.regression))
    for batch in table.batches(list(dict.fromkeys([*names, choices.label, *choices.others]))):
        if choices.weights is not None:
            _check_weights(batch[choices.weights], choices.weights, read.surveys[0].rows)
        for survey in read.surveys:
            survey.add(batch[survey.name])
        read.labels.add(batch[choices.label])
        if split:
            read.parts.append(_parts(batch[split], split, read.surveys[0].rows - len(batch)))
        if choices.missing == "drop":
            read.absent.append(np.sum([batch[name].is_null().to_numpy() for name in names], axis=0, dtype=np.int32))
        step(len(batch))
    if not read.surveys[0].rows:
        raise InputError(f"{table.path} has no rows; expected at least one for training and one for testing")
    return read


def _rows(table: Table, read: _Read, choices: Choices, dropped: list[str]) -> _Rows:
    """Which columns are used, and which rows are for what."""
    classes, y = read.labels.read()
    empty = [survey.name for survey in read.surveys if not survey.filled]
    dropped += [f"column {quoted(name)}: it is empty" for name in empty]
    surveys = [survey for survey in read.surveys if survey.filled]
    if not surveys:
        raise InputError(f"{table.path}: found no value in any column but the label; expected one to learn from")
    _check_columns(surveys, choices)
    parts = np.concatenate(read.parts) if read.parts else np.full(len(y), _TRAINING, np.int8)
    _drop(parts, y < 0, f"no label in column {quoted(choices.label)}", dropped)
    if read.absent:
        _drop(parts, np.concatenate(read.absent) > len(empty), "a value is missing", dropped)
    if isinstance(choices.test, float):
        # Few bytes a row, since there may be many millions.
        kept = parts == _TRAINING
        drawn = held_out(y[kept], choices.test, choices.seed)
        parts[kept] = np.where(drawn, np.int8(_TESTING), np.int8(_TRAINING))
    if choices.validation is not None:
        if (parts == _VALIDATING).any():
            raise InputError(
                f"{table.path}: column {quoted(str(choices.test))} says which rows are for validation; omit "
                "--validation"
            )
        chosen = hold_out_validation(parts == _TRAINING, y, choices.validation, choices.seed, table.path)
        parts[chosen] = _VALIDATING
    for part, what in ((_TRAINING, "training"), (_TESTING, "testing")):
        if not (parts == part).any():
            raise InputError(f"{table.path}: no row is left for {what}; expected at least one: add rows, or see --test")
    return _Rows(surveys, y, classes, parts)


def _drop(parts: NDArray[np.int8], rows: NDArray[np.bool_], why: str, dropped: list[str]) -> None:
    """Put rows out of every part."""
    rows = rows & (parts != _DROPPED)
    if count := int(rows.sum()):
        dropped.append(f"{count:,} rows: {why}")
    parts[rows] = _DROPPED


def _check_columns(surveys: list[Survey], choices: Choices) -> None:
    """Raises InputError with every column that cannot become features."""
    problems = []
    for survey in surveys:
        try:
            survey.kind(category=survey.name in choices.category)
        except InputError as error:
            problems += error.problems
        if survey.has_missing and choices.missing == "refuse":
            problems.append(
                f"column {quoted(survey.name)}: found {survey.rows - survey.filled:,} of {survey.rows:,} values "
                "missing; expected all: fill them with --missing mean, median or most-frequent, or drop the rows with "
                "--missing drop"
            )
    if problems:
        raise InputError(problems)


def _parts(column: pl.Series, name: str, before: int) -> NDArray[np.int8]:
    """The part of the split of each row, as the column says it."""
    found = np.empty(len(column), np.int8)
    for place, value in enumerate(column.to_list()):
        text = category_of(value) or ""
        part = part_named(text)
        if part is None and (said := BOOLEANS.get(text.casefold(), {"0": 0.0, "1": 1.0}.get(text))) is not None:
            part = TEST if said else TRAIN
        if part is None:
            raise InputError(
                f"column {quoted(name)}: found {quoted(text[:60])} in row {before + place + 1}; expected train, "
                "test or validation, or true for the rows to test with"
            )
        found[place] = _PARTS[part]
    return found


def _check_weights(column: pl.Series, name: str, before: int) -> None:
    """Raises InputError for a weight that is none, in any row: it may train."""
    import polars as pl

    weights = numbers_of(column) if isinstance(column.dtype, pl.String | pl.Float64) else np.full(len(column), np.nan)
    wrong = np.flatnonzero(~((weights >= 0) & (weights <= LARGEST)))
    if len(wrong):
        value = column[int(wrong[0])]
        found = "no value" if value is None else quoted((category_of(value) or str(value))[:40])
        raise InputError(
            f"column {quoted(name)}: found {found} in row {before + int(wrong[0]) + 1}; expected a weight in each row, "
            f"a number from 0 to {LARGEST:g}"
        )


class _Labels:
    """The labels of all rows: as codes of their different texts, up to ``MAX_LABELS``; and whether they are numbers."""

    def __init__(self, name: str, *, regression: bool) -> None:
        self._name, self._regression = name, regression
        self._codes: dict[str, int] = {}
        self._rows: list[NDArray[np.int16]] = []
        """The codes, -1 without a label. With more than ``MAX_LABELS`` different labels, 0 for any number."""
        self._are_numbers = True
        self._numbers: set[float] = set()
        """Different numbers, until they are known to be quantities."""
        self._are_quantities = False
        self._known = 0
        """Rows whose label is a finite number."""
        self._odd: tuple[int, str] | None = None
        """The first label among numbers that is no finite number, with its row."""
        self._count = 0

    def add(self, column: pl.Series) -> None:
        """The next rows."""
        if column.dtype.is_temporal() or column.dtype.is_nested():
            raise InputError(
                f"column {quoted(self._name)}: found {column.dtype}; expected names of classes, or numbers, as labels"
            )
        self._add_numbers(column)
        self._add_codes(column)
        self._count += len(column)
        no_numbers = not self._are_numbers or self._odd is not None
        if no_numbers and (self._regression or len(self._codes) > MAX_LABELS):
            raise self._no_labels(column)

    def _add_numbers(self, column: pl.Series) -> None:
        import polars as pl

        if not self._are_numbers:
            return
        values = column.cast(pl.Float64, strict=False)
        finite = values.is_finite().fill_null(value=False)
        odd = column.is_not_null() & ~finite
        if column.dtype == pl.Boolean or (odd.any() and not finite.any()):
            self._are_numbers = False
            return
        if self._odd is None and odd.any():
            place = int(odd.arg_true()[0])
            self._odd = self._count + place + 1, str(column[place])
        self._known += int(finite.sum())
        if not self._are_quantities:
            self._numbers.update(values.filter(finite).unique().to_list())
            self._are_quantities = are_quantities(np.array(list(self._numbers)))

    def _add_codes(self, column: pl.Series) -> None:
        import polars as pl

        found = column.unique(maintain_order=True).drop_nulls().to_list() if len(self._codes) <= MAX_LABELS else []
        for value in found:
            self._codes.setdefault(category_of(value) or "", len(self._codes))
            if len(self._codes) > MAX_LABELS:
                break
        if len(self._codes) > MAX_LABELS:
            self._rows.append(column.is_not_null().to_numpy().astype(np.int16) - np.int16(1))
            return
        codes = [self._codes[category_of(value) or ""] for value in found]
        self._rows.append(
            column.replace_strict(found, codes, default=-1, return_dtype=pl.Int16).to_numpy()
            if found
            else np.full(len(column), -1, np.int16)
        )

    def read(self) -> tuple[list[str], Codes]:
        """The classes in order, of numbers by their value, and the class of each row; of regression no class and zeros.

        Rows without a label have -1. It can be asked for once. Raises InputError.
        """
        texts, rows = list(self._codes), self._rows
        self._rows = []
        if len(texts) < 2:
            raise InputError(
                f"column {quoted(self._name)}: found {', '.join(map(quoted, texts)) or 'no label'} only; expected "
                "at least two different labels"
            )
        are_numbers = self._are_numbers
        if are_numbers and self._odd is not None:
            self._refuse_mixture()
            are_numbers = False
        if are_numbers and (self._regression or self._are_quantities or len(texts) > MAX_LABELS):
            return [], np.concatenate([np.minimum(part, 0, dtype=np.int16).astype(np.int8) for part in rows])
        if are_numbers:
            texts = [str(int(float(text))) for text in texts]
        classes = sorted(set(texts), key=int if are_numbers else None)
        places = {name: place for place, name in enumerate(classes)}
        lookup = np.array([*(places[text] for text in texts), -1], np.min_scalar_type(-len(texts)))
        # Part by part: numpy makes 8 bytes of every index.
        return classes, np.concatenate([lookup[part] for part in rows])

    def _refuse_mixture(self) -> None:
        """Raises InputError for quantities with a text among them, which would all be names of classes."""
        if self._odd is not None and 2 * self._known >= self._count and self._are_quantities:
            row, text = self._odd
            raise InputError(
                f"column {quoted(self._name)}: found {quoted(text[:40])} in row {row} of a column of numbers to "
                "predict; expected finite numbers: mend it, or leave the cell empty to leave the row out"
            )

    def _no_labels(self, column: pl.Series) -> InputError:
        if self._regression:
            odd = next(value for value in column.to_list() if value is not None and _number(str(value)) is None)
            return InputError(
                f"column {quoted(self._name)}: found {quoted(str(odd)[:40])}; expected finite numbers to predict, or "
                "no --regression"
            )
        return InputError(
            f"column {quoted(self._name)}: found more than {MAX_LABELS:,} different labels; expected at most that many "
            "classes, or numbers alone: choose another --label"
        )


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


# Second reading: statistics ------------------------------------------------------------------------------------------


def _preprocessing(table: Table, rows: _Rows, choices: Choices, step: Callable[[int], object]) -> Preprocessing:
    """How columns become features, from the training rows alone."""
    statistics = [
        Statistics(
            survey.name,
            survey.kind(category=survey.name in choices.category),
            keeps=survey.has_missing and choices.missing in {"median", "most-frequent"},
        )
        for survey in rows.surveys
    ]
    for batch, parts, _ in _batches(table, rows, []):
        training = batch.filter(parts == _TRAINING)
        for column in statistics:
            column.add(training[column.name])
        step(len(batch))
    columns, problems = [], []
    for survey, column in zip(rows.surveys, statistics, strict=True):
        try:
            columns.append(
                column.column(choices.missing, has_missing=survey.has_missing, standardize=choices.standardize)
            )
        except InputError as error:
            problems += error.problems
    if problems:
        raise InputError(problems)
    return Preprocessing(columns, choices.label)


def _batches(table: Table, rows: _Rows, also: Sequence[str]) -> Iterator[tuple[pl.DataFrame, NDArray[np.int8], Codes]]:
    """Batches of the features' columns and ``also``, with the rows' parts and classes."""
    at = 0
    for batch in table.batches([*(survey.name for survey in rows.surveys), *also]):
        taken = slice(at, at + len(batch))
        yield batch, rows.parts[taken], rows.labels[taken]
        at += len(batch)
    if at != len(rows.parts):
        raise InputError(f"{table.path} has changed while it was read; try again")


# Third reading: the file ---------------------------------------------------------------------------------------------


def _write(
    file: File,
    table: Table,
    rows: _Rows,
    made: Made,
    preprocessing: Preprocessing,
    weights: str | None,
    step: Callable[[int], object],
) -> None:
    columns = preprocessing.columns
    unknown = np.zeros(len(columns), np.int64)
    # The check reads labels at once, at most 256 MB of them: in one byte each, that is a CSV file of many gigabytes.
    like = np.empty(0, rows.labels.dtype if made.classes else np.float64)
    counts_of: dict[str, Counter[int]] = {TRAIN: made.train, TEST: made.test, VALIDATION: made.validation}
    writers = [
        (
            part,
            counts_of[name],
            PartWriter(
                *(file, name, (preprocessing.width,), np.dtype(np.float32), like),
                weighted=weights is not None and part == _TRAINING,
            ),
        )
        for name, part in _PARTS.items()
        if part != _VALIDATING or (rows.parts == part).any()
    ]
    to_predict = [] if made.classes else [preprocessing.label]
    for batch, parts, codes in _batches(table, rows, [*to_predict, *([weights] if weights else [])]):
        labels = numbers_of(batch[preprocessing.label]) if to_predict else codes
        of_rows = np.ones(len(batch)) if weights is None else numbers_of(batch[weights])
        X, wrong = features_of(batch, columns)
        # Of training rows none is unknown: their categories are those of the columns.
        for place, of_column in enumerate(wrong):
            unknown[place] += int((of_column & (parts != _DROPPED)).sum())
        usable = ~np.logical_or.reduce(wrong)
        for part, counts, writer in writers:
            chosen = usable & (parts == part)
            writer.add(X[chosen], labels[chosen], of_rows[chosen])
            counts.update(Counter(labels[chosen].tolist()) if made.classes else {0: int(chosen.sum())})
        step(len(batch))
    write_names(file, made.classes, [preprocessing.label])
    file.create_dataset(PREPROCESSING, data=preprocessing.encode())
    beside = "testing or validation" if made.validation else "testing"
    made.dropped += [
        f"{count:,} rows for {beside}: column {quoted(column.name)} has a category that no training row has"
        for column, count in zip(columns, unknown.tolist(), strict=True)
        if count
    ]
    for counts, what in ((made.test, "testing"), (made.validation, "validation")):
        if not counts.total() and (what == "testing" or (rows.parts == _VALIDATING).any()):
            raise InputError(f"{table.path}: no row is left for {what}: {'; '.join(made.dropped)}")
