"""Following a run until it ends."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from time import monotonic, sleep

from lnn.runs.record import EpochRow, Run
from lnn.runs.store import Ledger
from lnn_client.errors import FollowTimeout, NotFound
from lnn_client.histories import before_first_gap

POLL_SECONDS = 0.5
FIRST_POLL_SECONDS = 0.02
POLL_SHARE = 0.05
"""A run may take a second only, and whoever waits for it is to know at once: between two looks this share of the time
that has passed goes by, and never more than POLL_SECONDS.
"""
HISTORY_SECONDS = 2.0
SETTLE_SECONDS = 20.0
"""A run that has ended is closed soon after; if its trainer died just then, the watch closes it later."""


@dataclass(frozen=True, slots=True)
class Look:
    """A run at one moment, with the rows of its history that have been read, the first epoch's first."""

    run: Run
    history: Sequence[EpochRow] = ()

    @property
    def row(self) -> EpochRow | None:
        """The newest row."""
        return self.history[-1] if self.history else None


def follow(
    ledger: Ledger,
    run_id: str,
    *,
    until: Callable[[Run], bool] = lambda run: run.has_ended,
    timeout: float | None = None,
    whole: bool = True,
) -> Iterator[Look]:
    """Look at a run every ``POLL_SECONDS``, and more often at first; the last look is the one at which ``until`` holds.

    Unless the ``whole`` history is wanted, the last rows of a completed run are not read: the run itself has the
    model's figures.

    Raises:
        FollowTimeout: ``timeout`` seconds have passed.
        NotFound: the run does not exist (any more).
    """
    started = monotonic()
    history: list[EpochRow] = []
    epoch_read, read_at, generation = 0, -math.inf, 0
    while True:
        run, now = ledger.get_run(run_id), monotonic()
        if run is None:
            raise NotFound("run", run_id)
        # Read every HISTORY_SECONDS at most while epochs pass, and at the end.
        due = whole or run.status != "COMPLETED" if run.has_ended else now - read_at >= HISTORY_SECONDS
        if run.epoch != epoch_read and due:
            # Rows stay as they are, unless the run went on from a checkpoint, or ended before its last epoch.
            stay = run.generation == generation and (run.status == "COMPLETED" or not run.has_ended)
            kept = before_first_gap(run, history) if stay else []
            history = [*kept, *ledger.history(run_id, after=kept[-1].epoch if kept else 0)]
            epoch_read, read_at, generation = run.epoch, now, run.generation
        yield Look(run, history)
        if until(run):
            return
        if timeout is not None and monotonic() - started >= timeout:
            raise FollowTimeout(run, timeout)
        pause(started)


def settled(ledger: Ledger, run: Run) -> Run:
    """The run once all that follows its end is done: its model is the latest, its messages are sent."""
    started = monotonic()
    while run.closing and monotonic() - started < SETTLE_SECONDS:
        pause(started)
        run = ledger.get_run(run.run_id) or run
    return run


def pause(started: float) -> None:
    """Sleep for ``POLL_SHARE`` of the time that has passed since ``started`` (of ``monotonic``)."""
    sleep(min(POLL_SECONDS, max(FIRST_POLL_SECONDS, (monotonic() - started) * POLL_SHARE)))
