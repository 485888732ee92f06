"""The prediction page in a real Chromium, served as API Gateway would serve it."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from lnn.aws.events import http_request
from lnn.serving.api import PredictionApi
from lnn.serving.rollout import Current
from support.browser_pages import patient_expect
from support.models import Shelves, brightness_model
from support.repository import REPOSITORY

OLD, NEW = "20261101T080000Z-aaaaaaaa-11111111", "20261102T080000Z-bbbbbbbb-22222222"


@pytest.fixture
def expect(browser: Any) -> Any:
    """Playwright's assertions, with the tests' patience."""
    return patient_expect()


class Site:
    """The API behind an HTTP server, with every request that it gets."""

    def __init__(self) -> None:
        models = {OLD: brightness_model(run_id=OLD[:25]), NEW: brightness_model((8, 8, 3), run_id=NEW[:25])}
        self.shelves = Shelves(models, Current(version=3, production=OLD, staging=NEW))
        self.bodies: list[bytes] = []
        site = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                site._answer(self)

            def do_POST(self) -> None:
                site._answer(self)

            def log_message(self, *arguments: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._api = PredictionApi(self.shelves.serving(), REPOSITORY / "functions" / "predict")
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def renew(self) -> None:
        """Forget what was read of the shelves, which a test has changed."""
        self.shelves.now += 60
        self.bodies.clear()

    def _answer(self, call: BaseHTTPRequestHandler) -> None:
        body = call.rfile.read(int(call.headers.get("content-length") or 0))
        if body:
            self.bodies.append(body)
        address = urlsplit(call.path)
        event = {
            "rawPath": address.path,
            "queryStringParameters": dict(parse_qsl(address.query)),
            "headers": {name.lower(): value for name, value in call.headers.items()},
            "requestContext": {"stage": "$default", "http": {"method": call.command}},
            "body": base64.b64encode(body).decode(),
            "isBase64Encoded": True,
        }
        reply = self._api.answer(http_request(event)).as_event()
        content = reply["body"].encode()
        with suppress(ConnectionError):  # of a page that has gone
            call.send_response(reply["statusCode"])
            for name, value in reply["headers"].items():
                call.send_header(name, value)
            call.send_header("content-length", str(len(content)))
            call.end_headers()
            call.wfile.write(content)

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture(scope="session")
def _site() -> Iterator[Site]:
    site = Site()
    yield site
    site.close()


@pytest.fixture
def site(_site: Site) -> Iterator[Site]:
    before = _site.shelves.in_use
    _site.renew()
    yield _site
    _site.shelves.in_use = before
