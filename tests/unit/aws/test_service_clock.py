"""AWS's clock, as its answers tell it: in whole seconds, some time after they were asked for."""

from __future__ import annotations

import pytest

from lnn.aws.clocks import ServiceClock

DATE, TOLD = "Sun, 06 Nov 1994 08:49:37 GMT", 784111777.0


@pytest.mark.parametrize(
    ("sent", "answered", "offset"),
    [
        (TOLD, TOLD + 0.2, 0.0),
        (TOLD + 0.9, TOLD + 1.1, 0.0),
        (TOLD - 40.0, TOLD + 20.0, 0.0),
        (TOLD + 300.0, TOLD + 300.2, -299.6),
        (TOLD - 300.0, TOLD - 299.8, 300.4),
        (TOLD + 300.0, TOLD + 360.0, -329.5),
    ],
    ids=["in time", "within the second", "frozen, in time", "ahead", "behind", "frozen, and ahead"],
)
def test_an_answer_tells_the_clock_as_exactly_as_it_can(sent: float, answered: float, offset: float) -> None:
    clock = ServiceClock()
    clock.learn(DATE, sent, answered)
    assert clock.offset == pytest.approx(offset)


def test_a_clock_that_was_off_and_is_set_right_is_followed() -> None:
    clock = ServiceClock()
    clock.learn(DATE, TOLD + 300.0, TOLD + 300.1)
    clock.learn(DATE, TOLD + 0.1, TOLD + 0.2)
    assert clock.offset == 0.0
