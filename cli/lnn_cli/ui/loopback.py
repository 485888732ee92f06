"""Servers for the browser of this machine."""

from __future__ import annotations

import webbrowser
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from lnn_cli.ui.console import note

LOOPBACK = "127.0.0.1"


class Refused(Exception):
    """A request that is not answered: HTTP ``status``, a ``code`` for programs, and a reason for people."""

    def __init__(self, status: HTTPStatus, code: str, reason: str) -> None:
        super().__init__(reason)
        self.status, self.code, self.reason = status, code, reason


def body_of(call: BaseHTTPRequestHandler, port: int, most_bytes: int) -> bytes:
    """The body of a request that the browser of this machine has sent to the server at ``port``.

    Raises:
        Refused: it is too long, or somebody else's.
    """
    length = call.headers.get("content-length") or "0"
    if not length.isdecimal() or int(length) > most_bytes:
        call.close_connection = True  # whose body stays unread
        raise Refused(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            "too_large",
            f"the body has {length[:20]} bytes, and {most_bytes:,} are the most",
        )
    body = call.rfile.read(int(length))
    if not is_addressed(call.headers.get("host"), port):
        raise Refused(
            HTTPStatus.MISDIRECTED_REQUEST, "misdirected", "this address is for the browser of this machine alone"
        )
    return body


def is_addressed(host: str | None, port: int) -> bool:
    """Whether a request's Host header names this very address: a page elsewhere must not speak for the user."""
    return host in {f"{name}:{port}" for name in (LOOPBACK, "localhost")}


def is_own(origin: str | None, port: int) -> bool:
    """Whether a POST's Origin header names this address, which every browser sends with one; others send none."""
    return origin is None or (origin.startswith("http://") and is_addressed(origin.removeprefix("http://"), port))


def serve(server: ThreadingHTTPServer, address: str, *, open_browser: bool) -> None:
    """Answer requests until Ctrl-C."""
    if open_browser:
        webbrowser.open(address)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        note("")
    finally:
        server.server_close()


def cannot_listen(port: int, error: OSError) -> str:
    """The text of an error."""
    return f"port {port} of {LOOPBACK} cannot be used: {error.strerror}; choose another with --port"
