"""A notebook instance stops itself when nothing has run in it for a while, and not before."""

from __future__ import annotations

import ast
import json
import os
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import trustme

from support.repository import REPOSITORY

MODULE = REPOSITORY / "terraform" / "modules" / "notebook"
SCRIPT = MODULE / "idle_stop.py"
HOUR = 3600.0


@dataclass
class Jupyter:
    """What a Jupyter server lists, and where it answers."""

    address: str = ""
    lists: dict[str, Any] = field(default_factory=lambda: {"/api/kernels": [], "/api/terminals": []})

    def kernel(self, ago: float, state: str = "idle") -> None:
        self.lists["/api/kernels"].append({"id": "1", "execution_state": state, "last_activity": written(ago)})

    def terminal(self, ago: float) -> None:
        self.lists["/api/terminals"].append({"name": "1", "last_activity": written(ago)})


def written(ago: float) -> str:
    """A time as Jupyter writes it."""
    return time.strftime("%Y-%m-%dT%H:%M:%S.123456Z", time.gmtime(time.time() - ago))


@pytest.fixture
def jupyter() -> Iterator[Jupyter]:
    """A server with a certificate that nobody vouches for, as a notebook instance's own."""
    told = Jupyter()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = self.path in told.lists
            self.send_response(200 if found else 404)
            self.end_headers()
            self.wfile.write(json.dumps(told.lists.get(self.path, {"message": "Not found"})).encode())

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("elsewhere.example").configure_cert(context)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    told.address = f"https://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield told
    server.shutdown()
    server.server_close()


@pytest.fixture
def look(jupyter: Jupyter, tmp_path: Path) -> Callable[..., str | None]:
    """Runs the script as the timer does; what it asked of AWS, or None."""
    asked = tmp_path / "asked"
    aws = tmp_path / "aws"
    aws.write_text(f'#!/bin/sh\necho "$@" >{asked}\n')
    aws.chmod(0o755)

    def run(*, started: float | None = 2 * HOUR, address: str | None = None) -> str | None:
        state = tmp_path / "last_work"
        if started is not None:
            state.touch()
            os.utime(state, (time.time() - started,) * 2)
        options = ["--aws", aws, "--jupyter", address or jupyter.address, "--minutes", "60", "--state", state]
        command = [sys.executable, SCRIPT, "--name", "lnn-notebook", "--region", "eu-west-1", *options]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return asked.read_text().strip() if asked.exists() else None

    return run


STOPPED = "sagemaker stop-notebook-instance --notebook-instance-name lnn-notebook --region eu-west-1"


def test_an_instance_without_kernels_stops_after_its_minutes(look: Callable[..., str | None]) -> None:
    assert look(started=HOUR - 60) is None
    assert look(started=HOUR + 60) == STOPPED


def test_an_instance_that_has_just_started_stays(look: Callable[..., str | None]) -> None:
    assert look(started=None) is None


@pytest.mark.parametrize(
    ("ago", "state", "stops"),
    [(HOUR + 60, "idle", True), (HOUR - 60, "idle", False), (5 * HOUR, "busy", False), (5 * HOUR, "starting", True)],
)
def test_a_kernel_keeps_the_instance_while_it_computes_and_an_hour_longer(
    jupyter: Jupyter, look: Callable[..., str | None], ago: float, state: str, stops: bool
) -> None:
    jupyter.kernel(5 * HOUR)
    jupyter.kernel(ago, state)
    assert look(started=6 * HOUR) == (STOPPED if stops else None)


def test_a_terminal_counts_like_a_kernel(jupyter: Jupyter, look: Callable[..., str | None]) -> None:
    jupyter.terminal(60)
    assert look() is None


def test_work_of_a_kernel_that_is_gone_is_remembered(jupyter: Jupyter, look: Callable[..., str | None]) -> None:
    jupyter.kernel(10 * 60)
    assert look(started=5 * HOUR) is None
    jupyter.lists["/api/kernels"].clear()
    assert look(started=None) is None


def test_a_server_without_terminals_is_no_server_without_kernels(
    jupyter: Jupyter, look: Callable[..., str | None]
) -> None:
    del jupyter.lists["/api/terminals"]
    jupyter.kernel(60)
    assert look() is None


@pytest.mark.parametrize("odd", [{"message": "Forbidden"}, [{"id": "1"}], "text", None])
def test_an_instance_whose_jupyter_is_broken_stops_all_the_same(
    jupyter: Jupyter, look: Callable[..., str | None], odd: object
) -> None:
    jupyter.lists["/api/kernels"] = odd
    assert look(started=HOUR - 60) is None
    assert look(started=HOUR + 60) == STOPPED


def test_an_instance_whose_jupyter_is_gone_stops_all_the_same(look: Callable[..., str | None]) -> None:
    assert look(started=HOUR + 60, address="https://127.0.0.1:9") == STOPPED


def test_the_script_runs_on_the_systems_own_python() -> None:
    ast.parse(SCRIPT.read_text(), feature_version=(3, 9))
