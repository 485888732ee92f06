"""NeuronLambda: one neuron's activation or gradient; or a worker that owns many neurons or examples and stays."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from lnn import clients, journal
from lnn.environment import Environment
from lnn.events import Message
from lnn.strategies import neuron

services = clients.services(Environment.read())


@journal.invocation
def handler(event: dict[str, Any], context: LambdaContext) -> None:
    """Do one neuron's part of one step; on ``start``, be a worker."""
    message = Message.parse(event)
    journal.at(**message.as_json())
    if message.state == "start":
        from lnn.strategies import workers

        outcome = workers.work(services, message, clients.seconds_left(context.get_remaining_time_in_millis))
        journal.logger.info("worker done", extra={"outcome": outcome})
        return
    standing = neuron.handle(services, message)
    # A run has hundreds of thousands of neurons: by default they tell only what is out of the ordinary.
    tell = journal.logger.info if standing in ("stale", "failed") else journal.logger.debug
    tell("neuron done", extra={"standing": standing})
