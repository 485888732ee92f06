"""Workers that stay alive and meet in Redis: one round trip in which each tells every other its part.

Worker ``rank`` of ``size`` puts down a part for each peer, pushes a note of it into the inbox that the peer keeps for
it, and blocks until every peer's note is in its own inboxes: pushed, not polled. The commands of one exchange travel
as one pipeline. The part is a string, not in the list itself: Redis takes over a string as it came, but copies what
goes through a list twice.

A generation has inboxes of its own, so nothing late reaches its successor; part and note carry the number of their
exchange. A worker that waits in vain raises ProcessGroupBroken: the run then goes on from its last checkpoint, under
the next generation.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from enum import IntFlag
from typing import Any, TypeAlias

from lnn.errors import ProcessGroupBroken
from lnn.parameter_server.heartbeat import Heartbeat
from lnn.parameter_server.resp import Argument, Buffer, NotNow, Wire, WireError
from lnn.parameter_server.server import KEY_LIFETIME_SECONDS, ParameterServer

Part: TypeAlias = Buffer | tuple[Buffer, ...]
"""What is given to a worker; it gets the buffers of a tuple as one."""

Command: TypeAlias = tuple[Argument, ...]

NOTE = struct.Struct("<QB")
"""Number of the exchange, flags."""

BLOCK_SECONDS = 2
"""One BLPOP, after which missing peers are looked for; shorter than the client's socket time-out, so that waiting is
never taken for a broken connection."""

JOIN_SECONDS = 60.0
"""How long the first exchange waits: for cold starts, and for workers that load their data more slowly."""

PATIENCE_SECONDS = 20.0
"""How long a later exchange waits for a peer, besides what the worker's own part may have taken."""

PAUSE_SECONDS = 0.2
"""Before Redis is asked again that is not the one to ask at the moment, as after a failover."""


class Flag(IntFlag):
    """What a worker wants of all, sent with every part; what any worker wants, all of them do."""

    STOP = 1
    """End the run after this step."""
    HAND_OVER = 2
    """Let the next generation go on after this step."""
    CHECKPOINT = 4
    """Store a checkpoint after this step."""
    LEFT = 8
    """The sender has left: there is nothing to wait for."""


class ProcessGroup:
    """One worker's view of its generation's workers. With ``size`` 1 no exchange needs Redis."""

    def __init__(self, server: ParameterServer, generation: int, rank: int, size: int) -> None:
        self._server = server
        self._client = server.client
        self._generation = generation
        self.rank = rank
        self.size = size
        self.peers = [peer for peer in range(size) if peer != rank]
        self.request = Flag(0)
        """What this worker wants; goes out with its next exchange."""
        self.agreed = Flag(0)
        """What any worker wanted in the last exchange: the same in all of them."""
        self.waited = 0.0
        """Seconds in exchanges."""
        self._number = 0
        self._suspects: set[int] = set()
        self._call: Callable[[int], None] | None = None
        self._wire: Wire | None = None
        self._met_at = time.monotonic()

    def join(self, owner: str) -> bool:
        """Take this rank; False when somebody else has it, so that a message delivered twice makes one worker."""
        return bool(self._client.set(self._place(self.rank), owner, nx=True, ex=KEY_LIFETIME_SECONDS))

    def heartbeat(self) -> AbstractContextManager[object]:
        """Shows the peers that this worker is alive, as long as it is in this context."""
        return Heartbeat(self._client, self._sign_of_life(self.rank)) if self.peers else nullcontext()

    def rendezvous(self, call: Callable[[int], None]) -> None:
        """The first exchange, when all are ready; ``call`` is told of a peer that has not taken its place."""
        self._call = call
        self.all_gather(b"")

    def all_gather(self, part: Part, meanwhile: Callable[[], None] | None = None) -> list[Any]:
        """Give every worker the same part; returns all parts in rank order, as ``exchange`` does."""
        return self.exchange([part] * self.size, meanwhile)

    def exchange(self, parts: Sequence[Part], meanwhile: Callable[[], None] | None = None) -> list[Any]:
        """Give ``parts[k]`` to worker k; returns what each worker gave to this one, in rank order.

        That is a buffer for each peer, and ``parts[rank]`` itself for this worker. ``meanwhile`` is called while the
        parts travel. Raises ProcessGroupBroken when a peer does not answer or has left.
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
        """Give ``part`` to worker 0, which gets all parts in rank order; the others get empty ones and do not wait."""
        self._number += 1
        received: list[Any] = [b""] * self.size
        received[self.rank] = part
        if self.rank:
            self._tell(self._push(0, part, self.request))
        elif self.peers:
            self._receive([], received)
        return received

    def leave(self) -> None:
        """Tell the peers that this worker has left, so that they need not wait for it to be missed."""
        self._number += 1
        if self.peers:
            self._talk([command for peer in self.peers for command in self._notify(peer, Flag.LEFT)])

    def close(self) -> None:
        """Give the connection back."""
        wire, self._wire = self._wire, None
        if wire is not None:
            self._client.connection_pool.release(wire.connection)

    # Mechanics

    def _push(self, peer: int, part: Part, flags: Flag) -> list[Command]:
        return [
            ("SET", self._place_of_part(peer, self.rank), part, "EX", KEY_LIFETIME_SECONDS),
            *self._notify(peer, flags),
        ]

    def _notify(self, peer: int, flags: Flag) -> list[Command]:
        inbox = self._inbox(peer, self.rank)
        return [("RPUSH", inbox, NOTE.pack(self._number, flags)), ("EXPIRE", inbox, KEY_LIFETIME_SECONDS)]

    def _receive(self, pushes: list[Command], received: list[Any], meanwhile: Callable[[], None] | None = None) -> None:
        """Send ``pushes`` and fill in what the peers give, all in one round trip if they are not late."""
        began = time.monotonic()
        patience = JOIN_SECONDS if self._number == 1 else PATIENCE_SECONDS + 5 * (began - self._met_at)
        missing = list(self.peers)
        parts: dict[int, Any] = {}
        unsent = pushes
        while missing:
            waits = [command for peer in missing for command in self._wait(peer)]
            given = self._talk([*unsent, *waits], meanwhile)
            meanwhile = None
            refused = any(isinstance(answer, NotNow) for answer in given)
            answers = [None if isinstance(answer, NotNow) else answer for answer in given[len(unsent) :]]
            # A failover may have lost what was sent before. A part that comes twice is passed over: see ``_accept``.
            unsent = pushes if refused else []
            # A part may be there when its note has been waited for in vain, and comes a moment later.
            parts |= {peer: part for peer, part in zip(missing, answers[1::2], strict=True) if part is not None}
            noted = {
                peer for peer, note in zip(missing, answers[::2], strict=True) if note and self._accept(peer, note[1])
            }
            for peer in noted:
                if peer not in parts:
                    raise ProcessGroupBroken(f"the part of worker {peer} for exchange {self._number} was lost")
                received[peer] = parts[peer]
            missing = [peer for peer in missing if peer not in noted]
            if missing and refused:
                time.sleep(PAUSE_SECONDS)
            elif missing:
                self._look_for(missing)
            if missing and time.monotonic() > began + patience:
                raise ProcessGroupBroken(
                    f"worker {missing[0]} did not answer worker {self.rank} in exchange {self._number}"
                )
        self._met_at = time.monotonic()
        self.waited += self._met_at - began

    def _tell(self, commands: list[Command]) -> None:
        """Send commands whose answers say nothing, until Redis takes them."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while refusals := [answer for answer in self._talk(commands) if isinstance(answer, NotNow)]:
            if time.monotonic() > deadline:
                raise ProcessGroupBroken(f"worker {self.rank} cannot tell Redis anything: {refusals[0]}")
            time.sleep(PAUSE_SECONDS)

    def _talk(self, commands: list[Command], meanwhile: Callable[[], None] | None = None) -> list[Any]:
        """The answers to some commands; NotNow in the place of those that Redis does not take at the moment.

        A pipeline of redis-py would not let go between sending and reading.
        """
        try:
            if self._wire is None:
                self._wire = Wire(self._client.connection_pool.get_connection())
            self._wire.send(commands)
            if meanwhile is not None:
                meanwhile()
            answers = self._answers(self._wire, len(commands))
        except BaseException as error:
            self._hang_up()  # its answers would be taken for those of others
            if isinstance(error, OSError | WireError):
                raise ProcessGroupBroken(f"worker {self.rank} cannot exchange with Redis: {error}") from error
            raise
        if any(isinstance(answer, NotNow) for answer in answers):
            self._hang_up()  # the next connection may lead to another server
        return answers

    @staticmethod
    def _answers(wire: Wire, count: int) -> list[Any]:
        answers: list[Any] = []
        while len(answers) < count:
            try:
                answers.append(wire.read())
            except NotNow as refusal:
                answers.append(refusal)
            except OSError:
                if not answers or not isinstance(answers[-1], NotNow):
                    raise
                answers.append(answers[-1])  # a primary that becomes a replica tells who waits so, and hangs up
        return answers

    def _hang_up(self) -> None:
        if self._wire is not None:
            self._wire.connection.disconnect()
            self.close()

    def _look_for(self, missing: Sequence[int]) -> None:
        """Raises ProcessGroupBroken when a peer has died: it has joined but, twice in a row, gives no sign of life.

        Twice, since a Redis that was started afresh knows of nobody for a moment.
        """
        pipeline = self._client.pipeline(transaction=False)
        for peer in missing:
            pipeline.exists(self._place(peer))
            pipeline.exists(self._sign_of_life(peer))
        found = pipeline.execute()
        silent = set()
        for peer, joined, alive in zip(missing, found[::2], found[1::2], strict=True):
            if alive:
                continue
            if not joined and self._number == 1:
                if self._call is not None:
                    self._call(peer)
            elif peer in self._suspects:
                raise ProcessGroupBroken(f"worker {peer} has died before exchange {self._number}")
            else:
                silent.add(peer)
        self._suspects = silent

    def _place(self, rank: int) -> str:
        return self._server.path(f"gang:{self._generation}:{rank}")

    def _sign_of_life(self, rank: int) -> str:
        return self._server.path(f"gang:{self._generation}:{rank}:alive")

    def _wait(self, peer: int) -> list[Command]:
        """For a peer's note; its part is there by then."""
        return [
            ("BLPOP", self._inbox(self.rank, peer), BLOCK_SECONDS),
            ("GETDEL", self._place_of_part(self.rank, peer)),
        ]

    def _accept(self, peer: int, note: memoryview) -> bool:
        """Whether a note belongs to this exchange, and not to an earlier one; heeds its flags if so."""
        number, flags = NOTE.unpack(note)
        if flags & Flag.LEFT:
            raise ProcessGroupBroken(f"worker {peer} has left")
        if number > self._number:
            raise ProcessGroupBroken(f"a note of worker {peer} for exchange {self._number} was lost")
        if number < self._number:
            return False
        self.agreed |= Flag(flags)
        return True

    def _place_of_part(self, reader: int, writer: int) -> str:
        return f"{self._inbox(reader, writer)}:{self._number}"

    def _inbox(self, reader: int, writer: int) -> str:
        return self._server.path(f"gang:{self._generation}:{reader}:{writer}")
