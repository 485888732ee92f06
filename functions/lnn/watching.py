"""The watch: finds runs that have gone quiet, on a schedule, and moves them along."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any

from lnn import journal, telemetry
from lnn.ending import Ending, close, end_without_model
from lnn.errors import Refused
from lnn.events import Message
from lnn.services import Services

logger = logging.getLogger(__name__)

LAUNCH_SECONDS = 3 * 900.0 + 180.0
"""The longest that Launch takes, with Lambda's two retries, one and two minutes later: a run that has no checkpoint by
then will never get one."""

START_SECONDS = 10.0
"""How long a launched run may wait for its Trainer to take it; a second start message is refused."""

CLOSING_SECONDS = 10.0
"""How long the end of a run may take to be carried out."""


def watch(services: Services) -> None:
    """Look at every run that has not ended, or whose end was not carried out.

    Raises what went wrong with a run once all others have been looked at.
    """
    now = time.time()
    going = [run for status in ("PENDING", "RUNNING") for run in services.ledger.list_runs(status=status)]
    faults: list[Exception] = []
    for look, runs in ((revive, going), (finish, services.ledger.list_runs(closing=True))):
        for run in runs:
            with journal.about(run):
                try:
                    look(services, run, now)
                except Exception as error:
                    logger.exception("run not looked after")
                    faults.append(error)
    telemetry.watched(len(going), sum(is_quiet(run, now) for run in going))
    if faults:
        raise faults[0]


def finish(services: Services, run: Mapping[str, Any], now: float) -> None:
    """Carry out the end of a run where whoever ended it did not."""
    if now - float(run["finished_at"]) > CLOSING_SECONDS:
        logger.warning("finishing what the end of the run left undone")
        close(services, run)


def revive(services: Services, run: Mapping[str, Any], now: float) -> None:
    """Start the next generation of a run that nobody works on; a late or doubled start is refused by the claim."""
    run_id, generation = str(run["run_id"]), int(run["generation"])
    if run.get("checkpoint") is None:
        if now - float(run["created_at"]) > LAUNCH_SECONDS:
            reason = "the Launch function did not finish; its log says why. Upload the dataset again"
            end_without_model(services, run_id, generation, Ending("FAILED", reason))
        return
    if is_quiet(run, now):
        logger.warning("run has gone quiet")
        try:
            services.invoker.invoke_trainer(Message(run_id, generation + 1, "start"))
        except Refused as refused:
            end_without_model(services, run_id, generation, Ending("FAILED", str(refused)))


def is_quiet(run: Mapping[str, Any], now: float) -> bool:
    """Whether nobody works on a run that could be worked on."""
    if run.get("checkpoint") is None:
        return False
    quiet_since = run.get("lease_expires") if run["status"] == "RUNNING" else None
    if quiet_since is None:
        quiet_since = float(run.get("heartbeat") or run.get("launched_at") or run["created_at"]) + START_SECONDS
    return now > float(quiet_since)
