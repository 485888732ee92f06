"""When an invocation that trains for long stores a checkpoint, and when it lets a successor go on.

What it can do between two decisions is a leg: a batch, or with ``average_every`` the batches up to the next average.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from lnn.messages import Message
from lnn.runs.failover import ask_for_next
from lnn.runs.services import Services

HANDOVER_SECONDS = 1.0
"""Time kept for invoking the successor, beside what legs and checkpoints have taken so far."""

GIVING_UP_SECONDS = 1.0
"""Time kept for telling that an invocation ends with nothing done; a tenth of one that is shorter than ten of these."""


class Deadline:
    """How fast one invocation gets on, and what that leaves time for."""

    def __init__(self, checkpoint_seconds: float, remaining: Callable[[], float]) -> None:
        """``remaining()`` is the seconds this invocation has left."""
        self._checkpoint_seconds = checkpoint_seconds
        self._remaining = remaining
        self.leg = 0.0
        """Seconds of the latest leg; 0 before the first."""
        self._longest_leg = self._longest_save = self._latest_save = 0.0
        self._leg_began = self._stored_at = self._tried_at = time.monotonic()

    def leg_done(self) -> None:
        now = time.monotonic()
        self.leg = now - self._leg_began
        self._longest_leg = max(self._longest_leg, self.leg)
        self._leg_began = now

    @contextmanager
    def saving(self) -> Iterator[None]:
        """Around the storing of a checkpoint; one that raises was not stored."""
        began = time.monotonic()
        try:
            yield
            self._stored_at = time.monotonic()
        finally:
            self._leg_began = self._tried_at = time.monotonic()
            self._latest_save = self._tried_at - began
            self._longest_save = max(self._longest_save, self._latest_save)

    def time_is_up(self, behind: float = 0.0) -> bool:
        """Whether another leg may leave too little time for handing over.

        ``behind`` is how many seconds it takes to write the history that is not written yet.
        """
        return self._remaining() < HANDOVER_SECONDS + 3 * (self._longest_leg + self._longest_save) + 2 * behind

    def checkpoint_due(self, ahead: int) -> bool:
        """Whether more work than a crash may repeat would lie between two checkpoints, were it not for one soon.

        ``ahead`` is how many legs will be done before the next opportunity. Where storing takes longer than the work
        that is to be kept, or fails, no more time goes into it than into training: else a slow store would stop a run.
        """
        now = time.monotonic()
        due = now - self._stored_at + ahead * self.leg > self._checkpoint_seconds
        return due and now - self._tried_at >= self._latest_save


@contextmanager
def last_words(
    services: Services, message: Message, who: str, remaining: Callable[[], float]
) -> Iterator[Callable[[], None]]:
    """Tells, just before the time limit, that an invocation came to nothing; yields what to call once it has not.

    Without this a step that is longer than the limit would be repeated in silence.
    """
    limit = max(remaining(), 0.0)
    fault = (
        f"{who}: the time limit ({limit:.3g} s were left at the start) came before the data was loaded and the first "
        "batch done and stored; set a smaller batch_size, ask for more workers, or more memory or time"
    )
    timer = threading.Timer(limit - min(GIVING_UP_SECONDS, limit / 10), ask_for_next, [services, message, fault])
    timer.daemon = True
    timer.start()
    try:
        yield timer.cancel
    finally:
        timer.cancel()
