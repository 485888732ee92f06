"""Arrays in files: .npz, .npy, MNIST's IDX (also with .gz) and HDF5, found by the names that people give them."""

from __future__ import annotations

import gzip
import math
import re
import zipfile
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lnn.data.dataset import MAX_BYTES
from lnn.data.hdf5 import Hdf5File, open_file, reading
from lnn.data.mends import OTHER_NAMES, UNDIVIDED
from lnn.data.validation import MAX_CLASSES
from lnn.data.weights import WEIGHTS
from lnn.errors import Hdf5Error, InputError
from lnn.text.characters import quoted
from lnn_client.class_folders import TEST, TRAIN, VALIDATION
from lnn_client.datasets import existing_file

CLASSES = "list_classes"
FEATURE_NAMES = "feature_names"
EXPECTED = "X and y, or x_train, y_train, x_test and y_test"

_IDX_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
"""Types of IDX by the third byte: https://yann.lecun.org/exdb/mnist/."""
_IDX_NAME = re.compile(r"[-.]idx\d-ubyte$|\.idx\d?$|-ubyte$")


def _squeezed(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.casefold())


_ROLES = {
    **{
        _squeezed(name): f"{part}_set_{kind}"
        for part, words in (
            (TRAIN, ("train", "training")),
            (TEST, ("test", "testing")),
            (VALIDATION, ("val", "valid", "validation")),
        )
        for kind, others in UNDIVIDED.items()
        for word in words
        for other in others
        for name in (word + other, other + word)
    },
    **{_squeezed(other): role for role, others in OTHER_NAMES.items() for other in (role, *others)},
    **{_squeezed(other): role for role, others in UNDIVIDED.items() for other in others},
    **{
        _squeezed(name): WEIGHTS
        for name in (WEIGHTS, "sample_weight", "sample_weights", "sample_weight_train", "train_sample_weight")
    },
    **{_squeezed(name): FEATURE_NAMES for name in (FEATURE_NAMES, "features_names", "column_names", "columns")},
}
"""What a name stands for, without its case and signs."""


@dataclass(slots=True)
class Arrays:
    """The arrays of some files, by role: those of a dataset, or ``x`` and ``y`` of examples that are not split.

    The weights of either have the role ``WEIGHTS``.
    """

    path: Path
    """What the user has named."""
    found: dict[str, NDArray[Any]] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    """What each is called, by role."""
    left_out: list[str] = field(default_factory=list)
    """Arrays that are neither examples nor labels, with the reason."""

    @property
    def is_split(self) -> bool:
        """Whether they say which examples are for testing."""
        return "test_set_x" in self.found

    def add(self, role: str, name: str, array: NDArray[Any]) -> None:
        """Raises InputError where another array has the role."""
        if role in self.found:
            raise InputError(
                f"{self.path}: found {quoted(self.names[role])} and {quoted(name)}, which are both {_meaning(role)}; "
                "expected one of them: name the files of one data set, or rename the other"
            )
        self.found[role], self.names[role] = array, name


def is_array_file(path: Path) -> bool:
    """True for a file whose name says that it holds arrays: .npz, .npy or IDX."""
    return path.suffix.lower() in {".npz", ".npy"} or _is_idx(path)


def holds_arrays(folder: Path) -> bool:
    """True for a folder with files of arrays in it."""
    return any(is_array_file(path) for path in _files(folder))


def read_arrays(paths: Sequence[Path]) -> Arrays:
    """The arrays of an .npz, of two or four .npy or IDX files, or of a folder of these.

    Of one .npy or IDX file the others beside it are taken, by their names.

    Raises:
        InputError: a file cannot be read, or examples or labels are missing.
    """
    first = paths[0]
    if len(paths) == 1 and first.is_dir():
        arrays = _of_files(first, [path for path in _files(first) if is_array_file(path)])
    elif len(paths) == 1 and existing_file(first).suffix.lower() == ".npz":
        arrays = _of_npz(first)
    elif len(paths) == 1 and is_array_file(first):
        arrays = _of_files(first, _beside(first))
    else:
        for path in paths:
            if not is_array_file(existing_file(path)) or path.suffix.lower() == ".npz":
                raise InputError(
                    f"{path}: found {path.suffix or 'no suffix'}; expected one .npz, a folder, or .npy and IDX files"
                )
        arrays = _of_files(first, paths)
    return _checked(arrays)


def read_pair(train: Path, test: Path) -> Arrays:
    """The arrays of two HDF5 files, of which one holds the examples for training and one those for testing.

    Raises:
        InputError: a file cannot be read, or one of the four arrays is missing.
    """
    arrays = Arrays(train)
    for path, part in ((train, TRAIN), (test, TEST)):
        try:
            with open_file(existing_file(path)) as file:
                _add_hdf5(arrays, file, path, part)
        except Hdf5Error as error:
            raise InputError([f"{path}: {problem}" for problem in error.problems]) from error
    return _checked(arrays, f"{train} and {test}")


# By name -------------------------------------------------------------------------------------------------------------


def role_of(name: str) -> str | None:
    """What an array of this name is: MNIST's ``t10k-labels``, Keras's ``x_train``, ``emnist-letters-train-images``."""
    words = re.split(r"[^A-Za-z0-9]+", name.casefold().replace("t10k", "test"))
    for start in range(len(words)):
        if role := _ROLES.get("".join(words[start:])):
            return role
    return None


def _meaning(role: str) -> str:
    if role in (CLASSES, FEATURE_NAMES):
        return "the names of the classes" if role == CLASSES else "the names of the features"
    if role == WEIGHTS:
        return "weights of the examples"
    kind = "examples" if role.endswith("x") else "labels"
    return kind + {"tr": " for training", "te": " for testing", "va": " for validation"}.get(role[:2], "")


def _checked(arrays: Arrays, where: str | None = None) -> Arrays:
    """The arrays. Raises InputError where examples or labels are missing."""
    held_out = {"test_set_x", "validation_set_x"} & set(arrays.found)
    if held_out and "x" in arrays.found and "train_set_x" not in arrays.found:
        for kind in ("x", "y"):
            if kind in arrays.found:
                arrays.found[f"train_set_{kind}"] = arrays.found.pop(kind)
                arrays.names[f"train_set_{kind}"] = arrays.names.pop(kind)
    roles = set(arrays.found)
    wanted = ["x", "y"] if roles & {"x", "y"} else ["train_set_x", "train_set_y"]
    if roles & {"test_set_x", "test_set_y"}:
        wanted += ["test_set_x", "test_set_y"]
    if roles & {"validation_set_x", "validation_set_y"}:
        wanted += ["validation_set_x", "validation_set_y"]
    missing = [role for role in wanted if role not in roles]
    if missing:
        named = ", ".join(quoted(name) for name in arrays.names.values()) or "no array with such a name"
        others = f", beside {'; '.join(arrays.left_out[:3])}" if arrays.left_out else ""
        raise InputError(
            f"{where or arrays.path}: found {named}{others}; expected {_meaning(missing[0])}, too: name them as in "
            f"{EXPECTED}"
        )
    if wanted[0] != "x":
        for role in roles & {"x", "y"}:
            arrays.left_out.append(f"{quoted(arrays.names[role])}: there are arrays for training and testing beside it")
            del arrays.found[role]
    return arrays


# Files ---------------------------------------------------------------------------------------------------------------


def _of_npz(path: Path) -> Arrays:
    arrays = Arrays(path)
    try:
        with zipfile.ZipFile(path) as packed:
            _refuse_too_much(path, sum(member.file_size for member in packed.infolist()))
        with np.load(path, allow_pickle=False) as stored:
            for name in stored.files:
                role = role_of(name)
                if role is None:
                    arrays.left_out.append(f"array {quoted(name)}: its name is that of no examples and no labels")
                else:
                    arrays.add(role, name, _loaded(path, name, lambda name=name: stored[name]))  # type: ignore[misc]
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise _unread(path, error) from error
    return arrays


def _of_files(path: Path, files: Iterable[Path]) -> Arrays:
    """The arrays of .npy and IDX files: by their names, or two without such names as X and y."""
    arrays = Arrays(path)
    files = list(files)
    roles = [role_of(_stem(file)) for file in files]
    if len(files) == 2 and roles == [None, None]:
        roles = ["x", "y"]
    for file, role in zip(files, roles, strict=True):
        unpacked = file.with_name(file.name[: -len(".gz")]) if file.suffix.lower() == ".gz" else None
        if role is None:
            arrays.left_out.append(f"{file}: its name is that of no examples and no labels")
        elif unpacked is None or unpacked not in files:
            arrays.add(role, str(file), _of_npy(file) if file.suffix.lower() == ".npy" else _of_idx(file))
    return arrays


def _of_npy(path: Path) -> NDArray[Any]:
    try:
        with path.open("rb") as file:
            if not file.read(8).startswith(b"\x93NUMPY"):
                raise InputError(f"{path}: found no array; write it with numpy.save")
        return _loaded(path, "", lambda: np.load(path, mmap_mode="r", allow_pickle=False))
    except (OSError, EOFError) as error:
        raise _unread(path, error) from error


def _loaded(path: Path, name: str, load: Callable[[], NDArray[Any]]) -> NDArray[Any]:
    where = f"{path}: {quoted(name)}" if name else str(path)
    try:
        array = load()
    except ValueError as error:
        if "allow_pickle" in str(error):
            raise InputError(
                f"{where}: found Python objects, which a file from others could run programs with; expected numbers or "
                "texts: save np.array(values.tolist())"
            ) from error
        raise _unread(path, error) from error
    if not isinstance(array, np.ndarray):
        raise InputError(f"{where}: found no array; write it with numpy.savez")
    return array


def _of_idx(path: Path) -> NDArray[Any]:
    """The array of an IDX file: two zero bytes, type, axes, their lengths, and the values, all big-endian."""
    opened = gzip.open if path.suffix.lower() == ".gz" else open
    try:
        with opened(path, "rb") as file:
            head = file.read(4)
            if len(head) < 4 or head[:2] != b"\0\0" or head[2] not in _IDX_TYPES or not 1 <= head[3] <= 4:
                raise InputError(f"{path}: found no IDX file, whose first bytes are 0, 0, a type and 1 to 4 axes")
            dtype, axes = np.dtype(_IDX_TYPES[head[2]]), head[3]
            sides = file.read(4 * axes)
            if len(sides) < 4 * axes:
                raise InputError(f"{path}: found the start of an IDX file only; get the whole file")
            shape = np.frombuffer(sides, ">u4").tolist()
            size = math.prod(shape) * dtype.itemsize
            _refuse_too_much(path, size)
            content = file.read(size + 1)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise _unread(path, error) from error
    if len(content) != size:
        than = "more bytes" if len(content) > size else f"{len(content):,} bytes"
        raise InputError(f"{path}: found {than} of values; expected {size:,}, as its head says: get the whole file")
    return np.frombuffer(content, dtype).reshape(shape).astype(dtype.newbyteorder("="), copy=False)


def _add_hdf5(arrays: Arrays, file: Hdf5File, path: Path, part: str) -> None:
    """Add a file of a pair: names that say their part count, ``X`` and ``y`` belong to ``part``."""
    of_parts = [f"{one}_set_{kind}" for one in (TRAIN, TEST, VALIDATION) for kind in "xy"]
    for role in (*of_parts, WEIGHTS):
        if name := next(filter(file.holds, (role, *OTHER_NAMES.get(role, ()))), None):
            arrays.add(role, f"{name} in {path}", file.arrays([name], MAX_BYTES)[0])
    for kind in ("x", "y"):
        role = f"{part}_set_{kind}"
        if role not in arrays.found and (name := next(filter(file.holds, UNDIVIDED[kind]), None)):
            arrays.add(role, f"{name} in {path}", file.arrays([name], MAX_BYTES)[0])
    if name := next(filter(file.holds, (CLASSES, *OTHER_NAMES[CLASSES])), None):
        dataset = file.dataset(name)
        if dataset.ndim != 1 or len(dataset) > MAX_CLASSES:
            raise InputError(f"{path}: {name}: found shape {dataset.shape}; expected (K,), the names of K classes")
        with reading(name):
            classes = np.array([_text(value) for value in dataset[...].tolist()])
        if CLASSES in arrays.found and arrays.found[CLASSES].tolist() != classes.tolist():
            raise InputError(
                f"{path}: {name}: found {', '.join(map(quoted, classes[:5]))}; expected "
                f"{', '.join(map(quoted, arrays.found[CLASSES][:5]))}, as in {arrays.path}: the two are of different "
                "data sets"
            )
        arrays.found[CLASSES], arrays.names[CLASSES] = classes, f"{name} in {path}"


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _is_idx(path: Path) -> bool:
    name = path.name.lower().removesuffix(".gz")
    return _IDX_NAME.search(name) is not None


def _stem(path: Path) -> str:
    """The name without what says its format."""
    return _IDX_NAME.sub("", path.name.lower().removesuffix(".gz").removesuffix(".npy"))


def _beside(path: Path) -> list[Path]:
    """The file and those beside it of the same format and the same data set, which their names begin with."""
    return [other for other in _files(path.parent) if is_array_file(other) and _series(other) == _series(path)]


def _series(path: Path) -> tuple[bool, bool, str]:
    """Format and data set of a file: what is in its name before the role."""
    words = re.split(r"[^A-Za-z0-9]+", _stem(path).replace("t10k", "test"))
    start = next((place for place in range(len(words)) if "".join(words[place:]) in _ROLES), len(words))
    return _is_idx(path), path.suffix.lower() == ".gz", " ".join(words[:start])


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))


def _refuse_too_much(path: Path, size: int) -> None:
    if size > MAX_BYTES:
        raise InputError(
            f"{path}: found {size / 2**20:,.0f} MiB of values; expected at most {MAX_BYTES / 2**20:,.0f}: use fewer "
            "examples, or a smaller type"
        )


def _unread(path: Path, error: Exception) -> InputError:
    reason = " ".join(str(error).split())[:160] or type(error).__name__
    return InputError(f"{path}: cannot be read: {reason}; get the whole file, or write it again")
