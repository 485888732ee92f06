"""Detection of test examples that are also training examples, by hashes."""

import struct
from typing import Any

import numpy as np
import numpy.typing as npt

MOST_COMPARED = 2**21
"""The most examples of each set that are hashed, at 8 bytes each; the first ones of a larger set."""

Hashes = npt.NDArray[np.int64]


def hashes_of(examples: npt.NDArray[Any], dtype: np.dtype[Any]) -> Hashes:
    """A hash of each example's bytes in ``dtype``; comparable within this process only."""
    rows = np.ascontiguousarray(examples, dtype.newbyteorder("=")).reshape(len(examples), -1)
    row = struct.Struct(f"{rows.shape[1] * rows.itemsize}s")
    return np.fromiter(map(hash, row.iter_unpack(rows.view(np.uint8).data)), np.int64, len(rows))


def count_repeated(train: Hashes, test: Hashes) -> int:
    """How many of the test examples are training examples as well."""
    known = np.sort(train)
    places = np.minimum(np.searchsorted(known, test), len(known) - 1)
    return int(np.count_nonzero(known[places] == test))
