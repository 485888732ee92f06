"""The Trainer's state machine: what to do with each message, and with what goes wrong."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING
from uuid import uuid4

from lnn.aws.client_errors import PASSING
from lnn.aws.clocks import moment, seconds_between, wall
from lnn.errors import CacheLost, LedgerUnavailable, LnnError, StaleGeneration, Throttled
from lnn.job.plan import Plan
from lnn.messages import Message
from lnn.runs.admission import is_admitted, recover
from lnn.runs.event_log import event as logged
from lnn.runs.failover import ask_for_next, told
from lnn.runs.finalize import end_without_model
from lnn.runs.lease import Reporter
from lnn.runs.record import Run
from lnn.runs.services import Services
from lnn.runs.starvation import LONGEST_SECONDS, Silence, silence_before
from lnn.runs.stopping import Ending
from lnn.runs.watchdog import watch
from lnn.strategies.registry import STRATEGIES

if TYPE_CHECKING:
    from lnn.runs.attributes import Attempts

logger = logging.getLogger(__name__)

ATTEMPTS_WITHOUT_PROGRESS = 5
"""Generations that may begin at the same place before the run is given up as one that cannot be healed."""

FAULT_SECONDS = 120.0
"""A run is not given up before so long after the first fault that was told there: a shorter one passes meanwhile."""

PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 4.0, 16.0
"""Before the third of them, and twice as long before each further one, up to the longest."""

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
    except Throttled as throttled:
        # No fault: the watch lets the next generation try.
        logger.warning("no capacity", extra={"reason": str(throttled)})
        services.ledger.release(run_id, generation, f"generation {generation}: {throttled}")
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
    silence = silence_of(services, run, plan)
    attempts = attempts_here(services, run, silence)
    if reason := hopeless(run, attempts, silence):
        end_without_model(services, message.run_id, message.generation, Ending("FAILED", reason))
        return
    if silence.throttled:
        # Nobody is invoked: Lambda would keep the messages for hours. The watch starts the next generation.
        services.ledger.release(run.run_id, run.generation)
        return
    count = attempts["count"]
    if count > 2 and silence.starved is None:
        with Reporter(services.ledger, services.notifier, run, plan):  # keeps the lease
            time.sleep(min(PAUSE_SECONDS * 2 ** (count - 3), LONGEST_PAUSE_SECONDS, max(0.0, remaining() / 4)))
    strategy = STRATEGIES[plan.strategy]
    if strategy.meets_in_redis:
        await_parameter_server(services, run, plan)
    strategy.load("start")(services, run, plan, remaining)


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


def begins_where_the_last_did(run: Run) -> bool:
    """Whether a generation begins where the one before it did.

    Getting from one batch's checkpoint to another's is progress, as an epoch is.
    """
    before: Attempts = run.attempts or {"epoch": -1, "count": 0}
    place = (run.epoch, run.latest_checkpoint.get("batches", 0), latest_pause(run))
    return (before["epoch"], before.get("batches", 0), before.get("pause", 0)) == place


def latest_pause(run: Run) -> int:
    """The number of the latest pause of a stepped run: getting from one to another is progress."""
    return 0 if run.paused is None else run.paused["number"]


def silence_of(services: Services, run: Run, plan: Plan) -> Silence:
    """What became of the generation before, if it came to nothing and told no fault."""
    if not begins_where_the_last_did(run) or not STRATEGIES[plan.strategy].meets_in_redis:
        return Silence()
    if run.fault and run.fault["generation"] == run.generation - 1:
        return Silence(starved=run.fault["what"] if run.fault.get("starved") else None)
    with Reporter(services.ledger, services.notifier, run, plan):  # keeps the lease
        return silence_before(services, run, plan)


def attempts_here(services: Services, run: Run, silence: Silence) -> Attempts:
    """How many generations have begun at the place where this one begins, itself included.

    One that had no capacity does not count.
    """
    attempts: Attempts = {"epoch": run.epoch, "batches": run.latest_checkpoint.get("batches", 0), "count": 1}
    if pause := latest_pause(run):
        attempts["pause"] = pause
    if run.attempts is not None and begins_where_the_last_did(run):
        attempts["count"] = run.attempts["count"] + (silence.starved is None)
        told = run.fault is not None and run.fault["generation"] == run.generation - 1
        if told or "failing_since" in run.attempts:
            since = run.attempts.get("failing_since") if silence.starved is None else None
            attempts["failing_since"] = moment() if since is None else since
    event = None
    if silence.arrivals:
        attempts["arrivals"] = silence.arrivals
    if silence.starved is not None:
        since = run.attempts.get("starved_since") if run.attempts is not None else None
        attempts["starved_since"] = wall() if since is None else since
        event = None if since is not None else logged(f"waiting for capacity: {silence.starved}")
    services.ledger.renew(run.run_id, run.generation, attempts=attempts, event=event)
    return attempts


def hopeless(run: Run, attempts: Attempts, silence: Silence) -> str | None:
    """Why a run is given up that no further generation can help."""
    if silence.broken is not None:
        return (
            f"the Neuron function fails whenever it is called: {silence.broken}; mend it ('make deploy') and resume "
            "the run"
        )
    since = attempts.get("starved_since")
    if since is not None and seconds_between(since, wall()) > LONGEST_SECONDS:
        return (
            f"the Neuron had no capacity for {LONGEST_SECONDS / 3600:g} hours ({silence.starved}); raise its reserved "
            "concurrency or the account's, or ask for fewer workers, and resume the run"
        )
    return no_more_attempts(run, attempts)


def no_more_attempts(run: Run, attempts: Attempts) -> str | None:
    """Why a run is given up that began too often at the same place, and for too long where faults were told."""
    may_pass = seconds_between(attempts.get("failing_since", 0.0), moment()) < FAULT_SECONDS
    if attempts["count"] <= ATTEMPTS_WITHOUT_PROGRESS or may_pass:
        return None
    count = attempts["count"] - 1
    last = run.fault["what"] if run.fault else "nobody was left to say what went wrong"
    return (
        f"no progress after epoch {run.epoch} in {count} attempts; the last: {last}. The Trainer's and the "
        "Neuron's logs say more; mend the cause and resume the run"
    )
