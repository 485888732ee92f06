"""Reading CloudWatch's logs."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from lnn.names import Names
from lnn_client import logs


class Answers:
    """A log that gives its first events at or after ``startTime``, and no token, as the local cloud does."""

    def __init__(self, events: list[dict[str, Any]], most: int) -> None:
        self.events, self.most, self.asked = events, most, 0

    def get_paginator(self, operation: str) -> Answers:
        assert operation == "filter_log_events"
        return self

    def paginate(self, *, startTime: int = 0, **_: Any) -> list[dict[str, Any]]:
        self.asked += 1
        assert self.asked < 50, "asked without an end"
        return [{"events": [event for event in self.events if event["timestamp"] >= startTime][: self.most]}]


def read(answers: Answers) -> list[str]:
    cloud: Any = SimpleNamespace(logs=answers, names=Names("lnn", "1", "here"))
    return [event["message"] for event in logs.events(cloud, "neuron", "")]


def event(number: int, at: int) -> dict[str, Any]:
    return {"timestamp": at, "message": f"line {number}", "logStreamName": "stream"}


@pytest.mark.parametrize("count", [0, 1, 9, 10, 11, 95])
def test_every_line_is_read_once_however_few_an_answer_has(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "MOST_EVENTS", 10)
    # Three lines in a millisecond: an answer may end between them.
    events = [event(number, number // 3) for number in range(count)]
    assert read(Answers(events, 10)) == [f"line {number}" for number in range(count)]


def test_a_millisecond_with_more_lines_than_an_answer_holds_is_no_endless_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "MOST_EVENTS", 10)
    assert len(read(Answers([event(number, 5) for number in range(30)], 10))) == 10
