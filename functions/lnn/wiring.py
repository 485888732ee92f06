"""Builds a function's AWS clients and hands them to the library."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

from lnn.aws.invoker import Invoker
from lnn.aws.notifier import Notifier
from lnn.environment import Environment
from lnn.models.store import Artifacts
from lnn.runs.services import Services
from lnn.runs.store import Ledger

if TYPE_CHECKING:
    from lnn.parameter_server.server import ParameterServer
    from lnn.serving.api import PredictionApi
    from lnn.serving.registration import Shelf

# Short time-outs and a few retries: an invocation has little time, and every call here may be repeated.
CONFIG = Config(connect_timeout=3, read_timeout=5, retries={"mode": "standard", "max_attempts": 4})
# For what S3 answers within a second as a rule; ``lnn.aws.s3_client`` says when.
PROMPT = Config(connect_timeout=2, read_timeout=2, retries={"mode": "standard", "max_attempts": 4})
# DynamoDB answers within milliseconds, or will not: whoever waits for it does not keep the run's lease meanwhile.
TABLES = Config(connect_timeout=2, read_timeout=3, retries={"mode": "standard", "max_attempts": 4})
# A message to people must not hold up a run for longer than its lease lasts.
IMPATIENT = Config(connect_timeout=2, read_timeout=2, retries={"mode": "standard", "total_max_attempts": 2})


def services(environment: Environment) -> Services:
    """Every service, each with its client."""
    return Services(
        environment=environment,
        ledger=Ledger(client("dynamodb", TABLES), environment.runs_table, environment.costs_table),
        artifacts=artifacts(environment),
        notifier=Notifier(client("sns", IMPATIENT), environment.topic_arn),
        invoker=Invoker(client("lambda"), environment.trainer_function, environment.neuron_function),
        server=parameter_server(environment),
    )


def shelf(environment: Environment) -> Shelf:
    """What registering a model takes."""
    from lnn.serving.registration import Shelf
    from lnn.serving.registry import Registry

    dynamodb = client("dynamodb", TABLES)
    return Shelf(
        registry=Registry(dynamodb, environment.models_table),
        artifacts=artifacts(environment),
        ledger=Ledger(dynamodb, environment.runs_table, environment.costs_table),
        notifier=Notifier(client("sns", IMPATIENT), environment.topic_arn),
    )


def prediction_api(environment: Environment, files: Path) -> PredictionApi:
    """The API, which answers with models of the registry and with the page in ``files``."""
    from lnn.serving.api import PredictionApi
    from lnn.serving.registry import Registry
    from lnn.serving.router import Serving

    registry = Registry(client("dynamodb", TABLES), environment.models_table)
    return PredictionApi(Serving(registry, artifacts(environment)), files)


def artifacts(environment: Environment) -> Artifacts:
    """The deployment's bucket."""
    return Artifacts(client("s3"), environment.bucket, prompt=client("s3", PROMPT))


def parameter_server(environment: Environment) -> Any:
    """A function from run id to its parameter server; the connection is made at the first call and kept."""

    @cache
    def connection() -> Any:
        from lnn.parameter_server.connection import connect

        return connect(environment.cache, environment.region)

    def server(run_id: str) -> ParameterServer:
        from lnn.parameter_server.server import ParameterServer

        return ParameterServer(connection(), run_id)

    return server


@cache
def client(name: str, config: Config = CONFIG) -> Any:
    """An AWS client that is made when it is first used, and shared by all who ask for it."""
    return OnDemand(name, config)


class OnDemand:
    """Stands for a client until its first use: making one takes tens of milliseconds, and few invocations need all."""

    _making = threading.Lock()
    """boto3 makes one client at a time (boto3 guide, "Multithreading or multiprocessing with clients")."""

    def __init__(self, name: Any, config: Config) -> None:
        self._name = name
        self._config = config
        self._client: Any = None

    def __getattr__(self, name: str) -> Any:
        with self._making:
            if self._client is None:
                self._client = boto3.client(self._name, config=self._config)
        return getattr(self._client, name)


def seconds_left(milliseconds_left: Callable[[], int]) -> Callable[[], float]:
    """A clock of the time that an invocation has left, from Lambda's context."""
    return lambda: milliseconds_left() / 1000
