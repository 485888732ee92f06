"""The barrier at which the neurons of a step meet, in Redis, fenced against late messages.

The current step of a run is one hash. Every write to the run's tensors goes through ``arrive`` or
``advance``. Each is one Lua script, and so atomic; each names its step and changes nothing
when that is no longer the current one. Three guarantees follow:

- a neuron's result is stored once: a repeat changes nothing and returns the step's status;
- any caller that finds the set complete may advance, and only the first succeeds;
- the tensors that a step reads do not change while it is current, so that repeating any of
  its computations gives the same bits.
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
"""A step whose dispatch is not confirmed after this long counts as abandoned by a crash."""

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

# KEYS: step; ARGV: old step id, new step id. The arrivals stay: they are the same in every generation.
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
    """The outcome of an arrival."""

    STALE = "stale"
    """The step is over or belongs to another generation; nothing was changed."""
    COUNTED = "counted"
    """The result is stored; other results are missing."""
    COMPLETE = "complete"
    """The result is stored, and the step has all of its results."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """``ordinal`` is this neuron's place among the arrivals, from 1, the same at every repeat."""

    status: ArrivalStatus
    ordinal: int = 0
    width: int = 0
    """Neurons that the step waits for."""


@dataclass(frozen=True, slots=True)
class Position:
    """A run's current step, with the fields that the Trainer stores beside it."""

    step: Step
    width: int
    arrived: int
    dispatched: bool
    opened_at: float
    read_at: float
    """By Redis's clock: each step is opened by another invocation, and their clocks may disagree."""
    fields: Mapping[str, str]
    age: Stopwatch = field(default_factory=Stopwatch)

    @property
    def now(self) -> float:
        """The present time by Redis's clock."""
        return self.read_at + self.age.seconds()

    @property
    def complete(self) -> bool:
        return self.arrived == self.width

    @property
    def abandoned(self) -> bool:
        """True when no Trainer has confirmed the step's dispatch for DISPATCH_SECONDS."""
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
        """Store a neuron's rows and count its arrival, once, if ``step`` is current.

        ``rows`` pairs each matrix with this neuron's row (1, columns); ``neuron`` counts from 0.
        ``milliseconds`` is the neuron's time, for the run's price.
        Raises CacheLost when Redis has no keys of the run, or lacks a matrix of the current step.
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
        """Make ``step`` the current one; False when a later generation has opened a step already."""
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
        """Advance from ``step`` to ``following``, if ``step`` is current and complete.

        The same script replaces the arrays in ``tensors``. Returns True if this call advanced the run.
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
        """Move the current step, with its arrivals, to a new generation; None if it is no longer current."""
        adopted = Step(generation, step.epoch, step.batch, step.direction, step.layer)
        done = self._adopt(keys=[self._step], args=[step.id, adopted.id], client=self._client)
        return adopted if done else None

    def confirm_dispatch(self, step: Step) -> None:
        """Record that every neuron of ``step`` has been invoked."""
        self._dispatched(keys=[self._step], args=[step.id], client=self._client)

    def position(self) -> Position | None:
        """The run's position, or None when Redis has no keys of it."""
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
        """The time by Redis's clock."""
        return _moment(*self._client.time())

    def is_current(self, step: Step) -> bool:
        """True while ``step`` is the current one. Raises CacheLost when Redis has no keys of the run."""
        current: Any = self._client.hget(self._step, "id")
        if current is None:
            raise CacheLost(f"step {step.id} is not in the parameter server")
        return bool(current.decode() == step.id)

    def missing(self, width: int) -> list[int]:
        """The neurons that have not arrived yet, counted from 0."""
        arrived = {int(neuron) for neuron in self._client.hkeys(self._arrivals)}
        return [neuron for neuron in range(width) if neuron not in arrived]


def _moment(seconds: int, microseconds: int) -> float:
    return float(seconds) + float(microseconds) / 1e6
