"""Safe reading of HDF5 files from anyone. No other module opens one for reading.

An HDF5 file can refer to other files of the machine that reads it: by links, virtual datasets and external storage. It
can declare sizes that exceed any memory, and filters that load code. So this module inspects a link before it follows
it, and checks all declarations before it reads any values. ``Hdf5File`` returns only what is stored in the file itself.

h5py is imported inside functions, so that only code that opens a file pays for the import.
"""

from __future__ import annotations

import io
import math
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from lnn.data.hdf5_lookalikes import lookalike
from lnn.errors import Hdf5Error

if TYPE_CHECKING:
    import h5py

BLOCK_BYTES = 32 * 2**20
"""Values are read in blocks of about this size, where the chunks allow it."""

DEFLATE, SHUFFLE, FLETCHER32, LZF = 1, 2, 3, 32000
FILTERS = {DEFLATE, SHUFFLE, FLETCHER32, LZF}
"""HDF5's ids of the filters built into h5py; no other filter may run on untrusted bytes."""

COMMITTED = "found a type that lies elsewhere in the file"
NAMES_SHOWN = 8

MAX_ATTRIBUTE_BYTES = 2**20
MAX_CHUNK_BYTES = 64 * 2**20
"""The largest chunk of an array that is read whole: unpacking takes several times its size."""
MAX_INFLATION = 1_100
"""The largest ratio of an array's size to the file's: deflate reaches 1,032 (https://zlib.net/zlib_tech.html)."""

# Exceptions of h5py, by the kind of damage: I/O and format (OSError), unknown types (TypeError), names and text
# (ValueError), broken references (KeyError, RuntimeError), impossible sizes (MemoryError, OverflowError).
H5_ERRORS = (OSError, TypeError, ValueError, KeyError, RuntimeError, MemoryError, OverflowError)


@dataclass(frozen=True, slots=True)
class Hdf5File:
    """An open file: the names in its root group, and the datasets and attributes stored in it."""

    name: str
    size: int
    """Bytes of the file."""
    _file: h5py.File

    def names(self) -> list[str]:
        """The first few names in the root group, made printable."""
        return [_printable(name) for name, _ in zip(self._file.keys(), range(NAMES_SHOWN), strict=False)]

    def holds(self, name: str) -> bool:
        """True when the root group has this name, whatever it refers to."""
        return bool(self._file.id.links.exists(name.encode()))

    def dataset(self, name: str) -> h5py.Dataset:
        """The dataset of that name. Raises Hdf5Error when it is missing or unsafe to read."""
        try:
            problem, dataset = self._look_up(name)
        except TypeError:
            raise Hdf5Error(
                f"{name}: found values of a type that numpy does not have; write it with h5py from a numpy array"
            ) from None
        except H5_ERRORS as error:
            raise Hdf5Error(f"{name}: cannot be read: {reason_of(error)}") from error
        if problem:
            raise Hdf5Error(f"{name}: {problem}")
        return dataset

    def arrays(self, names: Iterable[str], limit: int) -> list[npt.NDArray[Any]]:
        """Datasets of numbers as arrays, of at most ``limit`` bytes together, in this machine's byte order.

        Raises Hdf5Error when one is missing or unsafe to read, or when all declare more: before any value is read.
        """
        declared: list[tuple[str, h5py.Dataset]] = []
        left = limit
        for name in names:
            dataset = self._numbers(name, left)
            left -= dataset.nbytes
            declared.append((name, dataset))
        arrays = []
        for name, dataset in declared:
            with reading(name):
                arrays.append(dataset[()].astype(dataset.dtype.newbyteorder("="), copy=False))
        return arrays

    def _numbers(self, name: str, limit: int) -> h5py.Dataset:
        """The dataset of that name, whose values are numbers that take at most ``limit`` bytes."""
        dataset = self.dataset(name)
        if dataset.dtype.kind not in "fiub":
            raise Hdf5Error(f"{name}: found values of another kind; expected numbers")
        takes = f"{name}: found shape {dataset.shape}, which takes {dataset.nbytes:,} bytes"
        if dataset.nbytes > limit:
            raise Hdf5Error(f"{takes}; expected at most {limit:,}")
        if dataset.nbytes > MAX_INFLATION * self.size:
            raise Hdf5Error(f"{takes}; expected no more than a file of {self.size:,} bytes can hold")
        if problem := storage_problem(dataset, 0, MAX_CHUNK_BYTES):
            raise Hdf5Error(f"{name}: {problem}")
        return dataset

    def attribute(self, name: str, default: str | float | None = None) -> str | float:
        """The root group's attribute of that name, one number or text. Raises Hdf5Error when it is anything else.

        ``default``, if given, is returned for a missing attribute.
        """
        with reading(name):
            exists = name in self._file.attrs
        if not exists and default is not None:
            return default
        try:
            problem = self._attribute_problem(name) if exists else "missing"
            value = "" if problem else self._file.attrs[name]
            text = value.decode() if isinstance(value, bytes) else value
            if isinstance(text, str):
                problem = problem or ("" if len(text.encode()) <= MAX_ATTRIBUTE_BYTES else "found too long a text")
        except H5_ERRORS as error:
            raise Hdf5Error(f"attribute {name}: cannot be read: {reason_of(error)}") from error
        if problem:
            raise Hdf5Error(f"attribute {name}: {problem}; expected one number or text")
        return text if isinstance(text, str) else text.item()

    def _attribute_problem(self, name: str) -> str:
        """The problem with an attribute that is neither a number nor a text; "" for one that is."""
        import h5py

        attribute = h5py.h5a.open(self._file.id, name.encode())
        if attribute.get_space().get_simple_extent_type() != h5py.h5s.SCALAR:
            return "found an array, or nothing"
        if attribute.get_type().committed():
            return COMMITTED
        if attribute.get_storage_size() > MAX_ATTRIBUTE_BYTES:
            return f"found {attribute.get_storage_size():,} bytes"
        dtype = attribute.dtype
        return "" if holds_text(dtype) or dtype.kind in "fiub" else "found values of another kind"

    def _look_up(self, name: str) -> tuple[str, h5py.Dataset | None]:
        """(problem, None) or ("", dataset). A link may lead out of the file, so its type is checked first."""
        import h5py

        problem, dataset = "", None
        if not self.holds(name):
            there = ", ".join(self.names())
            problem = f"missing; expected a dataset of this name; the file holds {there or 'nothing'}"
        elif self._file.id.links.get_info(name.encode()).type != h5py.h5l.TYPE_HARD:
            problem = "found a link to somewhere else; expected the dataset itself, in this file"
        elif not isinstance(item := self._file[name], h5py.Dataset):
            problem = f"found a {type(item).__name__.lower()}; expected a dataset"
        elif item.is_virtual or item.external:
            problem = "found values kept in other files; expected them in this file"
        elif item.shape is None or item.ndim == 0:
            problem = f"found {'nothing' if item.shape is None else 'a single value'}; expected an array"
        elif item.id.get_type().committed():
            problem = f"{COMMITTED}; write it with h5py from a numpy array"
        elif item.dtype is not None:  # h5py raises TypeError here where numpy has no such type
            dataset = item
        return problem, dataset


def load_library() -> None:
    """Import h5py now rather than with the first file."""
    import h5py  # noqa: F401


@contextmanager
def open_file(path: str | Path) -> Iterator[Hdf5File]:
    """The file, open for reading. An exception of h5py inside the block becomes an Hdf5Error."""
    import h5py

    path = Path(path)
    if not path.is_file():
        raise Hdf5Error(f"{path.name}: no such file")
    if not path.stat().st_size:
        raise Hdf5Error(f"{path.name}: the file is empty; expected an HDF5 file")
    if not h5py.is_hdf5(path):
        raise Hdf5Error(f"{path.name}: {lookalike(path)}")
    try:
        opened = h5py.File(path, "r")
    except H5_ERRORS as error:
        raise Hdf5Error(f"{path.name}: {_unopened(error)}") from error
    with reading(path.name), opened as file:
        yield Hdf5File(path.name, path.stat().st_size, file)


@contextmanager
def open_bytes(content: bytes, name: str) -> Iterator[Hdf5File]:
    """A file given by its content and its name. An exception of h5py inside the block becomes an Hdf5Error."""
    import h5py

    with reading(name), h5py.File(io.BytesIO(content), "r") as file:
        yield Hdf5File(name, len(content), file)


def _unopened(error: Exception) -> str:
    """Why a file with an HDF5 signature cannot be opened, from HDF5's message, and what to do."""
    reason = reason_of(error)
    if "unable to lock file" in reason:
        return "another program has it open for writing; close it there (f.close()), then try again"
    if "already open for write" in reason:
        return (
            "the program that wrote it has not closed it; close it there (f.close()) and upload it again, or, where "
            "that program has crashed, run: h5clear -s FILE"
        )
    return (
        f"cannot be read: the file is truncated or damaged ({reason}), or the program that wrote it has not closed it; "
        "close it there (f.close()), then write or upload it again"
    )


@contextmanager
def reading(name: str) -> Iterator[None]:
    """An exception of h5py inside the block becomes an Hdf5Error about ``name``."""
    try:
        yield
    except H5_ERRORS as error:
        raise Hdf5Error(
            f"{name}: cannot be read: the file is truncated or damaged ({reason_of(error)}); write or upload it again"
        ) from error


def reason_of(error: Exception) -> str:
    """The message of an h5py exception on one line of at most 200 characters."""
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)  # KeyError's is a repr
    return " ".join(text.split())[:200]


def _printable(name: str) -> str:
    """An untrusted name, made printable."""
    return ascii(name)[1:-1][:40]


def holds_text(dtype: np.dtype[Any]) -> bool:
    """True when values of this type are bytes or str."""
    import h5py

    return dtype.kind == "S" or h5py.check_string_dtype(dtype) is not None


def blocks(dataset: h5py.Dataset) -> Iterator[tuple[int, npt.NDArray[Any]]]:
    """Consecutive blocks of examples, each with its first index; a block is whole chunks, so each is unpacked once."""
    rows = _block_rows(dataset)
    for start in range(0, len(dataset), rows):
        yield start, dataset[start : start + rows]


def _block_rows(dataset: h5py.Dataset) -> int:
    """Examples in a block: whole chunks of up to ``BLOCK_BYTES`` together, and at least one chunk."""
    least = least_rows(dataset)
    rows: int = max(1, BLOCK_BYTES * len(dataset) // (dataset.nbytes * least)) * least
    return rows


def least_rows(dataset: h5py.Dataset) -> int:
    """The fewest examples that can be read without unpacking a chunk twice."""
    return min(dataset.chunks[0], len(dataset)) if dataset.chunks else 1


def storage_problem(dataset: h5py.Dataset, bytes_at_once: int, limit: int) -> str:
    """The reason not to read ``bytes_at_once`` of a dataset at once, where ``limit`` is the most; "" if there is none.

    Checks filters and every stored chunk, since HDF5 itself trusts what they declare.
    """
    return declared_problem(dataset, bytes_at_once, limit) or chunk_problem(dataset)


def declared_problem(dataset: h5py.Dataset, bytes_at_once: int, limit: int) -> str:
    """The part of ``storage_problem`` that reads no chunk: sizes and filters, as the file declares them."""
    at_once = max(bytes_at_once, _chunk_bytes(dataset))
    if at_once > limit:
        return _too_much(dataset, at_once, limit)
    try:
        return _filter_problem(dataset) if dataset.chunks else ""
    except H5_ERRORS as error:
        return f"cannot be read: {reason_of(error)}; write or upload it again"


def chunk_problem(dataset: h5py.Dataset) -> str:
    """The part of ``storage_problem`` that unpacks every chunk, of a dataset without a ``declared_problem``."""
    try:
        if dataset.chunks:
            _check_chunks(dataset, _chunk_bytes(dataset), _filters(dataset))
    except zlib.error as error:
        return f"cannot be read: the file is truncated or damaged ({error}); write or upload it again"
    except H5_ERRORS as error:
        return f"cannot be read: {reason_of(error)}; write or upload it again"
    return ""


def _chunk_bytes(dataset: h5py.Dataset) -> int:
    """Bytes of an unpacked chunk; 0 where there are none."""
    size: int = math.prod(dataset.chunks or (0,)) * dataset.dtype.itemsize
    return size


def _filters(dataset: h5py.Dataset) -> list[int]:
    creation = dataset.id.get_create_plist()
    return [creation.get_filter(index)[0] for index in range(creation.get_nfilters())]


def _filter_problem(dataset: h5py.Dataset) -> str:
    """The problem with the filters, or ""."""
    creation, filters, chunk_bytes = dataset.id.get_create_plist(), _filters(dataset), _chunk_bytes(dataset)
    if not FILTERS.issuperset(filters) or filters.count(DEFLATE) + filters.count(LZF) > 1:
        return f'found HDF5 filters {filters}; expected compression="gzip" or none'
    if LZF in filters and creation.get_filter(filters.index(LZF))[2][2:3] < (chunk_bytes,):  # what lzf makes room for
        return f"cannot be read: its lzf filter is for chunks of less than {chunk_bytes:,} bytes; write it again"
    return ""


def _too_much(dataset: h5py.Dataset, at_once: int, limit: int) -> str:
    if dataset.chunks:
        what = f"HDF5 chunks of shape {dataset.chunks} in an array of shape {dataset.shape}"
        mend = "write it with chunks that hold fewer examples, such as chunks=(64, ...)"
    else:
        what, mend = f"an array of shape {dataset.shape}", "use fewer or smaller examples"
    return (
        f"found {what}, of which {at_once / 2**20:,.0f} MiB have to be read at once; "
        f"expected at most {limit / 2**20:,.0f} MiB: {mend}"
    )


def _check_chunks(dataset: h5py.Dataset, chunk_bytes: int, filters: list[int]) -> None:
    """Raise ValueError or zlib.error for a chunk that does not unpack to its declared size.

    HDF5 trusts that size: it inflates without limit, and reads beyond the end of a chunk that is too short.
    """
    packed = []

    def collect(chunk: Any) -> None:
        used = [number for index, number in enumerate(filters) if not chunk.filter_mask >> index & 1]
        if chunk.size > 1.1 * chunk_bytes + 1_024:  # deflate never expands data by more
            raise ValueError(f"a chunk of {chunk_bytes:,} bytes claims to be {chunk.size:,} bytes long when compressed")
        if DEFLATE in used:
            packed.append((chunk.chunk_offset, chunk_bytes + _checksums(used[: used.index(DEFLATE)])))
        elif LZF not in used and chunk.size != chunk_bytes + _checksums(used):
            raise ValueError(f"a chunk of {chunk_bytes:,} bytes is stored as {chunk.size:,}")

    dataset.id.chunk_iter(collect)
    for offset, expected in packed:
        _, stored = dataset.id.read_direct_chunk(offset)
        inflater = zlib.decompressobj()
        size = 0
        while stored and size <= expected:
            size += len(inflater.decompress(stored, BLOCK_BYTES))
            stored = inflater.unconsumed_tail
        if size != expected:
            unpacked = "more" if size > expected else "less"
            raise ValueError(f"a chunk unpacks to {unpacked} than its declared {chunk_bytes:,} bytes")


def _checksums(filters: list[int]) -> int:
    """Bytes that the filters add to a chunk."""
    return 4 * filters.count(FLETCHER32)
