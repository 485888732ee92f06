"""Idempotency for events that start work: a second delivery gets the answer of the first. Powertools does it."""

import time
from collections.abc import Callable

from aws_lambda_powertools.utilities.idempotency import (
    DynamoDBPersistenceLayer,
    IdempotencyConfig,
    idempotent_function,
)
from aws_lambda_powertools.utilities.idempotency.exceptions import IdempotencyAlreadyInProgressError
from aws_lambda_powertools.utilities.typing import LambdaContext

RECORD_SECONDS = 24 * 3600
"""Lambda retries an event for at most six hours, so a day is ample."""

LOCK_SECONDS = 10
"""A second delivery that finds the first one at work waits this long before it treats the work as abandoned."""

POLL_SECONDS = 0.5


class _Lock(LambdaContext):
    """Limits a claim of Powertools to LOCK_SECONDS in place of the time that the function has left."""

    @staticmethod
    def get_remaining_time_in_millis() -> int:
        return LOCK_SECONDS * 1000


class Idempotency:
    """The invocations table of one deployment."""

    def __init__(self, table: str) -> None:
        self._store = DynamoDBPersistenceLayer(table_name=table, key_attr="invocation", expiry_attr="expires_at")

    def run(self, invocation: str, work: Callable[[], str], context: LambdaContext) -> str:
        """The answer of ``work``, which runs once for each ``invocation`` id.

        A repeat that finds the work claimed waits for the answer, or for the claim to expire, since Lambda may not
        deliver the event again. So a crash costs ``LOCK_SECONDS``, and ``work`` must be safe to repeat.
        """
        config = IdempotencyConfig(expires_after_seconds=RECORD_SECONDS, lambda_context=_Lock())

        def claim(*, invocation: str) -> str:  # noqa: ARG001 - Powertools reads it as the record's key
            return work()

        claimed = idempotent_function(
            claim, data_keyword_argument="invocation", persistence_store=self._store, config=config
        )
        while True:
            try:
                answer: str = claimed(invocation=invocation)
            except IdempotencyAlreadyInProgressError:
                if context.get_remaining_time_in_millis() < 2 * LOCK_SECONDS * 1000:
                    raise
                time.sleep(POLL_SECONDS)
            else:
                return answer
