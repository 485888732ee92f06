"""Powertools' idempotency for events that start something: a second copy gets the first one's answer."""

from __future__ import annotations

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
"""Lambda delivers an event for six hours at most; a day is ample."""

LOCK_SECONDS = 10
"""A copy that finds the first one at work waits this long before it takes the work for abandoned."""

POLL_SECONDS = 0.5


class _Lock(LambdaContext):
    """Tells Powertools how long a claim lasts when its holder dies: not the function's whole time."""

    @staticmethod
    def get_remaining_time_in_millis() -> int:
        return LOCK_SECONDS * 1000


class Once:
    """The invocations table of one deployment."""

    def __init__(self, table: str) -> None:
        self._store = DynamoDBPersistenceLayer(table_name=table, key_attr="invocation", expiry_attr="expires_at")

    def run(self, invocation: str, work: Callable[[], str], context: LambdaContext) -> str:
        """The answer of ``work``, which runs once for each ``invocation`` id.

        A crash of whoever runs it costs ``LOCK_SECONDS``: a repeat that finds the work claimed waits for the answer
        or for the claim to lapse, since Lambda may not repeat the event again. ``work`` must bear being run anew.
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
