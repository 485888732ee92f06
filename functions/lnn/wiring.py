"""Construction of a function's services and their AWS clients."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

from lnn.aws.clients import IMPATIENT, PROMPT, TABLES, client
from lnn.aws.invoker import Invoker
from lnn.aws.notifier import Notifier
from lnn.environment import Environment
from lnn.models.store import Artifacts
from lnn.runs.services import Services
from lnn.runs.store import Ledger

if TYPE_CHECKING:
    from lnn.parameter_server.server import ParameterServer
    from lnn.runs.capacity import Capacity


def services(environment: Environment) -> Services:
    """Every service, each with its client."""
    return Services(
        environment=environment,
        ledger=Ledger(client("dynamodb", TABLES), environment.runs_table, environment.costs_table),
        artifacts=artifacts(environment),
        notifier=Notifier(client("sns", IMPATIENT), environment.topic_arn),
        invoker=Invoker(client("lambda"), environment.trainer_function, environment.neuron_function),
        server=parameter_server(environment),
        capacity=capacity(environment),
    )


def capacity(environment: Environment) -> Capacity | None:
    """How many Neurons may run at once, where the deployment says so."""
    if not environment.neuron_concurrency:
        return None
    from lnn.runs.capacity import Capacity

    return Capacity(client("dynamodb", TABLES), environment.runs_table, environment.neuron_concurrency)


def artifacts(environment: Environment) -> Artifacts:
    """The deployment's bucket."""
    return Artifacts(client("s3"), environment.bucket, prompt=client("s3", PROMPT))


def parameter_server(environment: Environment) -> Any:
    """A function from a run id to its parameter server; the first call opens a connection that all share."""

    @cache
    def connection() -> Any:
        from lnn.parameter_server.connection import connect

        return connect(environment.cache, environment.region)

    def server(run_id: str) -> ParameterServer:
        from lnn.parameter_server.server import ParameterServer

        return ParameterServer(connection(), run_id)

    return server


def seconds_left(milliseconds_left: Callable[[], int]) -> Callable[[], float]:
    """The seconds that an invocation has left, from Lambda's milliseconds."""
    return lambda: milliseconds_left() / 1000
