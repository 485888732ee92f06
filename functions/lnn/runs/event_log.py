"""What happened to a run, in its ledger's own words: who took it over, why, and what that cost.

The story is a list of events in the run's record, and sums that stay true when events are left out.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from lnn.aws.clocks import seconds_between

Event = dict[str, Any]
"""``at`` (epoch seconds) and ``what``; figures beside them where a person may want to count."""

FIRST_KEPT, LAST_KEPT, LONGEST = 10, 30, 60
"""Events that stay when there are more than LONGEST: a record is written once a second, and paid for by its size."""

FAULT_LENGTH = 300
"""Characters of a fault's text that are kept."""


def event(what: str, **figures: Any) -> Event:
    return {"at": time.time(), "what": what, **figures}


def beginning(before: Mapping[str, Any], generation: int, now: float) -> tuple[Event, dict[str, Any]]:
    """The event that a generation begins with, and what else changes in the record of the run as it was ``before``.

    A generation takes over when the one before was to be going on: neither has the run been resumed, nor was it
    handed over in time.
    """
    started = f"generation {generation} started"
    if before["status"] == "PENDING":
        return event(started, generation=generation), {}
    fault = fault_of(before, before["generation"])
    silent = seconds_between(float(before.get("heartbeat") or now), now)
    given_back = not before.get("lease_expires")
    if fault is None and given_back:
        return event(started, generation=generation), {}
    why = fault or "the watch found nobody at work"
    sums = disturbances(before)
    taken = event(
        f"generation {generation} took over, {silent:.1f} s after the last sign of life: {why}",
        generation=generation,
        silent_seconds=silent,
        why=why,
    )
    changed = {"takeovers": sums["takeovers"] + 1, "silent_seconds": sums["silent_seconds"] + silent}
    return taken, {"disturbances": sums | changed}


def set_back(run: Mapping[str, Any]) -> tuple[Event | None, dict[str, Any]]:
    """The event of going back to the checkpoint, if epochs were done after it, and what else changes in the record."""
    reached, saved, batches = int(run["epoch"]), int(run["checkpoint"]["epoch"]), run["checkpoint"].get("batches", 0)
    repeated = reached - saved
    if repeated <= 0:
        return None, {}
    epochs = f"epoch {reached} is" if repeated == 1 else f"epochs {saved + 1} to {reached} are"
    further = f" and {batches} batches of the next" if batches else ""
    sums = disturbances(run)
    return (
        event(f"{epochs} trained again: the checkpoint is of epoch {saved}{further}", repeated_epochs=repeated),
        {"disturbances": sums | {"repeated_epochs": sums["repeated_epochs"] + repeated}},
    )


def disturbances(run: Mapping[str, Any]) -> dict[str, Any]:
    """How often a run was taken over, for how long in all nobody had worked on it, and how many epochs it repeated."""
    return {"takeovers": 0, "silent_seconds": 0.0, "repeated_epochs": 0} | (run.get("disturbances") or {})


def fault_of(run: Mapping[str, Any], generation: int) -> str | None:
    """What a generation was given up for, if it was the last that said so."""
    fault = run.get("fault") or {}
    return str(fault["what"]) if fault.get("generation") == generation else None


def folded(events: Sequence[Event]) -> list[Event]:
    """The first and the last events of a long story, and how many there were between them."""
    if len(events) <= LONGEST:
        return list(events)
    between = events[FIRST_KEPT:-LAST_KEPT]
    left_out = sum(int(one.get("left_out", 1)) for one in between)
    gap = {"at": between[0]["at"], "what": f"{left_out} events are left out here", "left_out": left_out}
    return [*events[:FIRST_KEPT], gap, *events[-LAST_KEPT:]]
