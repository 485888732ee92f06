"""Tables in files, read through polars: CSV, TSV, Parquet, Feather and Excel, batch by batch.

CSV is read as text, whatever its cells look like: what a column holds is decided from all of its rows, by
``lnn_client.table_columns``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lnn.characters import quoted
from lnn.data.preprocessing import MISSING, listed
from lnn.errors import InputError
from lnn_client.datasets import existing_file

if TYPE_CHECKING:
    import polars as pl

BATCH_ROWS = 20_000
"""Rows that are in memory at once."""
SEPARATORS = ",;\t|"

TEXT_SUFFIXES = (".csv", ".tsv", ".tab")
PARQUET_SUFFIXES = (".parquet", ".pq")
FEATHER_SUFFIXES = (".feather", ".arrow", ".ipc")
EXCEL_SUFFIXES = (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods")
SUFFIXES = (*TEXT_SUFFIXES, *PARQUET_SUFFIXES, *FEATHER_SUFFIXES, *EXCEL_SUFFIXES)


@dataclass(frozen=True, slots=True)
class Table:
    """A table in a file."""

    path: Path
    columns: list[str]
    _frame: pl.LazyFrame

    def batches(self, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
        """Its rows in order, up to ``BATCH_ROWS`` at a time: texts without blanks around them, null where missing.

        Raises InputError when the file cannot be read.
        """
        import polars as pl

        with _readable(self.path):
            wanted = self._frame.select(columns)
            for batch in wanted.collect_batches(chunk_size=BATCH_ROWS, maintain_order=True):
                for part in batch.iter_slices(BATCH_ROWS):
                    yield pl.DataFrame([_tidy(column) for column in part])

    def need(self, names: Sequence[str]) -> None:
        """Raises InputError for a column that the table does not have."""
        if absent := [name for name in names if name not in self.columns]:
            raise InputError(f"{self.path} has no column {quoted(absent[0])}; its columns are {listed(self.columns)}")


def is_table(path: Path) -> bool:
    """True for a file whose name says that it holds a table."""
    return path.name.lower().removesuffix(".gz").endswith(SUFFIXES)


def open_table(path: Path) -> Table:
    """The table in a file. Raises InputError when there is none that can be read."""
    import polars as pl

    existing_file(path)
    name = path.name.lower()
    with _readable(path):
        if name.removesuffix(".gz").endswith(TEXT_SUFFIXES):
            frame = pl.scan_csv(path, infer_schema=False, separator=_separator(path))
        elif name.endswith(PARQUET_SUFFIXES):
            frame = pl.scan_parquet(path)
        elif name.endswith(FEATHER_SUFFIXES):
            frame = pl.scan_ipc(path)
        elif name.endswith(EXCEL_SUFFIXES):
            frame = pl.read_excel(path, infer_schema_length=None).lazy()
        else:
            raise InputError(f"{path}: found {path.suffix or 'no suffix'}; expected {', '.join(SUFFIXES)}")
        columns = frame.collect_schema().names()
    twice = [name for name in columns if (first := name.rpartition("_duplicated_")[0]) and first in columns]
    if twice:
        raise InputError(
            f"{path}: found two columns named {quoted(twice[0].rpartition('_duplicated_')[0])}; rename one"
        )
    return Table(path, columns, frame)


def _separator(path: Path) -> str:
    """The character between the names in the first line."""
    if ".csv" not in path.name.lower():
        return "\t"
    import gzip

    with gzip.open(path) if path.name.lower().endswith(".gz") else path.open("rb") as file:
        line = file.readline(2**20).decode(errors="replace")
    return max(SEPARATORS, key=line.count)


def _tidy(column: pl.Series) -> pl.Series:
    import polars as pl

    if isinstance(column.dtype, pl.String | pl.Categorical | pl.Enum):
        texts = column.cast(pl.String).str.strip_chars()
        return texts.set(texts.str.to_lowercase().is_in(sorted(MISSING)), None)
    if column.dtype.is_float():
        return column.cast(pl.Float64).fill_nan(None)
    return column.cast(pl.Float64) if column.dtype.is_numeric() else column


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Errors of the libraries that read tables become an InputError."""
    from fastexcel import FastExcelError
    from polars.exceptions import PolarsError

    try:
        yield
    except (PolarsError, FastExcelError, OSError, EOFError) as error:
        reason = " ".join(str(error).split())[:200]
        mend = ": save it as UTF-8" if "utf-8" in reason else ""
        raise InputError(f"{path}: cannot be read as a table: {reason}{mend}") from error
