"""How one function calls another: asynchronously, with ids and positions only."""

from __future__ import annotations

import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from lnn.events import Message

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

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

    def _invoke(self, function: str, message: Message) -> None:
        self._client.invoke(
            FunctionName=function,
            InvocationType="Event",
            Payload=json.dumps(message.as_json()).encode(),
        )
