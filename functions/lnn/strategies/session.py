"""The one supervisor: what happens around the arithmetic of a run, whatever its strategy.

``Supervisor`` is what every invocation that keeps a run does: it stores checkpoints and ends the run. ``Session`` is an
invocation that stays for many epochs. It keeps the lease, decides at the end of each epoch and between the batches of a
long one, writes history and metrics, honors stop requests and limits, and hands over before its time is up.

Workers that train together take the same decision after each step: see ``Crew``.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from lnn.aws.client_errors import PASSING
from lnn.aws.clocks import Stopwatch, moment
from lnn.errors import StaleGeneration
from lnn.job.plan import Plan
from lnn.job.scores import FinalScores
from lnn.messages import Flag, Message
from lnn.models.checkpoint import Best, Checkpoint, EpochSoFar
from lnn.network import Tally, added
from lnn.runs.finalize import cost_of, end_with_model, end_without_model
from lnn.runs.lease import Reporter
from lnn.runs.record import EpochRow, Run
from lnn.runs.services import Services
from lnn.runs.stopping import LONG_EPOCH_SECONDS, Ending, Totals, completed_by, diverged, lower, stopped_by
from lnn.runs.store import Ledger
from lnn.strategies.deadline import GIVING_UP_SECONDS, Deadline, last_words
from lnn.strategies.engine import Engine
from lnn.strategies.registry import STRATEGIES

if TYPE_CHECKING:
    from lnn.parameter_server.process_group import ProcessGroup
    from lnn.runs.attributes import Facts, WorkerSeconds

logger = logging.getLogger(__name__)

PATIENCE_SECONDS = 60.0
"""How long the last write of an invocation is repeated, and waited for, before a successor trains its epochs again."""

PAUSE_SECONDS = 1.0
"""Between two tries of such a write."""

Request = Callable[[int], Flag]
"""What this worker wants to happen after a step, as far as it can tell so many legs before that."""


class Crew:
    """Who trains together, and how they come to one decision: here the Trainer alone, elsewhere ``Workers``."""

    name = "the Trainer"
    leads = True
    """This one keeps the run."""
    alone = True
    """There is nobody to exchange anything with."""
    waited: float | None = None
    """Seconds of waiting for the others since training began."""
    group: tuple[()] | tuple[ProcessGroup] = ()
    """What its engines exchange parts through."""

    def meet(self, request: Flag) -> Flag:
        """Wait until all have loaded their data; returns what any of them requests."""
        return request

    def note_start(self, ledger: Ledger, run: Run) -> Run:
        """Note in the run's record that training begins, or goes on."""
        return ledger.go_back(run, **run.training_begins())

    def before_step(self, request: Request) -> None:
        """Ask what this one requests, where the step's exchange is to carry it."""

    def after_step(self, request: Request) -> Flag:
        """What is to happen now: the same for all."""
        return request(0)

    def shares(self, seconds: float) -> Sequence[WorkerSeconds] | None:  # noqa: ARG002
        """What every worker has spent, for the record of a run that ends; ``seconds`` are this one's of training."""
        return None


def start(services: Services, run: Run, plan: Plan, remaining: Callable[[], float]) -> None:
    """Train in this invocation of the Trainer, which has ``remaining()`` seconds left."""
    Session(services, run, plan, Crew(), remaining).train()


class Supervisor:
    """Decides when a run ends; stores its checkpoints and carries out its end."""

    def __init__(self, services: Services, run: Run, plan: Plan) -> None:
        self._services, self._run, self._plan = services, run, plan

    def ending(
        self,
        epoch: int,
        so_far: EpochSoFar,
        totals: Callable[[], Totals],
        stop_requested: bool,
        best: Best | None = None,
    ) -> Ending | None:
        """The end that is due after a part of ``epoch``, or all of it."""
        whole = so_far.batches == self._plan.batches_per_epoch
        completed = completed_by(self._plan, epoch, so_far.cost_sum / self._plan.examples, best) if whole else None
        return completed or self.stopped(epoch, so_far.batches, so_far.seconds, totals, stop_requested)

    def stopped(
        self, epoch: int, batches: int, seconds: float, totals: Callable[[], Totals], stop_requested: bool
    ) -> Ending | None:
        """The end that a person or a limit has set to the run, if it is due after so many batches of ``epoch``.

        Between two batches it is due only if the epoch has taken long already. A person's waits for the epochs that
        earlier generations have trained: training them again, to the same bits, is what a stop loses nothing by.
        """
        plan = self._plan
        whole = batches == plan.batches_per_epoch
        if not whole and seconds <= LONG_EPOCH_SECONDS:
            return None
        trained, further = (epoch, 0) if whole else (epoch - 1, batches)
        may_stop = stop_requested and trained >= self._run.epochs_reached
        return stopped_by(plan, plan.place(trained, further), totals(), may_stop, self._run.stop_reason)

    def store(self, state: Checkpoint, cost: float | None = None, usd: float | None = None) -> None:
        """Store a checkpoint, then point the run at it. Raises StaleGeneration.

        ``cost`` is that of its last whole epoch: the ledger's if it is not given.
        """
        run = self._run
        cost = cost_of(self._services, run, state.epoch) if cost is None else cost
        key = self._services.artifacts.put_checkpoint(run.run_id, run.generation, state)
        facts: Facts = {"checkpoint": state.stored_as(key, cost)}
        if usd is not None:
            facts["usd"] = usd
        self._services.ledger.renew(run.run_id, run.generation, **facts)

    def end_with_model(
        self,
        state: Checkpoint,
        ending: Ending,
        scores: FinalScores,
        *,
        trained: float,
        usd: float,
        ended_at: float | None = None,
        cost: float | None = None,
        invocations: int = 0,
        worker_seconds: Sequence[WorkerSeconds] | None = None,
    ) -> None:
        """End the run with the model in ``state``; ``cost`` is the ledger's if it is not given."""
        end_with_model(
            self._services,
            self._run,
            self._plan,
            state,
            ending,
            cost=cost_of(self._services, self._run, state.epoch) if cost is None else cost,
            scores=scores,
            training_ended_at=ended_at or moment(),
            training_seconds=trained,
            invocations=invocations,
            usd=usd,
            worker_seconds=worker_seconds,
        )


class Session(Supervisor):
    """One invocation that trains from the run's checkpoint until the run ends or is handed over."""

    def __init__(self, services: Services, run: Run, plan: Plan, crew: Crew, remaining: Callable[[], float]) -> None:
        super().__init__(services, run, plan)
        self._crew, self._remaining = crew, remaining
        self._begun = time.monotonic()  # the invocation costs from here on, before its data is loaded
        self._usd_before = float(run.usd or 0.0)
        self._epoch = run.latest_checkpoint["epoch"]
        self._cost: float | None = None
        self._reporter: Reporter | None = None
        self._open_row: Callable[[Tally], EpochRow] | None = None
        self._gradient_norm: float | None = None
        self._stop: Ending | None = None

    def train(self) -> None:
        """Train until the run ends or is handed over. Raises StaleGeneration."""
        services, run, crew = self._services, self._run, self._crew
        with ExitStack() as stack:
            # A training that diverges overflows on its way; its cost will say so.
            stack.enter_context(np.errstate(over="ignore", invalid="ignore"))
            if crew.leads:
                # The lease is kept from here on: loading, and waiting for others, may take longer than it lasts.
                message = Message(run.run_id, run.generation, "start")
                self._came_to_something = stack.enter_context(last_words(services, message, crew.name, self._remaining))
                self._reporter = Reporter(services.ledger, services.notifier, run, self._plan)
                stack.enter_context(self._reporter)
            handed_over = self._train(stack)
        if handed_over and crew.leads:
            # The reporter has left: else it would take the lease again.
            what = f"generation {run.generation} hands over after {self._place()}"
            services.ledger.release(run.run_id, run.generation, what)
            services.invoker.invoke_trainer(Message(run.run_id, run.generation + 1, "start"))

    def _train(self, stack: ExitStack) -> bool:
        """True when a successor is to go on; ``stack`` closes what training opens."""
        services, run, crew = self._services, self._run, self._crew
        saved = run.latest_checkpoint
        state = services.artifacts.get_checkpoint(saved["key"], saved["epoch"])
        self._so_far, self._best = state.so_far, state.best
        row = STRATEGIES[self._plan.strategy]
        self._engine: Engine = row.load("engine")(services.artifacts, run.run_id, self._plan, state, *crew.group)
        stack.callback(self._engine.close)
        stop_requested = self._reporter is not None and self._reporter.stop_requested
        stop_requested &= state.epoch >= run.epochs_reached
        agreed = crew.meet(Flag.STOP if stop_requested else Flag(0))  # all have their data: the first epoch begins
        if crew.leads:
            self._cost = cost_of(services, run, state.epoch)
            self._run = crew.note_start(services.ledger, run)
        self._trained = Stopwatch(run.trained_before())
        self._training_since = self._ended = time.monotonic()
        self._trained_at_end = self._trained.seconds()
        if self._reporter is not None:
            self._reporter.trained = self._trained
        self._deadline = Deadline(self._plan.checkpoint_seconds, self._remaining)
        if Flag.STOP in agreed:
            ending: Ending | None = Ending("STOPPED", f"stopped on request after {self._place()}")
        else:
            ending = self._run_epochs()
        if ending is None:
            self._save(usd=self._usd(time.monotonic()))
        else:
            self._end(ending)
        return ending is None

    # Epochs

    def _run_epochs(self) -> Ending | None:
        """Train until an end is due, or until it is time to hand over (None)."""
        while self._epoch < self._plan.epochs:
            self._epoch_began = time.monotonic() - self._so_far.seconds
            agreed = self._train_epoch(self._epoch + 1)
            self._ended, self._trained_at_end = time.monotonic(), self._trained.seconds()
            stopped = (self._stop or Ending("STOPPED")) if Flag.STOP in agreed else None
            if self._so_far.batches < self._plan.batches_per_epoch:
                return stopped
            ending = self._end_epoch(stopped, agreed)
            if ending is not None or Flag.HAND_OVER in agreed:
                return ending
            if Flag.CHECKPOINT in agreed:
                self._save_or_postpone()
        raise AssertionError("the last epoch ends the run")

    def _train_epoch(self, epoch: int) -> Flag:
        """Go on with an epoch to its end, or to a batch after which the run ends or is handed over."""
        plan, so_far = self._plan, self._so_far
        updates = (epoch - 1) * plan.batches_per_epoch
        total, right, squared, absolute = so_far.cost_sum, so_far.correct, so_far.squared, so_far.absolute
        batches = [*plan.batches(epoch), None]
        for done, (batch, following) in enumerate(pairwise(batches[so_far.batches :]), start=so_far.batches + 1):
            t = updates + done
            meets, request = plan.meets_after(t), partial(self._request, epoch, done)
            if meets:
                self._crew.before_step(request)
            result = self._engine.step(batch, t, self._open_row is not None, following)
            self._gradient_norm = result.gradient_norm
            if result.test is not None:
                self._close_row(result.test)
            total += result.cost * plan.batch_examples(done - 1)
            right += result.seen.correct
            if plan.targets:
                squared, absolute = added(squared, result.seen.squared), added(absolute, result.seen.absolute)
            if not meets:
                continue
            self._deadline.leg_done()
            self._so_far = EpochSoFar(done, total, right, time.monotonic() - self._epoch_began, squared, absolute)
            agreed = self._crew.after_step(request)
            if done == plan.batches_per_epoch or agreed & (Flag.STOP | Flag.HAND_OVER):
                return agreed
            if agreed:
                self._save_or_postpone()
                self._epoch_began = time.monotonic() - self._so_far.seconds
        raise AssertionError("all workers meet after the last batch")

    def _request(self, epoch: int, done: int, legs: int) -> Flag:
        """What is to happen after batch ``done`` of ``epoch``, as far as this worker can tell ``legs`` before that."""
        behind = 0.0 if self._reporter is None else self._reporter.seconds_behind()
        request = Flag.HAND_OVER if self._deadline.time_is_up(behind) else Flag(0)
        if self._reporter is None:
            return request
        self._check_lease()
        if self._deadline.checkpoint_due(legs + 1):
            request |= Flag.CHECKPOINT
        totals = partial(self._totals, done, legs)
        seconds = time.monotonic() - self._epoch_began
        self._stop = self.stopped(epoch, done, seconds, totals, self._reporter.stop_requested)
        return request if self._stop is None else request | Flag.STOP

    def _totals(self, done: int, legs: int) -> Totals:
        """What the run will have used when batch ``done`` of an epoch is over, and what one more epoch or leg takes."""
        now, leg = time.monotonic(), self._deadline.leg
        ends = now + legs * leg
        one_more = leg if done < self._plan.batches_per_epoch else ends - self._epoch_began
        return Totals(
            seconds=self._trained.seconds() + ends - now,
            epoch_seconds=one_more,
            usd=self._usd(ends),
            epoch_usd=self._price(one_more * self._plan.workers, 0),
        )

    def _end_epoch(self, stopped: Ending | None, agreed: Flag) -> Ending | None:
        """Write down a whole epoch; returns the end that is due after it.

        A checkpoint's epoch has a row, too: a successor that is to stop there before it trains cannot compute it.
        """
        plan, epoch, done = self._plan, self._epoch + 1, self._so_far
        cost, self._so_far = done.cost_sum / plan.examples, EpochSoFar()
        ending = diverged(epoch, cost, plan)
        if ending is not None:
            return ending
        self._epoch, self._cost = epoch, cost
        validation = self._validate() if plan.validation_examples else None
        ending = completed_by(plan, epoch, cost, self._best) or stopped
        if plan.recorded(epoch) or ending is not None or agreed & (Flag.CHECKPOINT | Flag.HAND_OVER):
            self._open_row = partial(EpochRow.of, plan, epoch, done, validation, self._gradient_norm, self._crew.waited)
            if self._crew.alone:
                self._close_row(self._engine.test_tally())
        if self._reporter is not None:
            self._reporter.epoch_done(epoch, cost)
        return ending

    def _validate(self) -> Tally:
        """The sums over the validation set after an epoch. The best parameters so far are kept."""
        plan, validation = self._plan, self._engine.validation_tally()
        cost = validation.cost / plan.validation_examples
        if lower(plan, self._best, cost):
            self._best = Best(self._epoch, cost)
            if plan.keeps_best:
                self._engine.keep()
        return validation

    # History, checkpoints, end

    def _close_row(self, test: Tally) -> None:
        """The figures of the test set complete an epoch's row. Where workers meet it comes with the next exchange."""
        row, self._open_row = self._open_row, None
        if row is not None and self._reporter is not None:
            self._reporter.add_row(row(test))

    def _whole_state(self) -> Checkpoint | None:
        """Complete the history so far and put the state together."""
        if self._open_row is not None:
            self._close_row(self._engine.test_tally())
        state = self._engine.checkpoint(self._epoch)
        return None if state is None else replace(state, so_far=self._so_far, best=self._best)

    def _flush(self) -> None:
        """Write the history so far: a successor does not come by these epochs again. Raises StaleGeneration."""
        if self._reporter is not None:
            self._reporter.flush()
            self._check_lease()

    def _check_lease(self) -> None:
        """Raises StaleGeneration where another generation has taken over: nothing may be written any more."""
        if self._reporter is not None and self._reporter.stale:
            raise StaleGeneration("another generation has taken over")

    def _save_or_postpone(self) -> None:
        """Store a checkpoint. Where AWS does not take it, training goes on and tries again later."""
        try:
            with self._deadline.saving():
                state = self._whole_state()
                if state is not None:
                    self._store(state)
        except PASSING as error:
            logger.warning("checkpoint postponed", extra={"error": str(error)})

    def _save(self, usd: float) -> None:
        """Store the checkpoint that the successor begins with."""
        with self._deadline.saving():
            state = self._whole_state()
            if state is not None:
                self._patiently(partial(self._store, state, usd))

    def _store(self, state: Checkpoint, usd: float | None = None) -> None:
        self._flush()
        self.store(state, self._cost, usd)
        self._came_to_something()

    def _patiently(self, write: Callable[[], None]) -> None:
        """Repeat a last ``write``, under the lease, until AWS takes it: a successor had to train what only this
        invocation has.
        """
        until = time.monotonic() + min(PATIENCE_SECONDS, self._remaining() - GIVING_UP_SECONDS)
        while True:
            try:
                write()
            except PASSING as error:
                if time.monotonic() > until:
                    raise
                logger.warning("not stored; trying again", extra={"error": str(error)})
                time.sleep(PAUSE_SECONDS)
            else:
                return

    def _end(self, ending: Ending) -> None:
        ended_at = moment() - (time.monotonic() - self._ended)
        if ending.status == "FAILED":
            if self._crew.leads:
                self._patiently(partial(self._end_without_model, ending, ended_at))
            return
        shares = self._crew.shares(self._ended - self._training_since)
        state = self._whole_state()
        scores = self._scores()
        if state is None:
            return

        def end() -> None:
            self._flush()
            self.end_with_model(
                state,
                ending,
                scores,
                trained=self._trained_at_end,
                usd=self._usd(time.monotonic()),
                ended_at=ended_at,
                cost=self._cost,
                worker_seconds=shares,
            )

        self._patiently(end)

    def _scores(self) -> FinalScores:
        """The scores of the model."""
        engine, plan = self._engine, self._plan
        engine.use_kept()
        train, test = engine.train_tally(), engine.test_tally() if plan.targets else engine.test_counts()
        return plan.final_scores(train, test, engine.validation_tally() if plan.validation_examples else None)

    def _end_without_model(self, ending: Ending, ended_at: float) -> None:
        self._flush()
        end_without_model(
            self._services,
            self._run.run_id,
            self._run.generation,
            ending,
            epoch=self._epoch,
            usd=self._usd(time.monotonic()),
            training_ended_at=ended_at,
            trained_seconds=self._trained_at_end,
        )

    def _place(self) -> str:
        return self._plan.place(self._epoch, self._so_far.batches)

    def _usd(self, now: float) -> float:
        """What the run has cost so far."""
        workers, lines = self._plan.workers, 0 if self._reporter is None else self._reporter.metrics_lines
        return self._usd_before + self._price((now - self._begun) * workers, workers, lines)

    def _price(self, seconds: float, invocations: int, lines: int = 0) -> float:
        in_trainer = STRATEGIES[self._plan.strategy].trains_in == "trainer"
        price = self._services.usd if in_trainer else self._services.worker_usd
        return price(seconds, invocations, lines)
