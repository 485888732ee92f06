"""How one function calls another: asynchronously, with ids and positions only."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from lnn.events import Message
from lnn.refusals import refusals

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

logger = logging.getLogger(__name__)

PARALLEL_CALLS = 4
"""Invoke calls under way at once: enough to hide their latency, few enough for one vCPU."""


class Invoker:
    """The Trainer and Neuron functions of one deployment."""

    def __init__(self, client: LambdaClient, trainer: str, neuron: str) -> None:
        self._client = client
        self._trainer = trainer
        self._neuron = neuron

    def invoke_trainer(self, message: Message) -> None:
        self._invoke(self._trainer, message)

    def invoke_neuron(self, message: Message) -> None:
        self._invoke(self._neuron, message)

    def invoke_neurons(self, messages: Iterable[Message]) -> None:
        """Invoke many neurons; returns when Lambda has accepted them all."""
        waiting = list(messages)
        if len(waiting) == 1:
            self.invoke_neuron(waiting[0])
            return
        with ThreadPoolExecutor(PARALLEL_CALLS) as pool:
            # list() so that an exception of any call is raised here.
            list(pool.map(self.invoke_neuron, waiting))

    def try_neuron(self, message: Message) -> str | None:
        """Wait for what the Neuron makes of a message: the error that it raises, or None, also where nobody knows."""
        try:
            with refusals("invoke", f"the function {self._neuron}"):
                answer = self._client.invoke(
                    FunctionName=self._neuron,
                    InvocationType="RequestResponse",
                    Payload=json.dumps(message.as_json()).encode(),
                )
        except (BotoCoreError, ClientError) as error:
            logger.warning("the Neuron was not reached", extra={"error": str(error)})
            return None
        if "FunctionError" not in answer:
            return None
        raised = json.loads(answer["Payload"].read())
        return f"{raised.get('errorType', answer['FunctionError'])}: {raised.get('errorMessage')}"

    def _invoke(self, function: str, message: Message) -> None:
        with refusals("invoke", f"the function {function}"):
            self._client.invoke(
                FunctionName=function,
                InvocationType="Event",
                Payload=json.dumps(message.as_json()).encode(),
            )
