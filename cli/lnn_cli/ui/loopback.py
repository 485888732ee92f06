"""Servers for the browser of this machine."""

from __future__ import annotations

import webbrowser
from http.server import ThreadingHTTPServer

from lnn_cli.ui.console import note

LOOPBACK = "127.0.0.1"


def is_addressed(host: str | None, port: int) -> bool:
    """Whether a request's Host header names this very address: a page elsewhere must not speak for the user."""
    return host in {f"{name}:{port}" for name in (LOOPBACK, "localhost")}


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
