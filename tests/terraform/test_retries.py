"""What AWS fails to do for a moment is asked for again within a second, in the environment that functions have."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from support.repository import REPOSITORY
from support.terraform_plans import Resources, of_function

FUNCTIONS = REPOSITORY / "functions"

CALLS: dict[str, tuple[str, str]] = {
    "dynamodb": ("TABLES", "list_tables()"),
    "s3": ("PROMPT", "list_buckets()"),
    "lambda": ("CONFIG", "list_functions()"),
}
"""A service, the configuration of its client, and a call."""

FUNCTION = """
import json, time
pauses = []
time.sleep = pauses.append
import boto3
from lnn.aws import clients
client = boto3.client({service!r}, config=clients.{config}, endpoint_url={url!r}, region_name="us-east-1")
client.{call}
print(json.dumps(pauses))
"""


class Recovering(BaseHTTPRequestHandler):
    """A service that is unavailable four times, then not."""

    asked = 0

    def answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        type(self).asked += 1
        rest = "GET" not in self.command or "/functions" in self.path
        self.send_response(503 if self.asked <= 4 else 200)
        body = b"{}" if rest else b"<x/>"
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = answer  # noqa: N815 (the base class's names)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 (the base class's name)
        """Keep quiet."""


@pytest.mark.parametrize("service", CALLS)
def test_a_service_that_is_unavailable_for_a_moment_is_asked_again_within_a_second(
    service: str, deployed: Resources
) -> None:
    function = deployed[of_function("trainer", "aws_lambda_function.this")]["values"]
    variables = function["environment"][0]["variables"]
    handler = type("Of", (Recovering,), {})
    server = HTTPServer(("127.0.0.1", 0), handler)
    Thread(target=server.serve_forever, daemon=True).start()
    config, call = CALLS[service]
    url = f"http://127.0.0.1:{server.server_address[1]}"
    credentials = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "PYTHONPATH": str(FUNCTIONS)}
    try:
        done = subprocess.run(
            [sys.executable, "-c", FUNCTION.format(service=service, config=config, url=url, call=call)],
            env=os.environ | {name: value or "" for name, value in variables.items()} | credentials,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    finally:
        server.shutdown()
        server.server_close()
    assert done.returncode == 0, done.stderr
    pauses = json.loads(done.stdout)
    assert handler.asked == 5
    assert len(pauses) == 4
    assert sum(pauses) < 1
