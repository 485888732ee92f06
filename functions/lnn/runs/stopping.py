"""When a run ends: decided from figures that every strategy has at the end of an epoch. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lnn.job.plan import Plan
from lnn.models.checkpoint import Best

if TYPE_CHECKING:
    from lnn.runs.attributes import Status

LONG_EPOCH_SECONDS = 10.0
"""A run is stopped at the end of an epoch; between two batches of one that has taken so long already."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run ends, and why where that is not obvious."""

    status: Status
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Totals:
    """What a run has used so far."""

    seconds: float
    """Since the first epoch began."""
    epoch_seconds: float
    """The latest epoch alone, or between two batches the latest of those: what one more is expected to take."""
    usd: float = 0.0
    epoch_usd: float = 0.0


def diverged(epoch: int, cost: float, plan: Plan) -> Ending | None:
    """The end of a run whose cost is no longer a number."""
    return None if math.isfinite(cost) else _divergence(f"the cost of epoch {epoch} is {cost}", plan)


def _divergence(sign: str, plan: Plan) -> Ending:
    numbers = ", or scale the targets down," if plan.targets else ""
    reason = f"training diverged: {sign}; lower learning_rate (it is {plan.learning_rate:g}){numbers} and upload again"
    return Ending("FAILED", reason)


def lower(plan: Plan, best: Best | None, cost: float) -> bool:
    """Whether an epoch's validation cost counts as the lowest so far; one that is no number never does."""
    return math.isfinite(cost) and (best is None or cost < best.cost - plan.min_delta)


def completed_by(plan: Plan, epoch: int, cost: float, best: Best | None = None) -> Ending | None:
    """The end that training itself has come to: known to everybody who knows the costs."""
    if plan.threshold is not None and cost <= plan.threshold:
        return Ending("COMPLETED", f"the cost {cost:.6g} of epoch {epoch} reached the threshold {plan.threshold:g}")
    if epoch == plan.epochs:
        return Ending("COMPLETED")
    since = 0 if best is None else best.epoch
    if plan.patience is None or epoch - since < plan.patience:
        return None
    lowest = "" if best is None else f" than {best.cost:.6g} of epoch {best.epoch}"
    return Ending("COMPLETED", f"patience: no lower validation cost{lowest} in {plan.patience} epochs")


def stopped_on_request(place: str, why: str | None) -> Ending:
    """The end of a run that is to stop after ``place``; ``why``, of its record, is None where a person wants it."""
    return Ending("STOPPED", f"stopped on request after {place}" if why is None else f"stopped after {place}: {why}")


def stopped_by(plan: Plan, place: str, totals: Totals, stop_requested: bool, why: str | None = None) -> Ending | None:
    """The end that a person or a limit has set to a run after ``place`` (see ``Plan.place``)."""
    if stop_requested:
        return stopped_on_request(place, why)
    if plan.max_seconds is not None and totals.seconds + totals.epoch_seconds > plan.max_seconds:
        return Ending(
            "STOPPED",
            f"max_seconds: {totals.seconds:.1f} s used after {place}; one more would pass {plan.max_seconds:g} s",
        )
    if plan.max_usd is not None and totals.usd + totals.epoch_usd > plan.max_usd:
        return Ending(
            "STOPPED",
            f"max_usd: ${totals.usd:.6f} used after {place}; one more would pass ${plan.max_usd:g}",
        )
    return None
