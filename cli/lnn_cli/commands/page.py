"""``lnn page``: the prediction page in a browser, its requests signed where the API asks for that."""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Annotated

import typer

from lnn_cli.options import OpenOption, PortOption, PrefixOption, RegionOption, TargetOption, connect
from lnn_cli.ui.console import note, say
from lnn_cli.ui.errors import CliError, explain
from lnn_cli.ui.loopback import LOOPBACK, Refused, body_of, cannot_listen, serve
from lnn_client.cloud import Target
from lnn_client.prediction_api import Answer, Api

MAX_BYTES = 10_000_000
"""API Gateway takes no more (HTTP API quotas)."""

OWN_HEADERS = {"connection", "content-length", "date", "keep-alive", "server", "transfer-encoding"}
"""Of the connection to the API, not of the answer."""


def page(
    staging: Annotated[bool, typer.Option("--staging", help="The page of the model under review.")] = False,
    port: PortOption = 0,
    open_browser: OpenOption = True,
    target: TargetOption = Target.LOCAL,
    prefix: PrefixOption = None,
    region: RegionOption = None,
) -> None:
    """Show the prediction page, until Ctrl-C.

    It is served to this machine alone, and what the page asks for goes to the API with your signature.

    Example: lnn page --staging
    """
    api = Api(connect(target, prefix, region))
    api.call("GET", "health").json()
    try:
        server = SigningServer(api, port)
    except OSError as error:
        raise CliError(cannot_listen(port, error)) from None
    address = f"http://{LOOPBACK}:{server.server_port}/{'staging/' if staging else ''}"
    say(address)
    note(f"stands for {api.url}; Ctrl-C ends it")
    serve(server, address, open_browser=open_browser)


class SigningServer(ThreadingHTTPServer):
    """A server on this machine that signs what it is asked and passes it on."""

    def __init__(self, api: Api, port: int) -> None:
        super().__init__((LOOPBACK, port), _Handler)
        self.api = api


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: SigningServer

    def log_message(self, *arguments: object) -> None:
        """Nothing: the API keeps a log of its own."""

    def _pass_on(self) -> None:
        try:
            body = body_of(self, self.server.server_port, MAX_BYTES)
        except Refused as refused:
            self._reply(_refusal(refused.status, refused.code, refused.reason))
            return
        try:
            answer = self.server.api.call(self.command, self.path.lstrip("/"), body, self.headers.get("content-type"))
        except Exception as error:  # noqa: BLE001 - of botocore's many; the browser is told
            answer = _refusal(502, "unreachable", explain(error))
        self._reply(answer)

    do_GET = do_POST = _pass_on  # noqa: N815 - the names that http.server calls

    def _reply(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            if name.lower() not in OWN_HEADERS:
                self.send_header(name, value)
        self.send_header("content-length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)


def _refusal(status: int, code: str, reason: str) -> Answer:
    body = json.dumps({"error": code, "reason": reason}).encode()
    return Answer(status, {"content-type": "application/json"}, body)
