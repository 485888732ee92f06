"""Which clock measures what, and the functions that read the wall clock.

- A duration inside one invocation is measured by ``time.monotonic`` or ``time.perf_counter``: they never jump.
- An age that may span invocations is read from the wall clock. Lambda freezes an environment between two invocations,
  and Linux's monotonic clock stops meanwhile (hashicorp/vault-lambda-extension, issue 150): a value fetched 40
  minutes ago may look one second old. A wall clock may be set back, so a negative age counts as too old.
- A moment in a run's record is told by AWS's clock, as far as its answers tell that clock (``ServiceClock``): people
  see differences of such moments, and functions and the machine that uploads each have a clock of their own.
- Correctness never depends on two machines' clocks agreeing; ``lnn.runs.watchdog`` says how far it trusts them.

``tests/unit/aws/test_clocks.py`` holds every use of a monotonic clock in the functions to a list of reasons.
"""

import threading
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any


class ServiceClock:
    """How far AWS's clock is from this machine's, by the dates of AWS's answers."""

    def __init__(self) -> None:
        self.offset = 0.0
        """Seconds to add to this machine's wall clock; 0 where the latest answer fits it as it is."""
        self._calls = threading.local()

    def follow(self, events: Any) -> None:
        """Learn from the answers to all clients that ``events``, of a client or a session of botocore, are for."""
        events.register("before-send", self._sent, unique_id="lnn-sent")
        events.register("after-call", self._answered, unique_id="lnn-answered")

    def learn(self, date: str, sent: float, answered: float) -> None:
        """Learn from the ``date`` of an answer, in whole seconds, that came between two times of this machine."""
        told = parsedate_to_datetime(date).timestamp()
        least, most = told - answered, told + 1 - sent
        self.offset = 0.0 if least <= 0 <= most else (least + most) / 2

    def _sent(self, **_: object) -> None:
        self._calls.sent = time.time()

    def _answered(self, parsed: Mapping[str, Any], **_: object) -> None:
        date = parsed.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
        if date and hasattr(self._calls, "sent"):
            self.learn(date, self._calls.sent, time.time())


service_clock = ServiceClock()


def wall() -> float:
    """Seconds since 1970, UTC, by this machine's clock: for ages."""
    return time.time()


def moment() -> float:
    """Seconds since 1970, UTC, by AWS's clock: for what other machines, or people, compare with theirs."""
    return time.time() + service_clock.offset


def is_fresh(since: float, seconds: float, now: float) -> bool:
    """True when less than ``seconds`` passed from ``since`` to ``now``; False when the clock was set back."""
    return 0 <= now - since < seconds


def seconds_between(earlier: float, later: float) -> float:
    """Seconds between two wall-clock times, which may come from two machines; 0 where the difference is negative."""
    return max(0.0, later - earlier)


class Stopwatch:
    """Total seconds over several invocations; each measures its own part with its monotonic clock."""

    def __init__(self, before: float = 0.0) -> None:
        """``before``: seconds that earlier invocations took."""
        self._before, self._began = before, time.monotonic()

    def seconds(self) -> float:
        return self._before + time.monotonic() - self._began
