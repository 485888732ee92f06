"""When which function worked for a run: read from the functions' own logs."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from lnn.runs.record import Run
from lnn_client.cloud import Cloud
from lnn_client.logs import FUNCTIONS, Function, events, parsed, written_at

MOST_LINES = 20_000
"""Read of each function: a run with an invocation for each neuron writes hundreds of thousands."""

_MARGIN_SECONDS = 120.0
"""Launch is at work before it opens the run; logs arrive some time after what they tell of."""

_REPORTS = ('"platform.report"', '"REPORT RequestId"')
"""Lambda's own lines about an invocation. AWS writes one where the invocation failed, as JSON; the local cloud always
writes one, as text, and so did AWS for releases before."""

_REPORT = re.compile(r"REPORT RequestId: (?P<request>\S+)\s+Duration: (?P<ms>[\d.]+) ms")


@dataclass(frozen=True, slots=True)
class Invocation:
    """One invocation of a function: ``start`` in epoch seconds, and what it was asked to do."""

    role: str
    start: float
    seconds: float
    state: str | None = None
    layer: int | None = None
    neuron: int | None = None
    generation: int | None = None
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Timeline:
    """Invocations in the order in which they began; ``complete`` when the logs held no more."""

    invocations: list[Invocation]
    complete: bool


def timeline(cloud: Cloud, run: Run) -> Timeline:
    """Every invocation of a run that the logs tell of, up to ``MOST_LINES`` of each function."""
    found: list[Invocation] = []
    complete = True
    for role in FUNCTIONS:
        lines = _events(cloud, role, run, f'"{run.run_id}"')
        reports = [_events(cloud, role, run, pattern) for pattern in _REPORTS]
        complete = complete and all(len(read) < MOST_LINES for read in (lines, *reports))
        found += _of_role(role, lines, [event for of_pattern in reports for event in of_pattern])
    return Timeline(sorted(found, key=lambda one: one.start), complete)


def _events(cloud: Cloud, role: Function, run: Run, pattern: str) -> list[Mapping[str, Any]]:
    start, end = (
        run.created_at - _MARGIN_SECONDS,
        (run.finished_at or run.heartbeat or run.created_at) + _MARGIN_SECONDS,
    )
    found = events(cloud, role, pattern, startTime=int(start * 1000), endTime=int(end * 1000))
    return list(islice(found, MOST_LINES))


def _of_role(
    role: str, lines: Iterable[Mapping[str, Any]], reports: Iterable[Mapping[str, Any]]
) -> Iterator[Invocation]:
    """A function's last line says what the invocation did and how long it took.

    Lambda's report, by the same request id, has the last word: an invocation that was cut off has written no last line.
    """
    asked: dict[str, dict[str, Any]] = {}
    for event in lines:
        line = parsed(event["message"])
        request = line.get("function_request_id")
        if not request:
            continue
        before = asked.get(request, {"failed": False, "ends": 0.0, "seconds": 0.0})
        seconds = max(before["seconds"], float(line.get("elapsed_seconds", 0.0)))
        asked[request] = {
            **before,
            **line,
            "failed": line.get("level") in ("ERROR", "CRITICAL") or before["failed"],
            "seconds": seconds,
            "ends": max(before["ends"], written_at(line, event["timestamp"] / 1000)),
        }
    for event in reports:
        request, reported = _reported(event["message"])
        if request in asked:
            asked[request] |= {"seconds": reported, "ends": max(asked[request]["ends"], event["timestamp"] / 1000)}
    for line in asked.values():
        yield Invocation(
            role=role,
            start=line["ends"] - line["seconds"],
            seconds=line["seconds"],
            **{name: line.get(name) for name in ("state", "layer", "neuron", "generation")},
            failed=line["failed"],
        )


def _reported(message: str) -> tuple[str, float]:
    """The request id of one of Lambda's reports, and the seconds that the invocation took."""
    text = _REPORT.search(message)
    if text:
        return text["request"], float(text["ms"]) / 1000
    record = parsed(message).get("record") or {}
    milliseconds = (record.get("metrics") or {}).get("durationMs", 0.0)
    return str(record.get("requestId")), float(milliseconds) / 1000
