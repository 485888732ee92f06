"""The Redis protocol (RESP) over a redis-py connection, without copies of long values.

redis-py packs a command into new bytes, and hiredis assembles an answer twice. For an array of half a megabyte, that
takes longer than Redis itself. This module sends arrays from their own memory and receives answers into their final
place. redis-py opens the connection, with its TLS and login.
"""

import os
import select
import socket
import ssl
import time
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

import numpy as np

Buffer: TypeAlias = bytes | bytearray | memoryview
Argument: TypeAlias = str | float | Buffer | tuple[Buffer, ...]
"""An argument of a command: text, a number or bytes. The buffers of a tuple are sent as one value."""

CHUNK_BYTES = 64 * 1024
"""Longer values are sent without joining and received without an intermediate buffer."""

SPIN_SECONDS = 0.001
"""Busy-poll this long for the answer to short commands before blocking: on a virtual machine, waking a thread can take
as long as the answer. After long commands Redis has work to do, and may need this core for it."""


TRY_LATER = frozenset({"CLUSTERDOWN", "LOADING", "MASTERDOWN", "READONLY", "TRYAGAIN", "UNBLOCKED"})
"""Error codes of ``connection.TRY_LATER``; a demoted primary sends UNBLOCKED to clients that wait in BLPOP."""


class RespError(Exception):
    """Redis refused a command, or its answer breaks the protocol."""


class TryLater(RespError):
    """Redis refused a command for the moment, as in a failover; it changed nothing, and a retry may succeed."""


class RespConnection:
    """One connection, for one thread. Every method raises OSError when the connection breaks or times out."""

    def __init__(self, connection: Any) -> None:
        """``connection`` is a connected one of redis-py, which nothing else uses."""
        self.connection = connection
        self._socket: socket.socket = connection._sock
        self._polls_until = 0.0
        self._bytes = bytearray(CHUNK_BYTES)
        self._received = memoryview(self._bytes)
        self._start = self._end = 0  # the part that is still to be read

    def send(self, commands: Iterable[Sequence[Argument]]) -> None:
        """Send commands; ``read`` returns their answers, in the same order."""
        sent = 0
        for chunk in _packed(commands):
            self._socket.sendall(chunk)
            sent += _length(chunk)
        self._polls_until = time.perf_counter() + SPIN_SECONDS if sent < CHUNK_BYTES else 0.0

    def read(self) -> Any:
        """The next answer: int, memoryview, str (a status), list of answers, or None. Raises RespError.

        After TryLater the next answer can be read.
        """
        line = self._line()
        kind, rest = line[:1], line[1:]
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return self._value(int(rest))
        if kind == b"*":
            return [self.read() for _ in range(int(rest))] if rest != b"-1" else None
        if kind == b"+":
            return rest.decode()
        if kind == b"_":  # "nothing" in RESP3
            return None
        if kind == b"-":
            text = rest.decode(errors="replace")
            raise (TryLater if text.partition(" ")[0] in TRY_LATER else RespError)(text)
        raise RespError(f"an answer that begins with {line[:20]!r}")

    def _line(self) -> bytes:
        line = b""
        while not line.endswith(b"\r\n"):
            if self._start == self._end:
                self._receive_some()
            # The received bytes may end anywhere, even between the two bytes of CRLF.
            end = self._bytes.find(b"\n", self._start, self._end) + 1 or self._end
            line += self._bytes[self._start : end]
            self._start = end
        return line[:-2]

    def _value(self, length: int) -> memoryview | None:
        if length < 0:
            return None
        # Not a bytearray, which would be zeroed first.
        value = np.empty(length, np.uint8).data
        filled = 0
        while filled < length:
            if self._start < self._end:
                taken = min(length - filled, self._end - self._start)
                value[filled : filled + taken] = self._received[self._start : self._start + taken]
                self._start += taken
            elif length - filled >= CHUNK_BYTES:
                taken = self._checked(self._socket.recv_into(value[filled:]))
            else:
                self._receive_some()
                continue
            filled += taken
        self._line()  # the value's CRLF
        return value

    def _receive_some(self) -> None:
        if self._polls_until:
            self._busy_poll()
        self._start, self._end = 0, self._checked(self._socket.recv_into(self._received))

    def _busy_poll(self) -> None:
        """Return when data has arrived or SPIN_SECONDS are over."""
        if isinstance(self._socket, ssl.SSLSocket) and self._socket.pending():
            return  # already decrypted, so poll() would not see it
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        while not poll.poll(0) and time.perf_counter() < self._polls_until:
            os.sched_yield()

    @staticmethod
    def _checked(received: int) -> int:
        if not received:
            raise ConnectionResetError("Redis closed the connection")
        return received


def _packed(commands: Iterable[Sequence[Argument]]) -> Iterable[Buffer]:
    """The bytes of ``commands``: short pieces joined, long ones unchanged."""
    short = bytearray()
    for command in commands:
        short += b"*%d\r\n" % len(command)
        for argument in command:
            buffers = _buffers(argument)
            short += b"$%d\r\n" % sum(map(_length, buffers))
            for buffer in buffers:
                if _length(buffer) < CHUNK_BYTES:
                    short += buffer
                else:
                    yield short
                    yield buffer
                    short = bytearray()
            short += b"\r\n"
    yield short


def _buffers(argument: Argument) -> tuple[Buffer, ...]:
    if isinstance(argument, tuple):
        return argument
    return (str(argument).encode(),) if isinstance(argument, str | int | float) else (argument,)


def _length(buffer: Buffer) -> int:
    return buffer.nbytes if isinstance(buffer, memoryview) else len(buffer)
