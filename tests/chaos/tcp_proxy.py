"""Between the functions and Redis: a network that can be paused and torn."""

from __future__ import annotations

import contextlib
import random
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

LOOPBACK = "127.0.0.1"
CHUNK_BYTES = 2**18
RESET_ON_CLOSE = struct.pack("ii", 1, 0)
"""SO_LINGER: closing sends RST and drops what is under way."""


HOLD_SECONDS = 11.0, 15.0
"""Least and most that a late command is held: the client gives it up after ten seconds."""


@dataclass
class Stumble:
    """What goes wrong with commands that name ``subject``, now and then."""

    subject: bytes
    rng: random.Random
    gap: tuple[int, int]
    """Fewest and most good ones before each that goes wrong."""
    mode: str
    """``late``: Redis has the command when the client has given it up; ``answer lost``: it has it at once, and the
    connection ends in place of an answer."""
    most: int
    struck: int = 0
    under_way: int = 0
    """Late commands that are still to come."""
    lasted: list[tuple[float, float]] = field(default_factory=list)
    """From when to when commands were late."""
    _good: int = field(init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._good = self.rng.randint(*self.gap)

    @property
    def is_late(self) -> bool:
        return self.mode == "late"

    def strikes(self, data: bytes) -> bool:
        """Whether these commands go wrong."""
        if self.subject not in data:
            return False
        with self._lock:
            self._good -= 1
            if self._good >= 0 or self.struck >= self.most:
                return False
            self._good = self.rng.randint(*self.gap)
            self.struck += 1
            return True

    def hold(self) -> None:
        with self._lock:
            self.under_way += 1
            seconds = self.rng.uniform(*HOLD_SECONDS)
        began = time.time()
        time.sleep(seconds)
        self.lasted.append((began, time.time()))

    def delivered(self) -> None:
        with self._lock:
            self.under_way -= 1


class TcpProxy:
    """Forwards connections to a local port."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._server = socket.create_server((LOOPBACK, 0))
        self.port = int(self._server.getsockname()[1])
        self._flowing = threading.Event()
        self._flowing.set()
        self.stumbles: list[Stumble] = []
        self._ends: set[socket.socket] = set()
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Nothing gets through meanwhile; connections stay."""
        self._flowing.clear()
        try:
            yield
        finally:
            self._flowing.set()

    @contextmanager
    def stumble(self, stumble: Stumble) -> Iterator[None]:
        self.stumbles = [*self.stumbles, stumble]
        try:
            yield
        finally:
            self.stumbles = [other for other in self.stumbles if other is not stumble]

    def reset(self) -> int:
        """Tear every connection; returns how many."""
        with self._lock:
            ends, self._ends = self._ends, set()
        for end in ends:
            with contextlib.suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
                # A thread may be blocked in recv: close() alone would wait for it.
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        return len(ends) // 2

    def close(self) -> None:
        self._server.close()
        self.reset()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._server.accept()
                threading.Thread(target=self._connect, args=(client,), daemon=True).start()

    def _connect(self, client: socket.socket) -> None:
        self._flowing.wait()
        try:
            upstream = socket.create_connection((LOOPBACK, self._target), timeout=5)
        except OSError:
            client.close()
            return
        upstream.settimeout(None)
        with self._lock:
            self._ends |= {client, upstream}
        for end in (client, upstream):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        torn = threading.Event()
        threading.Thread(target=self._ask, args=(client, upstream, torn), daemon=True).start()
        threading.Thread(target=self._forward, args=(upstream, client, torn), daemon=True).start()

    def _ask(self, client: socket.socket, upstream: socket.socket, torn: threading.Event) -> None:
        """Forward commands, late if they are to be; ``torn`` says that the answer is to be lost."""
        with contextlib.suppress(OSError):
            while data := client.recv(CHUNK_BYTES):
                self._flowing.wait()
                stumble = next((one for one in self.stumbles if one.strikes(data)), None)
                if stumble is None:
                    upstream.sendall(data)
                elif stumble.mode == "late":
                    stumble.hold()
                    try:
                        upstream.sendall(data)
                    finally:
                        stumble.delivered()
                else:
                    torn.set()
                    upstream.sendall(data)
        self._part(client, upstream)

    def _forward(self, source: socket.socket, target: socket.socket, torn: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(CHUNK_BYTES):
                if torn.is_set():
                    break
                self._flowing.wait()
                target.sendall(data)
        self._part(source, target)

    def _part(self, *ends: socket.socket) -> None:
        with self._lock:
            self._ends -= set(ends)
        for end in ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
