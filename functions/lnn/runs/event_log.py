"""What happened to a run, in its own record: who took it over, why, and what that cost.

The log is a list of events, with sums beside it that stay true when events are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lnn.aws.clocks import moment, seconds_between

if TYPE_CHECKING:
    from lnn.runs.attributes import Event, Facts
    from lnn.runs.record import Run

FIRST_KEPT, LAST_KEPT, LONGEST = 10, 30, 60
"""Events that stay when there are more than LONGEST: a record is written once a second, and paid for by its size."""

FAULT_LENGTH = 300
"""Characters of a fault's text that are kept."""


def event(what: str) -> Event:
    return {"at": moment(), "what": what}


def beginning(before: Run, generation: int, now: float) -> tuple[Event, Facts]:
    """The event that a generation begins with, and what else changes in the record of the run as it was ``before``.

    A generation takes over when the one before was to be going on: neither has the run been resumed, nor was it
    handed over in time.
    """
    started: Event = {**event(f"generation {generation} started"), "generation": generation}
    if before.status == "PENDING":
        return started, {}
    fault = before.fault_of(before.generation)
    silent = seconds_between(float(before.heartbeat or now), now)
    if fault is None and not before.lease_expires:
        return started, {}
    why = fault or "the watch found nobody at work"
    taken: Event = {
        **event(f"generation {generation} took over, {silent:.1f} s after the last sign of life: {why}"),
        "generation": generation,
        "silent_seconds": silent,
        "why": why,
    }
    sums = before.disturbances
    return taken, {
        "disturbances": {
            **sums,
            "takeovers": sums["takeovers"] + 1,
            "silent_seconds": sums["silent_seconds"] + silent,
        }
    }


def set_back(run: Run) -> tuple[Event | None, Facts]:
    """The event of going back to the checkpoint, if epochs were done after it, and what else changes in the record."""
    checkpoint = run.latest_checkpoint
    saved, batches = checkpoint["epoch"], checkpoint.get("batches", 0)
    repeated = run.epoch - saved
    if repeated <= 0:
        return None, {}
    epochs = f"epoch {run.epoch} is" if repeated == 1 else f"epochs {saved + 1} to {run.epoch} are"
    further = f" and {batches} batches of the next" if batches else ""
    happened: Event = {
        **event(f"{epochs} trained again: the checkpoint is of epoch {saved}{further}"),
        "repeated_epochs": repeated,
    }
    sums = run.disturbances
    return happened, {
        "disturbances": {**sums, "repeated_epochs": sums["repeated_epochs"] + repeated},
        "reached": run.epochs_reached,
    }


def folded(events: Sequence[Event]) -> list[Event]:
    """The first and the last events of a long log, and how many there were between them."""
    if len(events) <= LONGEST:
        return list(events)
    between = events[FIRST_KEPT:-LAST_KEPT]
    left_out = sum(one.get("left_out", 1) for one in between)
    gap: Event = {"at": between[0]["at"], "what": f"{left_out} events are left out here", "left_out": left_out}
    return [*events[:FIRST_KEPT], gap, *events[-LAST_KEPT:]]
