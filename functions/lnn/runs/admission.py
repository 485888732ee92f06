"""When a run with workers may start: it waits in line until all of its workers can run at once (``capacity``).

Waiting costs nothing: the run stays as it is, nobody works on it, and it is no attempt. Whoever frees workers starts
the next in line. The watch removes what a crash has left, and sends a start again that was lost.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from lnn.errors import LnnError
from lnn.messages import Message
from lnn.strategies.registry import STRATEGIES

if TYPE_CHECKING:
    from lnn.runs.record import Run
    from lnn.runs.services import Services

logger = logging.getLogger(__name__)

TOLD_AT_ONCE = 10
"""Waiting runs whose new places whoever frees workers writes down; the watch does it for all."""


def is_admitted(services: Services, run: Run, generation: int) -> bool:
    """Whether a generation that is about to start has all the workers that it needs; a run without needs none.

    A run that has to wait is told its place.
    """
    capacity = services.capacity
    if capacity is None or not _takes_workers(run):
        return True
    place = capacity.reserve(run.run_id, generation, _workers(run))
    if place:
        _tell(services, run, place)
    return not place


def give_back(services: Services, run: Run) -> None:
    """Free the workers of a run that has ended, and start whoever waits for them. Repeating it is harmless."""
    capacity = services.capacity
    if capacity is None or not _takes_workers(run):
        return
    if capacity.give_back(run.run_id, run.generation, _workers(run)):
        start_next(services)


def start_next(services: Services, known: Mapping[str, Run] | None = None) -> set[str]:
    """Start those at the head of the line that find room, and tell the others their places; returns both.

    ``known`` are runs that the caller has read; of the others only the first few are told.
    """
    capacity = services.capacity
    if capacity is None:
        return set()
    starting = capacity.admit()
    for admitted in starting:
        try:
            services.invoker.invoke_trainer(Message(admitted.run_id, admitted.generation, "start"))
        except Exception:  # its workers are reserved: the watch finds that nobody has begun
            logger.exception("a run that was admitted is not started", extra={"run_id": admitted.run_id})
    line = [waiting.run_id for waiting in capacity.read().waiting]
    for place, run_id in enumerate(line, 1):
        run = (known or {}).get(run_id)
        if run is None and place <= TOLD_AT_ONCE:
            run = services.ledger.get_run(run_id)
        if run is not None:
            _tell(services, run, place)
    return {*line, *(admitted.run_id for admitted in starting)}


def recover(services: Services, run: Run) -> None:
    """Free what a late start may have reserved for a run that has ended meanwhile."""
    if services.capacity is not None and _takes_workers(run):
        services.capacity.recover(run.run_id)


def waiting_runs(services: Services, runs: Iterable[Run]) -> set[str]:
    """Mend what crashes have left, start who may; returns the ids of the runs that wait or were started.

    ``runs`` are those that the watch looks after.
    """
    capacity = services.capacity
    if capacity is None:
        return set()
    going = {run.run_id: run for run in runs if not run.has_ended}
    for run_id in sorted(capacity.read().runs - going.keys()):
        capacity.recover(run_id)
    return start_next(services, going)


def reason(place: int) -> str:
    """Why a run does not begin yet."""
    return f"waiting for capacity, place {place}"


def _tell(services: Services, run: Run, place: int) -> None:
    """Note in the run's record why it does not begin."""
    if run.reason == reason(place):
        return
    try:
        services.ledger.wait(run.run_id, run.generation, reason(place), first=run.reason is None)
    except LnnError as error:  # people know less then, and that is all
        logger.warning("the run's record does not take its place in line", extra={"error": str(error)})


def _takes_workers(run: Run) -> bool:
    return run.strategy in STRATEGIES and STRATEGIES[run.strategy].takes_workers


def _workers(run: Run) -> int:
    return run.workers or 1
