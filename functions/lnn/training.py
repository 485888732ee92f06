"""The Trainer's state machine: what to do with each message, and with what goes wrong."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4

from lnn.ending import MEET_IN_REDIS, Ending, end_without_model
from lnn.errors import CacheLost, LedgerUnavailable, LnnError, StaleGeneration
from lnn.events import Message
from lnn.plan import Plan
from lnn.reporting import Reporter
from lnn.services import Services
from lnn.watching import watch

logger = logging.getLogger(__name__)

ATTEMPTS_WITHOUT_PROGRESS = 5
"""Generations that may begin at the same epoch before the run is given up as one that cannot be healed."""

PARAMETER_SERVER_SECONDS = 20.0
"""How long an attempt waits for a parameter server that does not answer or is full."""

PROBE_SECONDS = 0.5


def handle(services: Services, message: Message, remaining: Callable[[], float]) -> None:
    """Act on one message to the Trainer; ``remaining()`` is the seconds this invocation has left.

    Raises what a later repeat of the message may heal; everything else becomes the run's status.
    """
    if message.state == "watch":
        watch(services)
        return
    run_id, generation = message.run_id, message.generation
    try:
        if message.state == "start":
            start(services, message, remaining)
        else:
            from lnn.strategies import conductor

            conductor.step_done(services, message)
    except StaleGeneration as stale:
        logger.info("superseded", extra={"reason": str(stale)})
    except CacheLost as lost:
        logger.warning("parameter server lost the run; going back to its checkpoint", extra={"reason": str(lost)})
        services.invoker.invoke_trainer(message.restart())
    except LedgerUnavailable:
        raise
    except (LnnError, MemoryError) as error:
        reason = str(error) or f"the Trainer ran out of memory ({services.environment.trainer_memory_mb} MB)"
        end_without_model(services, run_id, generation, Ending("FAILED", reason))
    except Exception as error:
        logger.exception("attempt failed")
        if message.state == "start":
            # A repeat of this message, or the watch, shall find the lease free.
            services.ledger.release(run_id, generation, f"generation {generation} failed and will be repeated: {error}")
        raise


def start(services: Services, message: Message, remaining: Callable[[], float]) -> None:
    """Take the run's lease and train from its last checkpoint."""
    run = services.ledger.claim(message.run_id, message.generation, uuid4().hex)
    if run is None:
        logger.info("duplicate refused", extra={"state": "start"})
        return
    if (attempts := attempts_here(services, run)) > ATTEMPTS_WITHOUT_PROGRESS:
        reason = (
            f"no progress after epoch {run['epoch']} in {attempts - 1} attempts; the Trainer's and the Neuron's "
            "logs say why"
        )
        end_without_model(services, message.run_id, message.generation, Ending("FAILED", reason))
        return
    plan = Plan.parse(run["plan"])
    if plan.strategy in MEET_IN_REDIS:
        await_parameter_server(services, run, plan)
    if plan.strategy == "neuron":
        from lnn.strategies import conductor

        conductor.start(services, run, plan)
    elif plan.strategy in ("resident", "data"):
        from lnn.strategies import workers

        workers.start(services, run, plan)
    else:
        from lnn.strategies import fused

        fused.train(services, run, plan, remaining)


def await_parameter_server(services: Services, run: dict[str, Any], plan: Plan) -> None:
    """Returns when the parameter server takes writes, or after a while: then this attempt will fail.

    Without this, a Redis that is away for some seconds would cost a run all of its attempts.
    """
    server = services.server(run["run_id"])
    if server.takes_writes():
        return
    with Reporter(services.ledger, services.notifier, run, plan):  # keeps the lease
        deadline = time.monotonic() + PARAMETER_SERVER_SECONDS
        while time.monotonic() < deadline and not server.takes_writes():
            time.sleep(PROBE_SECONDS)


def attempts_here(services: Services, run: dict[str, Any]) -> int:
    """How many generations have begun at the epoch where this one begins, itself included."""
    before = run.get("attempts") or {"epoch": -1, "count": 0}
    count = int(before["count"]) + 1 if before["epoch"] == run["epoch"] else 1
    services.ledger.renew(run["run_id"], run["generation"], attempts={"epoch": run["epoch"], "count": count})
    return count
