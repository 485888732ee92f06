"""Typed keys: the encoding of values as bytes in the parameter server, and back without loss.

A key names the type of its value: ``name|float64#rows#cols`` for an array of any rank, ``name|dict``,
``name|str`` or ``name|int`` otherwise. The key alone is enough to decode the value.

The rows of a tensor that changes have a version each: the number of the update that wrote them. The versions, int64,
lie before the rows. A reader names the version that it expects, and takes a row of another one for lost: so a key that
goes back to an earlier value is found out, as is a row that was never written.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lnn.errors import CacheLost

Value = NDArray[Any] | dict[str, Any] | str | int


VERSION = np.dtype("<i8")

NEVER = -1
"""The version of a row that no update has written yet."""


@dataclass(frozen=True, slots=True)
class TensorKey:
    """Name, dtype and shape of an array in the parameter server."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    version: int | None = None
    """What a reader expects of every row, and a writer puts there; None where the array never changes."""

    def __str__(self) -> str:
        # Builtin native dtypes read best by name; any other (">f8", "<U5") only round-trips by code.
        readable = self.dtype.isbuiltin == 1 and self.dtype.kind in "biufc" and self.dtype.isnative
        code = self.dtype.name if readable else self.dtype.str
        return "#".join([f"{self.name}|{code}", *map(str, self.shape)])

    @classmethod
    def parse(cls, key: str) -> TensorKey:
        name, _, kind = key.partition("|")
        code, *dimensions = kind.split("#")
        return cls(name, np.dtype(code), tuple(map(int, dimensions)))

    @property
    def head(self) -> int:
        """Bytes of the rows' versions."""
        return 0 if self.version is None else VERSION.itemsize * self.shape[0]

    @property
    def size(self) -> int:
        """Bytes of the whole array and its rows' versions."""
        return self.head + self.dtype.itemsize * math.prod(self.shape)

    @property
    def row_size(self) -> int:
        """Bytes of one row, that is of one index of the first axis."""
        return self.dtype.itemsize * math.prod(self.shape[1:])

    @property
    def stamp(self) -> bytes:
        """The version as each row has it; empty where rows have none."""
        return b"" if self.version is None else np.int64(self.version).astype(VERSION).tobytes()

    def row_offset(self, row: int) -> int:
        return self.head + row * self.row_size


def key_of(name: str, value: Value) -> str:
    """The typed key under which ``value`` is stored.

    Raises TypeError for values that cannot be restored exactly: object and structured arrays, and
    Python types other than dict, str and int. Raises ValueError for a name with ``|`` or ``#`` in it.
    """
    if "|" in name or "#" in name:
        raise ValueError(f"a name in the parameter server has no '|' and no '#': {name!r}")
    if isinstance(value, np.ndarray):
        if value.dtype.hasobject or value.dtype.names is not None or value.dtype.kind == "V":
            raise TypeError(f"{name}: arrays of dtype {value.dtype} do not round-trip as bytes")
        return str(TensorKey(name, value.dtype, value.shape))
    for kind in (dict, str, int):
        if type(value) is kind:
            return f"{name}|{kind.__name__}"
    raise TypeError(f"{name}: the parameter server holds arrays, dict, str and int, not {type(value).__name__}")


def encode(value: Value) -> bytes:
    """Bytes of ``value``; arrays in C order."""
    if isinstance(value, np.ndarray):
        return value.tobytes()
    if isinstance(value, dict):
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
        if json.loads(text) != value:
            raise TypeError("a dict in the parameter server has string keys and JSON values only")
        return text.encode()
    return str(value).encode()


def encode_tensor(key: TensorKey, value: NDArray[Any]) -> bytes:
    """Bytes of an array in the key's dtype, behind its rows' versions."""
    return key.stamp * (key.shape[0] if key.head else 0) + np.ascontiguousarray(value, key.dtype).tobytes()


def decode(key: str | TensorKey, raw: bytes) -> Value:
    """The inverse of ``encode``; an array is a read-only view of ``raw``.

    Raises CacheLost when the bytes do not fill the array that the key promises, or a row has another version.
    """
    if isinstance(key, TensorKey):
        return _decode_tensor(key, raw)
    _, _, kind = key.partition("|")
    match kind:
        case "dict":
            decoded: dict[str, Any] = json.loads(raw)
            return decoded
        case "str":
            return raw.decode()
        case "int":
            return int(raw)
    return _decode_tensor(TensorKey.parse(key), raw)


def _decode_tensor(key: TensorKey, raw: bytes) -> NDArray[Any]:
    if len(raw) != key.size:
        raise CacheLost(f"{key} holds {len(raw)} bytes instead of {key.size}")
    if key.version is not None and (np.frombuffer(raw, VERSION, key.shape[0]) != key.version).any():
        raise CacheLost(f"{key} is not that of update {key.version}")
    return np.frombuffer(raw, key.dtype, offset=key.head).reshape(key.shape)
