"""What the columns of a table hold, decided from all rows; and their statistics, from the training rows alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from lnn.data.preprocessing import BOOLEANS, Column, Kind, category_of
from lnn.errors import InputError
from lnn.text.characters import quoted
from lnn_client.moments import Moments

if TYPE_CHECKING:
    import polars as pl

Missing = Literal["refuse", "mean", "median", "most-frequent", "drop"]
"""What becomes of missing values."""

MAX_CATEGORIES = 100
"""Of a column: each becomes a feature."""

DATE = r"^(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4})([ T].*)?$|^\d{1,2}:\d{2}(:\d{2}.*)?$"
"""Dates and times as tables have them: 2024-02-29, 29.2.2024, 2/29/24, with a time behind them or a time alone."""


@dataclass(slots=True)
class Survey:
    """What all rows of a column hold."""

    name: str
    rows: int = 0
    filled: int = 0
    numbers: int = 0
    booleans: int = 0
    dates: int = 0
    odd: tuple[int, str] | None = None
    """The first value that is no finite number, with its row."""
    categories: set[str] = field(default_factory=set)
    """Its different texts, up to one more than ``MAX_CATEGORIES``."""

    def add(self, column: pl.Series) -> None:
        """The next rows."""
        import polars as pl

        at = self.rows
        self.rows += len(column)
        self.filled += len(column) - column.null_count()
        if column.dtype == pl.Null:
            return
        if column.dtype.is_temporal():
            self.dates += len(column) - column.null_count()
        elif column.dtype == pl.Boolean:
            self.booleans += len(column) - column.null_count()
        elif isinstance(column.dtype, pl.String | pl.Float64):
            values = column.cast(pl.Float64, strict=False)
            finite = values.is_finite().fill_null(value=False)
            self.numbers += int(finite.sum())
            if self.odd is None and len(odd := (column.is_not_null() & ~finite).arg_true()):
                self.odd = at + int(odd[0]) + 1, str(column[int(odd[0])])
        else:
            raise InputError(
                f"column {quoted(self.name)}: found values of type {column.dtype}; expected numbers, booleans or "
                f"texts: leave it out with --drop {quoted(self.name)}"
            )
        if column.dtype == pl.String:
            self.booleans += int(column.str.to_lowercase().is_in(sorted(BOOLEANS)).sum())
            self.dates += int(column.str.contains(DATE).sum())
        if len(self.categories) <= MAX_CATEGORIES:
            new = {
                category_of(value)
                for value in column.unique(maintain_order=True).drop_nulls()[: 2 * MAX_CATEGORIES].to_list()
            }
            self.categories.update(name for name in new if name is not None)

    @property
    def has_missing(self) -> bool:
        return self.filled < self.rows

    def kind(self, *, category: bool = False) -> Kind:
        """What the column is; ``category``: its numbers are names. Raises InputError for dates and mixtures."""
        leave_out = f"leave it out with --drop {quoted(self.name)}"
        where = f"column {quoted(self.name)}"
        if self.dates == self.filled:
            raise InputError(
                f"{where}: found dates or times; expected numbers, booleans or categories: put numbers in their place, "
                f"such as days since a date, the month or the weekday, or {leave_out}"
            )
        if not category and self.numbers == self.filled:
            return "number"
        if not category and self.booleans == self.filled:
            return "boolean"
        if not category and 2 * self.numbers >= self.filled and self.odd is not None:
            row, text = self.odd
            raise InputError(
                f"{where}: found {quoted(text[:60])} in row {row} of a column of numbers; expected finite numbers: "
                f"mend it, say that it is a category with --category {quoted(self.name)}, or {leave_out}"
            )
        if len(self.categories) > MAX_CATEGORIES:
            raise InputError(
                f"{where}: found more than {MAX_CATEGORIES} different texts; expected numbers, or at most "
                f"{MAX_CATEGORIES} categories: join some of them, or {leave_out}"
            )
        return "category"


@dataclass(slots=True)
class Statistics:
    """Of a column's training rows: added up batch by batch."""

    name: str
    kind: Kind
    keeps: bool
    """Whether all values of a number are kept: a median needs them."""
    missing: int = 0
    moments: Moments = field(default_factory=Moments)
    """Of its numbers."""
    values: list[NDArray[np.float64]] = field(default_factory=list)
    categories: Counter[str] = field(default_factory=Counter)

    def add(self, column: pl.Series) -> None:
        """The next training rows."""
        self.missing += column.null_count()
        filled = column.drop_nulls()
        if self.kind != "number":
            self.categories.update(texts_of(filled, self.kind).to_list())
        elif len(filled):
            values = numbers_of(filled)
            self.moments.add(values)
            if self.keeps:
                self.values.append(values)

    def column(self, policy: Missing, *, has_missing: bool, standardize: bool) -> Column:
        """The column of the preprocessing. Raises InputError when no training row has a value."""
        if not self.moments.count and not self.categories:
            raise InputError(
                f"column {quoted(self.name)}: found no value in the training rows; leave it out with --drop "
                f"{quoted(self.name)}"
            )
        fills = has_missing and policy not in {"refuse", "drop"}
        if self.kind == "number":
            fill = self._fill(policy) if fills else None
            if fill is not None and self.missing:
                self.moments.merge(self.missing, fill, 0.0)
            if not standardize:
                return Column(self.name, "number", missing=fill)
            return Column(self.name, "number", float(self.moments.mean), float(self.moments.scale), fill)
        often = min(self.categories, key=lambda name: (-self.categories[name], name)) if fills else None
        if self.kind == "boolean":
            return Column(self.name, "boolean", missing=often)
        return Column(self.name, "category", missing=often, categories=sorted(self.categories))

    def _fill(self, policy: Missing) -> float:
        if policy == "mean":
            return float(self.moments.mean)
        values = np.concatenate(self.values)
        if policy == "median":
            return float(np.median(values))
        found, counts = np.unique(values, return_counts=True)
        return float(found[counts.argmax()])


def numbers_of(column: pl.Series) -> NDArray[np.float64]:
    """The numbers of a column, (m,); NaN where missing."""
    import polars as pl

    return column.cast(pl.Float64, strict=False).to_numpy()


def texts_of(column: pl.Series, kind: Kind) -> pl.Series:
    """The categories of a column, or its booleans as ``true`` and ``false``; null where missing."""
    import polars as pl

    if column.dtype == pl.String:
        if kind == "category":
            return column
        lower = column.str.to_lowercase()
        names = {text: "true" if value else "false" for text, value in BOOLEANS.items()}
        return lower.replace(names)
    # Few different values: polars and Python do not write all numbers alike.
    different = column.unique().drop_nulls().to_list()
    return column.replace_strict(different, [category_of(value) for value in different], return_dtype=pl.String)


def features_of(frame: pl.DataFrame, columns: Sequence[Column]) -> tuple[NDArray[np.float64], list[NDArray[np.bool_]]]:
    """Features (m, n) of rows without flaws, as ``Preprocessing.matrix`` makes them; and unknown rows, (m,) a column.

    A row is unknown where the column has a category that no training row has.
    """
    X = np.zeros((len(frame), sum(column.width for column in columns)))
    unknown = []
    at = 0
    for column in columns:
        values, wrong = _features(frame[column.name], column)
        X[:, at : at + column.width] = values
        unknown.append(wrong)
        at += column.width
    return X, unknown


def _features(cells: pl.Series, column: Column) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    if column.kind == "number":
        values = numbers_of(cells)
        if column.missing is not None:
            values = np.where(np.isnan(values), float(column.missing), values)
        return ((values - column.mean) / column.scale)[:, np.newaxis], np.zeros(len(cells), np.bool_)
    texts = texts_of(cells, column.kind)
    if column.missing is not None:
        texts = texts.fill_null(str(column.missing))
    if column.kind == "boolean":
        return (texts == "true").to_numpy()[:, np.newaxis].astype(np.float64), np.zeros(len(cells), np.bool_)
    one_hot = [(texts == name).fill_null(value=False).to_numpy() for name in column.categories]
    return np.stack(one_hot, axis=1).astype(np.float64), ~np.logical_or.reduce(one_hot)
