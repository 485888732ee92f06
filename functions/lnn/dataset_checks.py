"""Whether a ``datasets.h5`` can be trained on.

A file comes from anyone. What it declares (shapes, types, links, filters) is checked first, against a memory
limit, before any value is read; values are then checked block by block. A problem reads
``dataset: found what is there; expected what should be, or how to mend it``, and one DatasetError carries all of them.

Run as a program, it checks one file for ``lnn.dataset.inspect_dataset`` and answers on standard output: the HDF5
library itself may crash or never come back on a damaged file, and takes nobody with it then.

h5py is imported where it is used: only what opens a file pays for it.
"""

from __future__ import annotations

import json
import math
import resource
import sys
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from lnn.errors import DatasetError

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
SPARE_BYTES = 2**29
"""What the checking itself may take besides a block."""
BLOCK_COPIES = 4
"""A block that is one chunk is there packed, unpacked into a buffer that grows by doubling, and as an array."""
BLOCK_BYTES = 32 * 2**20
"""Values are read in blocks of about this size, where the chunks allow it."""

DEFLATE, SHUFFLE, FLETCHER32, LZF = 1, 2, 3, 32000
FILTERS = {DEFLATE, SHUFFLE, FLETCHER32, LZF}
"""HDF5's numbers of the filters that h5py itself always has; no other is run on a stranger's bytes."""

# What h5py raises, by the kind of damage: I/O and format (OSError), unknown types (TypeError), names and text
# (ValueError), broken references (KeyError, RuntimeError), sizes that cannot be (MemoryError, OverflowError).
H5_ERRORS = (OSError, TypeError, ValueError, KeyError, RuntimeError, MemoryError, OverflowError)


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
    with open_file(path) as file:
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


# Opening and reading -------------------------------------------------------------------------------------------------


@contextmanager
def open_file(path: str | Path) -> Iterator[h5py.File]:
    """The file, open for reading. Any h5py trouble inside the block becomes a DatasetError."""
    import h5py

    path = Path(path)
    if not path.is_file():
        raise DatasetError(f"{path.name}: no such file")
    with path.open("rb") as stream:
        start = stream.read(8)
    if not start:
        raise DatasetError(f"{path.name}: the file is empty; expected an HDF5 file")
    if not h5py.is_hdf5(path):
        raise DatasetError(
            f"{path.name}: found a file that starts with {start!r}; expected an HDF5 file, as h5py writes it"
        )
    with reading(path.name), h5py.File(path, "r") as file:
        yield file


@contextmanager
def reading(name: str) -> Iterator[None]:
    """Any h5py trouble inside the block becomes a DatasetError about ``name``."""
    try:
        yield
    except H5_ERRORS as error:
        reason = _reason(error)
        raise DatasetError(
            f"{name}: cannot be read: the file is truncated or damaged ({reason}); write or upload it again"
        ) from error


def _reason(error: Exception) -> str:
    """An error of h5py's on one line, no longer than a reader will read."""
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)  # KeyError's is a repr
    return " ".join(text.split())[:200]


def _short(name: str) -> str:
    """A stranger's name for something, fit to be printed."""
    return ascii(name)[1:-1][:40]


def blocks(dataset: h5py.Dataset) -> Iterator[tuple[int, npt.NDArray[Any]]]:
    """Consecutive blocks of examples, each with the index of its first: whole chunks, so that each is unpacked once."""
    rows = _block_rows(dataset)
    for start in range(0, len(dataset), rows):
        yield start, dataset[start : start + rows]


def _block_rows(dataset: h5py.Dataset) -> int:
    """Examples of a block: what ``BLOCK_BYTES`` holds, in whole chunks, and at least one chunk's."""
    least = _least_rows(dataset)
    rows: int = max(1, BLOCK_BYTES * len(dataset) // (dataset.nbytes * least)) * least
    return rows


def _least_rows(dataset: h5py.Dataset) -> int:
    """The fewest examples that can be read with no chunk unpacked twice."""
    return min(dataset.chunks[0], len(dataset)) if dataset.chunks else 1


# Structure: what the file declares -----------------------------------------------------------------------------------


def _find(file: h5py.File, name: str, problems: list[str]) -> h5py.Dataset | None:
    """The dataset of that name; None, with a problem noted, if it is not there or is not one that may be read."""
    try:
        problem, dataset = _look_up(file, name)
    except TypeError:
        problem, dataset = (
            "found values of a type that numpy does not have; write it with h5py from a numpy array",
            None,
        )
    except H5_ERRORS as error:
        problem, dataset = f"cannot be read: {_reason(error)}", None
    if problem:
        problems.append(f"{name}: {problem}")
    return dataset


def _look_up(file: h5py.File, name: str) -> tuple[str, h5py.Dataset | None]:
    """(problem, None) or ("", dataset). A link is looked at before it is followed: it may lead out of the file."""
    import h5py

    problem, dataset = "", None
    if not file.id.links.exists(name.encode()):
        there = ", ".join(_short(other) for other, _ in zip(file.keys(), range(8), strict=False))
        problem = f"missing; expected a dataset of this name; the file holds {there or 'nothing'}"
    elif file.id.links.get_info(name.encode()).type != h5py.h5l.TYPE_HARD:
        problem = "found a link to somewhere else; expected the dataset itself, in this file"
    elif not isinstance(item := file[name], h5py.Dataset):
        problem = f"found a {type(item).__name__.lower()}; expected a dataset"
    elif item.is_virtual or item.external:
        problem = "found values kept in other files; expected them in this file"
    elif item.shape is None or item.ndim == 0:
        problem = f"found {'nothing' if item.shape is None else 'a single value'}; expected an array"
    elif item.dtype is not None:  # h5py finds out here whether numpy has such a type
        dataset = item
    return problem, dataset


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
    import h5py

    dtype = dataset.dtype
    if name == CLASSES:
        string = h5py.check_string_dtype(dtype)
        if string is None and dtype.kind != "S":
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
        block_bytes = _least_rows(dataset) * math.prod(dataset.shape[1:]) * dataset.dtype.itemsize
    else:  # small enough to be read at once
        block_bytes = dataset.nbytes
    chunk_bytes = math.prod(dataset.chunks or (0,)) * dataset.dtype.itemsize
    if max(block_bytes, chunk_bytes) > block_limit:
        if dataset.chunks:
            what = f"HDF5 chunks of shape {dataset.chunks} in an array of shape {dataset.shape}"
            mend = "write it with chunks that hold fewer examples, such as chunks=(64, ...)"
        else:
            what, mend = f"an array of shape {dataset.shape}", "use fewer or smaller examples"
        problems.append(
            f"{name}: found {what}, of which {max(block_bytes, chunk_bytes) / 2**20:,.0f} MiB have to be read at once; "
            f"expected at most {block_limit / 2**20:,.0f} MiB: {mend}"
        )
        return
    if not dataset.chunks:
        return
    creation = dataset.id.get_create_plist()
    filters = [creation.get_filter(index)[0] for index in range(creation.get_nfilters())]
    if not FILTERS.issuperset(filters) or filters.count(DEFLATE) + filters.count(LZF) > 1:
        problems.append(f'{name}: found HDF5 filters {filters}; expected compression="gzip" or none')
        return
    if LZF in filters and creation.get_filter(filters.index(LZF))[2][2:3] < (chunk_bytes,):  # what lzf makes room for
        problems.append(f"{name}: cannot be read: its lzf filter is for chunks of less than {chunk_bytes:,} bytes")
        return
    try:
        _check_chunks(dataset, chunk_bytes, filters)
    except zlib.error as error:
        problems.append(f"{name}: cannot be read: the file is truncated or damaged ({error}); write or upload it again")
    except H5_ERRORS as error:
        problems.append(f"{name}: cannot be read: {_reason(error)}")


def _check_chunks(dataset: h5py.Dataset, chunk_bytes: int, filters: list[int]) -> None:
    """HDF5 trusts a chunk to unpack to its declared size: it inflates for as long as there is more, and of a chunk that
    is too short it reads whatever memory comes after. Find such chunks before it does. Raises ValueError, zlib.error.
    """
    packed = []

    def collect(chunk: Any) -> None:
        used = [number for index, number in enumerate(filters) if not chunk.filter_mask >> index & 1]
        if chunk.size > 1.1 * chunk_bytes + 1_024:  # deflate never makes anything that much longer
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
    duplicates = sorted(name for name, count in Counter(names).items() if name and count > 1)
    if duplicates:
        problems.append(
            f"{CLASSES}: found {', '.join(map(repr, duplicates[:5]))} more than once; expected different names"
        )
    return names


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
    import h5py  # noqa: F401 - before the limit, which counts from what the process takes now

    pages = int(Path("/proc/self/statm").read_text().split()[0]) if Path("/proc/self/statm").exists() else 0
    if pages:
        limit = pages * resource.getpagesize() + BLOCK_COPIES * block_limit + SPARE_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    try:
        answer: dict[str, Any] = {"summary": asdict(examine_dataset(path, max_bytes, block_limit))}
    except DatasetError as error:
        answer = {"problems": error.problems}
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
