"""A run's records of its invocations in Redis: a list beside each fill, kept until the run has stored it in S3.

The scripts of ``barrier`` add a line with the same call that counts the invocation, by Redis's clock. Whoever stores
lines takes them away afterwards, and only where they are still the first: so each is stored at least once, and the
numbers in them say which are stored twice. A run that records nothing has the same scripts without any of this.
"""

from __future__ import annotations

from typing import Any

from lnn.parameter_server.records import LONGEST_LINE, MOST_RECORDS, Mark
from lnn.parameter_server.server import ParameterServer

MOST_WAITING = 20_000
"""Lines that wait in Redis. Where nobody stores them, later ones are not kept."""

STORED_AT_ONCE = 10_000
"""Lines in a part of the timeline."""

STORING_SECONDS = 2.0
"""Whoever arrives so long after the last time is to store what waits."""

# In the scripts of ``barrier``. KEYS[1] is the step. The last key is the list, the last of ARGV are what the invocation
# tells of itself, the most records, and the seconds between two times that records are stored. LAST is the last of the
# script's own keys.
RECORD = """
local LAST, RECORDS = #KEYS - 1, KEYS[#KEYS]
local TOLD, MOST, STORING_SECONDS = ARGV[#ARGV - 2], ARGV[#ARGV - 1], ARGV[#ARGV]
local function record(id, neuron, repeated)
  local number = redis.call('HINCRBY', KEYS[1], 'recorded', 1)
  local waiting = redis.call('LLEN', RECORDS)
  if number > tonumber(MOST) or waiting >= MOST_WAITING then return end
  local now, place = redis.call('TIME'), string.match(id, '^%d+:%d+:%d+:%a+:%d+')
  local ended = now[1] .. '.' .. string.format('%06d', now[2])
  local line = table.concat({number, place, neuron, ended, repeated and TOLD .. REPEAT or TOLD}, ':')
  if #line >= LONGEST_LINE then return end
  redis.call('RPUSH', RECORDS, line)
  redis.call('EXPIRE', RECORDS, redis.call('TTL', KEYS[1]))
end
"""

_LIMITS = f"local MOST_WAITING, LONGEST_LINE, REPEAT = {MOST_WAITING}, {LONGEST_LINE}, '{Mark.REPEAT}'"

_UNRECORDED = """
local LAST, RECORDS, STORING_SECONDS = #KEYS, nil, nil
local function record() end
"""


def recording(script: str) -> str:
    """A script of ``barrier`` that calls ``record``."""
    return f"{_LIMITS}{RECORD}{script}"


def unrecorded(script: str) -> str:
    """The same script for a run that records nothing; it takes neither the list nor what is told."""
    return f"{_UNRECORDED}{script}"


# KEYS: list; ARGV: the first of the lines that are stored, their number.
_FORGET = """
if redis.call('LINDEX', KEYS[1], 0) ~= ARGV[1] then return 0 end
redis.call('LTRIM', KEYS[1], ARGV[2], -1)
return 1
"""


class Records:
    """The lines of one run that wait to be stored."""

    most = MOST_RECORDS

    def __init__(self, server: ParameterServer) -> None:
        self._server, self._client = server, server.client
        self._forget = self._client.register_script(_FORGET)

    def fills(self, generation: int) -> list[str]:
        """The fills, of generations up to this one, beside which lines wait."""
        return [fill for fill in self._server.fills_with_records() if int(fill.partition("-")[0]) <= generation]

    def waiting(self, fill: str) -> list[bytes]:
        """The first lines that wait beside a fill, up to ``STORED_AT_ONCE``."""
        found: Any = self._client.lrange(self._server.records_path(fill), 0, STORED_AT_ONCE - 1)
        return list(found)

    def forget(self, fill: str, lines: list[bytes]) -> None:
        """Take away lines that are stored; those that somebody else has begun to take away stay for the next time."""
        path = self._server.records_path(fill)
        self._forget(keys=[path], args=[lines[0], len(lines)], client=self._client)
