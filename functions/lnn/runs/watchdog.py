"""The watch: finds runs that have gone quiet, on a schedule, and moves them along.

The moments in a run's record are those of other machines' clocks. By them the watch only suspects a run. It takes one
from whoever may be at work on it once it has seen, by its own clock, that no sign of life came for as long as a lease
lasts: so a clock that is minutes off delays nothing for longer than that, and takes no run from a Trainer at work.

It does not wait until the lease has run out by those clocks before it begins to observe: the two waits would add up,
and the next look may be a minute away, or meet an environment that remembers nothing. A suspect at work costs little:
its next sign of life ends the observation.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from lnn.aws.clocks import is_fresh, seconds_between, wall
from lnn.errors import NonRetryable
from lnn.job.pauses import WAITING_SECONDS
from lnn.messages import Message
from lnn.runs import logs, metrics
from lnn.runs.admission import waiting_runs
from lnn.runs.finalize import close, end_without_model
from lnn.runs.lease import INTERVAL_SECONDS
from lnn.runs.record import Run
from lnn.runs.services import Services
from lnn.runs.stopping import Ending
from lnn.runs.store import LEASE_SECONDS

logger = logging.getLogger(__name__)

CLOCKS_DIFFER_SECONDS = 600.0
"""How far the clocks of two functions can be apart: AWS refuses a request whose signature is more than five minutes off
its own time (IAM user guide, "Signature Version 4 request elements")."""

START_SECONDS = 10.0
"""How long a launched run may wait for its Trainer to take it; a second start message is refused."""

CLOSING_SECONDS = 10.0
"""How long the end of a run may take to be carried out."""

QUIET_SECONDS = 2 * INTERVAL_SECONDS
"""A run at work that has renewed its lease since is no suspect."""

POLL_SECONDS = 1.0
"""Between two looks at a suspect: about as often as one that is at work renews its lease."""

SPARE_SECONDS = 3.0
"""What the watch keeps of its invocation for what follows an observation."""

_seen: dict[str, tuple[tuple[Any, ...], float]] = {}
"""Each run's latest sign of life, and when this environment first saw it, by its own wall clock. So the looks of the
schedule add up to one observation where they meet the same environment."""


def watch(services: Services, remaining: Callable[[], float]) -> None:
    """Look at every run that has not ended, or whose end was not carried out.

    ``remaining()`` is the seconds that this invocation has left. Raises what went wrong with a run once all others have
    been looked at.
    """
    now = wall()
    # A run that is resumed before its end was carried out is one that goes on.
    runs = services.ledger.watched_runs()
    going = [run for run in runs if not run.has_ended]
    in_line, faults = _line(services, runs)
    runs = [run for run in runs if run.run_id not in in_line]
    longest_launch = launch_seconds(services.environment.launch_timeout)
    waits: dict[str, float] = {}

    def observe(_: Services, run: Run) -> None:
        if is_suspect(run, now, longest_launch):
            waits[run.run_id] = _observation_left(run, now)

    faults += _each(services, runs, observe)
    _remember(runs, now)
    suspects = [run for run in runs if run.run_id in waits]
    silent, wrong = _look_after_the_silent(services, suspects, waits, remaining)
    faults += wrong
    metrics.watched(len(going), sum(not run.has_ended and run.is_prepared for run in silent))
    if faults:
        raise faults[0]


def _line(services: Services, runs: Iterable[Run]) -> tuple[set[str], list[Exception]]:
    """The runs that wait for workers, or were started just now, and what went wrong."""
    try:
        in_line = waiting_runs(services, runs)
    except Exception as error:
        logger.exception("the line of waiting runs is not looked after")
        return set(), [error]
    stopped = [run for run in runs if run.run_id in in_line and run.stop_requested]
    return in_line, _each(services, stopped, stop_waiting)


def stop_waiting(services: Services, run: Run) -> None:
    """End a run that a person has stopped while it waited."""
    place = run.parsed_plan.place(run.epoch, run.latest_checkpoint.get("batches", 0))
    reason = f"stopped on request after {place}, while it waited for capacity"
    end_without_model(services, run.run_id, run.generation, Ending("STOPPED", reason))


def launch_seconds(timeout: float) -> float:
    """The longest that a Launch of this ``timeout`` takes, with Lambda's two retries, one and two minutes later.

    A run that has no checkpoint by then will never get one.
    """
    return 3.0 * timeout + 180.0 + CLOCKS_DIFFER_SECONDS


def is_suspect(run: Run, now: float, longest_launch: float) -> bool:
    """Whether somebody's work on a run, by clocks that may differ, is not certain: it is to be observed.

    What seems to come from the future is as suspect as what is too old: a clock that is ahead must not hide a dead run.
    """
    if run.has_ended:
        return True  # its end takes moments to carry out, and then it is watched no more
    if not run.is_prepared:
        return now - float(run.created_at) > longest_launch
    if run.is_paused and run.paused is not None:
        return not -CLOCKS_DIFFER_SECONDS < now - run.paused["since"] < WAITING_SECONDS
    if run.status == "RUNNING" and run.lease_expires is not None:
        return not is_fresh(float(run.lease_expires) - LEASE_SECONDS, QUIET_SECONDS, now)
    return not is_fresh(float(run.heartbeat or run.launched_at or run.created_at), START_SECONDS, now)


def patience(run: Run) -> float:
    """Seconds without a sign of life, by the watch's own clock, after which it acts on a suspect run.

    None are needed where acting too early changes nothing: a start message that is sent twice is refused.
    """
    if run.has_ended:
        return CLOSING_SECONDS
    held = run.status == "RUNNING" and run.lease_expires != 0
    return LEASE_SECONDS if held and run.is_prepared else 0.0


def _sign_of_life(run: Run) -> tuple[Any, ...]:
    """What changes whenever somebody works on the run."""
    return run.status, run.generation, run.heartbeat, run.lease_expires, run.closing


def _observation_left(run: Run, now: float) -> float:
    """How long a suspect must still be observed."""
    sign, since = _seen.get(run.run_id, (None, now))
    seen = seconds_between(since, now) if sign == _sign_of_life(run) else 0.0
    return max(0.0, patience(run) - seen)


def _remember(runs: Iterable[Run], now: float) -> None:
    before = dict(_seen)
    _seen.clear()
    for run in runs:
        run_id, sign = run.run_id, _sign_of_life(run)
        old, since = before.get(run_id, (None, now))
        _seen[run_id] = (sign, min(since, now) if old == sign else now)


def _look_after_the_silent(
    services: Services, suspects: Sequence[Run], waits: Mapping[str, float], remaining: Callable[[], float]
) -> tuple[list[Run], list[Exception]]:
    """Observe the suspects, each for so long as it ``waits``, and act on those that give no sign of life meanwhile.

    Returns these, as they were then, and what went wrong. A suspect that this invocation has no time to observe is
    left to the next look.
    """
    left = {run.run_id: waits[run.run_id] for run in suspects}
    observed = [run for run in suspects if not left[run.run_id] or left[run.run_id] + SPARE_SECONDS <= remaining()]
    silent: list[Run] = []

    def look(_: Services, run: Run) -> None:
        observed.remove(run)  # what goes wrong with it is for the next look to mend
        current = services.ledger.get_run(run.run_id) if waits[run.run_id] else run
        if current is None or _sign_of_life(current) != _sign_of_life(run):
            logger.debug("at work, though it seemed to be quiet", extra={"run_id": run.run_id})
        elif left[run.run_id] > 0:
            observed.append(run)
        else:
            silent.append(current)
            (finish if current.has_ended else revive)(services, current)

    faults = _each(services, [run for run in observed if not left[run.run_id]], look)
    while observed and remaining() >= SPARE_SECONDS:
        pause = min(POLL_SECONDS, *(left[run.run_id] for run in observed))
        time.sleep(pause)
        left = {run_id: seconds - pause for run_id, seconds in left.items()}
        faults += _each(services, [*observed], look)
    return silent, faults


def _each(services: Services, runs: Iterable[Run], act: Callable[[Services, Run], None]) -> list[Exception]:
    """Act on each run by itself; returns what went wrong."""
    faults: list[Exception] = []
    for run in runs:
        with logs.about(run):
            try:
                act(services, run)
            except Exception as error:
                logger.exception("run not looked after")
                faults.append(error)
    return faults


def stop_paused(services: Services, run: Run) -> None:
    """Let a run end that waits for a person in vain: it goes on to the end of its epoch, and stops there."""
    reason = f"nobody asked for the next step for {WAITING_SECONDS / 60:g} minutes"
    stopping = services.ledger.stop_waiting(run, reason)
    if stopping is not None and (message := stopping.message_at_pause) is not None:
        services.invoker.invoke_trainer(message)


def finish(services: Services, run: Run) -> None:
    """Carry out the end of a run where whoever ended it did not."""
    logger.warning("finishing what the end of the run left undone")
    close(services, run)


def revive(services: Services, run: Run) -> None:
    """Start the next generation of a run that nobody works on; a late or doubled start is refused by the claim."""
    run_id, generation = run.run_id, run.generation
    if run.is_paused:
        stop_paused(services, run)
        return
    if not run.is_prepared:
        reason = "the Launch function did not finish; its log says why. Upload the dataset again"
        end_without_model(services, run_id, generation, Ending("FAILED", reason))
        return
    logger.warning("run has gone quiet")
    try:
        services.invoker.invoke_trainer(Message(run_id, generation + 1, "start"))
    except NonRetryable as refused:
        end_without_model(services, run_id, generation, Ending("FAILED", str(refused)))
