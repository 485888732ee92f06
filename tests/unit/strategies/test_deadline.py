"""When a long-lived invocation stores a checkpoint and hands over, by a clock of the test's own."""

from __future__ import annotations

from queue import Queue
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lnn.strategies import deadline
from lnn.strategies.deadline import Deadline, last_words


class Clock:
    """Seconds that pass when they are told to."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@given(leg=st.floats(0.001, 40), save=st.floats(0, 5), legs=st.integers(1, 300), limit=st.floats(0.01, 60))
@pytest.mark.parametrize("ahead", [0, 1], ids=["decided after a leg", "decided before it"])
def test_a_crash_repeats_what_was_asked_for_or_as_much_as_storing_takes(
    leg: float, save: float, legs: int, limit: float, ahead: int
) -> None:
    clock = Clock()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(deadline, "time", clock)
        paced = Deadline(limit, lambda: 1e6)
        stored_at = clock.now
        training = storing = 0.0
        for number in range(legs):
            due = bool(ahead and number) and paced.checkpoint_due(1 + ahead)
            clock.now += leg
            training += leg
            assert clock.now - stored_at <= max(limit, save + (1 + ahead) * leg) + 1e-6
            paced.leg_done()
            if due or (not (ahead and number) and paced.checkpoint_due(1)):
                with paced.saving():
                    clock.now += save
                storing += save
                stored_at = clock.now
        assert storing <= training + save + 1e-6, "storing took more time than training"


@given(legs=st.lists(st.floats(0.0, 100.0), min_size=1, max_size=30), limit=st.floats(1.0, 900.0))
def test_time_is_up_before_a_leg_twice_as_long_as_any_would_not_fit(legs: list[float], limit: float) -> None:
    clock = Clock()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(deadline, "time", clock)
        ends = clock.now + limit
        paced = Deadline(30.0, lambda: ends - clock.now)
        longest = 0.0
        for leg in legs:
            clock.now, longest = clock.now + leg, max(longest, leg)
            paced.leg_done()
            if paced.time_is_up():
                return
            assert clock.now + 2 * longest + deadline.HANDOVER_SECONDS <= ends + 1e-6


@pytest.mark.parametrize(("came_to_something", "told"), [(True, 0), (False, 1)])
def test_an_invocation_that_comes_to_nothing_says_so_before_its_time_is_up(
    came_to_something: bool, told: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults: list[str] = []
    monkeypatch.setattr(deadline, "ask_for_next", lambda services, message, fault: faults.append(fault))
    nobody: Any = None
    with last_words(nobody, nobody, "worker 0", lambda: 0.05) as tell:
        if came_to_something:
            tell()
        deadline.threading.Event().wait(0.15)
    assert len(faults) == told
    assert all("0.05 s were left" in fault and "smaller batch_size" in fault for fault in faults)


def test_an_invocation_that_starts_past_its_time_limit_has_no_seconds_left(monkeypatch: pytest.MonkeyPatch) -> None:
    faults: Queue[str] = Queue()
    monkeypatch.setattr(deadline, "ask_for_next", lambda services, message, fault: faults.put(fault))
    nobody: Any = None
    with last_words(nobody, nobody, "worker 0", lambda: -0.2):
        assert "(0 s were left at the start)" in faults.get(timeout=10)
