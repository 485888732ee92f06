"""Workers that stay alive for many epochs: what ``resident`` and ``data`` have in common.

The Trainer invokes one NeuronLambda for each rank and goes. The workers meet in Redis (``process_group``) at every
step, and each of them trains every epoch; worker 0 also keeps the run (``Session``). A decision is taken after a step,
from the flags of its last exchange, which all of them have: so all take the same one.
"""

from __future__ import annotations

import logging
import struct
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING
from uuid import uuid4

from lnn.errors import (
    CacheLost,
    LedgerUnavailable,
    LnnError,
    NonRetryable,
    PeerLeft,
    ProcessGroupBroken,
    StaleGeneration,
    WorkersMissing,
)
from lnn.job.plan import Plan
from lnn.messages import Flag, Message
from lnn.parameter_server.process_group import ProcessGroup
from lnn.runs.failover import ask_for_next, fail, told
from lnn.runs.lease import Reporter
from lnn.runs.record import Run
from lnn.runs.services import Services
from lnn.runs.store import Ledger
from lnn.strategies.session import Crew, Request, Session

if TYPE_CHECKING:
    from lnn.runs.attributes import WorkerSeconds

logger = logging.getLogger(__name__)

FIGURES = struct.Struct("<dd")
"""What a worker tells at the end: seconds of computing, seconds of waiting for others."""

CALL_PAUSE_SECONDS = 2.0
"""Pause after a worker has called those that have not taken their places; each later one is twice as long."""


def start(services: Services, run: Run, plan: Plan, remaining: object = None) -> None:  # noqa: ARG001
    """Invoke the workers of the run's generation (the Trainer's part)."""
    services.ledger.go_back(run, invocations=run.invocations + plan.workers)
    services.invoker.invoke_neurons(
        (Message(run.run_id, run.generation, "start", neuron=rank) for rank in range(plan.workers)),
        while_waking=lambda: Reporter(services.ledger, services.notifier, run, plan),  # keeps the lease
    )


def work(services: Services, message: Message, remaining: Callable[[], float]) -> str:
    """Be one worker until the run ends or is handed over; returns how it went.

    ``remaining()`` is the seconds this invocation has left. What goes wrong becomes the run's status or another
    generation; it is never raised, since Lambda's retry of a worker would find its place taken.
    """
    run_id, generation, rank = message.run_id, message.generation, message.neuron
    if rank is None:
        raise ValueError("a message to a worker says which one it is")
    try:
        run = services.ledger.get_run(run_id)
    except NonRetryable as refused:
        ask_for_next(services, message, told(f"worker {rank}", refused))
        raise
    if run is None or run.status != "RUNNING" or run.generation != generation:
        return "stale"
    plan = run.parsed_plan
    group = ProcessGroup(services.server(run_id), run.claim, rank, plan.workers)
    if not group.join(uuid4().hex):
        return "duplicate"
    try:
        with group.heartbeat():
            Session(services, run, plan, Workers(services, run, group), remaining).train()
    except StaleGeneration as stale:
        logger.info("superseded", extra={"reason": str(stale)})
        take_leave(services, group, run_id)
        return "superseded"
    except (ProcessGroupBroken, CacheLost, LedgerUnavailable) as broken:
        logger.warning("group broken; going back to the checkpoint", extra={"reason": str(broken)})
        leave(services, group, message, broken)
    except (LnnError, MemoryError) as error:
        memory = services.environment.neuron_memory_mb
        reason = str(error) or f"worker {rank} ran out of memory ({memory} MB); raise functions.neuron.memory"
        fail(services, message, reason)
        take_leave(services, group, run_id)
    except Exception as error:
        logger.exception("worker failed")
        leave(services, group, message, error)
    else:
        return "done"
    finally:
        group.close()
    return "left"


def leave(services: Services, group: ProcessGroup, message: Message, error: Exception) -> None:
    """Ask for the next generation and let the others go, in this order: they would ask for it, too."""
    fault = None if isinstance(error, PeerLeft) else told(f"worker {group.rank}", error)
    ask_for_next(services, message, fault, starved=isinstance(error, WorkersMissing))
    take_leave(services, group, message.run_id)


def take_leave(services: Services, group: ProcessGroup, run_id: str) -> None:
    """Let the others go. Of a run that has ended nobody else may be left to remove what that puts into Redis."""
    group.leave()
    with suppress(LnnError):  # then the keys expire
        run = services.ledger.get_run(run_id)
        if run is not None and run.has_ended:
            services.server(run_id).remove(run.generation)


class Workers(Crew):
    """The crew of a worker: whatever one of them requests, all do, since they read it in the step's last exchange."""

    alone = False

    def __init__(self, services: Services, run: Run, group: ProcessGroup) -> None:
        self._services, self._run, self._group, self.group = services, run, group, (group,)
        self.name, self.leads = f"worker {group.rank}", group.rank == 0
        self._legs = 0
        self._call_after, self._call_pause = 0.0, CALL_PAUSE_SECONDS

    def meet(self, request: Flag) -> Flag:
        self._group.request = request
        self._group.rendezvous(self._look)
        self._group.waited = 0.0
        return self._group.agreed

    def _look(self, ranks: Sequence[int]) -> None:
        """Wait on for workers that have not taken their places, and call them again: their messages may have been lost.

        Raises StaleGeneration where nobody will come, since another generation has taken over or the run has ended.
        """
        run_id, generation = self._run.run_id, self._run.generation
        with suppress(LedgerUnavailable):  # which says nothing of the run
            run = self._services.ledger.get_run(run_id)
            if run is None or run.status != "RUNNING" or run.claim != self._run.claim:
                raise StaleGeneration(f"claim {self._run.claim} of run {run_id} is no longer the latest")
        now = time.monotonic()
        if now >= self._call_after:
            # Ever more rarely: where capacity is short, Lambda keeps each message for hours.
            self._call_after, self._call_pause = now + self._call_pause, 2 * self._call_pause
            self._services.invoker.invoke_neurons(Message(run_id, generation, "start", neuron=rank) for rank in ranks)

    def note_start(self, ledger: Ledger, run: Run) -> Run:
        if run.training_started_at is not None:
            return run
        return ledger.renew(run.run_id, run.generation, **run.training_begins())

    def before_step(self, request: Request) -> None:
        self._group.request = request(1)

    def after_step(self, request: Request) -> Flag:
        self._legs += 1
        if self._legs == 1:
            # Nobody could tell before the first leg whether there is time for a second one.
            self._group.request = request(0)
            self._group.all_gather(b"")
        self.waited = self._group.waited
        return self._group.agreed

    def shares(self, seconds: float) -> list[WorkerSeconds] | None:
        waiting = self._group.waited
        parts = self._group.gather(FIGURES.pack(seconds - waiting, waiting))
        if not self.leads:
            return None
        figures = [FIGURES.unpack(part) for part in parts]
        return [{"computing": computing, "waiting": waiting} for computing, waiting in figures]
