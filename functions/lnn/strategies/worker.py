"""Workers that stay alive for many epochs: what ``resident`` and ``data`` have in common.

The Trainer invokes one NeuronLambda for each rank and goes. The workers meet in Redis (``process_group``) at every
step, and each of them trains every epoch; worker 0 also keeps the run: lease, history, checkpoints, hand-over and end.
A decision is taken after a step, between two batches or at an epoch's end, from what every worker has by then, the
cost and the flags of the step's last exchange, so all of them take the same one.
"""

from __future__ import annotations

import logging
import struct
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Protocol, Unpack
from uuid import uuid4

import numpy as np

from lnn.aws.clocks import Stopwatch, wall
from lnn.errors import CacheLost, LedgerUnavailable, LnnError, NonRetryable, ProcessGroupBroken, StaleGeneration
from lnn.job.plan import Plan
from lnn.messages import Message
from lnn.models.checkpoint import Checkpoint, EpochSoFar
from lnn.network.batches import Batch
from lnn.parameter_server.process_group import Flag, ProcessGroup
from lnn.runs.failover import ask_for_next, fail, told
from lnn.runs.finalize import Accuracies, cost_of_checkpoint, end_with_model, end_without_model
from lnn.runs.lease import Reporter
from lnn.runs.record import EpochRow, Run
from lnn.runs.services import Services
from lnn.runs.stopping import LONG_EPOCH_SECONDS, Ending, Totals, completed_by, diverged, stopped_by
from lnn.strategies.deadline import Pace, last_words
from lnn.strategies.fused.engine import save
from lnn.strategies.registry import STRATEGIES

if TYPE_CHECKING:
    from lnn.runs.attributes import Facts

logger = logging.getLogger(__name__)

FIGURES = struct.Struct("<dd")
"""What a worker tells at the end: seconds of computing, seconds of waiting for others."""


@dataclass(frozen=True, slots=True)
class Stepped:
    """What every worker knows after a step."""

    cost: float
    """Of the whole batch, before the update."""
    correct: int
    """Examples of the whole batch that were predicted right, before the update."""
    test_correct: int | None = None
    """Test examples that were predicted right before the update, where it was asked for."""


class Engine(Protocol):
    """One worker's part of the mathematics. Every method is called by all workers, in the same order."""

    def step(self, batch: Batch, t: int, tally: bool, following: Batch = None) -> Stepped:
        """One update, number ``t`` from 1, with the examples of ``batch``; ``tally`` asks for ``test_correct``.

        ``following`` is the next step's batch, for who can prepare it while parts travel; None if there is none.
        """

    def train_correct(self) -> int:
        """How many training examples are predicted right with the parameters as they are."""

    def test_correct(self) -> int:
        """How many test examples are predicted right with the parameters as they are."""

    def checkpoint(self, epoch: int) -> Checkpoint | None:
        """The whole state after ``epoch``, put together by worker 0; None for the others."""


def start(services: Services, run: Run, plan: Plan, remaining: object = None) -> None:  # noqa: ARG001
    """Invoke the workers of the run's generation (the Trainer's part)."""
    run_id, generation = run.run_id, run.generation
    services.ledger.go_back(run, invocations=run.invocations + plan.workers)
    services.invoker.invoke_neurons(
        (Message(run_id, generation, "start", neuron=rank) for rank in range(plan.workers)),
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
    group = ProcessGroup(services.server(run_id), generation, rank, plan.workers)
    if not group.join(uuid4().hex):
        return "duplicate"
    try:
        with group.heartbeat():
            Worker(services, run, plan, group, remaining).train()
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
    ask_for_next(services, message, told(f"worker {group.rank}", error))
    take_leave(services, group, message.run_id)


def take_leave(services: Services, group: ProcessGroup, run_id: str) -> None:
    """Let the others go. Of a run that has ended nobody else may be left to remove what that puts into Redis."""
    group.leave()
    with suppress(LnnError):  # then the keys expire
        run = services.ledger.get_run(run_id)
        if run is not None and run.has_ended:
            services.server(run_id).delete_run()


def engine_for(services: Services, run: Run, plan: Plan, group: ProcessGroup, state: Checkpoint) -> Engine:
    """The strategy's engine, set up from a checkpoint."""
    strategy = STRATEGIES[plan.strategy]
    engine: Engine = strategy.load(str(strategy.engine))(services.artifacts, run.run_id, plan, group, state)
    return engine


class Worker:
    """One worker's invocation."""

    def __init__(
        self,
        services: Services,
        run: Run,
        plan: Plan,
        group: ProcessGroup,
        remaining: Callable[[], float],
    ) -> None:
        self._services, self._run, self._plan, self._group, self._remaining = services, run, plan, group, remaining
        self._begun = time.monotonic()
        self._epoch = run.latest_checkpoint["epoch"]
        self._usd_before = float(run.usd or 0.0)
        self._last_epoch = 0.0
        self._paced = False
        self._open_row: EpochRow | None = None
        self._stopped: Ending | None = None

    def train(self) -> None:
        """Train until the run ends or is handed over."""
        # The lease is kept from here on: loading, and waiting for others, may take longer than it lasts.
        with self._last_words() as self._came_to_something, self._reporter() as self._report:
            saved = self._run.latest_checkpoint
            state = self._services.artifacts.get_checkpoint(saved["key"], saved["epoch"])
            self._so_far = state.so_far
            self._engine = engine_for(self._services, self._run, self._plan, self._group, state)
            if self._group.rank == 0 and self._run.stop_requested:
                self._group.request = Flag.STOP
            self._group.rendezvous(self._call)  # all have their data: the first epoch begins
            if self._group.rank == 0:
                self._cost = cost_of_checkpoint(self._services, self._run)
                self._keep_started_at()
            self._trained = Stopwatch(self._run.trained_before())
            self._computing_since = self._ended = time.monotonic()
            self._trained_at_end = self._trained.seconds()
            if self._report is not None:
                self._report.trained = self._trained
            self._pace = Pace(self._plan.checkpoint_seconds, self._remaining)
            self._group.waited = 0.0
            if Flag.STOP in self._group.agreed:
                self._finish(Ending("STOPPED", f"stopped on request after {self._place()}"))
            else:
                self._finish(self._run_epochs())

    def _call(self, rank: int) -> None:
        """Invoke a worker again that has not taken its place: its message may have been lost."""
        self._services.invoker.invoke_neuron(Message(self._run.run_id, self._run.generation, "start", neuron=rank))

    def _last_words(self) -> AbstractContextManager[Callable[[], None]]:
        if self._group.rank:
            return nullcontext(lambda: None)
        message = Message(self._run.run_id, self._run.generation, "start")
        return last_words(self._services, message, "worker 0", self._remaining)

    def _keep_started_at(self) -> None:
        if self._run.training_started_at is None:
            run_id, generation = self._run.run_id, self._run.generation
            self._run = self._services.ledger.renew(run_id, generation, training_started_at=wall())

    def _reporter(self) -> Any:
        if self._group.rank:
            return nullcontext()
        return Reporter(self._services.ledger, self._services.notifier, self._run, self._plan)

    # Epochs

    def _run_epochs(self) -> Ending | None:
        """Train until an end is due, or until it is time to hand over (None)."""
        for epoch in range(self._epoch + 1, self._plan.epochs + 1):
            self._epoch_began = time.monotonic() - self._so_far.seconds
            # A training that diverges overflows on its way; its cost will say so.
            with np.errstate(over="ignore", invalid="ignore"):
                whole = self._train_epoch(epoch)
            self._ended, self._trained_at_end = time.monotonic(), self._trained.seconds()
            if whole is None:
                return (self._stopped or Ending("STOPPED")) if Flag.STOP in self._group.agreed else None
            cost, correct = whole
            ending = diverged(epoch, cost, self._plan)
            if ending is not None:
                return ending
            self._epoch, self._cost = epoch, cost
            self._last_epoch = self._ended - self._epoch_began
            agreed = self._group.agreed
            ending = completed_by(self._plan, epoch, cost)
            if ending is None and Flag.STOP in agreed:
                ending = self._stopped or Ending("STOPPED")
            if self._plan.recorded(epoch) or ending is not None:
                share = correct / self._plan.examples
                self._open_row = EpochRow(epoch, cost, share, 0.0, self._last_epoch, self._group.waited)
            if self._report is not None:
                self._report.epoch_done(epoch, cost, None)
            if ending is not None or Flag.HAND_OVER in agreed:
                return ending
            if Flag.CHECKPOINT in agreed:
                self._save()
        raise AssertionError("the last epoch ends the run")

    def _train_epoch(self, epoch: int) -> tuple[float, int] | None:
        """The rest of a pass over the training set: the whole one's mean cost and number of correct predictions.

        None when the run is to end or to be handed over between two batches.
        """
        plan, so_far = self._plan, self._so_far
        updates = (epoch - 1) * plan.batches_per_epoch
        total, right = so_far.cost_sum, so_far.correct
        batches = [*plan.batches(epoch), None]
        for done, (batch, following) in enumerate(pairwise(batches[so_far.batches :]), start=so_far.batches + 1):
            t = updates + done
            meets = plan.meets_after(t)
            if meets:
                self._group.request = self._wish(epoch, done)
            stepped = self._engine.step(batch, t, self._open_row is not None, following)
            if stepped.test_correct is not None:
                self._close_row(stepped.test_correct)
            total += stepped.cost * plan.batch_examples(done - 1)
            right += stepped.correct
            if not meets:
                continue
            self._pace.leg_done()
            if not self._paced:
                self._meet_after_the_first_leg(epoch, done)
            if done < plan.batches_per_epoch and self._group.agreed:
                self._so_far = EpochSoFar(done, total, right, time.monotonic() - self._epoch_began)
                if self._group.agreed & (Flag.STOP | Flag.HAND_OVER):
                    return None
                self._save()
                self._epoch_began = time.monotonic() - self._so_far.seconds
        self._so_far = EpochSoFar()
        return total / plan.examples, right

    def _meet_after_the_first_leg(self, epoch: int, done: int) -> None:
        """Nobody could tell before the first leg whether there is time for a second one."""
        self._paced = True
        self._group.request = self._wish(epoch, done, legs=0)
        self._group.all_gather(b"")

    def _wish(self, epoch: int, done: int, legs: int = 1) -> Flag:
        """What is to happen after batch ``done`` of ``epoch``, as far as this worker can tell ``legs`` before that."""
        wish = Flag(0)
        if self._pace.time_is_up():
            wish |= Flag.HAND_OVER
        if self._report is None:
            return wish
        if self._report.stale:
            raise StaleGeneration("another generation has taken over")
        if self._pace.checkpoint_due(legs + 1):
            wish |= Flag.CHECKPOINT
        self._stopped = self._stopped_by(epoch, done, legs)
        if self._stopped is not None:
            wish |= Flag.STOP
        return wish

    def _stopped_by(self, epoch: int, done: int, legs: int) -> Ending | None:
        """The end that a person or a limit has set to the run, if it is due after batch ``done`` of ``epoch``."""
        now = time.monotonic()
        if done == self._plan.batches_per_epoch:
            place, one_more = self._plan.place(epoch, 0), self._last_epoch
            ends = max(now, self._epoch_began + self._last_epoch)
        elif now - self._epoch_began > LONG_EPOCH_SECONDS:
            place, one_more = self._plan.place(epoch - 1, done), self._pace.leg
            ends = now + legs * self._pace.leg
        else:
            return None
        totals = Totals(
            seconds=self._trained.seconds() + ends - now,
            epoch_seconds=one_more,
            usd=self._usd(ends),
            epoch_usd=self._services.worker_usd(one_more * self._plan.workers, 0),
        )
        return stopped_by(self._plan, place, totals, self._report is not None and self._report.stop_requested)

    # History, checkpoints, end

    def _close_row(self, test_correct: int) -> None:
        """The test accuracy of an epoch comes with the first exchange after it."""
        row, self._open_row = self._open_row, None
        if row is None:
            return
        if self._report is not None:
            self._report.add_row(replace(row, test_accuracy=test_correct / self._plan.test_examples))

    def _whole_state(self) -> Checkpoint | None:
        """Complete the history so far and put the state together."""
        if self._open_row is not None:
            self._close_row(self._engine.test_correct())
        if self._report is not None:
            self._report.flush()  # a successor does not come by these epochs again
        state = self._engine.checkpoint(self._epoch)
        return None if state is None else replace(state, so_far=self._so_far)

    def _save(self, **facts: Unpack[Facts]) -> None:
        with self._pace.saving():
            state = self._whole_state()
            if state is not None:
                save(self._services, self._run, state, **facts)
        self._came_to_something()

    def _finish(self, ending: Ending | None) -> None:
        """Carry out the end, or let the next generation go on from here."""
        run_id, generation = self._run.run_id, self._run.generation
        if ending is None:
            self._save(usd=self._usd(time.monotonic()))
            if self._group.rank == 0:
                what = f"generation {generation} hands over after {self._place()}"
                self._services.ledger.release(run_id, generation, what)
                self._services.invoker.invoke_trainer(Message(run_id, generation + 1, "start"))
        elif ending.status == "FAILED":
            if self._group.rank == 0:
                end_without_model(
                    self._services,
                    run_id,
                    generation,
                    ending,
                    epoch=self._epoch,
                    usd=self._usd(time.monotonic()),
                    training_ended_at=self._ended_at(),
                    trained_seconds=self._trained_at_end,
                )
        else:
            self._finish_with_model(ending)

    def _finish_with_model(self, ending: Ending) -> None:
        computing = self._ended - self._computing_since - self._group.waited
        figures = self._group.gather(FIGURES.pack(computing, self._group.waited))
        with np.errstate(over="ignore", invalid="ignore"):
            state = self._whole_state()
            accuracies = Accuracies(
                self._engine.train_correct() / self._plan.examples,
                self._engine.test_correct() / self._plan.test_examples,
            )
        if state is None:
            return
        seconds = [FIGURES.unpack(part) for part in figures]
        end_with_model(
            self._services,
            self._run,
            self._plan,
            state,
            ending,
            cost=self._cost,
            accuracies=accuracies,
            training_ended_at=self._ended_at(),
            training_seconds=self._trained_at_end,
            invocations=0,
            usd=self._usd(time.monotonic()),
            worker_seconds=[{"computing": computing, "waiting": waiting} for computing, waiting in seconds],
        )

    def _ended_at(self) -> float:
        """When the last epoch ended."""
        return wall() - (time.monotonic() - self._ended)

    def _place(self) -> str:
        return self._plan.place(self._epoch, self._so_far.batches)

    def _usd(self, now: float) -> float:
        workers = self._plan.workers
        lines = 0 if self._report is None else self._report.metrics_lines
        return self._usd_before + self._services.worker_usd((now - self._begun) * workers, workers, lines)
