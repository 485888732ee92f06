"""Typed keys: the encoding of values as bytes in the parameter server, and back without loss.

A key names the type of its value: ``name|float64#rows#cols`` for an array of any rank, ``name|dict``,
``name|str`` or ``name|int`` otherwise. The key alone is enough to decode the value.
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


@dataclass(frozen=True, slots=True)
class TensorKey:
    """Name, dtype and shape of an array in the parameter server."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]

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
    def size(self) -> int:
        """Bytes of the whole array."""
        return self.dtype.itemsize * math.prod(self.shape)

    @property
    def row_size(self) -> int:
        """Bytes of one row, that is of one index of the first axis."""
        return self.dtype.itemsize * math.prod(self.shape[1:])


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


def decode(key: str, raw: bytes) -> Value:
    """The inverse of ``encode``; an array is a read-only view of ``raw``.

    Raises CacheLost when the bytes do not fill the array that the key promises.
    """
    _, _, kind = key.partition("|")
    match kind:
        case "dict":
            decoded: dict[str, Any] = json.loads(raw)
            return decoded
        case "str":
            return raw.decode()
        case "int":
            return int(raw)
    tensor = TensorKey.parse(key)
    if len(raw) != tensor.size:
        raise CacheLost(f"{key} holds {len(raw)} bytes instead of {tensor.size}")
    return np.frombuffer(raw, tensor.dtype).reshape(tensor.shape)
