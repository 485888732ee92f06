"""Servers for the browser of this machine."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from lnn_cli.ui.loopback import LOOPBACK, is_addressed, serve


class Interrupted(ThreadingHTTPServer):
    """A server whose user presses Ctrl-C at once."""

    def serve_forever(self, poll_interval: float = 0.5) -> None:
        raise KeyboardInterrupt


def test_ctrl_c_ends_a_server_and_frees_its_port() -> None:
    server = Interrupted((LOOPBACK, 0), BaseHTTPRequestHandler)
    serve(server, f"http://{LOOPBACK}:{server.server_port}/", open_browser=False)
    ThreadingHTTPServer((LOOPBACK, server.server_port), BaseHTTPRequestHandler).server_close()


@pytest.mark.parametrize(
    ("host", "answered"),
    [("127.0.0.1:80", True), ("localhost:80", True), ("127.0.0.1", False), ("evil.example:80", False), (None, False)],
)
def test_the_very_address_is_asked(host: str | None, answered: bool) -> None:
    assert is_addressed(host, 80) is answered
