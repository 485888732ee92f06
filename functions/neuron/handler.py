"""NeuronLambda: one neuron's activation or gradient; or a worker that owns many neurons or examples and stays."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from lnn import wiring
from lnn.environment import Environment
from lnn.messages import Message
from lnn.runs import logs
from lnn.strategies.neuron import neuron

services = wiring.services(Environment.read())


@logs.invocation
def handler(event: dict[str, Any], context: LambdaContext) -> None:
    """Do one neuron's part of one step; on ``start``, be a worker."""
    message = Message.parse(event)
    logs.at(**message.place())
    if message.state == "start":
        from lnn.strategies import worker

        outcome = worker.work(services, message, wiring.seconds_left(context.get_remaining_time_in_millis))
        logs.logger.info("worker done", extra={"outcome": outcome})
        return
    standing = neuron.handle(services, message)
    # A run has hundreds of thousands of neurons: by default they tell only what is out of the ordinary.
    tell = logs.logger.info if standing in ("stale", "failed") else logs.logger.debug
    tell("neuron done", extra={"standing": standing})
