"""The Trainer's state machine: what to do with each message, and with what goes wrong."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING
from uuid import uuid4

from lnn.aws.client_errors import PASSING
from lnn.errors import CacheLost, LedgerUnavailable, LnnError, StaleGeneration
from lnn.job.plan import Plan
from lnn.messages import Message
from lnn.runs.admission import is_admitted, recover
from lnn.runs.failover import ask_for_next, told
from lnn.runs.finalize import end_without_model
from lnn.runs.lease import Reporter
from lnn.runs.record import Run
from lnn.runs.services import Services
from lnn.runs.stopping import Ending
from lnn.runs.watchdog import watch
from lnn.strategies.registry import STRATEGIES

if TYPE_CHECKING:
    from lnn.runs.attributes import Attempts

logger = logging.getLogger(__name__)

ATTEMPTS_WITHOUT_PROGRESS = 5
"""Generations that may begin at the same place before the run is given up as one that cannot be healed."""

PAUSE_SECONDS = 4.0
"""Before the third of them, and twice as long before each further one: a fault of half a minute passes meanwhile."""

PARAMETER_SERVER_SECONDS = 20.0
"""How long an attempt waits for a parameter server that does not answer or is full."""

PROBE_SECONDS = 0.5

TABLE_SECONDS = 30.0
"""How long an invocation waits for a table that does not answer, before it leaves its message to Lambda's repeat."""

TABLE_PAUSE_SECONDS = 1.0


def handle(services: Services, message: Message, remaining: Callable[[], float]) -> None:
    """Act on one message to the Trainer; ``remaining()`` is the seconds this invocation has left.

    Raises what a later repeat of the message may heal; everything else becomes the run's status.
    """
    if message.state == "watch":
        watch(services, remaining)
        return
    run_id, generation = message.run_id, message.generation
    try:
        if message.state == "start":
            start(services, message, remaining)
        else:
            from lnn.strategies.neuron import trainer

            trainer.step_done(services, message)
    except StaleGeneration as stale:
        logger.info("superseded", extra={"reason": str(stale)})
    except CacheLost as lost:
        logger.warning("parameter server lost the run; going back to its checkpoint", extra={"reason": str(lost)})
        ask_for_next(services, message, told("the Trainer", lost))
    except LedgerUnavailable:
        raise
    except (LnnError, MemoryError) as error:
        reason = str(error) or f"the Trainer ran out of memory ({services.environment.trainer_memory_mb} MB)"
        end_without_model(services, run_id, generation, Ending("FAILED", reason))
    except Exception as error:
        # Raised, too: the function's figures shall show it, and Lambda's repeat heals where nobody could be asked.
        logger.exception("attempt failed")
        ask_for_next(services, message, told("the Trainer", error))
        raise


def start(services: Services, message: Message, remaining: Callable[[], float]) -> None:
    """Take the run's lease and train from its last checkpoint."""
    run = claimed_patiently(services, message, remaining)
    if run is None:
        return
    plan = run.parsed_plan
    attempts = attempts_here(services, run)
    hopeless = no_more_attempts(run, attempts) or dead_neuron(services, run, plan, attempts)
    if hopeless is not None:
        end_without_model(services, message.run_id, message.generation, Ending("FAILED", hopeless))
        return
    if attempts > 2:
        with Reporter(services.ledger, services.notifier, run, plan):  # keeps the lease
            time.sleep(min(PAUSE_SECONDS * 2 ** (attempts - 3), max(0.0, remaining() / 4)))
    strategy = STRATEGIES[plan.strategy]
    if strategy.meets_in_redis:
        await_parameter_server(services, run, plan)
    strategy.load(strategy.start)(services, run, plan, remaining)


def claimed_patiently(services: Services, message: Message, remaining: Callable[[], float]) -> Run | None:
    """``claimed``, once the runs table answers. Raises LedgerUnavailable where it does not for long.

    A generation that nobody has claimed asks for no next one: that one could not begin either, and such messages,
    which Lambda repeats a minute later, would take the run from a generation that is well.
    """
    until = time.monotonic() + min(TABLE_SECONDS, remaining() / 2)
    while True:
        try:
            return claimed(services, message)
        except PASSING as error:
            if time.monotonic() > until:
                raise LedgerUnavailable(f"run {message.run_id} cannot be claimed: {error}") from error
            logger.warning("not claimed; trying again", extra={"error": str(error)})
            time.sleep(TABLE_PAUSE_SECONDS)


def claimed(services: Services, message: Message) -> Run | None:
    """The run, under its new generation; None where that is not ours to start, or has to wait for its workers."""
    run_id, generation = message.run_id, message.generation
    before = services.ledger.get_run(run_id)
    if before is not None and before.may_begin(generation) and not is_admitted(services, before, generation):
        logger.info("waiting for capacity")
        return None
    run = None if before is None else services.ledger.claim(run_id, generation, uuid4().hex, before)
    if run is None:
        logger.info("duplicate refused", extra={"state": "start"})
        if before is not None and (before.has_ended or before.may_begin(generation)):
            recover(services, before)  # it may have ended since it was read
    return run


def await_parameter_server(services: Services, run: Run, plan: Plan) -> None:
    """Returns when the parameter server takes writes, or after a while: then this attempt will fail.

    Without this, a Redis that is away for some seconds would cost a run all of its attempts.
    """
    server = services.server(run.run_id)
    if server.takes_writes():
        return
    with Reporter(services.ledger, services.notifier, run, plan):  # keeps the lease
        deadline = time.monotonic() + PARAMETER_SERVER_SECONDS
        while time.monotonic() < deadline and not server.takes_writes():
            time.sleep(PROBE_SECONDS)


def attempts_here(services: Services, run: Run) -> int:
    """How many generations have begun at the place where this one begins, itself included.

    Getting from one batch's checkpoint to another's is progress, as an epoch is.
    """
    before: Attempts = run.attempts or {"epoch": -1, "count": 0}
    batches = run.latest_checkpoint.get("batches", 0)
    same = (before["epoch"], before.get("batches", 0)) == (run.epoch, batches)
    count = before["count"] + 1 if same else 1
    services.ledger.renew(run.run_id, run.generation, attempts={"epoch": run.epoch, "batches": batches, "count": count})
    return count


def no_more_attempts(run: Run, attempts: int) -> str | None:
    """Why a run is given up that began too often at the same place."""
    if attempts <= ATTEMPTS_WITHOUT_PROGRESS:
        return None
    last = run.fault["what"] if run.fault else "nobody was left to say what went wrong"
    return (
        f"no progress after epoch {run.epoch} in {attempts - 1} attempts; the last: {last}. The Trainer's and the "
        "Neuron's logs say more; mend the cause and resume the run"
    )


def dead_neuron(services: Services, run: Run, plan: Plan, attempts: int) -> str | None:
    """Why a run is given up whose Neuron cannot even begin, and so has nobody to say so.

    It is called, twice, when an attempt went by in silence, with a message that is out of date: one that works does
    nothing with it.
    """
    if attempts < 2 or not STRATEGIES[plan.strategy].meets_in_redis or run.fault_of(run.generation - 1):
        return None
    stale = Message(run.run_id, 0, "start", neuron=0)
    with Reporter(services.ledger, services.notifier, run, plan):
        fault = services.invoker.try_neuron(stale) and services.invoker.try_neuron(stale)
    if fault is None:
        return None
    return f"the Neuron function fails whenever it is called: {fault}; mend it ('make deploy') and resume the run"
