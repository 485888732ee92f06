"""What the clients of all AWS services have in common: errors, and botocore's own retries."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError, ReadTimeoutError

from simulation.scheduler import Scheduler, SimulationGap
from simulation.transport import Lost, Transport, Unavailable


class Refusal(Exception):
    """An error answer of a service."""

    def __init__(self, code: str, message: str = "", **more: Any) -> None:
        super().__init__(code)
        self.code, self.message, self.more = code, message or code, more


class _Exceptions:
    """``client.exceptions``: a class for each code, made when it is asked for."""

    def __init__(self) -> None:
        self._classes: dict[str, type[ClientError]] = {}

    def __getattr__(self, code: str) -> type[ClientError]:
        if code not in self._classes:
            self._classes[code] = types.new_class(code, (ClientError,))
        return self._classes[code]


EXCEPTIONS = _Exceptions()

RETRIED = frozenset({"ServiceUnavailable", "InternalServerError", "TransactionInProgressException"})


class Service:
    """A service: its operations are the methods that begin with ``do_``."""

    name = ""
    unavailable = "ServiceUnavailable"
    """The code of its error while it is away."""

    def __init__(self, scheduler: Scheduler, transport: Transport) -> None:
        self.scheduler, self.transport = scheduler, transport

    def client(self, config: Any = None) -> Client:
        return Client(self, config)


class Client:
    """A boto3 client, with its time limits and retries."""

    exceptions = EXCEPTIONS

    def __init__(self, service: Service, config: Any = None) -> None:
        self._service = service
        retries = getattr(config, "retries", None) or {}
        self._attempts = retries.get("total_max_attempts") or retries.get("max_attempts", 2) + 1
        self._time_limit = float(getattr(config, "read_timeout", 60) or 60)
        self.meta = types.SimpleNamespace(
            events=types.SimpleNamespace(register=lambda *_, **__: None, register_last=lambda *_, **__: None),
            region_name="us-east-1",
        )

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        method = getattr(self._service, f"do_{operation}", None)
        if operation.startswith("_") or method is None:
            raise (
                AttributeError(operation)
                if operation.startswith("__")
                else SimulationGap(f"{self._service.name} has no {operation}")
            )

        def call(**arguments: Any) -> Any:
            return self._call(operation, lambda: method(**arguments))

        return call

    def get_paginator(self, operation: str) -> Any:
        return types.SimpleNamespace(paginate=lambda **arguments: [getattr(self, operation)(**arguments)])

    def _call(self, operation: str, effect: Callable[[], Any]) -> Any:
        service = self._service
        attempt = 0
        while True:
            attempt += 1
            try:
                return service.transport.send(service.name, operation, effect, self._time_limit)
            except Lost as lost:
                if attempt >= self._attempts:
                    raise ReadTimeoutError(endpoint_url=f"https://{service.name}") from lost
            except Unavailable as away:
                if attempt >= self._attempts:
                    raise error_of(service.unavailable, "try again", operation) from away
            except Refusal as refusal:
                if refusal.code not in RETRIED or attempt >= self._attempts:
                    raise error_of(refusal.code, refusal.message, operation, **refusal.more) from None
            # botocore's standard mode: a random part of 2 to the attempt, 20 s at most.
            service.scheduler.wait(service.scheduler.random() * min(2.0 ** (attempt - 1) * 0.05, 20.0))


def error_of(code: str, message: str, operation: str, **more: Any) -> ClientError:
    response: Any = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": 412 if code == "PreconditionFailed" else 400},
        **more,
    }
    kind: type[ClientError] = getattr(EXCEPTIONS, code if code.isidentifier() else "ClientError")
    return kind(response, operation)
