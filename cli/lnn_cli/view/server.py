"""Serves the page of ``lnn view``, and what it asks about the run, to the browser of this machine."""

from __future__ import annotations

import json
import re
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from lnn.errors import LnnError
from lnn_cli.ui.errors import explain
from lnn_cli.ui.loopback import LOOPBACK, is_addressed

if TYPE_CHECKING:
    from collections.abc import Callable

    from lnn_client.inspection import Inspection

PAGE = Path(__file__).parent / "page"
TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}
MOST_BYTES = 1_000_000
"""Of a question's body."""

EPOCH = r"/api/epoch/(\d{1,12})"
NUMBER = r"/(\d{1,12})"


class BadRequest(LnnError):
    """A question that the page does not ask."""


class ViewServer(ThreadingHTTPServer):
    """A server for one run. Raises OSError where the port cannot be had."""

    daemon_threads = True

    def __init__(self, inspection: Inspection, port: int) -> None:
        super().__init__((LOOPBACK, port), _Handler)
        self.inspection = inspection
        self.one_at_a_time = Lock()

    @property
    def address(self) -> str:
        return f"http://{LOOPBACK}:{self.server_port}/"

    def answer(self, path: str, asked: dict[str, list[str]], body: Any) -> dict[str, Any] | None:
        """What the page asks for; None where there is nothing under this path.

        Raises:
            LnnError: the run, the epoch, or what is asked for there, is not to be had.
        """
        inspection = self.inspection
        ways: dict[str, Callable[..., dict[str, Any]]] = {
            "/api/run": inspection.overview,
            EPOCH: inspection.epoch,
            f"{EPOCH}/plane": inspection.plane,
            f"{EPOCH}/example{NUMBER}": inspection.example,
            f"{EPOCH}/neuron{NUMBER}{NUMBER}": lambda *place: inspection.neuron(
                place[0], place[1], place[2], [_index(text) for text in asked.get("example", [])]
            ),
            f"{EPOCH}/what-if": lambda epoch: inspection.what_if(epoch, *_changes(body)),
        }
        for pattern, ask in ways.items():
            if found := re.fullmatch(pattern, path):
                return ask(*map(int, found.groups()))
        return None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: ViewServer

    def log_message(self, *arguments: object) -> None:
        """Nothing: the terminal is the person's."""

    def _answer(self) -> None:
        length = self.headers.get("content-length") or "0"
        if not length.isdecimal() or int(length) > MOST_BYTES:
            self.close_connection = True  # whose body stays unread
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the most are {MOST_BYTES:,} bytes")
            return
        body = self.rfile.read(int(length))
        if not is_addressed(self.headers.get("host"), self.server.server_port):
            self._refuse(HTTPStatus.MISDIRECTED_REQUEST, "this address is for the browser of this machine alone")
            return
        address = urlsplit(self.path)
        if not address.path.startswith("/api/"):
            self._file(address.path)
            return
        if (self.command == "POST") != address.path.endswith("/what-if"):
            self._refuse(HTTPStatus.METHOD_NOT_ALLOWED, "a what-if is a POST, everything else a GET")
            return
        try:
            with self.server.one_at_a_time:
                found = self.server.answer(address.path, parse_qs(address.query), json.loads(body or "null"))
        except (LnnError, json.JSONDecodeError) as error:
            self._refuse(HTTPStatus.UNPROCESSABLE_ENTITY, str(error))
        except Exception as error:  # noqa: BLE001 - of botocore's many; the page is told
            self._refuse(HTTPStatus.BAD_GATEWAY, explain(error))
        else:
            if found is None:
                self._refuse(HTTPStatus.NOT_FOUND, f"there is nothing under {address.path}")
            else:
                self._send(HTTPStatus.OK, "application/json", json.dumps(found, allow_nan=False).encode())

    do_GET = do_POST = _answer  # noqa: N815 - the names that http.server calls

    def _file(self, path: str) -> None:
        name = "index.html" if path == "/" else path.removeprefix("/")
        file = next((file for file in PAGE.iterdir() if file.name == name and file.suffix in TYPES), None)
        if file is None or self.command != "GET":
            self._refuse(HTTPStatus.NOT_FOUND, f"there is nothing under {path}")
            return
        self._send(HTTPStatus.OK, f"{TYPES[file.suffix]}; charset=utf-8", file.read_bytes())

    def _refuse(self, status: HTTPStatus, reason: str) -> None:
        self._send(status, "application/json", json.dumps({"error": reason}).encode())

    def _send(self, status: HTTPStatus, kind: str, body: bytes) -> None:
        self.send_response(status)
        for name, value in {**HEADERS, "content-type": kind, "content-length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def _index(text: str) -> int:
    if not text.isdecimal() or len(text) > 12:
        raise BadRequest(f"example: found {text[:40]!r}; expected a number")
    return int(text)


def _changes(body: Any) -> tuple[int, list[tuple[int, int]], list[dict[str, Any]]]:
    """Example, neurons that are off, and weights, of a what-if's body."""
    try:
        example, off = _whole(body["example"]), [(_whole(layer), _whole(neuron)) for layer, neuron in body["off"]]
        weights = [
            {"value": float(change["value"]), **{name: _whole(change[name]) for name in ("layer", "neuron", "input")}}
            for change in body["weights"]
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise BadRequest(f"what-if: expected example, off and weights; {type(error).__name__}: {error}") from error
    return example, off, weights


def _whole(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{str(value)[:40]} is no whole number")
    return value
