"""Which clock measures what, and the functions that read the wall clock.

- A duration inside one invocation is measured by ``time.monotonic`` or ``time.perf_counter``: they never jump.
- An age that may span invocations is read from the wall clock. Lambda freezes an environment between two invocations,
  and Linux's monotonic clock stops meanwhile (hashicorp/vault-lambda-extension, issue 150): a value fetched 40
  minutes ago may look one second old. A wall clock may be set back, so a negative age counts as too old.
- Correctness never depends on two machines' clocks agreeing; ``lnn.runs.watchdog`` says how far it trusts them.

``tests/unit/aws/test_clocks.py`` holds every use of a monotonic clock in the functions to a list of reasons.
"""

import time


def wall() -> float:
    """Seconds since 1970, UTC."""
    return time.time()


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
