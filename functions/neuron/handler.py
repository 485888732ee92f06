"""NeuronLambda: one neuron's activation or gradient."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from lnn import clients
from lnn.environment import Environment
from lnn.errors import CacheLost
from lnn.events import Message
from lnn.strategies import neuron

logger = Logger()
environment = Environment.read()
invoker = clients.invoker(environment)
server = clients.parameter_server(environment)


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> None:
    """Do one neuron's part of one step."""
    message = Message.parse(event)
    logger.append_keys(**message.as_json())
    try:
        standing = neuron.work(server(message.run_id), invoker, message, environment.neuron_window)
    except CacheLost as lost:
        logger.warning("parameter server lost the run", extra={"reason": str(lost)})
        invoker.invoke_trainer(message.restart())
        return
    logger.info("neuron done", extra={"standing": standing.value})
