"""A process group: long-lived workers that exchange data through Redis, one round trip for each collective.

In an exchange, a worker stores one part for each peer, pushes a note into the peer's inbox for this sender, and blocks
until its own inboxes hold a note of every peer. All commands of an exchange are one pipeline, and nothing polls. A part
is a string of its own, not an item of the list: Redis adopts a string as received but copies a list item twice.

Each claim of a generation has its own inboxes, so that late messages of one never reach the next. Parts and notes carry
the number of their exchange. A part stays until its reader's next exchange: whoever loses an answer of Redis sends its
own parts again, and reads again. A worker that waits in vain raises ProcessGroupBroken: the run then goes on from its
last checkpoint, under the next generation.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NoReturn, TypeAlias

from lnn.errors import PeerLeft, ProcessGroupBroken, WorkersMissing
from lnn.messages import Flag
from lnn.parameter_server.connection import UNREACHABLE
from lnn.parameter_server.heartbeat import Heartbeat
from lnn.parameter_server.resp import Argument, Buffer, RespConnection, RespError, TryLater
from lnn.parameter_server.server import ParameterServer

Part: TypeAlias = Buffer | tuple[Buffer, ...]
"""The data for one worker. A tuple of buffers arrives as one buffer."""

Command: TypeAlias = tuple[Argument, ...]

NOTE = struct.Struct("<QB")
"""Number of the exchange, and ``Flag.LEFT`` or none: the other flags are the last byte of the part."""

VALUE = struct.Struct("<d")

LIFETIME_SECONDS = 3600
"""A generation's keys live so long: longer than any function. A worker that wakes after the end leaves some."""

BLOCK_SECONDS = 2.0
"""How long the BLPOPs of a round trip block together, after which the worker checks that missing peers are alive. It is
below the client's socket time-out, so that a wait never looks like a broken connection."""

JOIN_SECONDS = 60.0
"""How long the first exchange waits: it includes the peers' cold starts and the loading of their data."""

PATIENCE_SECONDS = 20.0
"""How long a later exchange waits for a peer, in addition to five times the time since the last exchange."""

PAUSE_SECONDS = 0.2
"""Pause before a retry while Redis fails over, or after an answer was lost."""


def given(answer: Any) -> bool:
    """True for an answer that Redis has given, and not in place of one."""
    return not isinstance(answer, TryLater)


class ProcessGroup:
    """One worker's view of the workers of a claim (see ``Run.claim``). With ``size`` 1 no exchange needs Redis."""

    def __init__(self, server: ParameterServer, claim: str, rank: int, size: int) -> None:
        self._server = server
        self._client = server.client
        self._claim = claim
        self.rank = rank
        self.size = size
        self.peers = [peer for peer in range(size) if peer != rank]
        self.request = Flag(0)
        """The flags that this worker sends with its next exchange."""
        self.agreed = Flag(0)
        """The union of all workers' flags in the last exchange; it is the same in every worker."""
        self.waited = 0.0
        """Total seconds spent in exchanges."""
        self._number = 0
        self._read: list[str] = []
        """Keys of the parts that the last exchange read; the next one removes them."""
        self._repeated: list[str] = []
        """Keys of earlier parts whose notes came again: so may they, after they were removed."""
        self._silent: dict[int, float] = {}
        """Since when a peer has given no sign of life (monotonic)."""
        self._absent: set[int] = set()
        self._look: Callable[[Sequence[int]], None] | None = None
        self._wire: RespConnection | None = None
        self._last_exchange = time.monotonic()

    def join(self, owner: str) -> bool:
        """Claim this rank. False when another owner has it, so that a message delivered twice starts one worker only.

        A claim whose answer was lost is sent again, and then finds its own ``owner``.
        """
        key = self._member_key(self.rank)
        return bool(
            self._client.set(key, owner, nx=True, ex=LIFETIME_SECONDS) or self._client.get(key) == owner.encode()
        )

    def heartbeat(self) -> AbstractContextManager[object]:
        """A context that keeps up this worker's heartbeat for its peers."""
        return Heartbeat(self._client, self._heartbeat_key(self.rank)) if self.peers else nullcontext()

    def rendezvous(self, look: Callable[[Sequence[int]], None]) -> None:
        """The first exchange, which waits until all have joined; ``look(ranks)`` runs about every ``BLOCK_SECONDS``.

        It looks after the peers that have not joined. What it raises ends the wait.
        """
        self._look = look
        self.all_gather(b"")

    def all_gather(self, part: Part, meanwhile: Callable[[], None] | None = None) -> list[Any]:
        """Send the same part to every worker; return all workers' parts in rank order."""
        return self.exchange([part] * self.size, meanwhile)

    def sum_of_all(self, value: float) -> float:
        """The sum of every worker's value, added in rank order: alike to the bit in all."""
        parts = self.all_gather(VALUE.pack(value))
        return sum(float(VALUE.unpack(part)[0]) for part in parts)

    def exchange(self, parts: Sequence[Part], meanwhile: Callable[[], None] | None = None) -> list[Any]:
        """All-to-all: send ``parts[k]`` to worker k; return the parts sent to this worker, in rank order.

        The result holds a buffer for each peer, and ``parts[rank]`` itself for this worker. ``meanwhile`` runs between
        sending and receiving. Raises ProcessGroupBroken when a peer does not answer or has left.
        """
        self._number += 1
        self.agreed = self.request
        received: list[Any] = [b""] * self.size
        received[self.rank] = parts[self.rank]
        if self.peers:
            pushes = [command for peer in self.peers for command in self._push(peer, parts[peer], self.request)]
            self._receive(pushes, received, meanwhile)
        elif meanwhile is not None:
            meanwhile()
        return received

    def gather(self, part: Part) -> list[Any]:
        """Send ``part`` to worker 0, which returns all parts in rank order; the others return empty ones at once."""
        self._number += 1
        received: list[Any] = [b""] * self.size
        received[self.rank] = part
        if self.rank:
            self._send([*self._remove_read(), *self._push(0, part, self.request)])
            self._read = []
        elif self.peers:
            self._receive([], received)
        return received

    def leave(self) -> None:
        """Notify the peers that this worker leaves, so that they fail at once and not after the time-out."""
        self._number += 1
        if self.peers:
            self._round_trip([command for peer in self.peers for command in self._notify(peer, Flag.LEFT)])

    def close(self) -> None:
        """Return the connection to its pool."""
        wire, self._wire = self._wire, None
        if wire is not None:
            self._client.connection_pool.release(wire.connection)

    # Mechanics

    def _push(self, peer: int, part: Part, flags: Flag) -> list[Command]:
        content = (*(part if isinstance(part, tuple) else (part,)), bytes([flags]))
        return [
            ("SET", self._part_key(peer, self.rank, self._number), content, "EX", LIFETIME_SECONDS),
            *self._notify(peer, Flag(0)),
        ]

    def _remove_read(self) -> list[Command]:
        return [("UNLINK", *self._read)] if self._read else []

    def _notify(self, peer: int, flags: Flag) -> list[Command]:
        inbox = self._inbox_key(peer, self.rank)
        return [("RPUSH", inbox, NOTE.pack(self._number, flags)), ("EXPIRE", inbox, LIFETIME_SECONDS)]

    def _receive(self, pushes: list[Command], received: list[Any], meanwhile: Callable[[], None] | None = None) -> None:
        """Send ``pushes`` and fill ``received`` with the peers' parts: one round trip when no peer is late."""
        began = time.monotonic()
        patience = JOIN_SECONDS if self._number == 1 else PATIENCE_SECONDS + 5 * (began - self._last_exchange)
        missing, waits = list(self.peers), True
        own = [*self._remove_read(), *pushes]
        unsent = own
        while missing or unsent:
            block = BLOCK_SECONDS / max(1, len(missing)) if waits else None
            wait = [command for peer in missing for command in self._wait(peer, block)]
            answers = self._round_trip([*unsent, *wait], meanwhile)
            meanwhile = None
            to_own, to_wait = answers[: len(unsent)], [of if given(of) else None for of in answers[len(unsent) :]]
            refused = not all(map(given, answers))
            unheard = []
            for peer, popped, part in zip(list(missing), to_wait[::2], to_wait[1::2], strict=True):
                note = popped[1] if waits and popped else None
                content = self._accepted(peer, note, part, is_sure=not refused)
                if content is not None:
                    received[peer] = content
                    missing.remove(peer)
                elif waits and note is None:
                    unheard.append(peer)
            # A failover may have lost the pushes, so send them again; a note that arrives twice is skipped. Before the
            # next wait, look for parts alone: their notes may have gone with the answer.
            unsent, waits = own if refused and (missing or not all(map(given, to_own))) else [], not refused
            if refused and (missing or unsent):
                time.sleep(PAUSE_SECONDS)
            elif unheard:
                self._check_alive(unheard)
            if (missing or unsent) and time.monotonic() > began + patience:
                self._give_up(missing)
        self._read = [*(self._part_key(self.rank, peer, self._number) for peer in self.peers), *self._repeated]
        self._repeated = []
        self._last_exchange = time.monotonic()
        self.waited += self._last_exchange - began

    def _give_up(self, missing: Sequence[int]) -> NoReturn:
        """Raises ProcessGroupBroken, or WorkersMissing when some have never joined."""
        if self._number == 1 and (absent := self._absent.intersection(missing)):
            raise WorkersMissing(f"only {self.size - len(absent)} of {self.size} workers took their places")
        whom = f"worker {missing[0]} did not answer" if missing else "Redis takes nothing from"
        raise ProcessGroupBroken(f"{whom} worker {self.rank} in exchange {self._number}")

    def _send(self, commands: list[Command]) -> None:
        """Send commands whose answers do not matter; retry until Redis accepts them."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while refusals := [answer for answer in self._round_trip(commands) if not given(answer)]:
            if time.monotonic() > deadline:
                raise ProcessGroupBroken(f"worker {self.rank} cannot tell Redis anything: {refusals[0]}")
            time.sleep(PAUSE_SECONDS)

    def _round_trip(self, commands: list[Command], meanwhile: Callable[[], None] | None = None) -> list[Any]:
        """The answers to ``commands``; TryLater stands for one that Redis refuses for the moment, or that was lost.

        A pipeline of redis-py cannot run ``meanwhile`` between sending and reading.
        """
        try:
            wire = self._sent(commands)
            if meanwhile is not None:
                meanwhile()
            answers = [wire] * len(commands) if isinstance(wire, TryLater) else self._answers(wire, len(commands))
        except BaseException as error:
            self._disconnect()  # a later command would read this one's answers
            if isinstance(error, RespError):
                raise ProcessGroupBroken(f"worker {self.rank} cannot exchange with Redis: {error}") from error
            raise
        if not all(map(given, answers)):
            self._disconnect()  # the next connection may lead to another server
        return answers

    def _sent(self, commands: list[Command]) -> RespConnection | TryLater:
        """Where the commands were sent, or what stands for their answers if the connection has broken."""
        try:
            if self._wire is None:
                self._wire = RespConnection(self._client.connection_pool.get_connection())
            self._wire.send(commands)
        except (OSError, *UNREACHABLE) as error:
            return TryLater(f"not sent: {error}")
        return self._wire

    @staticmethod
    def _answers(wire: RespConnection, count: int) -> list[Any]:
        answers: list[Any] = []
        while len(answers) < count:
            try:
                answers.append(wire.read())
            except TryLater as refusal:
                answers.append(refusal)
            except OSError as error:  # also of a demoted primary, which unblocks its waiting clients and closes
                answers += [TryLater(f"no answer: {error}")] * (count - len(answers))
        return answers

    def _disconnect(self) -> None:
        if self._wire is not None:
            self._wire.connection.disconnect()
            self.close()

    def _check_alive(self, missing: Sequence[int]) -> None:
        """Raises ProcessGroupBroken when a peer has died: it has joined, and gives no sign of life for a while.

        It takes two checks, since a Redis that has just restarted holds no heartbeats for a moment.
        """
        pipeline = self._client.pipeline(transaction=False)
        for peer in missing:
            pipeline.exists(self._member_key(peer))
            pipeline.exists(self._heartbeat_key(peer))
        try:
            found = pipeline.execute()
        except UNREACHABLE:  # which says nothing of the peers
            return
        now = time.monotonic()
        silent, awaited = dict[int, float](), list[int]()
        self._absent = {peer for peer, joined in zip(missing, found[::2], strict=True) if not joined}
        for peer, joined, alive in zip(missing, found[::2], found[1::2], strict=True):
            if alive:
                continue
            if not joined and self._number == 1:
                awaited.append(peer)
            elif now - self._silent.get(peer, now) >= BLOCK_SECONDS / 2:
                raise ProcessGroupBroken(f"worker {peer} has died before exchange {self._number}")
            else:
                silent[peer] = self._silent.get(peer, now)
        self._silent = silent
        if awaited and self._look is not None:
            self._look(awaited)

    def _member_key(self, rank: int) -> str:
        return self._server.path(f"gang:{self._claim}:{rank}")

    def _heartbeat_key(self, rank: int) -> str:
        return self._server.path(f"gang:{self._claim}:{rank}:alive")

    def _wait(self, peer: int, block: float | None) -> list[Command]:
        """Commands that wait ``block`` seconds for a peer's note and read its part, which is stored before it."""
        inbox = self._inbox_key(self.rank, peer)
        return [
            ("EXISTS", inbox) if block is None else ("BLPOP", inbox, block),
            ("GET", self._part_key(self.rank, peer, self._number)),
        ]

    def _accepted(
        self, peer: int, note: memoryview | None, part: memoryview | None, *, is_sure: bool
    ) -> memoryview | None:
        """A peer's part of this exchange, whose flags are collected, or None while it is not there.

        A part counts without its note, which may come later, or may have gone with an answer that was lost. The note of
        an earlier exchange is skipped, and then this one's is waited for, so that none stays in the inbox for good.
        Without ``is_sure`` a part that is missing may be there all the same, since answers were lost.
        """
        number, flags = NOTE.unpack(note) if note else (self._number, 0)
        if flags & Flag.LEFT:
            raise PeerLeft(f"worker {peer} has left")
        if number < self._number:
            self._repeated.append(self._part_key(self.rank, peer, number))
            return None
        if part is None:
            if note and is_sure:
                what = "the part" if number == self._number else "a note"
                raise ProcessGroupBroken(f"{what} of worker {peer} for exchange {self._number} was lost")
            return None
        self.agreed |= Flag(part[-1])
        return part[:-1]

    def _part_key(self, reader: int, writer: int, number: int) -> str:
        return f"{self._inbox_key(reader, writer)}:part:{number}"

    def _inbox_key(self, reader: int, writer: int) -> str:
        return self._server.path(f"gang:{self._claim}:{reader}:{writer}")
