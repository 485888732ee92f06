"""An emulated network: a proxy on this machine, with a round-trip time and bandwidths.

Every function has a link up and a link down, and the cache's node one in and one out. Bytes leave the proxy when every
link on their way has had the time for them, and half a round trip after that. Links serve bytes in the order in which
they come, so that many connections share one evenly. The proxy passes on what TLS has made of the bytes.

As a program it prints the port of its control, and serves until its standard input closes. A request and its answer are
a line of JSON each.
"""

import argparse
import asyncio
import json
import select
import selectors
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

LOOPBACK = "127.0.0.1"
CHUNK_BYTES = 2**16
"""What is passed on at a time: connections that share a link take turns."""
BACKLOG = 512
FAST = 1e9
"""Bytes/s of a link without limit, to size what is in flight."""


@dataclass(frozen=True, slots=True)
class Network:
    """What is emulated. A bandwidth is of each direction; 0 means without limit."""

    round_trip_seconds: float
    function_bytes: float
    """Bytes/s in, and as many out, of each function."""
    node_bytes: float
    """Bytes/s in, and as many out, of the cache's node."""


class Link:
    """One direction of a network card: bytes follow one another."""

    def __init__(self, bandwidth: float) -> None:
        self.bandwidth = bandwidth or FAST
        self._seconds = 1 / bandwidth if bandwidth else 0.0
        self._free_at = 0.0

    def take(self, count: int, now: float) -> float:
        """The time at which the last of ``count`` bytes that come now has passed."""
        self._free_at = max(now, self._free_at) + count * self._seconds
        return self._free_at


@dataclass
class Card:
    """A function's or the node's network card."""

    bandwidth: float
    into: Link = field(init=False)
    out: Link = field(init=False)

    def __post_init__(self) -> None:
        self.into, self.out = Link(self.bandwidth), Link(self.bandwidth)


class Late:
    """How much later than planned the proxy let go of bytes: its own share of what is measured."""

    def __init__(self) -> None:
        self.count, self.seconds = 0, 0.0

    def note(self, seconds: float) -> None:
        self.count, self.seconds = self.count + 1, self.seconds + seconds


class Pipe(asyncio.Protocol):
    """One end of a connection: what it receives goes to the other end, in order and late."""

    def __init__(self, loop: asyncio.AbstractEventLoop, links: Sequence[Link], delay: float, late: Late) -> None:
        self._loop, self._links, self._delay, self._late = loop, links, delay, late
        self._waiting: deque[tuple[float, bytes | None]] = deque()
        self._in_flight = 0
        # As a TCP window: enough for the link to be busy all the time, and no more, or turns would be long.
        self._window = 2 * max(CHUNK_BYTES, delay * min(link.bandwidth for link in links))
        self._paused = False
        self.ended = False
        """Nothing more will be received."""
        self.other: Pipe | None = None
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        cast("Any", transport).max_size = CHUNK_BYTES
        self.transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def data_received(self, data: bytes) -> None:
        now = self._loop.time()
        self._later(max(link.take(len(data), now) for link in self._links) + self._delay, data)
        self._in_flight += len(data)
        self._mind()

    def eof_received(self) -> bool:
        self._end()
        return True  # the other direction stays open

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002 (the other end closes either way)
        self._end()

    def _end(self) -> None:
        if not self.ended:
            self.ended = True
            self._later(self._loop.time() + self._delay, None)

    def pause_writing(self) -> None:
        """The receiver of what ``other`` receives does not read: asyncio asks for less."""
        if self.other is not None:
            self.other.hold(held=True)

    def resume_writing(self) -> None:
        if self.other is not None:
            self.other.hold(held=False)

    def hold(self, *, held: bool) -> None:
        self._paused = held
        self._mind()

    def _mind(self) -> None:
        transport = self.transport
        if transport is None or transport.is_closing():
            return
        full = self._paused or self._in_flight >= self._window
        if full and transport.is_reading():
            transport.pause_reading()
        elif not full and not transport.is_reading():
            transport.resume_reading()

    def _later(self, when: float, data: bytes | None) -> None:
        # A queue keeps the order, also of what is due at the same time.
        if self._waiting:
            when = max(when, self._waiting[-1][0])
        self._waiting.append((when, data))
        self._loop.call_at(when, self._let_go)

    def _let_go(self) -> None:
        when, data = self._waiting.popleft()
        self._late.note(self._loop.time() - when)
        if data is not None:
            self._in_flight -= len(data)
            if self._target is not None:
                self._target.write(data)
            self._mind()
        elif self.other is not None and self._target is not None:
            if self.other.ended or self.transport is None or self.transport.is_closing():
                self._target.close()  # once it has sent what it still holds
                if self.transport is not None:
                    self.transport.close()
            else:
                self._target.write_eof()

    @property
    def _target(self) -> asyncio.Transport | None:
        """Where the other end's bytes go, while it is open."""
        target = None if self.other is None else self.other.transport
        return None if target is None or target.is_closing() else target


class Proxy:
    """Listeners on their ports, each for one function's way to one server."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._node = Card(network.node_bytes)
        self._cards: dict[int, Card] = {}
        self._late = Late()
        self._servers: dict[tuple[int, int | None, int], asyncio.Server] = {}

    async def open(self, function: int, port: int, peer: int | None, ports: Sequence[int]) -> int:
        """The port by which a function reaches ``port``: the node's, or that of another function.

        It is the first free one of ``ports``; 0 is any.
        """
        key = function, peer, port
        if key not in self._servers:
            loop = asyncio.get_running_loop()
            here, there = self._card(function), self._node if peer is None else self._card(peer)
            up, down = (here.out, there.into), (there.out, here.into)

            def end() -> Near:
                near = Pipe(loop, up, self._network.round_trip_seconds / 2, self._late)
                far = Pipe(loop, down, self._network.round_trip_seconds / 2, self._late)
                near.other, far.other = far, near
                return Near(near, far, port)

            self._servers[key] = await self._listen(end, ports)
        (listener,) = self._servers[key].sockets
        return int(listener.getsockname()[1])

    async def _listen(self, end: Callable[[], asyncio.Protocol], ports: Sequence[int]) -> asyncio.Server:
        for port in ports:
            try:
                return await asyncio.get_running_loop().create_server(end, LOOPBACK, port, backlog=BACKLOG)
            except OSError:  # somebody has it
                continue
        raise OSError("no port is free of those that were asked for")

    def facts(self) -> dict[str, float]:
        """The proxy's processor time so far, in seconds, and how late it let go of bytes, in the mean."""
        return {"cpu_seconds": time.process_time(), "late_seconds": self._late.seconds / max(1, self._late.count)}

    def _card(self, function: int) -> Card:
        return self._cards.setdefault(function, Card(self._network.function_bytes))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one client of the control."""
        while line := await reader.readline():
            asked = json.loads(line)
            answer = {"port": await self.open(**asked)} if asked else self.facts()
            writer.write(json.dumps(answer).encode() + b"\n")
        writer.close()


class Near(asyncio.Protocol):
    """The end that a client has opened: it connects the far end, and receives nothing before."""

    def __init__(self, near: Pipe, far: Pipe, port: int) -> None:
        self._near, self._far, self._port = near, far, port

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._near.connection_made(transport)
        connected = cast("asyncio.Transport", transport)
        connected.set_protocol(self._near)
        connected.pause_reading()
        self._connecting = asyncio.ensure_future(self._connect(connected))

    async def _connect(self, connected: asyncio.Transport) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.create_connection(lambda: self._far, LOOPBACK, self._port)
        except OSError:
            connected.close()
        else:
            connected.resume_reading()


class Precise(selectors.DefaultSelector):
    """epoll waits whole milliseconds, and a round trip is less than one; select() waits microseconds."""

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is not None and timeout > 0:
            select.select([self], [], [], timeout)
            timeout = 0
        return super().select(timeout)


class Control:
    """A client of a proxy's control."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._socket = socket.create_connection((LOOPBACK, port))
        self._answers = self._socket.makefile("r")

    def ask(self, **asked: int | list[int] | None) -> dict[str, Any]:
        self._socket.sendall(json.dumps(asked).encode() + b"\n")
        answer: dict[str, Any] = json.loads(self._answers.readline())
        return answer

    def way(self, function: int, port: int, peer: int | None = None, ports: Sequence[int] = (0,)) -> int:
        """See ``Proxy.open``."""
        return int(self.ask(function=function, port=port, peer=peer, ports=list(ports))["port"])

    def facts(self) -> dict[str, float]:
        return self.ask()

    def close(self) -> None:
        self._answers.close()
        self._socket.close()


@contextmanager
def emulated(network: Network) -> Iterator[Control]:
    """The control of a proxy that emulates ``network``, in a process of its own."""
    command = [sys.executable, "-m", "lnnbench.scale.network", json.dumps(asdict(network))]
    folder = Path(__file__).resolve().parents[2]
    with subprocess.Popen(command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None  # noqa: S101 (it is a pipe)
        try:
            control = Control(int(process.stdout.readline()))
            try:
                yield control
            finally:
                control.close()
        finally:
            process.terminate()


async def serve(network: Network) -> None:
    server = await asyncio.start_server(Proxy(network).serve, LOOPBACK, 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


def main() -> None:
    parser = argparse.ArgumentParser(description="Emulate a network between functions and a cache.")
    parser.add_argument("network", type=json.loads, help="JSON: see Network")
    network = Network(**parser.parse_args().network)
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(Precise())) as runner:
        runner.run(serve(network))


if __name__ == "__main__":
    main()
