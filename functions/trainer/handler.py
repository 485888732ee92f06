"""TrainerLambda: moves a run from step to step, or trains it whole."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from lnn import train, wiring
from lnn.environment import Environment
from lnn.messages import Message
from lnn.runs import logs

services = wiring.services(Environment.read())


@logs.invocation
def handler(event: dict[str, Any], context: LambdaContext) -> None:
    """Act on one message: ``start``, ``forward``, ``backward`` or ``watch``."""
    message = Message.parse(event)
    logs.at(**message.place())
    train.handle(services, message, wiring.seconds_left(context.get_remaining_time_in_millis))
    logs.logger.info("handled")
