"""The figures that a run has by now: its model's once it has ended, before that those of its newest epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lnn.runs.record import EpochRow, Run

if TYPE_CHECKING:
    from lnn.runs.store import Ledger


def newest_row(ledger: Ledger, run: Run) -> EpochRow | None:
    """The newest row in the history of a run that goes on; None before the first one, and once the run has ended."""
    if run.has_ended or not run.epoch:
        return None
    every = int(run.settings.get("record_every") or 1)
    return next(reversed(ledger.history(run.run_id, after=max(run.epoch - every, 0))), None)


def cost_by_now(run: Run, row: EpochRow | None) -> float | None:
    """Cost of the final model, or of the newest epoch: of that, the run knows sooner than its history has a row."""
    if run.has_ended:
        return run.final_cost
    return row.cost if run.cost is None and row else run.cost
