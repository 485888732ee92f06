"""Serves the page of ``lnn view``, and what it asks about the run, to the browser of this machine."""

from __future__ import annotations

import json
import math
import re
import time
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, parse_qs, urlsplit

from lnn.errors import LnnError
from lnn_cli.ui.errors import explain
from lnn_cli.ui.loopback import LOOPBACK, Refused, body_of, is_own
from lnn_client.json_types import encoded

if TYPE_CHECKING:
    from collections.abc import Callable

    from lnn_client.inspection import Inspection
    from lnn_client.invocations import Feed

JSON = "application/json"
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
NEXT = "/api/next"


class BadRequest(LnnError):
    """A question that the page does not ask."""


class ViewServer(ThreadingHTTPServer):
    """A server for one run. Raises OSError where the port cannot be had."""

    daemon_threads = True

    def __init__(self, inspection: Inspection, port: int, feed: Feed | None = None) -> None:
        """``feed`` has the invocations of a run that records them."""
        super().__init__((LOOPBACK, port), _Handler)
        self.inspection, self.feed = inspection, feed
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
            "/api/run": lambda: inspection.overview(*(_number("after", text) for text in asked.get("after", [])[:1])),
            EPOCH: inspection.epoch,
            f"{EPOCH}/plane": inspection.plane,
            f"{EPOCH}/example{NUMBER}": inspection.example,
            f"{EPOCH}/neuron{NUMBER}{NUMBER}": lambda *place: inspection.neuron(
                place[0], place[1], place[2], [_number("example", text) for text in asked.get("example", [])]
            ),
            f"{EPOCH}/what-if": lambda epoch: inspection.what_if(epoch, *_changes(body)),
            NEXT: lambda: inspection.next_step(_expected(body)),
        }
        if feed := self.feed:
            ways |= {
                f"/api/invocations{NUMBER}": feed.since,
                f"{EPOCH}/invocations": feed.of_epoch,
                f"{EPOCH}/neuron{NUMBER}{NUMBER}/invocations": feed.of_neuron,
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
        status, kind, content = self._reply()
        headers = {**HEADERS, "content-type": kind, "content-length": str(len(content))}
        with suppress(ConnectionError):  # of a page that has gone
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

    do_GET = do_POST = _answer  # noqa: N815 - the names that http.server calls

    def _reply(self) -> tuple[HTTPStatus, str, bytes]:
        """Status, content type and body; whatever fails, too, is one of these."""
        try:
            body = body_of(self, self.server.server_port, MOST_BYTES)
            address = urlsplit(self.path)
            if address.path == "/api/share":
                return HTTPStatus.OK, f"{TYPES['.html']}; charset=utf-8", self._saved()
            if not address.path.startswith("/api/"):
                return HTTPStatus.OK, *self._file(address.path)
            return HTTPStatus.OK, JSON, self._found(address, body).encode()
        except Refused as refused:
            status, reason = refused.status, refused.reason
        except (LnnError, UnicodeDecodeError, json.JSONDecodeError) as error:
            status, reason = HTTPStatus.UNPROCESSABLE_ENTITY, str(error)
        except Exception as error:  # noqa: BLE001 - of botocore's many; the page is told
            status, reason = HTTPStatus.BAD_GATEWAY, explain(error)
        return status, JSON, json.dumps({"error": reason}).encode()

    def _saved(self) -> bytes:
        """The page as one file."""
        from lnn_cli.view.saved import saved_view

        with self.server.one_at_a_time:
            return saved_view(self.server.inspection, now=time.time()).encode()

    def _found(self, address: SplitResult, body: bytes) -> str:
        """What is asked for, as JSON."""
        if (self.command == "POST") != address.path.endswith(("/what-if", NEXT)):
            reason = "a what-if and Next are POSTs, everything else is a GET"
            raise Refused(HTTPStatus.METHOD_NOT_ALLOWED, "method", reason)
        if self.command == "POST" and not is_own(self.headers.get("origin"), self.server.server_port):
            raise Refused(HTTPStatus.FORBIDDEN, "forbidden", "a page of another address may not ask for this")
        with self.server.one_at_a_time:
            found = self.server.answer(address.path, parse_qs(address.query), json.loads(body or "null"))
        if found is None:
            raise _nothing_under(address.path)
        return encoded(found)

    def _file(self, path: str) -> tuple[str, bytes]:
        """Content type and content of a part of the page."""
        name = "index.html" if path == "/" else path.removeprefix("/")
        file = next((file for file in PAGE.iterdir() if file.name == name and file.suffix in TYPES), None)
        if file is None or self.command != "GET":
            raise _nothing_under(path)
        return f"{TYPES[file.suffix]}; charset=utf-8", file.read_bytes()


def _nothing_under(path: str) -> Refused:
    return Refused(HTTPStatus.NOT_FOUND, "not_found", f"there is nothing under {path}")


def _number(name: str, text: str) -> int:
    if not text.isdecimal() or len(text) > 12:
        raise BadRequest(f"{name}: found {text[:40]!r}; expected a number")
    return int(text)


def _expected(body: Any) -> int:
    """The steps that the run may take as far as the page knows, of Next's body."""
    try:
        return _whole(body["expected"])
    except (KeyError, TypeError) as error:
        raise BadRequest(f"next: expected the number of steps allowed; {type(error).__name__}: {error}") from error


def _changes(body: Any) -> tuple[int, list[tuple[int, int]], list[dict[str, Any]]]:
    """Example, neurons that are off, and weights, of a what-if's body."""
    try:
        example, off = _whole(body["example"]), [(_whole(layer), _whole(neuron)) for layer, neuron in body["off"]]
        weights = [
            {"value": _finite(change["value"]), **{name: _whole(change[name]) for name in ("layer", "neuron", "input")}}
            for change in body["weights"]
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise BadRequest(f"what-if: expected example, off and weights; {type(error).__name__}: {error}") from error
    return example, off, weights


def _finite(value: Any) -> float:
    if not math.isfinite(number := float(value)):
        raise ValueError(f"{number} is no weight")
    return number


def _whole(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{str(value)[:40]} is no whole number")
    return value
