"""The parameter server: one run's tensors and small values in Redis, under typed keys (see ``codec``).

Every key of a run starts with ``lnn:{run_id}:``. The braces are a Redis hash tag: they keep a run's
keys in one slot, so that a script may touch several of them on a cluster too.

What neurons read and write belongs to a *fill*: a generation puts all of it there before its first step, under keys
that contain the fill's name. The current step (see ``barrier``) names the fill that counts. So a writer that was frozen
while others went on writes where nobody reads.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

import numpy as np
import redis
from numpy.typing import NDArray

from lnn.errors import CacheLost
from lnn.parameter_server.codec import TensorKey, Value, decode, encode, encode_tensor, key_of

logger = logging.getLogger(__name__)

KEY_LIFETIME_SECONDS = 24 * 3600
"""Keys of an abandoned run expire; a live run renews its keys: see ``Barrier.keep``."""

FILLING_SECONDS = 3600
"""Keys of a fill that no step has named yet live so long: longer than any function that could still be filling it."""

REMOVED_AT_ONCE = 500
"""Keys that one call of the script looks at: Redis serves nobody else meanwhile."""

RECORDS = "invocations"
"""Name of the list of records beside a fill."""

# One element of each row: a column, without fetching the matrix around it. KEYS: matrix; ARGV: offset of the column in
# a row, rows, bytes of a row, bytes of an element, bytes before the rows, version of a row. Nothing where a row has
# another version.
_COLUMN = """
local rows, head = tonumber(ARGV[2]), tonumber(ARGV[5])
if head > 0 and redis.call('GETRANGE', KEYS[1], 0, head - 1) ~= string.rep(ARGV[6], rows) then return '' end
local parts = {}
for row = 0, rows - 1 do
  local from = head + row * tonumber(ARGV[3]) + tonumber(ARGV[1])
  parts[row + 1] = redis.call('GETRANGE', KEYS[1], from, from + tonumber(ARGV[4]) - 1)
end
return table.concat(parts)
"""

# KEYS: step, arrivals, candidates...; ARGV: the latest generation whose keys go, bytes of the run's prefix.
# The step's own keys go unless it is of a later generation, and then the fill that it names stays, whoever filled it.
_REMOVE = """
local last, id = tonumber(ARGV[1]), redis.call('HGET', KEYS[1], 'id')
local kept, removed = nil, 0
if id and tonumber(string.match(id, '^%d+')) > last then
  kept = string.match(id, '^%d+:%d+:%d+:%a+:%d+:(.+)$')
else
  removed = redis.call('UNLINK', KEYS[1], KEYS[2])
end
for i = 3, #KEYS do
  local name = string.sub(KEYS[i], ARGV[2] + 1)
  local owner = string.match(name, '^fill:([^:]+):') or string.match(name, '^gang:([^:]+):')
  local generation = tonumber(owner and string.match(owner, '^%d+') or 0)
  if KEYS[i] ~= KEYS[1] and KEYS[i] ~= KEYS[2] and generation <= last and not (owner and owner == kept) then
    removed = removed + redis.call('UNLINK', KEYS[i])
  end
end
return removed
"""


class ParameterServer:
    """One run's values in Redis, or those of one of its fills."""

    def __init__(self, client: redis.Redis, run_id: str, fill: str = "") -> None:
        self.client = client
        self._run_id = run_id
        self._run_prefix = f"lnn:{{{run_id}}}:"
        self.prefix = f"{self._run_prefix}fill:{fill}:" if fill else self._run_prefix
        self._column = client.register_script(_COLUMN)
        self._remove = client.register_script(_REMOVE)

    def fill(self, name: str) -> ParameterServer:
        """The values of the run's fill of this name."""
        return ParameterServer(self.client, self._run_id, name)

    def path(self, key: str | TensorKey) -> str:
        """Where Redis keeps ``key``."""
        return f"{self.prefix}{key}"

    @property
    def step_paths(self) -> tuple[str, str]:
        """Where Redis keeps the run's current step and who has arrived there; no fill has them."""
        return f"{self._run_prefix}step", f"{self._run_prefix}arrivals"

    def records_path(self, fill: str) -> str:
        """Where Redis keeps the records of invocations that have worked with a fill."""
        return f"{self._run_prefix}fill:{fill}:{RECORDS}"

    def fills_with_records(self) -> list[str]:
        """The names of the fills that records wait beside."""
        start, end = f"{self._run_prefix}fill:", f":{RECORDS}"
        found = self.client.scan_iter(match=f"{start}*{end}", count=1000)
        return sorted(key.decode().removeprefix(start).removesuffix(end) for key in found)

    def put(self, name: str, value: Value) -> str:
        """Store ``value``, which nobody changes, and return its typed key."""
        key = key_of(name, value)
        self.client.set(self.path(key), encode(value), ex=FILLING_SECONDS)
        return key

    def put_tensor(self, key: TensorKey, value: NDArray[Any]) -> None:
        """Store an array in the key's dtype, every row in the key's version."""
        self.client.set(self.path(key), encode_tensor(key, value), ex=FILLING_SECONDS)

    def get(self, key: str | TensorKey) -> Any:
        """The value of a key. Raises CacheLost when there is none."""
        return self.get_many([key])[0]

    def get_many(self, keys: Iterable[str | TensorKey]) -> list[Any]:
        """Several values in one round trip. Raises CacheLost when any is missing, or not in the version asked for."""
        wanted = list(keys)
        values: list[Any] = self.client.mget([self.path(key) for key in wanted])
        return self.decoded(wanted, values)

    @staticmethod
    def decoded(keys: Sequence[str | TensorKey], values: Sequence[bytes | None]) -> list[Any]:
        """The values of keys from what Redis has answered. Raises CacheLost."""
        return [decode(key, _present(key, raw)) for key, raw in zip(keys, values, strict=True)]

    def get_row(self, key: TensorKey, row: int) -> NDArray[Any]:
        """Row ``row`` of a matrix, shape (1, columns); only its bytes travel."""
        return self.get_rows([key], row)[0]

    def get_rows(self, keys: Iterable[TensorKey], row: int) -> list[NDArray[Any]]:
        """The same row of several matrices, each (1, columns), in one round trip."""
        wanted = list(keys)
        pipeline = self.client.pipeline(transaction=False)
        for key in wanted:
            start, stamp = key.row_offset(row), row * len(key.stamp)
            pipeline.getrange(self.path(key), start, start + key.row_size - 1)
            if key.stamp:
                pipeline.getrange(self.path(key), stamp, stamp + len(key.stamp) - 1)
        answers = iter(pipeline.execute())
        rows = []
        for key in wanted:
            raw = _filled(key, next(answers), key.row_size)
            if key.stamp and next(answers) != key.stamp:
                raise CacheLost(f"row {row} of {key} is not that of update {key.version}")
            rows.append(np.frombuffer(raw, key.dtype).reshape((1, *key.shape[1:])))
        return rows

    def get_column(self, key: TensorKey, column: int) -> NDArray[Any]:
        """Column ``column`` of a matrix, shape (rows, 1); only its bytes travel."""
        rows = key.shape[0]
        item = key.dtype.itemsize
        place: list[Any] = [column * item, rows, key.row_size, item, key.head, key.stamp]
        raw = self._column(keys=[self.path(key)], args=place, client=self.client)
        return np.frombuffer(_filled(key, raw, rows * item), key.dtype).reshape((rows, 1))

    def takes_writes(self) -> bool:
        """True when the server answers and has memory left."""
        try:
            with self.client.pipeline(transaction=True) as probe:
                probe.set(f"{self._run_prefix}probe", b"")
                probe.unlink(f"{self._run_prefix}probe")
                probe.execute()
        except redis.RedisError as error:
            logger.warning("parameter server does not take writes", extra={"error": str(error)})
            return False
        return True

    def remove(self, generation: int) -> int:
        """Delete what generations up to this one have left; return the number of keys.

        The same script that deletes looks at the current step. If it is of a later generation, it and the fill that it
        names stay: the run has been resumed, or taken over.
        """
        # SCAN reads [, ], ? and * as a pattern; run ids have none of them.
        found = iter(self.client.scan_iter(match=f"{self._run_prefix}*", count=1000))
        # The first call, without candidates, takes the step away: nobody adopts what is half deleted.
        removed, candidates = self._removed(generation, []), list(islice(found, REMOVED_AT_ONCE))
        while candidates:
            removed += self._removed(generation, candidates)
            candidates = list(islice(found, REMOVED_AT_ONCE))
        return removed

    def _removed(self, generation: int, candidates: Sequence[bytes]) -> int:
        keys: list[Any] = [*self.step_paths, *candidates]
        return int(self._remove(keys=keys, args=[generation, len(self._run_prefix)], client=self.client))


def _present(key: str | TensorKey, raw: bytes | None) -> bytes:
    if raw is None:
        raise CacheLost(f"{key} is not in the parameter server")
    return raw


def _filled(key: TensorKey, raw: bytes, size: int) -> bytes:
    if len(raw) != size:
        raise CacheLost(f"{key} is not in the parameter server, or not whole")
    return raw
