"""Asynchronous invocations of one function by another. Messages carry ids and positions, never tensors."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from lnn.aws.client_errors import code_of, refusals
from lnn.errors import Throttled
from lnn.messages import Message

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_lambda.type_defs import InvocationResponseTypeDef

logger = logging.getLogger(__name__)

PARALLEL_CALLS = 4
"""Concurrent Invoke calls: enough to hide their latency, few enough for one vCPU."""

WAKING = frozenset(
    {
        "CodeArtifactUserPendingException",
        "ENINotReadyException",
        "ResourceConflictException",
        "ResourceNotReadyException",
    }
)
"""Errors of Invoke for a function that was idle for weeks. Lambda has reclaimed its resources and made it Inactive.
Every invocation fails until the function is Active again (Lambda developer guide, "Lambda function states"; API
reference, "Invoke"). The code depends on the resource that Lambda is restoring (aws/aws-cdk, issue 20123)."""

THROTTLES = frozenset(
    {
        "EC2ThrottledException",
        "ENILimitReachedException",
        "SubnetIPAddressLimitReachedException",
        "TooManyRequestsException",
    }
)
"""Errors of Invoke for want of capacity: concurrent executions, requests a second, or addresses of the subnets."""

WAKING_SECONDS = 180.0
"""How long a function may take to become Active; up to 106 s have been observed (issue 801 of
aws-solutions-library-samples/accelerated-intelligent-document-processing-on-aws)."""

WAKING_POLL_SECONDS = 2.0

Answer = TypeVar("Answer")

WhileWaking = Callable[[], AbstractContextManager[object]]
"""A context for the wait until a function is Active, during which a lease would expire; entered only then."""


def _once_awake(call: Callable[[], Answer], while_waking: WhileWaking = nullcontext) -> Answer:
    """Repeat ``call`` while its function is not Active, or throttled, and return its answer.

    Raises Throttled when there was no capacity all the time. Other errors pass through.
    """
    with _throttling():
        return _once_awake_or_error(call, while_waking)


@contextmanager
def _throttling() -> Iterator[None]:
    """Raise Throttled in place of an error that says that there is no capacity."""
    try:
        yield
    except ClientError as error:
        if code_of(error) in THROTTLES:
            raise Throttled(f"Lambda has no capacity: {error}") from error
        raise


def _once_awake_or_error(call: Callable[[], Answer], while_waking: WhileWaking) -> Answer:
    try:
        return call()
    except ClientError as error:
        if not _is_waking(error):
            raise
        logger.warning("the function is not Active, or throttled; waiting for it", extra={"error": str(error)})
    deadline = time.monotonic() + WAKING_SECONDS
    with while_waking():
        while True:
            time.sleep(WAKING_POLL_SECONDS)
            try:
                return call()
            except ClientError as error:
                if not _is_waking(error) or time.monotonic() > deadline:
                    raise


def _is_waking(error: ClientError) -> bool:
    return code_of(error) in WAKING | THROTTLES


class Invoker:
    """The Trainer and Neuron functions of one deployment."""

    def __init__(self, client: LambdaClient, trainer: str, neuron: str) -> None:
        self._client = client
        self._trainer = trainer
        self._neuron = neuron

    def invoke_trainer(self, message: Message) -> None:
        self._invoke_all(self._trainer, [message])

    def invoke_neuron(self, message: Message) -> None:
        self._invoke_all(self._neuron, [message])

    def invoke_neurons(self, messages: Iterable[Message], while_waking: WhileWaking = nullcontext) -> None:
        """Invoke many neurons; return when Lambda has accepted all messages."""
        self._invoke_all(self._neuron, list(messages), while_waking)

    def try_neuron(self, message: Message) -> str | None:
        """Invoke the Neuron and wait: the error that it raises, or None if it raises none or cannot be reached.

        Raises Throttled at once where there is no capacity for it.
        """

        def call() -> InvocationResponseTypeDef:
            with _throttling():
                return self._client.invoke(
                    FunctionName=self._neuron,
                    InvocationType="RequestResponse",
                    Payload=json.dumps(message.as_json()).encode(),
                )

        try:
            answer = _once_awake(call)
        except (BotoCoreError, ClientError) as error:
            logger.warning("the Neuron was not reached", extra={"error": str(error)})
            return None
        if "FunctionError" not in answer:
            return None
        raised = json.loads(answer["Payload"].read())
        return f"{raised.get('errorType', answer['FunctionError'])}: {raised.get('errorMessage')}"

    def _invoke_all(self, function: str, messages: list[Message], while_waking: WhileWaking = nullcontext) -> None:
        def send_the_rest() -> None:
            nonlocal messages
            if len(messages) == 1:
                faults = [self._fault_of_invoking(function, messages[0])]
            else:
                with ThreadPoolExecutor(PARALLEL_CALLS) as pool:
                    faults = list(pool.map(lambda message: self._fault_of_invoking(function, message), messages))
            messages = [message for message, fault in zip(messages, faults, strict=True) if fault is not None]
            for fault in filter(None, faults):
                raise fault

        _once_awake(send_the_rest, while_waking)

    def _fault_of_invoking(self, function: str, message: Message) -> Exception | None:
        try:
            self._invoke(function, message)
        except Exception as error:  # noqa: BLE001 - raised once the other messages have been sent
            return error
        return None

    def _invoke(self, function: str, message: Message) -> None:
        with refusals("invoke", f"the function {function}"):
            self._client.invoke(
                FunctionName=function,
                InvocationType="Event",
                Payload=json.dumps(message.as_json()).encode(),
            )
