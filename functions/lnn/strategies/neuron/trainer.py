"""Strategy ``neuron`` as the Trainer sees it: what happens between one step and the next.

Each message says that a step has all of its neurons. The Trainer then does what no single neuron
can (the cost, the history, checkpoints, the decision to end), advances the run to the next step and
invokes that step's neurons. Whatever it does before the advance may be repeated without harm, and
only one invocation gets to advance.
"""

from __future__ import annotations

import json
import logging
import time
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cache, partial
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lnn.aws.clocks import seconds_between
from lnn.data.in_memory import TrainingData, train_labels, training_data
from lnn.errors import CacheLost, StaleGeneration, StaleStep
from lnn.job.plan import Plan
from lnn.job.scores import FinalScores
from lnn.messages import Message, Step
from lnn.models.checkpoint import Best, Checkpoint, EpochSoFar
from lnn.network import (
    Clipping,
    Tally,
    added,
    batch_tally,
    cost_from_logits,
    output_activation,
    output_delta,
    penalty,
    take_examples,
)
from lnn.network.types import Array, Parameters
from lnn.parameter_server.barrier import RENEWAL_SECONDS, Barrier, Position
from lnn.parameter_server.codec import TensorKey
from lnn.parameter_server.records import Mark
from lnn.parameter_server.server import KEY_LIFETIME_SECONDS, ParameterServer
from lnn.runs import metrics
from lnn.runs.finalize import end_without_model
from lnn.runs.lease import Reporter
from lnn.runs.record import EpochRow, Run
from lnn.runs.services import Services
from lnn.runs.stopping import Ending, Totals, diverged, lower, stopped_on_request
from lnn.runs.timeline import cold_start, store_left_records, store_records
from lnn.strategies.neuron.layout import Layout
from lnn.strategies.neuron.neuron import PLAN_KEY, plan_of
from lnn.strategies.neuron.stepping import Gate, changed_by_pause, without_pause
from lnn.strategies.session import Supervisor

if TYPE_CHECKING:
    from lnn.runs.attributes import CheckpointPointer, Facts

logger = logging.getLogger(__name__)

DISPATCHED_AT_ONCE = 32
"""Neurons that are invoked before the Trainer looks whether the lease is to be renewed: a wide layer takes minutes."""

KEEPING_SECONDS = KEY_LIFETIME_SECONDS / 4
"""The lives of a fill's keys are renewed at the first step that ends this long after the last time."""

Tensor = tuple[TensorKey, Array]


def start(services: Services, run: Run, plan: Plan, remaining: object = None) -> None:  # noqa: ARG001
    """Begin, or take over from an earlier generation."""
    layout = Layout.parse(plan.as_json())
    conductor = Conductor(services, run.run_id, layout, services.server(run.run_id))
    if run.stop_requested and run.latest_checkpoint["epoch"] >= run.epochs_reached:
        conductor.stop_before_training(run)
    elif not conductor.take_over(run):
        conductor.restore(run)


def step_done(services: Services, message: Message) -> None:
    """Go on from the step that ``message`` says is done. Raises CacheLost."""
    barrier, step = Barrier(services.server(message.run_id)), Step.of(message)
    position = barrier.position()
    if position is None or not position.step.fill:
        raise CacheLost(f"Redis knows nothing of run {message.run_id}, or what an earlier release has put there")
    with barrier.abandoned_if_lost(position.step):
        plan = plan_of(services.server(message.run_id).fill(position.step.fill))
        Conductor(services, message.run_id, plan, services.server(message.run_id)).step_done(step, position)


class Validation(NamedTuple):
    """What the validation set says of an epoch."""

    sums: Tally
    best: Best | None
    """The best epoch, this one included."""
    tensors: list[Tensor]
    """The parameters of this epoch, where it is the best and they are kept."""


class Conductor:
    """One Trainer invocation's view of a run."""

    def __init__(self, services: Services, run_id: str, plan: Layout, server: ParameterServer) -> None:
        self._services = services
        self._run_id = run_id
        self._plan = plan
        self._server = server
        self._barrier = Barrier(server, recorded=plan.timeline)
        self._begun = time.monotonic()
        self._marks = cold_start()
        self._gate = Gate(services.ledger, run_id, plan, self._wait)

    # Starting

    def take_over(self, run: Run) -> bool:
        """Go on in the middle of an epoch, when Redis still has everything; False when it has not."""
        position = self._barrier.position()
        generation = run.generation
        if position is None or not position.step.fill or position.step.generation >= generation:
            return False
        saved = run.latest_checkpoint
        if (position.step.epoch - 1, position.step.batch) < (saved["epoch"], saved.get("batches", 0)):
            return False  # an old snapshot of Redis came back: S3 knows better
        adopted = self._barrier.adopt(position.step, generation, self._keys(position.step))
        if adopted is None:
            return False
        self._note(adopted, Mark.START)
        before, position = position, self._barrier.position()
        if position is not None and position.step == adopted:
            with self._barrier.abandoned_if_lost(adopted):
                if before.dispatched:
                    self._barrier.record_missed(adopted, before.step, self._missing(position))
                self._go_on(position)
        return True

    def restore(self, run: Run) -> None:
        """Put the run's last checkpoint into a fill of the parameter server and begin the epoch after it."""
        plan, generation = self._plan, run.generation
        entry = Step(generation, 0, 0, "forward", 0, run.claim)
        if not self._barrier.reserve(entry):
            raise StaleGeneration(f"generation {generation} is no longer the latest of run {self._run_id}")
        if plan.timeline:
            store_left_records(self._services, self._run_id, generation)
        self._server.remove(generation - 1)  # there may be no room for another fill beside the last one
        # Loading may take longer than a lease lasts: it is kept meanwhile.
        with Reporter(self._services.ledger, self._services.notifier, run, plan):
            state = self._fill_server(self._server.fill(entry.fill), run.latest_checkpoint)

        now = self._barrier.now()
        self._services.ledger.go_back(run, **run.training_begins())
        first = plan.first_step(generation, state.epoch + 1, state.so_far.batches, entry.fill)
        fields = {
            "training_started_at": repr(now),  # by this generation, and by Redis's clock, as all that follow
            "trained_before": repr(run.trained_before()),
            "epoch_started_at": repr(now - state.so_far.seconds),
            "checkpointed_at": repr(now),
            "renewed_at": repr(now),
            "kept_at": repr(now),
            "cost_sum": repr(state.so_far.cost_sum),
            "correct": str(state.so_far.correct),
            "squared": json.dumps(state.so_far.squared),
            "absolute": json.dumps(state.so_far.absolute),
            "best": json.dumps(state.best),
            "invocations": str(run.step_invocations),
            "invocations_before": str(run.step_invocations),
            "neuron_ms": "0",
            "trainer_ms": "0",
            "trainer_invocations": "0",
            "rows": "0",
            "usd_before": repr(float(run.usd or 0.0)),
            "usd_epoch": "0.0",
        }
        if plan.timeline:
            fields["stored_at"] = repr(now)
            # All generations share what a run may record.
            fields["recorded"] = str(run.invocations + run.step_invocations)
        width = plan.sizes[first.layer]
        if not self._barrier.open(entry, first, width, fields, self._keys(first)):
            raise StaleStep(f"generation {generation} of run {self._run_id} has gone on without this Trainer")
        self._note(first, Mark.START)
        self._dispatch(first, range(width))

    def _fill_server(self, fill: ParameterServer, saved: CheckpointPointer) -> Checkpoint:
        """Put everything that neurons read or write into a fill, as it was at the checkpoint."""
        plan = self._plan
        state = self._services.artifacts.get_checkpoint(saved["key"], saved["epoch"])
        data = training_data(self._services.artifacts, self._run_id, plan)
        fill.put("plan", plan.as_json())
        fill.put_tensor(plan.input_key(), data.X.T)
        updates = state.epoch * plan.batches_per_epoch + state.so_far.batches
        for layer, ((W, b), (slots_W, slots_b)) in enumerate(zip(state.parameters, state.slots, strict=True), start=1):
            weights, biases = plan.parameter_keys(layer, updates)
            for key, value in zip([*weights, *biases], [W, *slots_W, b, *slots_b], strict=True):
                fill.put_tensor(key, value)
        # Everything that neurons write rows of exists beforehand, so that a lost tensor is told from a new one.
        unwritten = plan.unwritten_keys(updates)
        if state.best is not None and state.best_parameters is not None:
            for key, value in zip(plan.best_keys(state.best.epoch), _flat(state.best_parameters), strict=True):
                fill.put_tensor(key, value)
        else:
            unwritten += plan.best_keys()
        for key in unwritten:
            fill.put_tensor(key, np.zeros(key.shape, key.dtype))
        return state

    def stop_before_training(self, run: Run) -> None:
        """End a run that was stopped before this generation did anything."""
        saved = run.latest_checkpoint
        state = self._services.artifacts.get_checkpoint(saved["key"], saved["epoch"])
        place = self._plan.place(state.epoch, state.so_far.batches)
        Supervisor(self._services, run, self._plan).end_with_model(
            state,
            stopped_on_request(place, run.stop_reason),
            self._scores(state, run.generation),
            trained=run.trained_before(),
            usd=float(run.usd or 0.0),
            invocations=run.step_invocations,
        )

    # Going on

    def step_done(self, step: Step, position: Position) -> None:
        """Advance from ``step``, or heal what an invocation that crashed after advancing has left undone."""
        named = replace(step, fill=position.step.fill)  # a message names no fill
        crashed = position.abandoned and position.step == self._plan.following(named)
        if position.step == named or crashed:
            self._go_on(position)
        else:
            logger.info("duplicate refused", extra={"step": step.id, "current": position.step.id})
            self._note(step, late=True)

    def _go_on(self, position: Position) -> None:
        """Conclude the current step if all of its neurons are done and nobody has to let it go on; otherwise invoke
        those that are missing.
        """
        if position.complete:
            if self._gate.passes(position.step):
                self._conclude(without_pause(position))
            return
        self._dispatch(position.step, self._missing(position))

    def _missing(self, position: Position) -> list[int]:
        """The neurons of a step, from 0, that are to be at work and have not arrived."""
        window = self._services.environment.neuron_window
        launched = min(position.width, window + position.arrived) if window else position.width
        return [neuron for neuron in self._barrier.missing(position.step, position.width) if neuron < launched]

    def _conclude(self, position: Position) -> None:
        step, plan = position.step, self._plan
        if int(position.fields["invocations"]) > plan.budget:
            reason = (
                f"the run has used {position.fields['invocations']} invocations and its plan allows {plan.budget}; "
                "look for the cause in the functions' logs before resuming it"
            )
            self._fail(position, Ending("FAILED", reason))
            return

        fields: dict[str, str] = {}
        tensors: list[Tensor] = []
        if plan.needs_all(step):
            outcome = self._of_all(position)
            if outcome is None:
                return
            fields, tensors = outcome
        elif plan.ends_batch(step) and (plan.ends_epoch(step) or self._batch_tells(position)):
            changes = self._end_batch(position)
            if changes is None:
                return
            fields, tensors = changes
        elif position.now - float(position.fields["renewed_at"]) >= RENEWAL_SECONDS:
            self._services.ledger.renew(self._run_id, step.generation)
            fields = {"renewed_at": repr(position.now)}
        if position.now - float(position.fields["kept_at"]) >= KEEPING_SECONDS:
            self._barrier.keep(step, self._keys(step))
            fields = {**fields, "kept_at": repr(position.now)}
        fields = {**changed_by_pause(position), **fields}

        following = plan.following(step)
        if following is None:
            raise AssertionError("the last step of the last epoch ends the run")
        spent = (time.monotonic() - self._begun) * 1000
        fields["trainer_ms"] = str(int(position.fields["trainer_ms"]) + round(spent))
        fields["trainer_invocations"] = str(int(position.fields["trainer_invocations"]) + 1)
        width = plan.sizes[following.layer]
        if self._barrier.advance(step, following, width, fields, tensors, spent, *self._marks):
            self._dispatch(following, range(width))

    def _of_all(self, position: Position) -> tuple[dict[str, str], list[Tensor]] | None:
        """What follows from all of the step's neurons together; None where the run ends, or waits for a person."""
        if position.step.direction != "forward":
            return self._clip(position)
        outcome = self._evaluate(position)
        if isinstance(outcome, Ending):
            self._fail(position, outcome)
            return None
        fields, _ = outcome
        return outcome if self._gate.passes(position.step, self._cost(position, fields)) else None

    def _evaluate(self, position: Position) -> tuple[dict[str, str], list[Tensor]] | Ending:
        """The output layer's neurons have their logits: the batch's cost, and dZ of the output layer."""
        plan, step = self._plan, position.step
        labels = self._train_labels(step.generation)
        (Z,) = self._barrier.read(step, [plan.output_key(step)])
        Y = take_examples(labels, plan.batches(step.epoch)[step.batch])
        cost = cost_from_logits(plan.activations[-1], Z, Y, plan.weighted_loss)
        if plan.l2:
            parameters = self._state(step, plan.updates_before(step)).parameters
            cost += penalty((W for W, _ in parameters), plan.l2, Y.shape[1])
        ending = diverged(step.epoch, cost, plan)
        if ending is not None:
            return ending
        A = output_activation(plan.activations[-1], Z)
        seen = batch_tally(plan.activations[-1], A, Y)
        fields = {
            "cost_sum": repr(float(position.fields["cost_sum"]) + cost * Y.shape[1]),
            "correct": str(int(position.fields["correct"]) + seen.correct),
        }
        if plan.targets:
            squared, absolute = _errors_of(position.fields)
            fields["squared"] = json.dumps(added(squared, seen.squared))
            fields["absolute"] = json.dumps(added(absolute, seen.absolute))
        return fields, [(plan.delta_key(plan.layers, step), output_delta(A, Y, plan.weighted_loss))]

    def _cost(self, position: Position, fields: Mapping[str, str]) -> float:
        """The cost of the batch, which ``fields`` have added to the epoch's."""
        added = float(fields["cost_sum"]) - float(position.fields["cost_sum"])
        return added / self._plan.batch_examples(position.step.batch)

    def _wait(self, step: Step) -> None:
        """Note that a stepped run waits at ``step``, and what finding that out has taken; people look at it now."""
        self._note(step)
        self._barrier.pause(step, round((time.monotonic() - self._begun) * 1000))
        self._store_timeline(step)

    def _clip(self, position: Position) -> tuple[dict[str, str], list[Tensor]]:
        """All neurons have their gradients: what each is to multiply its own by, so that they are clipped together."""
        plan, step = self._plan, position.step
        if plan.clip_norm is None:
            raise AssertionError("only a plan that clips has steps of updates")
        squares = self._barrier.read(step, [plan.squares_key(layer, step) for layer in range(1, plan.layers + 1)])
        clipping = Clipping(plan.clip_norm)
        factor = clipping.factor(sum(float(of_layer.sum()) for of_layer in squares))
        fields = {"gradient_norm": repr(clipping.norm)}
        return fields, [(plan.factor_key(step), np.array([[factor]]))]

    def _end_batch(self, position: Position) -> tuple[dict[str, str], list[Tensor]] | None:
        """An update is done: history, checkpoint, end. None when the run has ended.

        Otherwise the fields and tensors that change with the step.
        """
        plan, step, now, ledger = self._plan, position.step, position.now, self._services.ledger
        whole, generation = plan.ends_epoch(step), step.generation
        checkpoint_due = now - float(position.fields["checkpointed_at"]) >= plan.checkpoint_seconds
        # A checkpoint's epoch has a row, too: a successor that is to stop there before it trains cannot compute it.
        recorded = whole and (plan.recorded(step.epoch) or checkpoint_due)
        rows = int(position.fields["rows"]) + recorded
        fields = {**position.fields, "rows": str(rows)}
        so_far = EpochSoFar(
            step.batch + 1,
            float(fields["cost_sum"]),
            int(fields["correct"]),
            seconds_between(float(fields["epoch_started_at"]), now),
            *_errors_of(fields),
        )
        cost = so_far.cost_sum / plan.examples if whole else None
        usd, invocations, trained = self._usd(fields), int(fields["invocations"]) + 1, self._trained(position)
        progress: Facts = {"usd": usd, "step_invocations": invocations, "trained_seconds": trained}
        if cost is not None:
            progress |= {"epoch": step.epoch, "cost": cost}
        run = ledger.renew(self._run_id, generation, **progress)
        supervisor = Supervisor(self._services, run, plan)
        parts = 1 if whole else so_far.batches
        epoch_usd = max(0.0, usd - float(fields["usd_before"]) - float(fields["usd_epoch"]))
        totals = Totals(trained, so_far.seconds / parts, usd, epoch_usd / parts)
        after = cache(partial(self._state, step, plan.updates_before(step) + 1))
        best, validation = _best_of(fields), None
        if whole and plan.validation_examples:
            validation = self._validate(step, best, after().parameters)
            best = validation.best
        ending = supervisor.ending(step.epoch, so_far, lambda: totals, run.stop_requested, best)
        recorded = recorded or (whole and ending is not None)
        if recorded or ending is not None or checkpoint_due:
            state = self._with_best(after(), step, so_far, best)
        if recorded:
            self._record(run, step, so_far, state, validation, fields.get("gradient_norm"))
        if ending is not None:
            scores = self._scores(state, generation)
            self._note(step)
            self._store_timeline(step)
            supervisor.end_with_model(
                state, ending, scores, trained=trained, usd=usd, cost=cost, invocations=invocations
            )
            return None
        changed = {"renewed_at": repr(now)}
        if cost is not None:
            if plan.notify_every and step.epoch % plan.notify_every == 0:
                self._services.notifier.progress(run, step.epoch, cost)
            changed |= {
                "cost_sum": "0.0",
                "correct": "0",
                "squared": "[]",
                "absolute": "[]",
                "epoch_started_at": repr(now),
                "usd_epoch": repr(usd - float(fields["usd_before"])),
                "rows": fields["rows"],
                "best": json.dumps(best),
            }
        if checkpoint_due:
            supervisor.store(state)
            changed["checkpointed_at"] = repr(now)
        return changed, [] if validation is None else validation.tensors

    def _validate(self, step: Step, before: Best | None, parameters: Parameters) -> Validation:
        """What the validation set says of the epoch that ``step`` ends with ``parameters``."""
        plan = self._plan
        sums = self._validation_tally(parameters, step.generation)
        cost = sums.cost / plan.validation_examples
        if not lower(plan, before, cost):
            return Validation(sums, before, [])
        keys = plan.best_keys(step.epoch) if plan.keeps_best else []
        return Validation(sums, Best(step.epoch, cost), list(zip(keys, _flat(parameters), strict=bool(keys))))

    def _record(
        self,
        run: Run,
        step: Step,
        so_far: EpochSoFar,
        state: Checkpoint,
        validation: Validation | None,
        norm: str | None,
    ) -> None:
        """Write the row of the epoch that ``step`` ends, with its model in ``state``."""
        plan, data = self._plan, self._data(step.generation)
        test = plan.network.tally(state.parameters, data.X_test, data.y_test, data.Y_test)
        sums = None if validation is None else validation.sums
        row = EpochRow.of(plan, step.epoch, so_far, sums, None if norm is None else float(norm), None, test)
        self._services.ledger.record(self._run_id, [row])
        metrics.recorded(run, plan, row)

    def _with_best(self, state: Checkpoint, step: Step, so_far: EpochSoFar, best: Best | None) -> Checkpoint:
        """``state`` after the update that ``step`` ends, with the best epoch, read while ``step`` is current."""
        if not self._plan.ends_epoch(step):
            state = replace(state, epoch=step.epoch - 1, so_far=so_far)
        return replace(state, best=best, best_parameters=self._best_parameters(step, state, best))

    def _best_parameters(self, step: Step, state: Checkpoint, best: Best | None) -> Parameters | None:
        """The parameters of the best epoch so far, while ``step`` is current and ``state`` is that after it."""
        if best is None or not self._plan.keeps_best:
            return None
        if best.epoch == state.epoch and not state.so_far.batches:
            return state.parameters
        flat = self._barrier.read(step, self._plan.best_keys(best.epoch))
        return list(zip(flat[::2], flat[1::2], strict=True))

    def _batch_tells(self, position: Position) -> bool:
        """Whether it is time for a checkpoint, or to see whether the run is to stop."""
        now, fields = position.now, position.fields
        return (
            now - float(fields["checkpointed_at"]) >= self._plan.checkpoint_seconds
            or now - float(fields["renewed_at"]) >= RENEWAL_SECONDS
        )

    # Mechanics

    def _trained(self, position: Position) -> float:
        """How long the run has been trained."""
        fields = position.fields
        return float(fields["trained_before"]) + seconds_between(float(fields["training_started_at"]), position.now)

    def _dispatch(self, step: Step, neurons: Iterable[int]) -> None:
        window = self._services.environment.neuron_window
        waiting = deque(islice(neurons, window or None))
        renewed = time.monotonic()
        while waiting:
            wave = [waiting.popleft() for _ in range(min(len(waiting), DISPATCHED_AT_ONCE))]
            self._services.invoker.invoke_neurons(
                (step.message(self._run_id, neuron) for neuron in wave),
                while_waking=partial(self._lease_kept, step.generation),
            )
            if waiting and time.monotonic() - renewed >= RENEWAL_SECONDS:
                self._services.ledger.renew(self._run_id, step.generation)
                renewed = time.monotonic()
        self._barrier.confirm_dispatch(step)

    def _note(self, step: Step, *marks: Mark, late: bool = False) -> None:
        """Write this invocation down, which does not advance, as far as it has come; ``late``: ``step`` is over."""
        record = self._barrier.record_late if late else self._barrier.record
        record(step, None, (time.monotonic() - self._begun) * 1000, *self._marks, *marks)

    def _store_timeline(self, step: Step) -> None:
        """Store what waits beside the fill of ``step``."""
        if self._plan.timeline:
            store_records(self._services, self._run_id, [step.fill])

    def _fail(self, position: Position, ending: Ending) -> None:
        generation, invocations = position.step.generation, int(position.fields["invocations"]) + 1
        self._note(position.step)
        self._store_timeline(position.step)
        run = self._services.ledger.renew(self._run_id, generation)
        end_without_model(
            self._services,
            self._run_id,
            generation,
            ending,
            invocations=run.invocations + invocations,
            step_invocations=0,
            usd=self._usd(position.fields),
        )

    def _scores(self, state: Checkpoint, generation: int) -> FinalScores:
        plan, data, network = self._plan, self._data(generation), self._plan.network
        score = network.tally if plan.targets else network.class_counts
        with np.errstate(over="ignore", invalid="ignore"):  # the parameters may have diverged
            train = network.tally(state.model, data.X, data.y)
            test = score(state.model, data.X_test, data.y_test)
        return plan.final_scores(
            train, test, self._validation_tally(state.model, generation) if plan.validation_examples else None
        )

    def _validation_tally(self, parameters: Parameters, generation: int) -> Tally:
        of = self._data(generation).validation
        with np.errstate(over="ignore", invalid="ignore"):
            return self._plan.network.tally(parameters, of.X, of.y, of.Y)

    def _train_labels(self, generation: int) -> Array:
        return train_labels(self._services.artifacts, self._run_id, self._plan, partial(self._lease_kept, generation))

    def _data(self, generation: int) -> TrainingData:
        return training_data(self._services.artifacts, self._run_id, self._plan, partial(self._lease_kept, generation))

    def _lease_kept(self, generation: int) -> Reporter:
        run = self._services.ledger.renew(self._run_id, generation)
        return Reporter(self._services.ledger, self._services.notifier, run, self._plan)

    def _state(self, step: Step, updates: int) -> Checkpoint:
        """Parameters and optimizer state after ``updates`` updates, read while ``step`` is current: else StaleStep."""
        keys = [self._plan.parameter_keys(layer, updates) for layer in range(1, self._plan.layers + 1)]
        flat = iter(self._barrier.read(step, self._plan.all_parameter_keys(updates)))
        layers = [([next(flat) for _ in weights], [next(flat) for _ in biases]) for weights, biases in keys]
        return Checkpoint(
            epoch=step.epoch,
            parameters=[(of_W[0], of_b[0]) for of_W, of_b in layers],
            slots=[(of_W[1:], of_b[1:]) for of_W, of_b in layers],
        )

    def _keys(self, step: Step) -> list[str | TensorKey]:
        """All that the fill of ``step`` consists of: what it reads and what it writes."""
        plan, updates = self._plan, self._plan.updates_before(step)
        changing = [*plan.all_parameter_keys(updates), *plan.unwritten_keys(updates), *plan.best_keys()]
        return [PLAN_KEY, plan.input_key(), *changing]

    def _usd(self, fields: Mapping[str, str]) -> float:
        """What the run has cost so far, this invocation included."""
        services = self._services
        trainer_ms = int(fields["trainer_ms"]) + (time.monotonic() - self._begun) * 1000
        trainers = int(fields["trainer_invocations"]) + 1
        # The barrier counts neurons and, at every advance, the Trainer; this invocation is not counted yet.
        counted = int(fields["invocations"]) - int(fields["invocations_before"])
        return (
            float(fields["usd_before"])
            + services.neuron_usd(int(fields["neuron_ms"]) / 1000, counted + 1 - trainers)
            + services.usd(trainer_ms / 1000, trainers, int(fields["rows"]))
        )


def _flat(parameters: Parameters) -> list[Array]:
    return [array for layer in parameters for array in layer]


def _best_of(fields: Mapping[str, str]) -> Best | None:
    """The best epoch so far; None where there is no validation set, or an earlier release began."""
    stored = json.loads(fields.get("best", "null"))
    return None if stored is None else Best(*stored)


def _errors_of(fields: Mapping[str, str]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Squared and absolute errors of the epoch so far; empty in classification, and where an earlier release began."""
    squared, absolute = (tuple(json.loads(fields.get(name, "[]"))) for name in ("squared", "absolute"))
    return squared, absolute
