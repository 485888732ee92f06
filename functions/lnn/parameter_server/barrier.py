"""Where the neurons of a step meet: a true barrier in Redis, fenced against everything late.

The current step of a run is one hash. Every write to the run's tensors goes through ``arrive`` or
``advance``, each one Lua script and so atomic; each names the step it belongs to and changes
nothing when that is no longer the current one. From this follows what the run relies on:

- a neuron's result is stored once: a repeat finds it there and only learns where the step stands;
- whoever finds the set complete may advance, and only the first does;
- what a step reads never changes while it is the current step, so a repeated computation of
  anything in it gives the same bits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lnn.aws.clocks import Stopwatch
from lnn.errors import CacheLost
from lnn.messages import Step
from lnn.parameter_server.codec import TensorKey
from lnn.parameter_server.server import KEY_LIFETIME_SECONDS, ParameterServer

DISPATCH_SECONDS = 2.0
"""A step whose dispatch is not confirmed after this long is taken for abandoned by a crash."""

# KEYS: step, arrivals, tensors...; ARGV: step id, neuron, its milliseconds, then offset and bytes for each tensor.
_ARRIVE = """
local id = redis.call('HGET', KEYS[1], 'id')
if not id then return {-2, 0, 0} end
if id ~= ARGV[1] then return {-1, 0, 0} end
redis.call('HINCRBY', KEYS[1], 'invocations', 1)
redis.call('HINCRBY', KEYS[1], 'neuron_ms', ARGV[3])
local ordinal = redis.call('HGET', KEYS[2], ARGV[2])
if not ordinal then
  for i = 3, #KEYS do
    if redis.call('EXISTS', KEYS[i]) == 0 then return {-2, 0, 0} end
  end
  for i = 3, #KEYS do
    redis.call('SETRANGE', KEYS[i], ARGV[2 * i - 2], ARGV[2 * i - 1])
  end
  ordinal = redis.call('HLEN', KEYS[2]) + 1
  redis.call('HSET', KEYS[2], ARGV[2], ordinal)
  if ordinal == 1 then redis.call('EXPIRE', KEYS[2], redis.call('TTL', KEYS[1])) end
end
return {tonumber(ordinal), redis.call('HLEN', KEYS[2]), tonumber(redis.call('HGET', KEYS[1], 'width'))}
"""

# KEYS: step, arrivals, tensors...; ARGV: step id, next id, next width, key lifetime,
# number of fields, field and value..., bytes of each tensor.
_ADVANCE = """
if redis.call('HGET', KEYS[1], 'id') ~= ARGV[1] then return -1 end
if redis.call('HLEN', KEYS[2]) < tonumber(redis.call('HGET', KEYS[1], 'width')) then return -2 end
local fields = tonumber(ARGV[5])
for i = 3, #KEYS do
  redis.call('SET', KEYS[i], ARGV[5 + 2 * fields + i - 2], 'EX', ARGV[4])
end
redis.call('DEL', KEYS[2])
redis.call('HINCRBY', KEYS[1], 'invocations', 1)
redis.call('HSET', KEYS[1], 'id', ARGV[2], 'width', ARGV[3], 'dispatched', 0, 'opened_at', redis.call('TIME')[1])
for i = 1, fields do
  redis.call('HSET', KEYS[1], ARGV[4 + 2 * i], ARGV[5 + 2 * i])
end
redis.call('EXPIRE', KEYS[1], ARGV[4])
return 1
"""

# KEYS: step, arrivals; ARGV: step id, width, key lifetime, generation, then field and value...
_OPEN = """
local id = redis.call('HGET', KEYS[1], 'id')
if id and tonumber(string.match(id, '^%d+')) > tonumber(ARGV[4]) then return 0 end
redis.call('DEL', KEYS[1], KEYS[2])
redis.call('HSET', KEYS[1], 'id', ARGV[1], 'width', ARGV[2], 'dispatched', 0, 'opened_at', redis.call('TIME')[1])
for i = 5, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
redis.call('EXPIRE', KEYS[1], ARGV[3])
return 1
"""

# KEYS: step; ARGV: old step id, new step id. The arrivals stay: they do not depend on who fences.
_ADOPT = """
if redis.call('HGET', KEYS[1], 'id') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'id', ARGV[2], 'dispatched', 0, 'opened_at', redis.call('TIME')[1])
return 1
"""

# KEYS: step; ARGV: step id.
_DISPATCHED = """
if redis.call('HGET', KEYS[1], 'id') == ARGV[1] then redis.call('HSET', KEYS[1], 'dispatched', 1) end
return 1
"""


class ArrivalStatus(Enum):
    """What became of an arrival."""

    STALE = "stale"
    """The step is over, or belongs to another generation: nothing was changed."""
    COUNTED = "counted"
    """The result is stored; others are still missing."""
    COMPLETE = "complete"
    """The result is stored and the step has all of its results."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """``ordinal`` is this neuron's place among the arrivals, from 1, the same at every repeat."""

    status: ArrivalStatus
    ordinal: int = 0
    width: int = 0
    """How many neurons the step waits for."""


@dataclass(frozen=True, slots=True)
class Position:
    """Where a run stands: its current step and what the Trainer keeps with it."""

    step: Step
    width: int
    arrived: int
    dispatched: bool
    opened_at: float
    read_at: float
    """By Redis's clock: the functions' need not agree, and each step is another invocation's."""
    fields: Mapping[str, str]
    age: Stopwatch = field(default_factory=Stopwatch)

    @property
    def now(self) -> float:
        """What Redis's clock shows now."""
        return self.read_at + self.age.seconds()

    @property
    def complete(self) -> bool:
        return self.arrived == self.width

    @property
    def abandoned(self) -> bool:
        """Nobody confirmed that the step's neurons were all invoked, and it has been a while."""
        return not self.dispatched and self.now - self.opened_at >= DISPATCH_SECONDS


class Barrier:
    """The barrier of one run."""

    def __init__(self, server: ParameterServer) -> None:
        self._server = server
        client = server.client
        self._client = client
        self._step = server.path("step")
        self._arrivals = server.path("arrivals")
        self._open = client.register_script(_OPEN)
        self._arrive = client.register_script(_ARRIVE)
        self._advance = client.register_script(_ADVANCE)
        self._adopt = client.register_script(_ADOPT)
        self._dispatched = client.register_script(_DISPATCHED)

    def arrive(
        self, step: Step, neuron: int, rows: Sequence[tuple[TensorKey, NDArray[Any]]], milliseconds: int = 0
    ) -> Arrival:
        """Store a neuron's rows and count it in, once, if ``step`` is the current one.

        ``rows`` pairs a matrix with the row (1, columns) of it that belongs to ``neuron``;
        ``milliseconds`` is what the neuron took, for the run's bill.
        Raises CacheLost when Redis knows nothing of the run, or when the step is current but a matrix is gone.
        """
        arguments: list[Any] = [step.id, neuron, milliseconds]
        for key, row in rows:
            arguments += [neuron * key.row_size, np.ascontiguousarray(row, key.dtype).tobytes()]
        keys = [self._step, self._arrivals, *(self._server.path(key) for key, _ in rows)]
        ordinal, arrived, width = self._arrive(keys=keys, args=arguments, client=self._client)
        if ordinal == -1:
            return Arrival(ArrivalStatus.STALE)
        if ordinal == -2:
            raise CacheLost(f"step {step.id} has lost its tensors, or is lost altogether")
        complete = arrived == width
        return Arrival(ArrivalStatus.COMPLETE if complete else ArrivalStatus.COUNTED, ordinal, width)

    def open(self, step: Step, width: int, fields: Mapping[str, str]) -> bool:
        """Make ``step`` the current one; False when a later generation has already been here."""
        flat = [item for pair in fields.items() for item in pair]
        opened = self._open(
            keys=[self._step, self._arrivals],
            args=[step.id, width, KEY_LIFETIME_SECONDS, step.generation, *flat],
            client=self._client,
        )
        return bool(opened)

    def advance(
        self,
        step: Step,
        following: Step,
        width: int,
        fields: Mapping[str, str],
        tensors: Sequence[tuple[TensorKey, NDArray[Any]]] = (),
    ) -> bool:
        """Go on from ``step`` to ``following``, if ``step`` is current and complete.

        ``tensors`` replaces whole arrays in the same instant. Returns whether this call did it.
        """
        flat = [item for pair in fields.items() for item in pair]
        outcome = self._advance(
            keys=[self._step, self._arrivals, *(self._server.path(key) for key, _ in tensors)],
            args=[
                step.id,
                following.id,
                width,
                KEY_LIFETIME_SECONDS,
                len(fields),
                *flat,
                *(np.ascontiguousarray(value, key.dtype).tobytes() for key, value in tensors),
            ],
            client=self._client,
        )
        return bool(outcome == 1)

    def adopt(self, step: Step, generation: int) -> Step | None:
        """Put the current step under a new generation, arrivals and all; None if it has moved on."""
        adopted = Step(generation, step.epoch, step.batch, step.direction, step.layer)
        done = self._adopt(keys=[self._step], args=[step.id, adopted.id], client=self._client)
        return adopted if done else None

    def confirm_dispatch(self, step: Step) -> None:
        """Note that every neuron of ``step`` has been invoked."""
        self._dispatched(keys=[self._step], args=[step.id], client=self._client)

    def position(self) -> Position | None:
        """Where the run stands, or None when Redis knows nothing of it."""
        pipeline = self._client.pipeline(transaction=True)
        pipeline.hgetall(self._step)
        pipeline.hlen(self._arrivals)
        pipeline.time()
        raw, arrived, (seconds, microseconds) = pipeline.execute()
        fields = {key.decode(): value.decode() for key, value in raw.items()}
        if not fields:
            return None
        return Position(
            step=Step.parse(fields.pop("id")),
            width=int(fields.pop("width")),
            arrived=arrived,
            dispatched=fields.pop("dispatched") == "1",
            opened_at=float(fields.pop("opened_at")),
            read_at=_moment(seconds, microseconds),
            fields=fields,
        )

    def now(self) -> float:
        """What Redis's clock shows."""
        return _moment(*self._client.time())

    def is_current(self, step: Step) -> bool:
        """Whether there is still something to do for ``step``. Raises CacheLost when Redis knows nothing of the run."""
        current: Any = self._client.hget(self._step, "id")
        if current is None:
            raise CacheLost(f"step {step.id} is not in the parameter server")
        return bool(current.decode() == step.id)

    def missing(self, width: int) -> list[int]:
        """The neurons that have not arrived yet."""
        arrived = {int(neuron) for neuron in self._client.hkeys(self._arrivals)}
        return [neuron for neuron in range(width) if neuron not in arrived]


def _moment(seconds: int, microseconds: int) -> float:
    return float(seconds) + float(microseconds) / 1e6
