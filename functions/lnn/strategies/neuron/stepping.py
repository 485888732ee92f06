"""A stepped run: what the Trainer does at a barrier where a person decides when the run goes on.

The run's record says up to which pause the run may go (``steps_allowed``), and at which one it waits (``paused``). The
Trainer that finds a step complete writes the pause on the condition that it is not allowed yet, and leaves. Whoever
allows it sends the step's message again. So no order of the two loses a step, and nothing has to stay awake.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from lnn.aws.clocks import moment, seconds_between
from lnn.job.pauses import After, Pause, Pauses

if TYPE_CHECKING:
    from collections.abc import Callable

    from lnn.messages import Step
    from lnn.parameter_server.barrier import Position
    from lnn.runs.attributes import Paused
    from lnn.runs.record import Run
    from lnn.runs.store import Ledger
    from lnn.strategies.neuron.layout import Layout

MOVED = ("training_started_at", "epoch_started_at")
"""Fields of a position from which seconds of training are counted: a pause is none."""


class Gate:
    """Lets a step of a stepped run go on, or notes that it waits; of any other run it lets all go on."""

    def __init__(self, ledger: Ledger, run_id: str, plan: Layout, waits: Callable[[Step], None]) -> None:
        """``waits`` notes in the parameter server that a step is left as it is."""
        self._ledger, self._run_id, self._plan, self._waits = ledger, run_id, plan, waits

    def passes(self, step: Step, cost: float | None = None) -> bool:
        """Whether ``step``, all of whose neurons are done, may be concluded; its batch's ``cost`` is a pause of its
        own. Renews the lease. Raises StaleGeneration.
        """
        if not self._plan.stepped:
            return True
        after: After = step.direction if cost is None else "cost"
        pause = Pause(step.epoch, step.batch, after, step.layer)
        number = Pauses.of(self._plan.as_json()).number(pause)
        run = self._ledger.renew(self._run_id, step.generation)
        if run.steps_allowed >= number or run.stop_requested:
            return True
        if self._ledger.pause(self._run_id, step.generation, _paused(run, step.generation, number, pause, cost)):
            self._waits(step)
            return False
        self._ledger.renew(self._run_id, step.generation)  # somebody has let it go on just now, or taken it over
        return True


def _paused(run: Run, generation: int, number: int, pause: Pause, cost: float | None) -> Paused:
    """The pause for the run's record. A message that comes again does not prolong it; a new generation does."""
    known = run.paused is not None and (run.paused["number"], run.paused["generation"]) == (number, generation)
    paused: Paused = {
        "number": number,
        "generation": generation,
        "since": run.paused["since"] if run.paused is not None and known else moment(),
        "epoch": pause.epoch,
        "batch": pause.batch,
        "after": pause.after,
        "layer": pause.layer,
    }
    return paused if cost is None else {**paused, "cost": cost}


def without_pause(position: Position) -> Position:
    """The position of a stepped run as if it had not paused at its step, which is no time of training."""
    fields = position.fields
    if not (paused_at := fields.get("paused_at")):
        return position
    waited = seconds_between(float(paused_at), position.now)
    moved = {name: repr(float(fields[name]) + waited) for name in MOVED}
    return replace(position, fields={**fields, **moved, "paused_at": "", "renewed_at": repr(position.now)})


def changed_by_pause(position: Position) -> dict[str, str]:
    """The fields that ``without_pause`` has changed, to be stored with the next step."""
    changed = (*MOVED, "paused_at", "renewed_at") if "paused_at" in position.fields else ()
    return {name: position.fields[name] for name in changed}
