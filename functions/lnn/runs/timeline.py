"""Storing what a run has recorded of its invocations: from Redis to S3, whole parts at a time."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lnn.parameter_server.records import Mark, encode, epoch_of, number_of

if TYPE_CHECKING:
    from lnn.runs.services import Services

logger = logging.getLogger(__name__)

_cold = [Mark.COLD]


def cold_start() -> list[Mark]:
    """The mark of a cold start, for the first invocation in this environment that asks."""
    found = _cold.copy()
    _cold.clear()
    return found


def store_left_records(services: Services, run_id: str, generation: int) -> None:
    """Store the lines that generations up to this one have left in the parameter server."""
    from lnn.parameter_server.record_list import Records

    with _failures_logged():
        store_records(services, run_id, Records(services.server(run_id)).fills(generation))


def store_records(services: Services, run_id: str, fills: Iterable[str]) -> None:
    """Store the lines that wait beside these fills.

    A part is named by its first line and its length, so storing it again changes nothing; its lines are taken away
    once it is there. A run does not depend on its timeline: a failure is logged, and the lines wait on.
    """
    from lnn.parameter_server.record_list import STORED_AT_ONCE, Records

    with _failures_logged():
        records = Records(services.server(run_id))
        for fill in fills:
            while lines := records.waiting(fill):
                _store(services, run_id, fill, lines)
                records.forget(fill, lines)
                if len(lines) < STORED_AT_ONCE:
                    break


@contextmanager
def _failures_logged() -> Iterator[None]:
    try:
        yield
    except Exception as error:  # noqa: BLE001 - of Redis, S3 and their clients
        logger.warning("the timeline was not stored; the next to try stores it", extra={"error": str(error)})


def _store(services: Services, run_id: str, fill: str, lines: list[bytes]) -> None:
    environment = services.environment
    epochs = [epoch_of(line.decode()) for line in lines]  # not in order: late copies tell of earlier ones
    services.artifacts.put_timeline(
        run_id,
        fill,
        number_of(lines[0].decode()),
        len(lines),
        (min(epochs), max(epochs)),
        encode(lines, environment.trainer_memory_mb, environment.neuron_memory_mb),
    )
