"""Parts of a batch of predictions: rows that a client uploads, and what a function answers to them.

Both are ``.npy`` files of format version 1.0 (numpy, "NEP 1"), one row an example: a part has what the network takes,
its answer the probabilities or numbers that ``lnn.models.inference.outputs_of`` gives. The header is written here,
byte for byte: the same rows have the same SHA-256 whatever numpy wrote them, and a reader compares it, parsing nothing.

An answer may also be a reason for which there is none, as JSON.
"""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, Any

import numpy as np

from lnn.errors import InputError
from lnn.models.inference import column_of_picture, outputs_of
from lnn.text.characters import in_json

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lnn.models.model_file import Model

PART_BYTES = 4 * 2**20
"""The most that the rows of a part take, and those of its answer, unless one row takes more."""
PART_MULTIPLICATIONS = 10**10
"""The most that the rows of a part make the network multiply: some seconds of one vCPU, of Predict's 29 s."""
BLOCK_BYTES = 32 * 2**20
"""Rows are predicted in blocks, so that a layer's activations take about this much."""

PIXELS, NUMBERS = np.dtype("|u1"), np.dtype("<f8")
MAGIC = b"\x93NUMPY\x01\x00"
HEADER_BYTES = 128


def row_type(model: Model) -> np.dtype[Any]:
    """Of the values in a part: pictures are bytes, 0 black and 255 white; other rows are the network's input."""
    return PIXELS if model.image_shape is not None else NUMBERS


def answers_of(model: Model) -> int:
    """How many probabilities or numbers the model has for a row."""
    return len(model.list_targets or model.list_classes)


def rows_of_part(model: Model) -> int:
    """The most rows that a part may have."""
    per_row = max(model.features * row_type(model).itemsize, answers_of(model) * NUMBERS.itemsize)
    weights = sum(W.size for W, _ in model.parameters)
    return max(1, min(PART_BYTES // per_row, PART_MULTIPLICATIONS // weights))


def largest_part(model: Model) -> int:
    """The most bytes that a part may have."""
    return HEADER_BYTES + rows_of_part(model) * model.features * row_type(model).itemsize


def encode(rows: NDArray[Any], kind: np.dtype[Any]) -> bytes:
    """The file of an array (rows, columns), whose values are stored as ``kind``."""
    return _header(kind, *rows.shape) + np.ascontiguousarray(rows, kind).tobytes()


def decode(content: bytes, kind: np.dtype[Any], columns: int) -> NDArray[Any]:
    """The array (rows, columns) in a file. Raises InputError for any other than ``encode`` writes."""
    rows, rest = divmod(len(content) - HEADER_BYTES, columns * kind.itemsize)
    if rest or rows < 1 or content[:HEADER_BYTES] != _header(kind, rows, columns):
        raise InputError(
            f"found {len(content):,} bytes that begin with {content[:8]!a}; expected a .npy file of rows of {columns} "
            f"values of type {kind.str}, as LNN writes it"
        )
    return np.frombuffer(content, kind, offset=HEADER_BYTES).reshape(rows, columns)


def _header(kind: np.dtype[Any], rows: int, columns: int) -> bytes:
    text = f"{{'descr': '{kind.str}', 'fortran_order': False, 'shape': ({rows}, {columns}), }}"
    length = HEADER_BYTES - len(MAGIC) - 2
    return MAGIC + struct.pack("<H", length) + text.ljust(length - 1).encode() + b"\n"


def encode_reason(reason: str) -> bytes:
    """The answer to a part that has no predictions."""
    return in_json({"reason": reason[:1000]}).encode()


def reason_in(answer: bytes) -> str | None:
    """Why an answer has no predictions; None where it may have some."""
    if answer.startswith(MAGIC[:6]):
        return None
    try:
        return str(json.loads(answer)["reason"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return f"an answer that LNN did not write begins with {answer[:20]!a}"


def predict_part(model: Model, values: NDArray[Any]) -> NDArray[Any]:
    """The outputs (rows, K) for the rows of a part, block by block."""
    widest = max(model.features, *(len(W) for W, _ in model.parameters))
    block = max(1, BLOCK_BYTES // (widest * NUMBERS.itemsize))
    starts = range(0, len(values), block)
    return np.concatenate([outputs_of(model, _columns(model, values[start : start + block])) for start in starts])


def _columns(model: Model, values: NDArray[Any]) -> NDArray[np.float64]:
    """Rows of a part as X (n, m)."""
    if model.image_shape is not None:
        return np.stack([column_of_picture(model, pixels) for pixels in values], axis=1)
    return values.T
