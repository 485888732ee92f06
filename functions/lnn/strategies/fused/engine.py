"""``fused``: the whole run inside one Trainer invocation, handed over before its time is up."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, Unpack

import numpy as np

from lnn.aws.clocks import Stopwatch, wall
from lnn.data.in_memory import TrainingData, training_data
from lnn.job.plan import EXAMPLE_SPACE, Plan
from lnn.messages import Message
from lnn.models.checkpoint import Checkpoint, EpochSoFar
from lnn.network import take_examples
from lnn.network.batches import Batch
from lnn.network.example_space import ExampleSpace
from lnn.network.types import Array
from lnn.runs.finalize import Accuracies, cost_of_checkpoint, end_with_model, end_without_model
from lnn.runs.lease import Reporter
from lnn.runs.record import EpochRow, Run
from lnn.runs.services import Services
from lnn.runs.stopping import LONG_EPOCH_SECONDS, Ending, Totals, diverged, ending_after, stopped_by
from lnn.strategies.deadline import Pace, last_words

if TYPE_CHECKING:
    from lnn.runs.attributes import Facts

logger = logging.getLogger(__name__)


def train(services: Services, run: Run, plan: Plan, remaining: Callable[[], float]) -> None:
    """Train from the run's checkpoint until it ends, or until the invocation's time is nearly up.

    ``remaining()`` is the seconds this invocation has left.
    """
    begun = time.monotonic()
    run_id = run.run_id
    message = Message(run_id, run.generation, "start")
    # From here on, since loading may take longer than a lease lasts.
    with (
        last_words(services, message, "the Trainer", remaining) as came_to_something,
        Reporter(services.ledger, services.notifier, run, plan) as reporter,
    ):
        data = training_data(services.artifacts, run_id, plan)
        saved = run.latest_checkpoint
        state = services.artifacts.get_checkpoint(saved["key"], saved["epoch"])
        run = services.ledger.go_back(run, training_started_at=run.training_started_at or wall())
        engine = InExampleSpace(plan, data, state) if plan.formulation == EXAMPLE_SPACE else Plain(plan, data, state)
        pace = Pace(plan.checkpoint_seconds, remaining)
        training = Training(services, run, plan, data, engine, reporter, pace, came_to_something, begun, state.so_far)
        ending = training.run_epochs()
    training.finish(ending)


class Engine(Protocol):
    """One formulation of the mathematics, with the parameters in it."""

    def step(self, batch: Batch, Y: Array, t: int) -> tuple[float, int]:
        """One update, number ``t`` from 1, with the examples of ``batch`` and their labels Y.

        Returns the batch's cost and its number of correct predictions, both from before the update.
        """

    def test_accuracy(self) -> float:
        """Accuracy on the test set with the parameters as they are."""

    def checkpoint(self, epoch: int) -> Checkpoint:
        """The state after ``epoch``, which was the last to be trained."""


class Plain:
    """The textbook formulation: every layer forward, every layer backward."""

    def __init__(self, plan: Plan, data: TrainingData, state: Checkpoint) -> None:
        self._network = plan.network
        self._optimizer = plan.update_rule
        self._data = data
        self._parameters = state.parameters
        self._slots = state.slots

    def step(self, batch: Batch, Y: Array, t: int) -> tuple[float, int]:
        X = take_examples(self._data.X, batch)
        return self._network.train_step(self._parameters, self._slots, X, Y, self._optimizer, t)

    def test_accuracy(self) -> float:
        return self._network.accuracy(self._parameters, self._data.X_test, self._data.y_test)

    def checkpoint(self, epoch: int) -> Checkpoint:
        return Checkpoint(epoch, self._parameters, self._slots)


class InExampleSpace:
    """The first layer as a combination of the examples: see ``lnn.network.example_space``."""

    def __init__(self, plan: Plan, data: TrainingData, state: Checkpoint) -> None:
        self._data = data
        self._parameters = state.parameters
        self._slots = state.slots
        self._space = ExampleSpace(
            state.parameters,
            state.slots,
            data.X,
            data.X_test,
            plan.update_rule,
            plan.activations,
            plan.l2,
            state.example_space,
        )

    def step(self, batch: Batch, Y: Array, t: int) -> tuple[float, int]:
        return self._space.train_step(batch, Y, t)

    def test_accuracy(self) -> float:
        return self._space.accuracy(self._data.y_test)

    def checkpoint(self, epoch: int) -> Checkpoint:
        W1, slots_W1 = self._space.first_layer()
        (_, b1), *parameters = self._parameters
        (_, slots_b1), *slots = self._slots
        return Checkpoint(epoch, [(W1, b1), *parameters], [(slots_W1, slots_b1), *slots], self._space.state())


def train_epoch(
    engine: Engine, plan: Plan, data: TrainingData, epoch: int, so_far: EpochSoFar, pause: Callable[[], bool]
) -> tuple[int, float, int]:
    """Go on with an epoch to its end, or until ``pause()``, asked between two batches, says so.

    Returns what there is of the epoch then: batches, and the sums of their costs and of correct predictions.
    """
    updates = (epoch - 1) * plan.batches_per_epoch
    done, total, correct = so_far.batches, so_far.cost_sum, so_far.correct
    batches = plan.batches(epoch)
    while True:
        Y = take_examples(data.Y, batches[done])
        cost, right = engine.step(batches[done], Y, updates + done + 1)
        total += cost * Y.shape[1]
        correct += right
        done += 1
        if done == len(batches) or pause():
            return done, total, correct


@dataclass
class Training:
    """One invocation's part of a run."""

    services: Services
    run: Run
    plan: Plan
    data: TrainingData
    engine: Engine
    reporter: Reporter
    pace: Pace
    came_to_something: Callable[[], None]
    begun: float
    """When the invocation began to cost: before its data was loaded."""
    so_far: EpochSoFar
    """What there is of the epoch that comes next."""

    def __post_init__(self) -> None:
        self._ended = time.monotonic()
        self._trained = self.reporter.trained = Stopwatch(self.run.trained_before())
        self._trained_at_end = self._trained.seconds()
        self._usd_before = float(self.run.usd or 0.0)
        self._epoch = self.run.latest_checkpoint["epoch"]
        self._cost = cost_of_checkpoint(self.services, self.run)

    def run_epochs(self) -> Ending | None:
        """Train until an end is due, or until it is time to hand over (None) or to give way (None, too)."""
        if self.reporter.stop_requested:
            return Ending("STOPPED", f"stopped on request after {self._place()}")
        while self._epoch < self.plan.epochs:
            whole = self._train_epoch()
            ending = self._end_epoch() if whole else self._stopped_within()
            if ending is not None or self.reporter.stale or self.pace.time_is_up():
                return ending
            if self.pace.checkpoint_due(1):
                self._save()
        raise AssertionError("the last epoch ends the run")

    def _train_epoch(self) -> bool:
        """Train up to the end of the epoch (True), or up to a batch after which there is something to do."""
        self._epoch_began = time.monotonic() - self.so_far.seconds
        # A training that diverges overflows on its way; its cost will say so.
        with np.errstate(over="ignore", invalid="ignore"):
            done, total, correct = train_epoch(
                self.engine, self.plan, self.data, self._epoch + 1, self.so_far, self._pause
            )
        self._ended, self._trained_at_end = time.monotonic(), self._trained.seconds()
        self.so_far = EpochSoFar(done, total, correct, self._ended - self._epoch_began)
        return done == self.plan.batches_per_epoch

    def _pause(self) -> bool:
        """Whether there is something else to do than the epoch's next batch."""
        self.pace.leg_done()
        return (
            self.reporter.stale
            or self.pace.time_is_up()
            or self.pace.checkpoint_due(1)
            or self._stopped_within() is not None
        )

    def _stopped_within(self) -> Ending | None:
        """The end that is due between two batches of a long epoch."""
        now = time.monotonic()
        if now - self._epoch_began < LONG_EPOCH_SECONDS:
            return None
        leg = self.pace.leg
        totals = Totals(self._trained.seconds(), leg, self._usd(now), self.services.usd(leg, 0))
        return stopped_by(self.plan, self._place(), totals, self.reporter.stop_requested)

    def _end_epoch(self) -> Ending | None:
        epoch, now = self._epoch + 1, self._ended
        cost, correct, seconds = self.so_far.cost_sum / self.plan.examples, self.so_far.correct, self.so_far.seconds
        self.so_far = EpochSoFar()
        ending = diverged(epoch, cost, self.plan)
        if ending is not None:
            return ending
        self._epoch, self._cost = epoch, cost
        totals = Totals(
            seconds=self._trained_at_end,
            epoch_seconds=seconds,
            usd=self._usd(now),
            epoch_usd=self.services.usd(seconds, 0),
        )
        ending = ending_after(self.plan, epoch, cost, totals, self.reporter.stop_requested)
        row = None
        if self.plan.recorded(epoch) or ending is not None:
            row = EpochRow(epoch, cost, correct / self.plan.examples, self.engine.test_accuracy(), seconds)
        self.reporter.epoch_done(epoch, cost, row)
        self.pace.leg_done()
        return ending

    def finish(self, ending: Ending | None) -> None:
        """Carry out the end, or let a successor go on from here before Lambda ends this invocation."""
        run_id, generation = self.run.run_id, self.run.generation
        usd = self._usd(time.monotonic())
        ended_at = wall() - (time.monotonic() - self._ended)
        if self.reporter.stale:
            logger.warning("superseded")
        elif ending is None:
            self._save(usd=usd)
            what = f"generation {generation} hands over after {self._place()}"
            self.services.ledger.release(run_id, generation, what)
            self.services.invoker.invoke_trainer(Message(run_id, generation + 1, "start"))
        elif ending.status == "FAILED":
            end_without_model(
                self.services,
                run_id,
                generation,
                ending,
                epoch=self._epoch,
                usd=usd,
                training_ended_at=ended_at,
                trained_seconds=self._trained_at_end,
            )
        else:
            state = self._state()
            end_with_model(
                self.services,
                self.run,
                self.plan,
                state,
                ending,
                cost=self._cost,
                accuracies=Accuracies.of(self.plan, state.parameters, self.data),
                training_ended_at=ended_at,
                training_seconds=self._trained_at_end,
                invocations=0,
                usd=usd,
            )

    def _save(self, **facts: Unpack[Facts]) -> None:
        with self.pace.saving():
            self.reporter.flush()  # the successor does not come by these epochs again
            save(self.services, self.run, self._state(), **facts)
        self.came_to_something()

    def _state(self) -> Checkpoint:
        return replace(self.engine.checkpoint(self._epoch), so_far=self.so_far)

    def _place(self) -> str:
        return self.plan.place(self._epoch, self.so_far.batches)

    def _usd(self, now: float) -> float:
        return self._usd_before + self.services.usd(now - self.begun, 1, self.reporter.metrics_lines)


def save(services: Services, run: Run, state: Checkpoint, **facts: Unpack[Facts]) -> None:
    """Store a checkpoint, then point the run at it. Raises StaleGeneration."""
    run_id, generation = run.run_id, run.generation
    facts["checkpoint"] = state.stored_as(services.artifacts.put_checkpoint(run_id, generation, state))
    services.ledger.renew(run_id, generation, **facts)
