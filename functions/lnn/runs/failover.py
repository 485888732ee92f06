"""How a generation that fails is given up: for the next one, or for good."""

from __future__ import annotations

import logging

from lnn.errors import LnnError, NonRetryable
from lnn.messages import Message
from lnn.runs.finalize import end_without_model
from lnn.runs.services import Services
from lnn.runs.stopping import Ending

logger = logging.getLogger(__name__)


def ask_for_next(services: Services, message: Message, fault: str | None, *, starved: bool = False) -> None:
    """Let the run's next generation go on, and its story tell of the ``fault``. Asking twice is harmless.

    ``fault`` is None where somebody else has told it. A generation that is ``starved`` of capacity is no attempt.
    Where nobody may be asked, the run ends.
    """
    try:
        if fault is not None:
            services.ledger.give_up(message.run_id, message.generation, fault, starved=starved)
    except LnnError as error:  # the story is poorer then, and that is all
        logger.warning("the run's record does not take the fault", extra={"error": str(error)})
    try:
        services.invoker.invoke_trainer(message.restart())
    except NonRetryable as refused:
        end_without_model(services, message.run_id, message.generation, Ending("FAILED", str(refused)))


def fail(services: Services, message: Message, reason: str) -> None:
    """End the run for a ``reason`` that repeating does not heal.

    Where this function may not even write that down, the next generation is asked for: the Trainer may be able to, and
    gives up after some attempts.
    """
    try:
        end_without_model(services, message.run_id, message.generation, Ending("FAILED", reason))
    except NonRetryable as refused:
        logger.exception("the run's end cannot be written")
        ask_for_next(services, message, f"{reason}; {refused}")


def told(who: str, error: BaseException) -> str:
    """An error for the run's story; a library's own error explains itself."""
    what = str(error) if isinstance(error, LnnError) else f"{type(error).__name__}: {error}"
    return f"{who}: {what}"
