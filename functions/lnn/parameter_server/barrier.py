"""The barrier at which the neurons of a step meet, in Redis, fenced against late messages.

The current step of a run is one hash. Its id says of which generation it is, and which fill of the parameter server
it reads and writes. Every write to the tensors of that fill goes through ``arrive`` or ``advance``. Each is one Lua
script, and so atomic; each names its step and changes nothing when that is no longer the current one. Three guarantees
follow:

- a neuron's result is stored once: a repeat changes nothing and returns the step's status;
- any caller that finds the set complete may advance, and only the first succeeds;
- the tensors that a step reads do not change while it is current, so that repeating any of
  its computations gives the same bits.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any
from uuid import uuid4

import numpy as np
import redis
from numpy.typing import NDArray

from lnn.aws.clocks import Stopwatch
from lnn.errors import CacheLost, StaleStep
from lnn.messages import Step
from lnn.parameter_server.codec import TensorKey, encode_tensor
from lnn.parameter_server.record_list import STORING_SECONDS, Records, recording, unrecorded
from lnn.parameter_server.records import Mark, told
from lnn.parameter_server.server import FILLING_SECONDS, KEY_LIFETIME_SECONDS, ParameterServer

DISPATCH_SECONDS = 2.0
"""A step whose dispatch is not confirmed after this long counts as abandoned by a crash."""

MOST_MISSED = 1000
"""Neurons of a step that are written down as missed."""

RENEWAL_SECONDS = 3.0
"""The lease is renewed by whoever arrives, or advances, this long after the last time."""

# Arrivals belong to the step that the hash itself names: its id without the generation, since adopting keeps them.
# KEYS: step, arrivals, tensors...; ARGV: step id, neuron, its milliseconds, version, seconds between two renewals of
# the lease, window, then for each tensor its size, offset and bytes of the row. ``record_list`` says what follows both.
# The k-th to arrive is to invoke the neuron that is k places behind the window, but not one that has arrived. Where
# arrivals were lost, ordinals begin anew, and neurons that invoke each other would do so forever.
_ARRIVE = """
local id = redis.call('HGET', KEYS[1], 'id')
if not id then return {-2, 0, 0, 0, -1, 0} end
if id ~= ARGV[1] then return {-1, 0, 0, 0, -1, 0} end
redis.call('HINCRBY', KEYS[1], 'invocations', 1)
redis.call('HINCRBY', KEYS[1], 'neuron_ms', ARGV[3])
local place = string.match(id, ':(.+)$')
if redis.call('HGET', KEYS[2], 'of') ~= place then redis.call('DEL', KEYS[2]) end
local ordinal = redis.call('HGET', KEYS[2], ARGV[2])
record(id, ARGV[2], ordinal)
if not ordinal then
  for i = 3, LAST do
    if redis.call('STRLEN', KEYS[i]) ~= tonumber(ARGV[3 * i - 2]) then return {-2, 0, 0, 0, -1, 0} end
  end
  for i = 3, LAST do
    redis.call('SETRANGE', KEYS[i], ARGV[3 * i - 1], ARGV[3 * i])
    redis.call('SETRANGE', KEYS[i], ARGV[2] * #ARGV[4], ARGV[4])
  end
  ordinal = math.max(1, redis.call('HLEN', KEYS[2]))
  redis.call('HSET', KEYS[2], ARGV[2], ordinal)
  if ordinal == 1 then
    redis.call('HSET', KEYS[2], 'of', place)
    redis.call('EXPIRE', KEYS[2], redis.call('TTL', KEYS[1]))
  end
end
local time = redis.call('TIME')
local now = time[1] .. '.' .. string.format('%06d', time[2])
local function is_due(name, seconds)
  local last = redis.call('HGET', KEYS[1], name)
  if not last or now - last < tonumber(seconds) then return 0 end
  redis.call('HSET', KEYS[1], name, now)
  return 1
end
local due = is_due('renewed_at', ARGV[5])
local storing = RECORDS and is_due('stored_at', STORING_SECONDS) or 0
local width, window = tonumber(redis.call('HGET', KEYS[1], 'width')), tonumber(ARGV[6])
local following = window + ordinal - 1
if window == 0 or following >= width or redis.call('HEXISTS', KEYS[2], following) == 1 then following = -1 end
return {tonumber(ordinal), redis.call('HLEN', KEYS[2]) - 1, width, due, following, storing}
"""

# The client sends a script again whose answer was lost. So each script that changes the step's id leaves its sender's
# name, a random one, beside it. Who finds its own name there has made the change; who finds another's comes second.

# KEYS: step, arrivals, tensors...; ARGV: step id, next id, next width, key lifetime, sender, number of fields, field
# and value..., bytes of each tensor; see ``record_list`` for what follows both.
_ADVANCE = """
local id = redis.call('HGET', KEYS[1], 'id')
if id == ARGV[2] and redis.call('HGET', KEYS[1], 'sender') == ARGV[5] then return 1 end
if id ~= ARGV[1] then return -1 end
if redis.call('HGET', KEYS[2], 'of') ~= string.match(id, ':(.+)$') then return -2 end
if redis.call('HLEN', KEYS[2]) <= tonumber(redis.call('HGET', KEYS[1], 'width')) then return -2 end
local fields = tonumber(ARGV[6])
for i = 3, LAST do
  redis.call('SET', KEYS[i], ARGV[6 + 2 * fields + i - 2], 'EX', ARGV[4])
end
redis.call('DEL', KEYS[2])
redis.call('HINCRBY', KEYS[1], 'invocations', 1)
record(id, '')
redis.call('HSET', KEYS[1], 'id', ARGV[2], 'width', ARGV[3], 'dispatched', 0, 'opened_at', redis.call('TIME')[1])
redis.call('HSET', KEYS[1], 'sender', ARGV[5])
for i = 1, fields do
  redis.call('HSET', KEYS[1], ARGV[5 + 2 * i], ARGV[6 + 2 * i])
end
redis.call('EXPIRE', KEYS[1], ARGV[4])
return 1
"""

# KEYS: step; ARGV: step id, that of the invocations' step, neurons with commas between them or nothing; see
# ``record_list`` for what follows both.
_RECORD = """
if redis.call('HGET', KEYS[1], 'id') ~= ARGV[1] then return 0 end
if ARGV[3] == '' then record(ARGV[2], '') end
for neuron in string.gmatch(ARGV[3], '%d+') do record(ARGV[2], neuron) end
return 1
"""

# KEYS: step, arrivals; ARGV: step id, generation, lifetime.
_RESERVE = """
local id = redis.call('HGET', KEYS[1], 'id')
if id and tonumber(string.match(id, '^%d+')) > tonumber(ARGV[2]) then return 0 end
redis.call('DEL', KEYS[1], KEYS[2])
redis.call('HSET', KEYS[1], 'id', ARGV[1], 'width', 1, 'dispatched', 0, 'opened_at', redis.call('TIME')[1])
redis.call('EXPIRE', KEYS[1], ARGV[3])
return 1
"""

# KEYS: step, arrivals, keys of the fill...; ARGV: old step id, new step id, new width, key lifetime, sender,
# field and value...
_OPEN = """
local id = redis.call('HGET', KEYS[1], 'id')
if not id then return -2 end
if id == ARGV[2] and redis.call('HGET', KEYS[1], 'sender') == ARGV[5] then return 1 end
if id ~= ARGV[1] then return 0 end
for i = 3, #KEYS do
  if redis.call('EXPIRE', KEYS[i], ARGV[4]) == 0 then return -2 end
end
redis.call('DEL', KEYS[1], KEYS[2])
redis.call('HSET', KEYS[1], 'id', ARGV[2], 'width', ARGV[3], 'dispatched', 0, 'opened_at', redis.call('TIME')[1])
redis.call('HSET', KEYS[1], 'sender', ARGV[5])
for i = 6, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
redis.call('EXPIRE', KEYS[1], ARGV[4])
return 1
"""

# KEYS: step, keys of the fill...; ARGV: old step id, new step id, key lifetime, sender. The arrivals stay: they are the
# same in every generation.
_ADOPT = """
local id = redis.call('HGET', KEYS[1], 'id')
if id == ARGV[2] and redis.call('HGET', KEYS[1], 'sender') == ARGV[4] then return 1 end
if id ~= ARGV[1] then return 0 end
for i = 1, #KEYS do
  if redis.call('EXPIRE', KEYS[i], ARGV[3]) == 0 then return 0 end
end
if ARGV[2] ~= ARGV[1] then
  redis.call('HSET', KEYS[1], 'id', ARGV[2], 'dispatched', 0, 'opened_at', redis.call('TIME')[1], 'sender', ARGV[4])
end
return 1
"""

# KEYS: step, arrivals; ARGV: step id.
_ABANDON = """
local id = redis.call('HGET', KEYS[1], 'id')
if id and id ~= ARGV[1] then return 0 end
redis.call('UNLINK', KEYS[1], KEYS[2])
return 1
"""

# KEYS: step; ARGV: step id.
_DISPATCHED = """
if redis.call('HGET', KEYS[1], 'id') == ARGV[1] then redis.call('HSET', KEYS[1], 'dispatched', 1) end
return 1
"""


# KEYS: step; ARGV: step id, milliseconds of the Trainer that looked at the step and left it.
_PAUSE = """
if redis.call('HGET', KEYS[1], 'id') ~= ARGV[1] then return 0 end
local now, since = redis.call('TIME'), redis.call('HGET', KEYS[1], 'paused_at')
if not since or since == '' then
  redis.call('HSET', KEYS[1], 'paused_at', now[1] .. '.' .. string.format('%06d', now[2]))
end
redis.call('HINCRBY', KEYS[1], 'invocations', 1)
redis.call('HINCRBY', KEYS[1], 'trainer_invocations', 1)
redis.call('HINCRBY', KEYS[1], 'trainer_ms', ARGV[2])
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
    lease_due: bool = False
    """This neuron, and no other, is to renew the run's lease."""
    following: int | None = None
    """The neuron that this one is to invoke, from 0; None where there is no window, or nobody to invoke."""
    storing: str = ""
    """The fill whose records of invocations this neuron, and no other, is to store: see ``lnn.runs.timeline``."""


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

    def __init__(self, server: ParameterServer, *, recorded: bool = True) -> None:
        """``recorded`` says whether the run's invocations are written down."""
        self._server, self._recorded = server, recorded
        whole = recording if recorded else unrecorded
        client = server.client
        self._client = client
        self._step, self._arrivals = server.step_paths
        self._reserve = client.register_script(_RESERVE)
        self._open = client.register_script(_OPEN)
        self._arrive = client.register_script(whole(_ARRIVE))
        self._advance = client.register_script(whole(_ADVANCE))
        self._adopt = client.register_script(_ADOPT)
        self._abandon = client.register_script(_ABANDON)
        self._dispatched = client.register_script(_DISPATCHED)
        self._record = client.register_script(recording(_RECORD))
        self._pause = client.register_script(_PAUSE)

    def arrive(
        self,
        step: Step,
        neuron: int,
        rows: Sequence[tuple[TensorKey, NDArray[Any]]],
        milliseconds: float = 0,
        window: int = 0,
        *marks: Mark,
    ) -> Arrival:
        """Store a neuron's rows and count its arrival, once, if ``step`` is current.

        ``rows`` pairs each matrix with this neuron's row (1, columns); all are of one version. ``neuron`` counts from
        0. ``milliseconds`` is the neuron's time, for the run's price and its timeline. ``window`` is the most neurons
        of a step in flight at once, 0 for no limit: the k-th to arrive is to invoke the one that is k places behind
        the window.
        Raises CacheLost when Redis has no keys of the run, or lacks a matrix of the current step.
        """
        (stamp,) = {key.stamp for key, _ in rows}
        arguments: list[Any] = [step.id, neuron, round(milliseconds), stamp, RENEWAL_SECONDS, window]
        for key, row in rows:
            arguments += [key.size, key.row_offset(neuron), np.ascontiguousarray(row, key.dtype).tobytes()]
        keys = [self._step, self._arrivals, *self._paths(step, [key for key, _ in rows]), *self._list_of(step)]
        arguments += self._telling(milliseconds, marks)
        ordinal, arrived, width, due, following, storing = self._arrive(keys=keys, args=arguments, client=self._client)
        if ordinal == -1:
            return Arrival(ArrivalStatus.STALE)
        if ordinal == -2:
            raise CacheLost(f"step {step.id} has lost its tensors, or is lost altogether")
        status = ArrivalStatus.COMPLETE if arrived == width else ArrivalStatus.COUNTED
        return Arrival(
            *(status, ordinal, width, bool(due), None if following == -1 else following), step.fill if storing else ""
        )

    def record(self, step: Step, neuron: int | None, milliseconds: float, *marks: Mark) -> None:
        """Write down an invocation that neither arrives nor advances, if ``step`` is current.

        ``neuron`` counts from 0 and is None for the Trainer.
        """
        self._write(step, step, [] if neuron is None else [neuron], milliseconds, marks)

    def record_late(self, step: Step, neuron: int | None, milliseconds: float, *marks: Mark) -> None:
        """Write down an invocation whose ``step`` is over, beside the current one. Nothing depends on the line."""
        if not self._recorded:
            return
        with suppress(redis.RedisError, CacheLost):
            current, recorded = self.look(step)
            if recorded and not current.is_named_by(step):
                self._write(current, step, [] if neuron is None else [neuron], milliseconds, [*marks, Mark.LATE])

    def record_missed(self, current: Step, step: Step, neurons: Sequence[int]) -> None:
        """Write down, beside the ``current`` step, neurons that an earlier generation has asked for in ``step``."""
        if neurons:
            self._write(current, step, neurons[:MOST_MISSED], 0, [Mark.MISSED])

    def _write(
        self, current: Step, step: Step, neurons: Sequence[int], milliseconds: float, marks: Sequence[Mark]
    ) -> None:
        if not self._recorded:
            return
        arguments = [current.id, step.id, ",".join(map(str, neurons)), *self._telling(milliseconds, marks)]
        self._record(keys=[self._step, *self._list_of(current)], args=arguments, client=self._client)

    @contextmanager
    def failure_recorded(self, step: Step, neuron: int, *marks: Mark) -> Iterator[None]:
        """Around the work of a neuron: an error is written down. One of Redis is not: Redis would not take it."""
        spent = Stopwatch()
        try:
            yield
        except redis.RedisError:
            raise
        except Exception:
            with suppress(redis.RedisError):
                self.record(step, neuron, spent.seconds() * 1000, *marks, Mark.FAILED)
            raise

    def unrecorded(self) -> Barrier:
        """The same barrier for a run that records nothing."""
        return Barrier(self._server, recorded=False)

    def _list_of(self, step: Step) -> list[str]:
        """The last key of each script that writes an invocation down."""
        return [self._server.records_path(step.fill)] if self._recorded else []

    def _telling(self, milliseconds: float, marks: Sequence[Mark]) -> list[Any]:
        """The last arguments of each script that writes an invocation down."""
        return [told(milliseconds, *marks), Records.most, STORING_SECONDS] if self._recorded else []

    def reserve(self, entry: Step) -> bool:
        """Make ``entry`` current, which no neuron has a part in, while its fill is being filled.

        No neuron and no Trainer of an earlier step gets any further. False when a later generation has been here.
        """
        arguments: list[Any] = [entry.id, entry.generation, FILLING_SECONDS]
        return bool(self._reserve(keys=[self._step, self._arrivals], args=arguments, client=self._client))

    def open(
        self, entry: Step, step: Step, width: int, fields: Mapping[str, str], keys: Sequence[str | TensorKey]
    ) -> bool:
        """Go from ``entry`` to a generation's first step, if its fill is whole: from now on it counts, and is kept.

        ``keys`` are all that the fill consists of. False when ``entry`` is not current any more. Raises CacheLost.
        """
        flat = [item for pair in fields.items() for item in pair]
        outcome = self._open(
            keys=[self._step, self._arrivals, *self._paths(step, keys)],
            args=[entry.id, step.id, width, KEY_LIFETIME_SECONDS, uuid4().hex, *flat],
            client=self._client,
        )
        if outcome == -2:
            raise CacheLost(f"the fill {step.fill} was lost before its first step")
        return bool(outcome)

    def advance(
        self,
        step: Step,
        following: Step,
        width: int,
        fields: Mapping[str, str],
        tensors: Sequence[tuple[TensorKey, NDArray[Any]]] = (),
        milliseconds: float = 0,
        *marks: Mark,
    ) -> bool:
        """Advance from ``step`` to ``following``, if ``step`` is current and complete.

        The same script replaces the arrays in ``tensors``. Returns True if this call advanced the run.
        ``milliseconds`` is the Trainer's time so far, for the timeline.
        """
        flat = [item for pair in fields.items() for item in pair]
        outcome = self._advance(
            keys=[
                self._step,
                self._arrivals,
                *self._paths(step, [key for key, _ in tensors]),
                *self._list_of(step),
            ],
            args=[
                step.id,
                following.id,
                width,
                KEY_LIFETIME_SECONDS,
                uuid4().hex,
                len(fields),
                *flat,
                *(encode_tensor(key, value) for key, value in tensors),
                *self._telling(milliseconds, marks),
            ],
            client=self._client,
        )
        return bool(outcome == 1)

    def adopt(self, step: Step, generation: int, keys: Sequence[str | TensorKey]) -> Step | None:
        """Move the current step, with its arrivals and its fill, to a new generation.

        None where it is no longer current, or the fill lacks one of its ``keys``.
        """
        adopted = replace(step, generation=generation)
        return adopted if self._kept(step, adopted, keys) else None

    def keep(self, step: Step, keys: Sequence[str | TensorKey]) -> None:
        """Renew the lives of the step and of its fill's ``keys``. Raises CacheLost, or StaleStep once it is over."""
        with self.abandoned_if_lost(step):
            if not self._kept(step, step, keys):
                raise CacheLost(f"the fill of step {step.id} is not whole")

    def _kept(self, step: Step, following: Step, keys: Sequence[str | TensorKey]) -> bool:
        arguments: list[Any] = [step.id, following.id, KEY_LIFETIME_SECONDS, uuid4().hex]
        return bool(self._adopt(keys=[self._step, *self._paths(step, keys)], args=arguments, client=self._client))

    def _paths(self, step: Step, keys: Iterable[str | TensorKey]) -> list[str]:
        fill = self._server.fill(step.fill)
        return [fill.path(key) for key in keys]

    @contextmanager
    def abandoned_if_lost(self, step: Step) -> Iterator[None]:
        """Around work on ``step``: what raises CacheLost takes the step away, so that no later generation adopts it.

        Raises StaleStep instead where the step is over, and its fill with it: then nothing is lost.
        """
        try:
            yield
        except CacheLost as lost:
            if not self._abandon(keys=[self._step, self._arrivals], args=[step.id], client=self._client):
                raise StaleStep(f"step {step.id} is over") from lost
            raise

    def confirm_dispatch(self, step: Step) -> None:
        """Record that every neuron of ``step`` has been invoked."""
        self._dispatched(keys=[self._step], args=[step.id], client=self._client)

    def pause(self, step: Step, milliseconds: int) -> None:
        """Record that ``step`` waits for a person, after so many milliseconds of a Trainer that left it as it is."""
        self._pause(keys=[self._step], args=[step.id, milliseconds], client=self._client)

    def position(self) -> Position | None:
        """The run's position, or None when Redis has no keys of it."""
        pipeline = self._client.pipeline(transaction=True)
        pipeline.hgetall(self._step)
        pipeline.hlen(self._arrivals)
        pipeline.hget(self._arrivals, "of")
        pipeline.time()
        raw, arrivals, of, (seconds, microseconds) = pipeline.execute()
        fields = {key.decode(): value.decode() for key, value in raw.items()}
        if not fields:
            return None
        step = Step.parse(fields.pop("id"))
        fields.pop("sender", None)  # a step that nobody has gone on to has none
        return Position(
            step=step,
            width=int(fields.pop("width")),
            arrived=arrivals - 1 if of == step.place.encode() else 0,
            dispatched=fields.pop("dispatched") == "1",
            opened_at=float(fields.pop("opened_at")),
            read_at=_moment(seconds, microseconds),
            fields=fields,
        )

    def now(self) -> float:
        """The time by Redis's clock."""
        return _moment(*self._client.time())

    def current(self, step: Step) -> Step | None:
        """``step``, which a message names, with the fill that is to be used; None where it is not the current one.

        Raises CacheLost when Redis has no keys of the run.
        """
        found, _ = self.look(step)
        return found if found.is_named_by(step) else None

    def look(self, step: Step) -> tuple[Step, bool]:
        """The current step, whichever ``step`` a message names, and whether the run's invocations are written down.

        Raises CacheLost when Redis has no keys of the run.
        """
        found: Any = self._client.hmget(self._step, "id", "recorded")
        current, recorded = found
        if current is None:
            raise CacheLost(f"step {step.id} is not in the parameter server")
        now = Step.parse(current.decode())
        if not now.fill:
            raise CacheLost(f"step {now.id} was opened by an earlier release, which named no fills")
        return now, recorded is not None

    def read(self, step: Step, keys: Sequence[TensorKey]) -> list[Any]:
        """Values of the step's fill, read while ``step`` was current: else raises StaleStep, or CacheLost."""
        pipeline = self._client.pipeline(transaction=True)
        pipeline.mget(self._paths(step, keys))
        pipeline.hget(self._step, "id")
        values, current = pipeline.execute()
        if current is None:
            raise CacheLost(f"step {step.id} is not in the parameter server")
        if current.decode() != step.id:
            raise StaleStep(f"step {step.id} is over")
        return self._server.decoded(keys, values)

    def missing(self, step: Step, width: int) -> list[int]:
        """The neurons that have not arrived at ``step`` yet, counted from 0."""
        arrived = self._client.hgetall(self._arrivals)
        if arrived.pop(b"of", None) != step.place.encode():
            arrived = {}
        there = {int(neuron) for neuron in arrived}
        return [neuron for neuron in range(width) if neuron not in there]


def _moment(seconds: int, microseconds: int) -> float:
    return float(seconds) + float(microseconds) / 1e6
