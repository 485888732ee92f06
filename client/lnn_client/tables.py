"""Tables in files, read through polars: CSV, TSV, Parquet, Feather and Excel, batch by batch.

CSV is read as text, whatever its cells look like: what a column holds is decided from all of its rows, by
``lnn_client.table_columns``.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING

from lnn.data.preprocessing import MISSING, listed
from lnn.errors import InputError
from lnn.text.characters import quoted
from lnn_client.datasets import existing_file

if TYPE_CHECKING:
    import polars as pl

BATCH_ROWS = 20_000
"""Rows that are worked on at once."""
BLOCK_BYTES = 2**22
"""Text that is read at once."""
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
    _frames: Callable[[], Iterator[pl.DataFrame]]
    """All rows in order, some at a time."""

    def batches(self, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
        """Its rows in order, up to ``BATCH_ROWS`` at a time: texts without blanks around them, null where missing.

        Raises InputError when the file cannot be read.
        """
        import polars as pl

        with _readable(self.path):
            for frame in self._frames():
                for part in frame.select(columns).iter_slices(BATCH_ROWS):
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
    existing_file(path)
    name = path.name.lower()
    with _readable(path):
        if name.removesuffix(".gz").endswith(TEXT_SUFFIXES):
            frames, columns = partial(_texts, path), _columns_of_text(path)
        else:
            frame = _frame(path, name)
            frames, columns = partial(_streamed, frame), frame.collect_schema().names()
    twice = [name for name in columns if (first := name.rpartition("_duplicated_")[0]) and first in columns]
    if twice:
        raise InputError(
            f"{path}: found two columns named {quoted(twice[0].rpartition('_duplicated_')[0])}; rename one"
        )
    return Table(path, columns, frames)


def _frame(path: Path, name: str) -> pl.LazyFrame:
    import polars as pl

    if name.endswith(PARQUET_SUFFIXES):
        return pl.scan_parquet(path)
    if name.endswith(FEATHER_SUFFIXES):
        return pl.scan_ipc(path)
    if name.endswith(EXCEL_SUFFIXES):
        return pl.read_excel(path, infer_schema_length=None).lazy()
    raise InputError(f"{path}: found {path.suffix or 'no suffix'}; expected {', '.join(SUFFIXES)}")


def _streamed(frame: pl.LazyFrame) -> Iterator[pl.DataFrame]:
    yield from frame.collect_batches(chunk_size=BATCH_ROWS, maintain_order=True)


# Text ----------------------------------------------------------------------------------------------------------------


def _texts(path: Path) -> Iterator[pl.DataFrame]:
    """The rows of a CSV file, a block at a time.

    polars itself would map the whole file into memory, or unpack it there: much more than rows to work on take.
    """
    import polars as pl

    separator, columns = _separator(path), None
    for block in _blocks(path):
        if columns is None:
            frame = pl.read_csv(block, infer_schema=False, separator=separator)
            columns = dict.fromkeys(frame.columns, pl.String)
        else:
            frame = pl.read_csv(block, has_header=False, schema=columns, separator=separator)
        yield frame


def _columns_of_text(path: Path) -> list[str]:
    import polars as pl

    first = next(_blocks(path), b"")
    return pl.read_csv(first, infer_schema=False, separator=_separator(path), n_rows=1).columns


def _blocks(path: Path) -> Iterator[bytes]:
    """The file in blocks of whole rows, of about ``BLOCK_BYTES``."""
    with _opened(path) as file:
        rest = b""
        while read := file.read(BLOCK_BYTES):
            rest += read
            if end := _end_of_rows(rest):
                yield rest[:end]
                rest = rest[end:]
        if rest:
            yield rest


def _end_of_rows(block: bytes) -> int:
    """Where the last whole row of a block ends, or 0. A cell in quotes may have several lines."""
    end = block.rfind(b"\n") + 1
    while end and block.count(b'"', 0, end) % 2:
        end = block.rfind(b"\n", 0, end - 1) + 1
    return end


def _separator(path: Path) -> str:
    """The character between the names in the first line."""
    if ".csv" not in path.name.lower():
        return "\t"
    with _opened(path) as file:
        line = file.readline(2**20).decode(errors="replace")
    return max(SEPARATORS, key=line.count)


def _opened(path: Path) -> IO[bytes]:
    return gzip.open(path) if path.name.lower().endswith(".gz") else path.open("rb")  # type: ignore[return-value]


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
