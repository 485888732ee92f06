"""Between the functions and S3, DynamoDB and SNS: a cloud whose calls fail now and then."""

from __future__ import annotations

import contextlib
import http.client
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

LOOPBACK = "127.0.0.1"
HANG_SECONDS = 30.0
"""Longer than any client waits for an answer."""
HOLD_SECONDS = 4.0, 14.0
"""Least and most that a late call is held: every client has given it up by then."""
SEARCHED_BYTES = 2**17
HOP_BY_HOP = {"connection", "expect", "keep-alive", "transfer-encoding"}
ERRORS = {
    "s3": b"<Error><Code>%s</Code><Message>chaos</Message></Error>",
    "sns": b"<ErrorResponse><Error><Code>%s</Code><Message>chaos</Message></Error></ErrorResponse>",
    "dynamodb": b'{"__type": "%s", "message": "chaos"}',
}


@dataclass
class Trouble:
    """What goes wrong with the calls of one service that name one of ``subjects``: bursts, with gaps between them."""

    service: str
    subjects: list[bytes]
    rng: random.Random
    gap: tuple[int, int]
    """Fewest and most good calls before each burst."""
    burst: tuple[int, int]
    """Fewest and most calls in a burst."""
    modes: tuple[str, ...]
    """``refused``: 503, and nothing was done; ``answer lost``: 500, but it was done; ``answer torn``: it was done, and
    the connection ends; ``late``: it is done after ``HOLD_SECONDS``; ``hangs``: no answer at all."""
    most: int = 2**31
    """Calls after which nothing goes wrong any more."""
    struck: int = 0
    under_way: int = 0
    """Late calls that are still to come."""
    lasted: list[tuple[float, float]] = field(default_factory=list)
    """From when to when calls were late."""
    _good: int = field(init=False)
    _bad: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._good = self.rng.randint(*self.gap)

    @property
    def is_late(self) -> bool:
        return "late" in self.modes

    def mode_for(self, service: str, path: str, body: bytes) -> str | None:
        """How this call shall go wrong; None if it shall not."""
        text = path.encode() + body[:SEARCHED_BYTES]
        if service != self.service or not any(subject in text for subject in self.subjects):
            return None
        with self._lock:
            if self._good or self.struck >= self.most:
                self._good = max(0, self._good - 1)
                return None
            if not self._bad:
                self._bad = self.rng.randint(*self.burst)
            self._bad -= 1
            if not self._bad:
                self._good = self.rng.randint(*self.gap)
            self.struck += 1
            return self.rng.choice(self.modes)

    @contextmanager
    def held(self) -> Iterator[None]:
        """A late call waits its time, and is then done."""
        with self._lock:
            self.under_way += 1
            seconds = self.rng.uniform(*HOLD_SECONDS)
        began = time.time()
        try:
            time.sleep(seconds)
            self.lasted.append((began, time.time()))
            yield
        finally:
            with self._lock:
                self.under_way -= 1


class AwsProxy:
    """Forwards requests as they are, Host header and all: it is signed."""

    def __init__(self, target: int) -> None:
        self.troubles: list[Trouble] = []
        handler = type("Forwarding", (_Forwarding,), {"proxy": self, "target": target})
        self._server = ThreadingHTTPServer((LOOPBACK, 0), handler)
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @contextmanager
    def trouble(self, trouble: Trouble) -> Iterator[Trouble]:
        self.troubles = [*self.troubles, trouble]
        try:
            yield trouble
        finally:
            self.troubles = [other for other in self.troubles if other is not trouble]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Forwarding(BaseHTTPRequestHandler):
    proxy: ClassVar[AwsProxy]
    target: ClassVar[int]
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def handle(self) -> None:
        # A client that is killed, or no longer waits, leaves in the middle.
        with contextlib.suppress(ConnectionError):
            super().handle()

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 (the base class's name)
        """A failed call is in the functions' logs."""

    def handle_expect_100(self) -> bool:
        """The client waits for this before it sends the body."""
        super().handle_expect_100()
        self.wfile.flush()
        return True

    def forward(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        service = self._service(body)
        modes = ((trouble, trouble.mode_for(service, self.path, body)) for trouble in self.proxy.troubles)
        trouble, mode = next((found for found in modes if found[1]), (None, None))
        if mode == "hangs":
            time.sleep(HANG_SECONDS)
            self.close_connection = True
        elif trouble is not None and mode == "late":
            with trouble.held():
                self._ask(body)
            self.close_connection = True
        elif mode == "answer torn":
            self._ask(body)
            self.close_connection = True
        elif mode == "refused":
            self._answer(503, [], ERRORS[service] % b"ServiceUnavailable")
        else:
            status, headers, answer = self._ask(body)
            if mode == "answer lost":
                self._answer(500, [], ERRORS[service] % b"InternalError")
            else:
                self._answer(status, headers, answer)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = forward  # noqa: N815 (the base class's names)

    def _service(self, body: bytes) -> str:
        if "DynamoDB" in self.headers.get("X-Amz-Target", ""):
            return "dynamodb"
        return "sns" if b"Action=" in body[:4096] else "s3"

    def _ask(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = http.client.HTTPConnection(LOOPBACK, self.target, timeout=HANG_SECONDS)
        try:
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in HOP_BY_HOP:
                    connection.putheader(name, value)
            connection.endheaders(body or None)
            response = connection.getresponse()
            return response.status, response.getheaders(), response.read()
        finally:
            connection.close()

    def _answer(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.send_response_only(status)
        length = str(len(body))
        for name, value in headers:
            if name.lower() == "content-length":
                length = value if self.command == "HEAD" else length
            elif name.lower() not in HOP_BY_HOP:
                self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", length)
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()
