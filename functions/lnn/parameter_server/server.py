"""The parameter server: one run's tensors and small values in Redis, under typed keys (see ``codec``).

Every key of a run starts with ``lnn:{run_id}:``. The braces are a Redis hash tag: they keep a run's
keys in one slot, so that a script may touch several of them on a cluster too.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

import numpy as np
import redis
from numpy.typing import NDArray

from lnn.errors import CacheLost
from lnn.parameter_server.codec import TensorKey, Value, decode, encode, key_of

logger = logging.getLogger(__name__)

KEY_LIFETIME_SECONDS = 24 * 3600
"""Keys of an abandoned run expire; a live run renews its keys each epoch."""


# One element of each row: a column, without fetching the matrix around it.
_COLUMN = """
local parts = {}
for row = 0, tonumber(ARGV[2]) - 1 do
  local from = row * tonumber(ARGV[3]) + tonumber(ARGV[1])
  parts[row + 1] = redis.call('GETRANGE', KEYS[1], from, from + tonumber(ARGV[4]) - 1)
end
return table.concat(parts)
"""


class ParameterServer:
    """One run's values in Redis."""

    def __init__(self, client: redis.Redis, run_id: str) -> None:
        self.client = client
        self.prefix = f"lnn:{{{run_id}}}:"
        self._column = client.register_script(_COLUMN)

    def path(self, key: str | TensorKey) -> str:
        """Where Redis keeps ``key``."""
        return f"{self.prefix}{key}"

    def put(self, name: str, value: Value) -> str:
        """Store ``value`` and return its typed key."""
        key = key_of(name, value)
        self.client.set(self.path(key), encode(value), ex=KEY_LIFETIME_SECONDS)
        return key

    def get(self, key: str | TensorKey) -> Any:
        """The value of a key. Raises CacheLost when there is none."""
        return self.get_many([key])[0]

    def get_many(self, keys: Iterable[str | TensorKey]) -> list[Any]:
        """Several values in one round trip. Raises CacheLost when any is missing."""
        wanted = [str(key) for key in keys]
        values: list[Any] = self.client.mget([self.path(key) for key in wanted])
        return [decode(key, self._present(key, raw)) for key, raw in zip(wanted, values, strict=True)]

    def get_row(self, key: TensorKey, row: int) -> NDArray[Any]:
        """Row ``row`` of a matrix, shape (1, columns); only its bytes travel."""
        return self.get_rows([key], row)[0]

    def get_rows(self, keys: Iterable[TensorKey], row: int) -> list[NDArray[Any]]:
        """The same row of several matrices, each (1, columns), in one round trip."""
        wanted = list(keys)
        pipeline = self.client.pipeline(transaction=False)
        for key in wanted:
            start = row * key.row_size
            pipeline.getrange(self.path(key), start, start + key.row_size - 1)
        return [
            np.frombuffer(self._filled(key, raw, key.row_size), key.dtype).reshape((1, *key.shape[1:]))
            for key, raw in zip(wanted, pipeline.execute(), strict=True)
        ]

    def get_column(self, key: TensorKey, column: int) -> NDArray[Any]:
        """Column ``column`` of a matrix, shape (rows, 1); only its bytes travel."""
        rows = key.shape[0]
        item = key.dtype.itemsize
        raw = self._column(keys=[self.path(key)], args=[column * item, rows, key.row_size, item], client=self.client)
        return np.frombuffer(self._filled(key, raw, rows * item), key.dtype).reshape((rows, 1))

    def takes_writes(self) -> bool:
        """True when the server answers and has memory left."""
        try:
            self.put("probe", 1)
        except redis.RedisError as error:
            logger.warning("parameter server does not take writes", extra={"error": str(error)})
            return False
        return True

    def renew(self) -> None:
        """Renew the lifetime of every key of the run."""
        pipeline = self.client.pipeline(transaction=False)
        for path in self._paths():
            pipeline.expire(path, KEY_LIFETIME_SECONDS)
        pipeline.execute()

    def delete_run(self) -> int:
        """Delete every key of the run; return their number."""
        paths = list(self._paths())
        return int(self.client.unlink(*paths)) if paths else 0

    def _paths(self) -> Iterable[bytes]:
        # SCAN reads [, ], ? and * as a pattern; run ids have none of them.
        return self.client.scan_iter(match=f"{self.prefix}*", count=1000)

    @staticmethod
    def _present(key: str, raw: bytes | None) -> bytes:
        if raw is None:
            raise CacheLost(f"{key} is not in the parameter server")
        return raw

    @staticmethod
    def _filled(key: TensorKey, raw: bytes, size: int) -> bytes:
        if len(raw) != size:
            raise CacheLost(f"{key} is not in the parameter server, or not whole")
        return raw
