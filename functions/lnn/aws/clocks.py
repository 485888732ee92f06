"""Which clock tells what: the rule, and what functions ask of the wall clock.

- A duration inside one invocation is measured by ``time.monotonic`` or ``time.perf_counter``: they never jump.
- An age that may span invocations is read from the wall clock. Lambda freezes an environment between two invocations,
  and Linux's monotonic clock stands still meanwhile (hashicorp/vault-lambda-extension, issue 150): by it, what was
  fetched 40 minutes ago may be a second old. A wall clock may be set back, so an age below zero counts as too old.
- What two machines do never hangs on how well their clocks agree: ``lnn.runs.watchdog`` says how far it trusts them.

``tests/unit/aws/test_clocks.py`` holds every use of a monotonic clock in the functions to a list of reasons.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any


def wall() -> float:
    """Seconds since 1970, UTC."""
    return time.time()


def is_fresh(since: float, seconds: float, now: float) -> bool:
    """Whether fewer than ``seconds`` went by from ``since`` to ``now``; not if the clock was set back meanwhile."""
    return 0 <= now - since < seconds


def seconds_between(earlier: float, later: float) -> float:
    """What went by between two moments that wall clocks showed, maybe of two machines: never less than nothing."""
    return max(0.0, later - earlier)


class Stopwatch:
    """Seconds that add up over the invocations that work on one thing, each by its own monotonic clock."""

    def __init__(self, before: float = 0.0) -> None:
        """``before`` is what earlier invocations took."""
        self._before, self._began = before, time.monotonic()

    def seconds(self) -> float:
        return self._before + time.monotonic() - self._began


def trained_before(run: Mapping[str, Any]) -> float:
    """Seconds in which earlier generations have trained the run; it goes on now.

    A run of the release before has but the moment of its start.
    """
    if run.get("trained_seconds") is not None:
        return float(run["trained_seconds"])
    started = run.get("training_started_at")
    return 0.0 if started is None else seconds_between(float(started), wall())
