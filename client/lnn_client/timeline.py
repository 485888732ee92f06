"""When which function worked for a run: what the run has recorded, or what the functions' own logs tell."""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any

from lnn.aws.client_errors import AWS_ERRORS
from lnn.parameter_server.records import Invocation
from lnn.runs.record import Run
from lnn_client.cloud import Cloud
from lnn_client.invocations import NOT_RECORDED, Recorded
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
class Timeline:
    """Invocations in the order in which they began."""

    invocations: list[Invocation]
    shown: str = ""
    """Which part of the run they are; empty where they are all."""

    @property
    def complete(self) -> bool:
        return not self.shown


def timeline(cloud: Cloud, run: Run) -> Timeline:
    """Every invocation of a run that it has recorded itself; in other strategies, that the functions' logs tell of.

    Strategy ``neuron`` records its Trainers and Neurons; Launch is read from its log where that can be had.
    """
    if run.records_invocations and (own := recorded_timeline(cloud, run)).invocations:
        with suppress(*AWS_ERRORS):  # whoever may not read logs sees the rest
            own.invocations[:0] = _logged(cloud, "launch", run)[0]
        return own
    found: list[Invocation] = []
    complete = True
    for role in FUNCTIONS:
        of_role, whole = _logged(cloud, role, run)
        found += of_role
        complete = complete and whole
    part = "" if complete else f"the first {len(found):,} that were logged"
    if run.strategy == "neuron" and not run.records_invocations:
        part = f"{len(found):,} that were logged; {NOT_RECORDED}"
    return Timeline(_in_order(found), part)


def recorded_timeline(cloud: Cloud, run: Run) -> Timeline:
    """What a run of strategy ``neuron`` has recorded, without Launch: it takes rights to read the bucket alone.

    It is compared with the run's own count, which has Launch, and each Trainer that has begun a generation.
    """
    recorded = Recorded(cloud, run.run_id).new()
    counted, shown = run.use["invocations"] - 1, sum(one.counts for one in recorded)
    part = ""
    if shown < counted:
        last = max((one.epoch or 0 for one in recorded), default=0)
        part = f"{shown:,} of {counted:,}, up to epoch {last:,} of {run.epoch:,}"
    return Timeline(_in_order(recorded), part)


def _in_order(invocations: list[Invocation]) -> list[Invocation]:
    return sorted(invocations, key=lambda one: one.start)


def _logged(cloud: Cloud, role: Function, run: Run) -> tuple[list[Invocation], bool]:
    """The invocations of a function that its log tells of; False where it told of more than is read."""
    lines = _events(cloud, role, run, f'"{run.run_id}"')
    reports = [_events(cloud, role, run, pattern) for pattern in _REPORTS]
    whole = all(len(read) < MOST_LINES for read in (lines, *reports))
    return list(_of_role(role, lines, [event for of_pattern in reports for event in of_pattern])), whole


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
            state=line.get("state"),
            layer=line.get("layer"),
            neuron=line.get("neuron"),
            generation=line.get("generation"),
            failed=line["failed"],
            epoch=line.get("epoch"),
        )


def _reported(message: str) -> tuple[str, float]:
    """The request id of one of Lambda's reports, and the seconds that the invocation took."""
    text = _REPORT.search(message)
    if text:
        return text["request"], float(text["ms"]) / 1000
    record = parsed(message).get("record") or {}
    milliseconds = (record.get("metrics") or {}).get("durationMs", 0.0)
    return str(record.get("requestId")), float(milliseconds) / 1000
