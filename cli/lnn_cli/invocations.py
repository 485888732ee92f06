"""When which function worked for a run: read from the functions' own logs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mypy_boto3_logs import CloudWatchLogsClient
    from mypy_boto3_logs.type_defs import FilteredLogEventTypeDef

    from lnn.names import Names
    from lnn_cli.runs import Run

ROLES = ("launch", "trainer", "neuron")
MOST_LINES = 20_000
"""Read of each function: a run with an invocation for each neuron writes hundreds of thousands."""

_MARGIN_SECONDS = 120.0
"""Launch is at work before it opens the run; logs arrive some time after what they tell of."""

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


def timeline(logs: CloudWatchLogsClient, names: Names, run: Run, most: int = MOST_LINES) -> Timeline:
    """Every invocation of a run that the logs tell of, up to ``most`` of each function."""
    found: list[Invocation] = []
    complete = True
    for role in ROLES:
        lines = list(_events(logs, names.log_group(role), run, f'"{run["run_id"]}"', most))
        ends = list(_events(logs, names.log_group(role), run, '"REPORT RequestId"', most))
        complete = complete and len(lines) < most and len(ends) < most
        found += _of_role(role, lines, ends)
    return Timeline(sorted(found, key=lambda one: one.start), complete)


def _events(
    logs: CloudWatchLogsClient, group: str, run: Run, pattern: str, most: int
) -> Iterator[FilteredLogEventTypeDef]:
    ended = run.get("finished_at") or run.get("heartbeat") or run["created_at"]
    pages = logs.get_paginator("filter_log_events").paginate(
        logGroupName=group,
        filterPattern=pattern,
        startTime=int((float(run["created_at"]) - _MARGIN_SECONDS) * 1000),
        endTime=int((float(ended) + _MARGIN_SECONDS) * 1000),
        PaginationConfig={"MaxItems": most},
    )
    for page in pages:
        yield from page["events"]


def _of_role(
    role: str, lines: list[FilteredLogEventTypeDef], reports: list[FilteredLogEventTypeDef]
) -> Iterator[Invocation]:
    """A function's own lines say what it did; Lambda's report, by the same request id, how long it took."""
    asked: dict[str, dict[str, Any]] = {}
    for event in lines:
        line = _parsed(event["message"])
        request = line.get("function_request_id")
        if request:
            failed = line.get("level") in ("ERROR", "CRITICAL") or asked.get(request, {}).get("failed", False)
            asked[request] = {**asked.get(request, {}), **line, "failed": failed}
    for event in reports:
        report = _REPORT.search(event["message"])
        line = asked.pop(report["request"], {}) if report else {}
        if report and line:
            seconds = float(report["ms"]) / 1000
            yield Invocation(
                role=role,
                start=event["timestamp"] / 1000 - seconds,
                seconds=seconds,
                **{name: line.get(name) for name in ("state", "layer", "neuron", "generation")},
                failed=line["failed"],
            )


def _parsed(message: str) -> dict[str, Any]:
    try:
        line = json.loads(message)
    except json.JSONDecodeError:
        return {}
    return line if isinstance(line, dict) else {}
