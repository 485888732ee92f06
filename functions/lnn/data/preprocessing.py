"""Preprocessing of tables: how a row as people have it becomes the features of the network.

A dataset that was made from a table stores features that are preprocessed already, and how they were made as JSON in
UTF-8: the bytes of its dataset ``preprocessing``. Launch passes that on to ``params.h5``, so that a model takes raw
rows:

    {"version": 1, "label": "species", "columns": [
        {"name": "petal length", "kind": "number", "mean": 3.76, "scale": 1.76, "missing": null},
        {"name": "in bloom", "kind": "boolean", "mean": 0.0, "scale": 1.0, "missing": null},
        {"name": "color", "kind": "category", "categories": ["blue", "white"], "missing": null}]}

A number x becomes ``(x - mean) / scale``, a boolean 0 or 1, and a category one feature for each of ``categories``: 1
for its own and 0 for the others (one-hot). ``missing`` is what stands in for a missing value; null refuses one.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Self, get_args

import numpy as np
import numpy.typing as npt

from lnn.errors import InputError
from lnn.text.characters import quoted

PREPROCESSING = "preprocessing"
"""The dataset of ``datasets.h5`` and ``params.h5`` that holds it: an attribute has room for 64 KB only."""

MAX_BYTES = 2**20
"""Of the JSON: a column of numbers takes about 100 bytes, a category about 10."""

VERSION = 1
Kind = Literal["number", "boolean", "category"]

MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "?"})
"""Texts that stand for a missing value, whatever their case."""
BOOLEANS = {"true": 1.0, "false": 0.0, "yes": 1.0, "no": 0.0}
"""Texts that stand for a boolean, whatever their case."""
MOST_PROBLEMS = 5
NAMES_SHOWN = 10

Row = Mapping[str, Any] | Sequence[Any]
"""Raw values by column, or in the columns' order."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the table, and the features that it becomes."""

    name: str
    kind: Kind
    mean: float = 0.0
    scale: float = 1.0
    """Of a number: the standard deviation of the training examples, or 1."""
    missing: float | str | None = None
    """What a missing value is replaced by; None refuses it."""
    categories: list[str] = field(default_factory=list)

    @property
    def width(self) -> int:
        """How many features it becomes."""
        return len(self.categories) if self.kind == "category" else 1

    @property
    def features(self) -> list[str]:
        """The features' names."""
        if self.kind == "category":
            return [f"{self.name}={category}" for category in self.categories]
        return [self.name]


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """How the rows of a table become features."""

    columns: list[Column]
    label: str
    """The column that the network predicts."""

    @property
    def width(self) -> int:
        return sum(column.width for column in self.columns)

    @property
    def features(self) -> list[str]:
        """The name of each feature."""
        return [name for column in self.columns for name in column.features]

    @property
    def names(self) -> list[str]:
        """The names of the columns."""
        return [column.name for column in self.columns]

    def encode(self) -> npt.NDArray[np.uint8]:
        """The bytes that ``decode`` reads. Raises InputError when they are too many."""
        content = json.dumps({"version": VERSION, **asdict(self)}, ensure_ascii=False, allow_nan=False).encode()
        if len(content) > MAX_BYTES:
            raise InputError(
                f"the names and categories of {len(self.columns)} columns take {len(content):,} bytes as JSON; "
                f"expected at most {MAX_BYTES:,}: use fewer columns, or shorter names"
            )
        return np.frombuffer(content, np.uint8)

    @classmethod
    def decode(cls, content: npt.NDArray[Any]) -> Self:
        """Raises InputError for bytes that ``encode`` has not written."""
        if content.dtype != np.uint8 or content.size > MAX_BYTES:
            raise InputError(f"{PREPROCESSING}: found {content.size} values of {content.dtype}; expected bytes of JSON")
        raw = content.tobytes()
        try:
            stored = json.loads(raw)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{PREPROCESSING}: found {raw[:40]!a}; expected JSON: {error}") from error
        if not isinstance(stored, dict) or stored.get("version") != VERSION:
            raise InputError(f"{PREPROCESSING}: found {raw[:40]!a}; expected version {VERSION} of LNN's preprocessing")
        columns, label = stored.get("columns"), stored.get("label")
        if not isinstance(columns, list) or not columns or not isinstance(label, str):
            raise InputError(f"{PREPROCESSING}: found no list of columns with a label; expected both")
        read = cls([_column(raw, place) for place, raw in enumerate(columns)], label)
        if len(set(read.names)) != len(columns):
            raise InputError(f"{PREPROCESSING}: found a column twice; expected different names")
        return read

    def matrix(self, rows: Sequence[Row], first: int = 1) -> npt.NDArray[np.float64]:
        """Raw rows as X (n, m). Raises InputError that names row and column; ``first`` is the number of the first."""
        X = np.zeros((self.width, len(rows)))
        problems: list[str] = []
        for index, row in enumerate(rows):
            try:
                self._fill(X[:, index], row)
            except InputError as error:
                problems += [f"row {first + index}: {problem}" for problem in error.problems]
            if len(problems) >= MOST_PROBLEMS:
                break
        if problems:
            raise InputError(problems[:MOST_PROBLEMS])
        return X

    def _fill(self, x: npt.NDArray[np.float64], row: Row) -> None:
        problems = []
        at = 0
        for column, cell in zip(self.columns, self._cells(row), strict=True):
            try:
                _fill(x[at : at + column.width], column, cell)
            except InputError as error:
                problems.append(f"column {quoted(column.name)}: {error}")
            at += column.width
        if problems:
            raise InputError(problems)

    def _cells(self, row: Row) -> Iterable[Any]:
        """The cells of the columns, in their order."""
        names = self.names
        if isinstance(row, Mapping):
            if absent := [name for name in names if name not in row]:
                raise InputError(f"column {quoted(absent[0])} is missing; expected {listed(names)}")
            return [row[name] for name in names]
        if isinstance(row, str | bytes) or not isinstance(row, Sequence):
            raise InputError(f"found {_shown(row)}; expected a list of values, or an object by column name")
        if len(row) != len(names):
            raise InputError(f"found {len(row)} values; expected {len(names)}: {listed(names)}")
        return row

    def raw(self, x: npt.NDArray[np.floating[Any]]) -> list[float | bool | str]:
        """The values of a row whose features are x (n,): the inverse of ``matrix``."""
        values: list[float | bool | str] = []
        at = 0
        for column in self.columns:
            part = x[at : at + column.width]
            if column.kind == "category":
                values.append(column.categories[int(part.argmax())])
            elif column.kind == "boolean":
                values.append(bool(part[0] > 0.5))
            else:
                values.append(float(part[0]) * column.scale + column.mean)
            at += column.width
        return values


def _fill(x: npt.NDArray[np.float64], column: Column, cell: Any) -> None:
    """Write the features of one cell into x (width,). Raises InputError for a cell that the column cannot have."""
    if is_missing(cell):
        if column.missing is None:
            raise InputError(f"the value is missing; expected {_expected(column)}")
        cell = column.missing
    if column.kind == "category":
        text = category_of(cell)
        if text not in column.categories:
            raise InputError(f"found {_shown(cell)}; expected {_expected(column)}")
        x[column.categories.index(text)] = 1
        return
    value = _number(cell) if column.kind == "number" else _boolean(cell)
    if value is None:
        raise InputError(f"found {_shown(cell)}; expected {_expected(column)}")
    x[0] = (value - column.mean) / column.scale


def is_missing(cell: Any) -> bool:
    """True for null, NaN, and a text that stands for them."""
    if isinstance(cell, str):
        return cell.strip().casefold() in MISSING
    return cell is None or (isinstance(cell, float) and math.isnan(cell))


def category_of(cell: Any) -> str | None:
    """The category that a cell names: text without blanks around it, whole numbers without a point."""
    if isinstance(cell, str):
        return cell.strip()
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell) if isinstance(cell, int | float) else None


def _number(cell: Any) -> float | None:
    if isinstance(cell, bool) or not isinstance(cell, int | float | str):
        return None
    try:
        value = float(cell)
    except (ValueError, OverflowError):
        return None
    return value if math.isfinite(value) and not (isinstance(cell, str) and "_" in cell) else None


def _boolean(cell: Any) -> float | None:
    if isinstance(cell, str):
        return BOOLEANS.get(cell.strip().casefold(), {"0": 0.0, "1": 1.0}.get(cell.strip()))
    return float(cell) if isinstance(cell, bool | int | float) and cell in {0, 1} else None


def _expected(column: Column) -> str:
    if column.kind == "category":
        return f"one of {listed(column.categories)}"
    return "a finite number" if column.kind == "number" else "true or false"


def listed(names: Sequence[str]) -> str:
    """The first few of the names, quoted."""
    more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    return ", ".join(quoted(name[:60]) for name in names[:NAMES_SHOWN]) + more


def _shown(cell: Any) -> str:
    return quoted(cell[:60]) if isinstance(cell, str) else f"{cell!a:.60}"


def _column(raw: Any, place: int) -> Column:
    """A stored column. Raises InputError for anything that ``encode`` does not write."""
    where = f"{PREPROCESSING}: column {place}"
    if not isinstance(raw, dict) or not isinstance(raw.get("name"), str) or raw.get("kind") not in get_args(Kind):
        raise InputError(f"{where}: found {raw!a:.60}; expected a name and a kind: {', '.join(get_args(Kind))}")
    numbers = [raw.get(name, default) for name, default in (("mean", 0.0), ("scale", 1.0))]
    if not all(type(number) is float and math.isfinite(number) for number in numbers) or numbers[1] <= 0:
        raise InputError(f"{where}: found mean and scale {numbers!a:.60}; expected finite numbers, and a scale above 0")
    categories, missing = raw.get("categories") or [], raw.get("missing")
    is_category = raw["kind"] == "category"
    if not isinstance(categories, list) or not all(isinstance(name, str) for name in categories):
        raise InputError(f"{where}: found categories {categories!a:.60}; expected a list of texts")
    if is_category != bool(categories) or len(set(categories)) != len(categories):
        raise InputError(f"{where}: found {len(categories)} categories; expected different ones, of a category only")
    column = Column(raw["name"], raw["kind"], numbers[0], numbers[1], missing, categories)
    if missing is not None:
        try:
            _fill(np.zeros(column.width), column, missing)
        except InputError as error:
            raise InputError(f"{where}: missing: {error}") from error
    return column
