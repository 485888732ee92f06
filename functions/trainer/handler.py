"""TrainerLambda: moves a run from step to step, or trains it whole."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from lnn import clients, journal, training
from lnn.environment import Environment
from lnn.events import Message

services = clients.services(Environment.read())


@journal.invocation
def handler(event: dict[str, Any], context: LambdaContext) -> None:
    """Act on one message: ``start``, ``forward``, ``backward`` or ``watch``."""
    message = Message.parse(event)
    journal.at(**message.as_json())
    training.handle(services, message, clients.seconds_left(context.get_remaining_time_in_millis))
    journal.logger.info("handled")
