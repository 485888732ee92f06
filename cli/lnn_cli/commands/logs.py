"""``lnn logs``: what the functions have told of a run, read from CloudWatch Logs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from time import sleep, time
from typing import Annotated, Any

import typer
from rich.text import Text

from lnn_cli.options import PrefixOption, RegionOption, RunArgument, TargetOption
from lnn_cli.ui.console import note, number, output, print_json
from lnn_cli.ui.progress import has_ended
from lnn_client.cloud import Cloud, Target, command, connect
from lnn_client.runs import Run, find_run

POLL_SECONDS = 1.0
SETTLE_SECONDS = 10.0
"""This long after its end, a run has no more lines to come: CloudWatch shows them some seconds late."""

OVERLAP_SECONDS = 60.0
"""Lines may come in later than others that were written after them: so much is read again at every look."""

_LEVELS = {"WARNING": "yellow", "ERROR": "red", "CRITICAL": "red"}
_PLACE = ("epoch", "batch", "layer", "neuron")
_NOT_SHOWN = frozenset(
    {
        *("run_id", "generation", "state", *_PLACE, "level", "message", "timestamp", "function"),
        *("elapsed_seconds", "peak_memory_mb"),
        *("_aws", "location", "service", "cold_start", "xray_trace_id", "exception", "stack_trace"),
        *("function_name", "function_memory_size", "function_arn", "function_request_id"),
    }
)


class Function(StrEnum):
    """The functions that work for a run."""

    LAUNCH = "launch"
    TRAINER = "trainer"
    NEURON = "neuron"


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
        self._client = self.cloud.client("logs")
        self._since = float(self.run["created_at"]) - OVERLAP_SECONDS  # clocks differ, and Launch began earlier

    def new_lines(self) -> list[Line]:
        """The lines that no earlier call gave, in the order in which they were written."""
        lines = [line for function in self.functions for line in self._new_lines_of(function)]
        if lines:
            self._since = max(self._since, max(line.arrived for line in lines) - OVERLAP_SECONDS)
            self._seen = {identity for identity in self._seen if identity[1] >= self._since * 1000}
        return sorted(lines, key=lambda line: line.at)

    def _new_lines_of(self, function: Function) -> Iterator[Line]:
        pages = self._client.get_paginator("filter_log_events").paginate(
            logGroupName=self.cloud.names.log_group(function),
            startTime=int(self._since * 1000),
            filterPattern=f'"{self.run["run_id"]}"',
        )
        for page in pages:
            for event in page["events"]:
                identity = (event["logStreamName"], event["timestamp"], event["message"])
                if identity not in self._seen:
                    self._seen.add(identity)
                    yield _line(function, event)


def logs(
    run: RunArgument = "latest",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the run has ended.")] = False,
    function: Annotated[Function | None, typer.Option("--function", help="Lines of this function only.")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a JSON list of the lines; with --follow, an object a line.")
    ] = False,
    target: TargetOption = Target.LOCAL,
    prefix: PrefixOption = None,
    region: RegionOption = None,
) -> None:
    """Print what the functions have logged about a run.

    Each line has its time, function, place in the run, and message.
    On the local cloud, lines appear when the invocation that wrote them ends.

    Example: lnn logs latest --follow --function trainer
    """
    cloud = connect(target, prefix, region)
    log = Log(cloud, find_run(cloud.ledger, run), [function] if function else list(Function))
    if follow:
        for line in _following(log):
            _print(line, as_json)
        return
    lines = log.new_lines()
    if as_json:
        print_json([line.fields for line in lines])
        return
    for line in lines:
        _print(line, as_json)
    if not lines:
        note(_nothing(log, function))


def _following(log: Log) -> Iterator[Line]:
    """Lines as they come, until the run has ended and no more come."""
    while True:
        run = log.cloud.ledger.get_run(log.run["run_id"])
        no_more = run is None or (has_ended(run) and time() - float(run["finished_at"]) >= SETTLE_SECONDS)
        yield from log.new_lines()
        if no_more:
            return
        sleep(POLL_SECONDS)


def _nothing(log: Log, function: Function | None) -> str:
    run_id, whose = log.run["run_id"], f"the {function} function" if function else "the functions"
    if has_ended(log.run):
        return (
            f"{whose} logged nothing about run {run_id}, or it is no longer kept; see: {command(f'lnn show {run_id}')}"
        )
    return f"{whose} logged nothing about run {run_id} yet; wait with: {command(f'lnn logs {run_id} --follow')}"


def _line(function: Function, event: Mapping[str, Any]) -> Line:
    text, arrived = event["message"].rstrip("\n"), event["timestamp"] / 1000
    try:
        fields = json.loads(text)
    except json.JSONDecodeError:
        fields = None
    if not isinstance(fields, dict):
        fields = {"message": text}
    return Line(_written_at(fields, arrived), arrived, {"function": str(function), **fields})


def _written_at(fields: Mapping[str, Any], arrived: float) -> float:
    try:
        if "_aws" in fields:
            return float(fields["_aws"]["Timestamp"]) / 1000
        return datetime.fromisoformat(fields["timestamp"]).timestamp()
    except (KeyError, TypeError, ValueError):
        return arrived


def _print(line: Line, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(line.fields, ensure_ascii=False))
        return
    fields = line.fields
    text = Text()
    text.append(f"{datetime.fromtimestamp(line.at, UTC).astimezone():%H:%M:%S.%f}"[:-3], style="dim")
    text.append(f"  {fields['function']:<7}  {_place(fields)}")
    if fields.get("level") in _LEVELS:
        text.append(f"{fields['level']} ", style=_LEVELS[fields["level"]])
    text.append(str(fields.get("message", "")), style="bold")
    for name, value in fields.items():
        if name not in _NOT_SHOWN and value is not None:
            text.append(f"  {name}={_value(value)}")
    for told in str(fields.get("exception", "")).splitlines():
        text.append(f"\n    {told}")
    output().print(text, soft_wrap=True)


def _place(fields: Mapping[str, Any]) -> str:
    """Where in the run. Epochs, layers and neurons count from 1, so that 0 is none; workers from 0."""
    names = [name for name in _PLACE if fields.get(name) or (name == "neuron" and fields.get(name) is not None)]
    return f"[{', '.join(f'{name} {fields[name]}' for name in names)}] " if names else ""


def _value(value: Any) -> str:
    if isinstance(value, list) and len(value) == 1:
        (value,) = value
    return number(value) if isinstance(value, float) else str(value)
