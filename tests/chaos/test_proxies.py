"""The proxies of the chaos suite: what is late arrives, and what is lost was done."""

from __future__ import annotations

import http.client
import random
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import redis

from chaos import aws_proxy, tcp_proxy
from chaos.aws_proxy import AwsProxy, Trouble
from chaos.redis_server import RedisServer
from chaos.tcp_proxy import LOOPBACK, Stumble, TcpProxy
from support.e2e_cloud import eventually

HOLD_SECONDS = 0.6, 0.8
PATIENCE_SECONDS = 0.3
SUBJECT = b"run-1"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path)
    yield server
    server.kill()


@pytest.fixture
def client(server: RedisServer) -> Iterator[tuple[TcpProxy, redis.Redis]]:
    """A proxy to the server, and an impatient client of it that does not try again."""
    proxy = TcpProxy(server.port)
    client = redis.Redis(host=LOOPBACK, port=proxy.port, socket_timeout=PATIENCE_SECONDS, retry=None)
    yield proxy, client
    client.close()
    proxy.close()


def test_a_late_command_arrives_when_the_client_has_given_it_up(
    server: RedisServer, client: tuple[TcpProxy, redis.Redis], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tcp_proxy, "HOLD_SECONDS", HOLD_SECONDS)
    proxy, impatient = client
    stumble = Stumble(SUBJECT, random.Random(0), (0, 0), "late", most=1)
    with proxy.stumble(stumble):
        with pytest.raises(redis.TimeoutError):
            impatient.set("run-1:key", "late")
        assert server.client.get("run-1:key") is None
        assert impatient.set("run-1:key", "again")
        eventually(lambda: not stumble.under_way, "the late command", seconds=10)
    eventually(lambda: server.client.get("run-1:key") == b"late", "its effect", seconds=10)


def test_a_command_whose_answer_is_lost_was_done(server: RedisServer, client: tuple[TcpProxy, redis.Redis]) -> None:
    proxy, impatient = client
    stumble = Stumble(SUBJECT, random.Random(0), (0, 0), "answer lost", most=1)
    with proxy.stumble(stumble):
        with pytest.raises(redis.ConnectionError):
            impatient.incr("run-1:count")
        assert impatient.incr("another:count") == 1
    assert server.client.get("run-1:count") == b"1"


class _Counting(BaseHTTPRequestHandler):
    done: list[str]

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.done.append(self.path)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 (the base class's name)
        """The test says what was wrong."""


@pytest.fixture
def service() -> Iterator[tuple[int, list[str]]]:
    """A service that takes down what was done: its port, and that list."""
    done: list[str] = []
    server = ThreadingHTTPServer((LOOPBACK, 0), type("Counting", (_Counting,), {"done": done}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1], done
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(("mode", "error"), [("late", TimeoutError), ("answer torn", http.client.RemoteDisconnected)])
def test_a_call_to_aws_without_an_answer_is_done(
    service: tuple[int, list[str]], monkeypatch: pytest.MonkeyPatch, mode: str, error: type[Exception]
) -> None:
    monkeypatch.setattr(aws_proxy, "HOLD_SECONDS", HOLD_SECONDS)
    port, done = service
    proxy = AwsProxy(port)
    trouble = Trouble("s3", [SUBJECT], random.Random(0), (0, 0), (1, 1), (mode,), most=1)
    with proxy.trouble(trouble):
        for path in ("/run-1/a", "/run-2/a", "/run-1/b"):
            connection = http.client.HTTPConnection(LOOPBACK, proxy.port, timeout=PATIENCE_SECONDS)
            connection.request("PUT", path, body=b"content")
            if path == "/run-1/a":
                with pytest.raises(error):
                    connection.getresponse()
            else:
                assert connection.getresponse().status == 200
            connection.close()
        eventually(lambda: len(done) == 3 and not trouble.under_way, "the call that was to come", seconds=10)
    proxy.close()
    assert done[0 if mode == "answer torn" else -1] == "/run-1/a"
