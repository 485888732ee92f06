"""What the functions have logged about a run, read from CloudWatch Logs."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from time import sleep, time
from typing import Any, Literal

from lnn.runs.record import Run
from lnn_client.cloud import Cloud

POLL_SECONDS = 1.0
SETTLE_SECONDS = 10.0
"""CloudWatch shows lines some seconds late: this long after its end, a run has no more to come."""

MOST_EVENTS = 10_000
"""In one answer of FilterLogEvents."""

OVERLAP_SECONDS = 60.0
"""Read again at every look: a line may arrive after others that were written later."""


Function = Literal["launch", "trainer", "neuron"]
FUNCTIONS: Sequence[Function] = ("launch", "trainer", "neuron")
"""Those that work for a run."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a log."""

    at: float
    """When it was written, in epoch seconds."""
    arrived: float
    """The time that CloudWatch has for it."""
    fields: Mapping[str, Any]
    """What is in it, with the ``function`` that wrote it."""


@dataclass
class Log:
    """The lines of one run, from the functions asked for."""

    cloud: Cloud
    run: Run
    functions: Iterable[Function]
    _seen: set[tuple[str, int, str]] = field(default_factory=set)
    _since: float = 0.0

    def __post_init__(self) -> None:
        self._since = self.run.created_at - OVERLAP_SECONDS  # clocks differ, and Launch began earlier

    def new_lines(self) -> list[Line]:
        """The lines that no earlier call gave, in the order in which they were written."""
        lines = [line for function in self.functions for line in self._new_lines_of(function)]
        if lines:
            self._since = max(self._since, max(line.arrived for line in lines) - OVERLAP_SECONDS)
            self._seen = {identity for identity in self._seen if identity[1] >= self._since * 1000}
        return sorted(lines, key=lambda line: line.at)

    def _new_lines_of(self, function: Function) -> Iterator[Line]:
        for event in events(self.cloud, function, f'"{self.run.run_id}"', startTime=int(self._since * 1000)):
            identity = (event["logStreamName"], event["timestamp"], event["message"])
            if identity not in self._seen:
                self._seen.add(identity)
                yield _line(function, event)

    def follow(self) -> Iterator[Line]:
        """Lines as they come, until the run has ended and no more come."""
        while True:
            run = self.cloud.ledger.get_run(self.run.run_id)
            no_more = run is None or (run.has_ended and time() - (run.finished_at or 0.0) >= SETTLE_SECONDS)
            yield from self.new_lines()
            if no_more:
                return
            sleep(POLL_SECONDS)


def events(cloud: Cloud, function: Function, pattern: str, **limits: Any) -> Iterator[Mapping[str, Any]]:
    """What CloudWatch holds of a function's log that matches a pattern, in the order in which it came.

    ``limits`` are FilterLogEvents' own. The local cloud gives no token for what is beyond one answer, so the next
    question begins where the last answer ended.
    """
    asked = {"logGroupName": cloud.names.log_group(function), "filterPattern": pattern, **limits}
    latest, of_latest = None, set[tuple[str, str]]()
    while True:
        in_last_page = new = 0
        for page in cloud.logs.get_paginator("filter_log_events").paginate(**asked):
            in_last_page = len(page["events"])
            for event in page["events"]:
                identity = (event["logStreamName"], event["message"])
                if event["timestamp"] == latest and identity in of_latest:
                    continue
                if event["timestamp"] != latest:
                    latest, of_latest = event["timestamp"], set()
                of_latest.add(identity)
                new += 1
                yield event
        if in_last_page < MOST_EVENTS or not new:
            return
        asked["startTime"] = latest


def _line(function: Function, event: Mapping[str, Any]) -> Line:
    text, arrived = event["message"].rstrip("\n"), event["timestamp"] / 1000
    fields = parsed(text) or {"message": text}
    return Line(written_at(fields, arrived), arrived, {"function": function, **fields})


def parsed(text: str) -> dict[str, Any]:
    """The fields of a line that is a JSON object; none of another line."""
    try:
        fields = json.loads(text)
    except json.JSONDecodeError:
        return {}
    return fields if isinstance(fields, dict) else {}


def written_at(fields: Mapping[str, Any], arrived: float) -> float:
    """When a line was written, in epoch seconds: the local cloud shows an invocation's lines only when it has ended."""
    try:
        if "_aws" in fields:
            return float(fields["_aws"]["Timestamp"]) / 1000
        return datetime.fromisoformat(fields["timestamp"]).timestamp()
    except (KeyError, TypeError, ValueError):
        return arrived
