"""A proxy to Redis that delays each burst of bytes, like a slower network.

As a program it prints its port and forwards until its standard input closes. It uses threads, whose sleep is exact to
about 0.1 ms; an event loop's is exact to 1 ms.
"""

import argparse
import contextlib
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOOPBACK = "127.0.0.1"
CHUNK_BYTES = 2**18


def forward(source: socket.socket, target: socket.socket, delay: float) -> None:
    """Forwards bytes from ``source`` until it closes, each burst ``delay`` seconds late."""
    with contextlib.suppress(OSError):
        while data := source.recv(CHUNK_BYTES):
            time.sleep(delay)
            target.sendall(data)
            # Bytes that arrived meanwhile belong to the same burst, which has had its delay.
            with contextlib.suppress(BlockingIOError):
                while data := source.recv(CHUNK_BYTES, socket.MSG_DONTWAIT):
                    target.sendall(data)
        target.shutdown(socket.SHUT_WR)


def serve(port: int, delay: float) -> None:
    """Forwards connections to ``port``, each way ``delay`` seconds late."""
    with socket.create_server((LOOPBACK, 0)) as server:
        print(server.getsockname()[1], flush=True)
        while True:
            client, _ = server.accept()
            upstream = socket.create_connection((LOOPBACK, port))
            for end in (client, upstream):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for ends in ((client, upstream), (upstream, client)):
                threading.Thread(target=forward, args=(*ends, delay), daemon=True).start()


def main() -> None:
    parser = argparse.ArgumentParser(description="Forward connections to a local port, late.")
    parser.add_argument("port", type=int, help="of Redis")
    parser.add_argument("--delay", type=float, required=True, metavar="SECONDS", help="each way")
    arguments = parser.parse_args()
    threading.Thread(target=serve, args=(arguments.port, arguments.delay), daemon=True).start()
    sys.stdin.read()


@contextmanager
def proxy(port: int, delay: float) -> Iterator[int]:
    """The port of a proxy to ``port`` that adds ``delay`` seconds each way."""
    command = [sys.executable, "-m", "lnnbench.redis_proxy", str(port), "--delay", str(delay)]
    folder = Path(__file__).resolve().parents[1]
    with subprocess.Popen(command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None  # noqa: S101 (it is a pipe)
        try:
            yield int(process.stdout.readline())
        finally:
            process.terminate()


if __name__ == "__main__":
    main()
